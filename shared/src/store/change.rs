//! A recipient changed by a rule: read or taken as blank, changed in memory, and written whole under the condition that nobody came
//! first. The only place that writes a whole item.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use rand::RngExt as _;

use super::item::{self, Record, blob, n};
use super::{Store, StoreError, TTL_SECONDS, store_error};
use crate::crypto::seal::RecordKey;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::platform::random::{entropy, random_bytes};

/// How often a write of the whole item is tried again after another writer came first.
const CONFLICT_RETRIES_MAX: u32 = 3;
/// Longest wait before such a retry; the actual one is random, so that two writers part.
const CONFLICT_WAIT_MILLIS_MAX: u64 = 40;
const OTHERS_FIRST: &str = "another writer came first each time";

impl StoreError {
    /// Whether it is certain that nothing was written.
    #[must_use]
    pub fn wrote_nothing(&self) -> bool {
        self.0 == OTHERS_FIRST
    }
}

/// What a rule makes of a recipient.
pub enum Change<T> {
    /// Nothing is written.
    Keep(T),
    /// The recipient, as changed, is written.
    Write(T),
    /// The same, but only once whoever asked has done what must come before it: see [`Store::change_after`].
    WriteAfter(T),
}

/// Where [`Store::change`] begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// As if nothing were there: right for most sends, and free of a read where not.
    Blank,
    /// With what is there.
    Read,
}

impl Store {
    /// Applies `rule` in one write: create if absent, or replace the version that the rule saw. If another writer came
    /// first, the rule runs again on what is there now. The rule's own error ends it without a write.
    ///
    /// # Errors
    /// [`StoreError`], also after too many conflicts.
    pub async fn change<T, E>(
        &self,
        key: &RecordKey,
        app: &str,
        begin: Begin,
        now: Timestamp,
        rule: impl FnMut(&mut Recipient) -> Result<Change<T>, E>,
    ) -> Result<Result<T, E>, StoreError> {
        self.change_after(key, app, begin, now, rule, async |value| Ok(value))
            .await
    }

    /// As [`Self::change`]. Before the first write that the rule wants as [`Change::WriteAfter`], `first` runs, once, and its error
    /// ends all without a write. What it did is for the caller to undo if the rule, run again, refuses after all.
    ///
    /// # Errors
    /// [`StoreError`], also after too many conflicts.
    pub async fn change_after<T, E>(
        &self,
        key: &RecordKey,
        app: &str,
        begin: Begin,
        now: Timestamp,
        mut rule: impl FnMut(&mut Recipient) -> Result<Change<T>, E>,
        first: impl AsyncFnOnce(T) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let mut first = Some(first);
        let mut record = match begin {
            Begin::Blank => None,
            Begin::Read => self.record(key, now).await?,
        };
        let write: [u8; 8] = random_bytes();
        let mut conflicts = 0;
        loop {
            let mut recipient = record
                .as_ref()
                .map(|record| record.recipient.clone())
                .unwrap_or_default();
            app.clone_into(&mut recipient.app);
            let value = match rule(&mut recipient) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(Change::Keep(value)) => return Ok(Ok(value)),
                Ok(Change::Write(value)) => value,
                Ok(Change::WriteAfter(value)) => match first.take() {
                    None => value,
                    Some(first) => match first(value).await {
                        Err(refusal) => return Ok(Err(refusal)),
                        Ok(value) => value,
                    },
                },
            };
            let begun_blank = record.is_none();
            match self
                .replace(
                    key,
                    &recipient,
                    record.map(|record| record.version),
                    &write,
                    now,
                )
                .await?
            {
                None => return Ok(Ok(value)),
                // Our own write, whose answer was lost, was repeated by the SDK.
                Some(now_there) if now_there.write == write => return Ok(Ok(value)),
                Some(now_there) => record = Some(now_there),
            }
            if !(begun_blank && conflicts == 0) {
                conflicts += 1;
                if conflicts > CONFLICT_RETRIES_MAX {
                    return Err(StoreError(OTHERS_FIRST.into()));
                }
                part(CONFLICT_WAIT_MILLIS_MAX).await;
            }
        }
    }

    pub(super) async fn record(
        &self,
        key: &RecordKey,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(item::KEY, blob(key))
            .consistent_read(true)
            .send()
            .await;
        let output = read.map_err(|error| store_error(&error))?;
        Ok(output
            .item()
            .map(|there| item::read(&self.seal, key, there, now)))
    }

    /// Writes the whole item if nothing is there, or if `version` is. `None` when done, else what is there.
    async fn replace(
        &self,
        key: &RecordKey,
        recipient: &Recipient,
        version: Option<u64>,
        write: &[u8],
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let mut whole = item::write(key, recipient);
        whole.insert(
            item::VERSION.into(),
            n(version.map_or(1, |version| version + 1)),
        );
        whole.insert(item::TTL.into(), n((now + TTL_SECONDS).0));
        whole.insert(item::WRITE.into(), blob(write));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(whole));
        let put = match version {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(version) => put
                .condition_expression("ver = :ver")
                .expression_attribute_values(":ver", n(version)),
        };
        let put = put
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    // The item was removed in between: the rule begins anew, from nothing, under its own condition.
                    let there = refused
                        .item()
                        .map(|there| item::read(&self.seal, key, there, now));
                    there.map(Some).ok_or_else(|| {
                        StoreError("the item was removed while it was replaced".into())
                    })
                }
                _ => Err(store_error(&error)),
            },
        }
    }
}

/// Waits at most so long, at random: writers that met part.
pub(super) async fn part(wait_millis_max: u64) {
    let wait = entropy().random_range(0..=wait_millis_max);
    tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
}
