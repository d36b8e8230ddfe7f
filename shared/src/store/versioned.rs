//! Versioned items: reads and writes a whole item under optimistic locking.
//!
//! Invariant: no other file writes a whole item, except `config_items`, which no function calls to
//! write.

use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use rand::RngExt as _;

use super::attributes::{self, Item, WRITE_ID, binary, bytes};
use super::{Store, StoreError, WriteId};
use crate::domain::ids::RecordKey;
use crate::platform::random::entropy;

/// Longest backoff after a conflict; the actual one is random.
const CONFLICT_BACKOFF_MILLIS_MAX: u64 = 40;

/// Versions that an item may have when it is overwritten.
#[derive(Clone, Copy)]
pub(super) enum Condition {
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

/// Result of a write of a whole item.
#[derive(Debug)]
pub(super) enum PutResult {
    /// Written.
    Saved,
    /// Another writer was first: nothing was written. The item as it is now.
    Conflict(Option<Item>),
}

/// The version of an item.
pub(super) fn version(item: &Item) -> Option<WriteId> {
    bytes(item, WRITE_ID).try_into().ok().map(WriteId)
}

impl Store {
    /// Reads an item, with strong consistency.
    pub(super) async fn read_item(&self, key: RecordKey) -> Result<Option<Item>, StoreError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(attributes::KEY, binary(&key.0))
            .consistent_read(true);
        let read = Box::pin(read.send()).await.map_err(StoreError::request)?;
        Ok(read.item)
    }

    /// Writes `item` as the version `write_id`, under `condition`. If it is not known whether the
    /// write was applied, the item is read once to find out.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be written.
    pub(super) async fn put_surely(
        &self,
        write_id: WriteId,
        key: RecordKey,
        item: Item,
        condition: Condition,
    ) -> Result<PutResult, StoreError> {
        let error = match self.put(write_id, item, condition).await {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        let stored = match self.read_item(key).await {
            Ok(stored) => stored,
            Err(_) => return Err(error),
        };
        match stored.as_ref().and_then(version) {
            version if version == Some(write_id) => Ok(PutResult::Saved),
            version if condition.allows(version) => Err(error),
            _ => Ok(PutResult::Conflict(stored)),
        }
    }

    async fn put(
        &self,
        write_id: WriteId,
        mut item: Item,
        condition: Condition,
    ) -> Result<PutResult, StoreError> {
        item.insert(WRITE_ID.into(), binary(&write_id.0));
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
            Ok(_) => return Ok(PutResult::Saved),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                // Our own write, repeated by the SDK after its response was lost.
                let is_ours = failed.item().and_then(version) == Some(write_id);
                Ok(match is_ours {
                    true => PutResult::Saved,
                    false => PutResult::Conflict(failed.item().cloned()),
                })
            }
            _ => Err(StoreError::request(error)),
        }
    }
}

/// Waits after a conflict, so that writers that conflicted do not meet again.
pub(super) async fn conflict_backoff() {
    jittered_backoff(CONFLICT_BACKOFF_MILLIS_MAX).await;
}

/// Waits for a random time up to `millis_max`.
pub async fn jittered_backoff(millis_max: u64) {
    let millis = entropy().random_range(0..=millis_max);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
