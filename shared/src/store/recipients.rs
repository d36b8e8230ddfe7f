//! Recipients: load, save and modify the whole item, under optimistic locking.

use super::attributes::Item;
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
    /// its way finds another version and fails.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be restored.
    pub async fn restore(
        &self,
        key: RecordKey,
        before: &StoredRecipient,
        written: WriteId,
        now: Timestamp,
    ) -> Result<RestoreResult, StoreError> {
        let condition = Condition::WrittenOrLoaded(written, before.version);
        let restored =
            self.put_recipient(WriteId::random(), key, &before.recipient, condition, now);
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
