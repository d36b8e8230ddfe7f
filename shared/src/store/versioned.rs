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
        let read = self.get_item().key(attributes::KEY, binary(&key.0));
        let read = self.send_get(read.consistent_read(true)).await;
        let read = read.map_err(StoreError::request)?;
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
        let put = self.put_item().set_item(Some(item));
        let mut put = put.condition_expression(condition.expression());
        for (token, version) in condition.versions() {
            put = put.expression_attribute_values(token, binary(&version.0));
        }
        let put = put
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match self.send_put(put).await {
            Ok(_) => return Ok(PutResult::Saved),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                // Our own write, repeated by the client after its response was lost.
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::attributes::{number, number_value};
    use super::*;
    use crate::store::tests::{Fault, KEY, LOST, REFUSED, TestTable};

    const FIRST: WriteId = WriteId([1; 8]);
    const SECOND: WriteId = WriteId([2; 8]);
    const THIRD: WriteId = WriteId([3; 8]);

    /// The result of a write of the number `n`, and the number that is stored then.
    async fn put(
        table: &TestTable,
        write_id: WriteId,
        n: i64,
        condition: Condition,
    ) -> (&'static str, i64) {
        let store = table.store();
        let item = Item::from([
            (attributes::KEY.to_owned(), binary(&KEY.0)),
            ("n".to_owned(), number_value(n)),
        ]);
        let result = match store.put_surely(write_id, KEY, item, condition).await {
            Ok(PutResult::Saved) => "saved",
            Ok(PutResult::Conflict(_)) => "conflict",
            Err(_) => "error",
        };
        let stored = store.read_item(KEY).await.expect("a read");
        (result, number(&stored.unwrap_or_default(), "n"))
    }

    #[tokio::test]
    async fn put_overwrites_the_loaded_version_only() {
        let table = TestTable::start().await;
        let new = Condition::Loaded(None);
        assert_eq!(put(&table, FIRST, 1, new).await, ("saved", 1));
        assert_eq!(put(&table, SECOND, 2, new).await, ("conflict", 1));
        let first = Condition::Loaded(Some(FIRST));
        assert_eq!(put(&table, SECOND, 3, first).await, ("saved", 3));
        assert_eq!(put(&table, THIRD, 4, first).await, ("conflict", 3));
    }

    #[tokio::test]
    async fn restored_item_was_written_or_loaded() {
        let table = TestTable::start().await;
        let new = Condition::WrittenOrLoaded(FIRST, None);
        assert_eq!(put(&table, SECOND, 1, new).await, ("saved", 1));
        assert_eq!(put(&table, THIRD, 2, new).await, ("conflict", 1));
        let written = Condition::WrittenOrLoaded(SECOND, None);
        assert_eq!(put(&table, THIRD, 3, written).await, ("saved", 3));
        let loaded = Condition::WrittenOrLoaded(FIRST, Some(THIRD));
        assert_eq!(put(&table, FIRST, 4, loaded).await, ("saved", 4));
        let written = Condition::WrittenOrLoaded(FIRST, Some(THIRD));
        assert_eq!(put(&table, SECOND, 5, written).await, ("saved", 5));
        assert_eq!(put(&table, THIRD, 6, written).await, ("conflict", 5));
    }

    #[tokio::test]
    async fn put_with_lost_responses_is_saved() {
        let table = TestTable::start().await;
        table.fail([Fault::Lost]);
        let new = Condition::Loaded(None);
        assert_eq!(put(&table, FIRST, 1, new).await, ("saved", 1), "repeated");
        table.fail(LOST);
        let first = Condition::Loaded(Some(FIRST));
        assert_eq!(put(&table, SECOND, 2, first).await, ("saved", 2), "read");
        assert!(table.has_failed());
    }

    #[tokio::test]
    async fn refused_put_is_an_error_while_it_may_arrive() {
        let table = TestTable::start().await;
        table.fail(REFUSED);
        let new = Condition::Loaded(None);
        assert_eq!(put(&table, FIRST, 1, new).await, ("error", 0));
        assert_eq!(put(&table, FIRST, 1, new).await, ("saved", 1));
        for condition in [
            Condition::Loaded(Some(FIRST)),
            Condition::WrittenOrLoaded(FIRST, None),
            Condition::WrittenOrLoaded(THIRD, Some(FIRST)),
        ] {
            table.fail(REFUSED);
            assert_eq!(put(&table, SECOND, 2, condition).await, ("error", 1));
        }
    }

    #[tokio::test]
    async fn refused_put_conflicts_with_another_version() {
        let table = TestTable::start().await;
        put(&table, FIRST, 1, Condition::Loaded(None)).await;
        for condition in [
            Condition::Loaded(None),
            Condition::Loaded(Some(THIRD)),
            Condition::WrittenOrLoaded(THIRD, None),
        ] {
            table.fail(REFUSED);
            assert_eq!(put(&table, SECOND, 2, condition).await, ("conflict", 1));
        }
        table.fail(REFUSED.into_iter().chain(REFUSED));
        let condition = Condition::Loaded(Some(THIRD));
        let unread = put(&table, SECOND, 2, condition).await;
        assert_eq!(unread, ("error", 1), "the read fails as well");
    }

    #[tokio::test]
    async fn conflict_is_known_without_a_read() {
        let table = TestTable::start().await;
        put(&table, FIRST, 1, Condition::Loaded(None)).await;
        table.fail([Fault::None].into_iter().chain(REFUSED));
        let item = Item::from([(attributes::KEY.to_owned(), binary(&KEY.0))]);
        let store = table.store();
        let result = store.put_surely(SECOND, KEY, item, Condition::Loaded(None));
        assert!(matches!(result.await, Ok(PutResult::Conflict(Some(_)))));
        assert!(!table.has_failed(), "nothing was refused");
    }

    #[tokio::test]
    async fn writer_waits_after_a_conflict() {
        assert!(jittered_backoff(u64::MAX).now_or_never().is_none());
        // A random wait may be 0.
        let mut waits = (0..30).map(|_| conflict_backoff().now_or_never());
        assert!(waits.any(|ended| ended.is_none()));
    }
}
