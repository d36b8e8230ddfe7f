//! Recipients: load, save and modify the whole item, under optimistic locking.

use tokio::time::Instant;

use super::attributes::Item;
use super::undo::undo;
use super::versioned::{Condition, PutResult, conflict_backoff, version};
use super::{Store, StoreError, TTL_SECONDS, WriteId, recipient_item, sealed_address};
use crate::domain::address::Address;
use crate::domain::ids::RecordKey;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;

/// How often a modification is tried again after a conflict.
const CONFLICT_RETRIES_MAX: u32 = 3;

/// A recipient as it was loaded.
#[derive(Clone, Debug)]
pub struct StoredRecipient {
    /// The recipient; one without history if there is no item.
    pub recipient: Recipient,
    /// Version of the item; `None` if there is no item.
    pub version: Option<WriteId>,
}

/// Result of [`Store::save`].
#[derive(Debug)]
pub enum SaveResult {
    /// Written as this version.
    Saved(WriteId),
    /// Another writer was first: nothing was written. The recipient as it is now.
    Conflict(Box<StoredRecipient>),
}

/// Result of [`Store::restore`].
#[derive(Debug)]
pub enum RestoreResult {
    /// The item is as it was before.
    Restored,
    /// The item has changed since: nothing was written. The recipient as it is now.
    Changed(Box<StoredRecipient>),
}

/// What a rule makes of a recipient.
pub enum Change<T> {
    /// Nothing is written.
    Keep(T),
    /// The changed recipient is written.
    Write(T),
}

impl Store {
    /// Seals an address for its record.
    #[must_use]
    pub fn seal_address(&self, key: RecordKey, address: &Address) -> Vec<u8> {
        sealed_address::seal_address(&self.keyring, key, address)
    }

    /// Reads the recipient of `app` under `key`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(
        &self,
        key: RecordKey,
        app: &str,
        now: Timestamp,
    ) -> Result<StoredRecipient, StoreError> {
        let item = self.read_item(key).await?;
        self.stored_recipient(key, app, item.as_ref(), now)
    }

    /// Writes `recipient` if the item still has the version that was loaded. If it is not known
    /// whether the write was applied, the item is read once to find out.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be written.
    pub async fn save(
        &self,
        key: RecordKey,
        recipient: &Recipient,
        loaded: Option<WriteId>,
        now: Timestamp,
    ) -> Result<SaveResult, StoreError> {
        self.save_as(WriteId::random(), key, recipient, loaded, now)
            .await
    }

    /// As [`Self::save`], under a name of the caller: with it a write whose result is not known can
    /// be undone.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be written.
    pub async fn save_as(
        &self,
        write_id: WriteId,
        key: RecordKey,
        recipient: &Recipient,
        loaded: Option<WriteId>,
        now: Timestamp,
    ) -> Result<SaveResult, StoreError> {
        let condition = Condition::Loaded(loaded);
        self.put_recipient(write_id, key, recipient, condition, now)
            .await
    }

    async fn put_recipient(
        &self,
        write_id: WriteId,
        key: RecordKey,
        recipient: &Recipient,
        condition: Condition,
        now: Timestamp,
    ) -> Result<SaveResult, StoreError> {
        let item = recipient_item::write(key, recipient, now + TTL_SECONDS);
        Ok(
            match self.put_surely(write_id, key, item, condition).await? {
                PutResult::Saved => SaveResult::Saved(write_id),
                PutResult::Conflict(item) => {
                    let stored = self.stored_recipient(key, &recipient.app, item.as_ref(), now)?;
                    SaveResult::Conflict(Box::new(stored))
                }
            },
        )
    }

    /// Undoes a [`Store::save_as`]: writes the recipient as it was `before`, if the item has the
    /// version that was `written`, or still the one before. In the latter case a write that is on
    /// its way finds another version and fails. A write whose response is lost is repeated until
    /// `until`.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be restored.
    pub async fn restore(
        &self,
        key: RecordKey,
        before: &StoredRecipient,
        written: WriteId,
        until: Instant,
        now: Timestamp,
    ) -> Result<RestoreResult, StoreError> {
        let condition = Condition::WrittenOrLoaded(written, before.version);
        let (write_id, recipient) = (WriteId::random(), &before.recipient);
        let restored = undo(until, || {
            self.put_recipient(write_id, key, recipient, condition, now)
        });
        Ok(match restored.await? {
            SaveResult::Saved(_) => RestoreResult::Restored,
            SaveResult::Conflict(stored) => RestoreResult::Changed(stored),
        })
    }

    /// Applies `rule` to the recipient and writes the result. After a conflict the rule runs again
    /// on what is stored then. An error of the rule ends it without a write.
    ///
    /// # Errors
    /// That of the rule, or [`StoreError`].
    pub async fn modify<T, E: From<StoreError>>(
        &self,
        key: RecordKey,
        app: &str,
        now: Timestamp,
        mut rule: impl FnMut(&mut Recipient) -> Result<Change<T>, E>,
    ) -> Result<T, E> {
        let mut stored = self.load(key, app, now).await?;
        for _ in 0..=CONFLICT_RETRIES_MAX {
            let mut recipient = stored.recipient;
            let value = match rule(&mut recipient)? {
                Change::Keep(value) => return Ok(value),
                Change::Write(value) => value,
            };
            match self.save(key, &recipient, stored.version, now).await? {
                SaveResult::Saved(_) => return Ok(value),
                SaveResult::Conflict(newer) => stored = *newer,
            }
            conflict_backoff().await;
        }
        Err(StoreError::Conflict.into())
    }

    fn stored_recipient(
        &self,
        key: RecordKey,
        app: &str,
        item: Option<&Item>,
        now: Timestamp,
    ) -> Result<StoredRecipient, StoreError> {
        let new = || Recipient {
            app: app.to_owned(),
            ..Recipient::default()
        };
        let Some(item) = item else {
            return Ok(StoredRecipient {
                recipient: new(),
                version: None,
            });
        };
        let recipient = recipient_item::read(&self.keyring, key, item, now)?;
        Ok(StoredRecipient {
            recipient: recipient.unwrap_or_else(new),
            version: version(item),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;
    use crate::domain::phone::{Line, PhoneNumber};
    use crate::store::attributes;
    use crate::store::tests::{
        KEY, NOW, REFUSED, TestTable, keyring, opened, store_with_recipient, stored_item,
    };

    async fn loaded(store: &Store) -> StoredRecipient {
        store.load(KEY, "shop", NOW).await.expect("a read")
    }

    #[tokio::test]
    async fn recipient_without_item_has_no_history() {
        let table = TestTable::start().await;
        let stored = loaded(&table.store()).await;
        let new = Recipient {
            app: "shop".into(),
            ..Recipient::default()
        };
        assert_eq!((stored.recipient, stored.version), (new, None));
    }

    #[tokio::test]
    async fn saved_recipient_is_loaded_until_its_ttl() {
        let table = TestTable::start().await;
        let recipient = opened(&keyring(&["k1"]));
        let store = store_with_recipient(&table, &recipient).await;
        assert_eq!(loaded(&store).await.recipient, recipient);
        let item = stored_item(&store, KEY).await.expect("an item");
        let ttl = NOW + TTL_SECONDS;
        assert_eq!(attributes::number(&item, attributes::TTL), ttl.0);
        let later = store.load(KEY, "shop", ttl).await.expect("a read");
        assert_eq!(later.recipient.current, None);
        assert_eq!(later.version, version(&item));
    }

    #[tokio::test]
    async fn save_over_another_version_is_a_conflict() {
        let table = TestTable::start().await;
        let recipient = opened(&keyring(&["k1"]));
        let store = store_with_recipient(&table, &recipient).await;
        let saved = store.save(KEY, &Recipient::default(), None, NOW).await;
        let Ok(SaveResult::Conflict(stored)) = saved else {
            panic!("{saved:?}");
        };
        assert_eq!(stored.recipient, recipient);
        let saved = store.save(KEY, &recipient, stored.version, NOW).await;
        let Ok(SaveResult::Saved(version)) = saved else {
            panic!("{saved:?}");
        };
        assert_eq!(loaded(&store).await.version, Some(version));
    }

    #[tokio::test]
    async fn write_is_undone_unless_the_item_has_changed() {
        let table = TestTable::start().await;
        let recipient = opened(&keyring(&["k1"]));
        let store = store_with_recipient(&table, &recipient).await;
        let before = loaded(&store).await;
        let written = WriteId::random();
        let mut after = recipient.clone();
        after.sends.push(NOW + 1);
        let saved = store
            .save_as(written, KEY, &after, before.version, NOW)
            .await;
        assert!(
            matches!(saved, Ok(SaveResult::Saved(id)) if id == written),
            "{saved:?}"
        );
        let restore = async || {
            let until = Instant::now() + Duration::from_secs(60);
            store.restore(KEY, &before, written, until, NOW).await
        };
        let restored = restore().await;
        assert!(
            matches!(restored, Ok(RestoreResult::Restored)),
            "{restored:?}"
        );
        assert_eq!(loaded(&store).await.recipient, recipient);
        table.touch(KEY);
        let restored = restore().await;
        assert!(
            matches!(restored, Ok(RestoreResult::Changed(_))),
            "{restored:?}"
        );
    }

    #[tokio::test]
    async fn modification_is_written_unless_it_keeps() {
        let table = TestTable::start().await;
        let store = table.store();
        let kept = store
            .modify(KEY, "shop", NOW, |recipient| {
                recipient.sends.push(NOW);
                Ok::<_, StoreError>(Change::Keep(7))
            })
            .await;
        assert_eq!(kept.expect("a result"), 7);
        assert!(stored_item(&store, KEY).await.is_none());
        let refused = store
            .modify(KEY, "shop", NOW, |_| {
                Err::<Change<()>, _>(StoreError::OutOfTime)
            })
            .await;
        assert!(matches!(refused, Err(StoreError::OutOfTime)), "{refused:?}");
        let add = || store.modify(KEY, "shop", NOW, add_send);
        for added in join_all([add(), add(), add(), add()]).await {
            added.expect("a write");
        }
        assert_eq!(loaded(&store).await.recipient.sends.len(), 4);
    }

    fn add_send(recipient: &mut Recipient) -> Result<Change<()>, StoreError> {
        recipient.sends.push(NOW);
        Ok(Change::Write(()))
    }

    #[tokio::test]
    async fn modification_gives_up_after_four_conflicts() {
        let table = TestTable::start().await;
        let store = table.store();
        let mut tries = 0;
        let modified = store
            .modify(KEY, "shop", NOW, |recipient| {
                tries += 1;
                table.touch(KEY);
                add_send(recipient)
            })
            .await;
        assert!(
            matches!(modified, Err(StoreError::Conflict)),
            "{modified:?}"
        );
        assert_eq!(tries, 4);
    }

    #[tokio::test]
    async fn unreachable_table_is_an_error() {
        let table = TestTable::start().await;
        let store = table.store();
        table.fail(REFUSED);
        let error = store.load(KEY, "shop", NOW).await.expect_err("no response");
        assert!(matches!(error, StoreError::Request(_)), "{error:?}");
        assert_eq!(error.to_string(), "the request to the table failed");
    }

    #[tokio::test]
    async fn sealed_address_opens_for_its_record() {
        let store = TestTable::start().await.store();
        let number = PhoneNumber::from_stored("+33612345678", "FR", Line::Mobile);
        let address = Address::Phone(number);
        let sealed = store.seal_address(KEY, &address);
        let opened = sealed_address::open_address(&keyring(&["k1"]), KEY, &sealed);
        assert_eq!(opened, Some(address));
    }
}
