//! Recipients: load, save and modify the whole item, under optimistic locking.
//!
//! Invariant: no other file writes a whole item.

use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use rand::RngExt as _;

use super::attributes::{self, Item, binary, number_value};
use super::sealed_address::seal_address;
use super::{Store, StoreError, TTL_SECONDS, WriteId, recipient_item};
use crate::domain::address::Address;
use crate::domain::ids::RecordKey;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::platform::random::entropy;

/// How often a modification is tried again after a conflict.
const CONFLICT_RETRIES_MAX: u32 = 3;
/// Longest backoff before such a retry; the actual one is random.
const CONFLICT_BACKOFF_MILLIS_MAX: u64 = 40;

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

/// Versions that an item may have when it is overwritten.
#[derive(Clone, Copy)]
enum Condition {
    /// The one that was loaded; `None`: there was no item.
    Loaded(Option<WriteId>),
    /// The one that was written, or the one that was loaded.
    WrittenOrLoaded(WriteId, Option<WriteId>),
}

impl Condition {
    fn expression(self) -> &'static str {
        match self {
            Self::Loaded(None) => "attribute_not_exists(pk)",
            Self::Loaded(Some(_)) => "write_id = :loaded",
            Self::WrittenOrLoaded(_, None) => "attribute_not_exists(pk) OR write_id = :written",
            Self::WrittenOrLoaded(_, Some(_)) => "write_id IN (:written, :loaded)",
        }
    }

    fn versions(self) -> impl Iterator<Item = (&'static str, WriteId)> {
        let (written, loaded) = match self {
            Self::Loaded(loaded) => (None, loaded),
            Self::WrittenOrLoaded(written, loaded) => (Some(written), loaded),
        };
        let written = written.map(|version| (":written", version));
        let loaded = loaded.map(|version| (":loaded", version));
        written.into_iter().chain(loaded)
    }

    fn allows(self, version: Option<WriteId>) -> bool {
        match self {
            Self::Loaded(loaded) => version == loaded,
            Self::WrittenOrLoaded(written, loaded) => version == Some(written) || version == loaded,
        }
    }
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
        seal_address(&self.keyring, key, address)
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
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(attributes::KEY, binary(&key.0))
            .consistent_read(true);
        let read = Box::pin(read.send()).await.map_err(StoreError::request)?;
        self.stored_recipient(key, app, read.item(), now)
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
        self.put_surely(write_id, key, recipient, condition, now)
            .await
    }

    /// Writes under `condition`. If the response is lost, the item is read once.
    async fn put_surely(
        &self,
        write_id: WriteId,
        key: RecordKey,
        recipient: &Recipient,
        condition: Condition,
        now: Timestamp,
    ) -> Result<SaveResult, StoreError> {
        let error = match self.put(key, recipient, condition, write_id, now).await {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        let stored = match self.load(key, &recipient.app, now).await {
            Ok(stored) => stored,
            Err(_) => return Err(error),
        };
        match stored.version {
            version if version == Some(write_id) => Ok(SaveResult::Saved(write_id)),
            version if condition.allows(version) => Err(error),
            _ => Ok(SaveResult::Conflict(Box::new(stored))),
        }
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
        let restored = self.put_surely(WriteId::random(), key, &before.recipient, condition, now);
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
            jittered_backoff(CONFLICT_BACKOFF_MILLIS_MAX).await;
        }
        Err(StoreError::Conflict.into())
    }

    async fn put(
        &self,
        key: RecordKey,
        recipient: &Recipient,
        condition: Condition,
        write_id: WriteId,
        now: Timestamp,
    ) -> Result<SaveResult, StoreError> {
        let mut item = recipient_item::write(key, recipient);
        item.insert(attributes::TTL.into(), number_value((now + TTL_SECONDS).0));
        item.insert(attributes::WRITE_ID.into(), binary(&write_id.0));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item));
        let mut put = put.condition_expression(condition.expression());
        for (token, version) in condition.versions() {
            put = put.expression_attribute_values(token, binary(&version.0));
        }
        let put = put
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // On the heap, as in `expression`.
        let error = match Box::pin(put.send()).await {
            Ok(_) => return Ok(SaveResult::Saved(write_id)),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                let stored = self.stored_recipient(key, &recipient.app, failed.item(), now)?;
                // Our own write, repeated by the SDK after its response was lost.
                Ok(match stored.version == Some(write_id) {
                    true => SaveResult::Saved(write_id),
                    false => SaveResult::Conflict(Box::new(stored)),
                })
            }
            _ => Err(StoreError::request(error)),
        }
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
        let version = recipient_item::version(item);
        Ok(StoredRecipient {
            recipient: recipient.unwrap_or_else(new),
            version,
        })
    }
}

/// Waits for a random time up to `millis_max`, so that writers that conflicted do not meet again.
pub async fn jittered_backoff(millis_max: u64) {
    let millis = entropy().random_range(0..=millis_max);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
