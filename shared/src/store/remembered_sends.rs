//! Remembered sends: the past verifications that left a recipient's item, in an item of their own.
//! Each is an attribute, named after the hash of its `Idempotency-Key`.
//!
//! Invariants: a verification is stored here before it leaves the recipient's item. What is
//! forgotten does not come back: a send that loaded the recipient before that stores nothing.

use data_encoding::HEXLOWER;

use super::attributes::{FORMAT, Item, KEY, TTL, binary, number_value};
use super::expression::{Update, WriteResult};
use super::recipient_codec::{pack_past, unpack_past};
use super::recipient_item::open_subject;
use super::versioned::{Condition, PutResult, version};
use super::{Store, StoreError, TTL_SECONDS, WriteId};
use crate::crypto::sealing::SealedFor;
use crate::domain::ids::RecordKey;
use crate::domain::past_verification::PastVerification;
use crate::domain::remembered_sends::outdated;
use crate::domain::subject_id::SubjectId;
use crate::domain::time::Timestamp;

/// Version of the format that this code writes.
const FORMAT_VERSION: i64 = 1;
/// Names of verifications begin so; the hash in hexadecimal digits follows.
const NAME_PREFIX: &str = "key_";
/// When the sends were forgotten.
const FORGOTTEN_AT: &str = "forgotten_at";
const IS_NOT_FORGOTTEN: &str = "NOT forgotten_at >= :now";
/// How often the item is erased again after a send was first.
const CONFLICT_RETRIES_MAX: u32 = 3;

impl Store {
    /// Reads the sends of the recipient under `key` that are remembered apart.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remembered_sends(
        &self,
        key: RecordKey,
    ) -> Result<Vec<PastVerification>, StoreError> {
        let item = self.read_item(self.remembered_key(key)).await?;
        let values = item.into_iter().flatten();
        let remembered = values.filter_map(|(name, value)| {
            name.strip_prefix(NAME_PREFIX)?;
            let mut past = unpack_past(value.as_b().ok()?.as_ref())?;
            open_subject(&self.keyring, key, &mut past.params);
            Some(past)
        });
        Ok(remembered.collect())
    }

    /// Stores `leaving` beside `remembered`, of which it removes what is outdated. `false`: the
    /// sends were forgotten since `now`, and nothing was written.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be stored.
    pub async fn remember_sends(
        &self,
        key: RecordKey,
        leaving: &[PastVerification],
        remembered: &[PastVerification],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let leaving: Vec<_> = leaving
            .iter()
            .map(|past| self.with_own_seal(key, past))
            .collect();
        let update = remembering(&leaving, &outdated(remembered, &leaving, now), now);
        let key = self.remembered_key(key);
        let written = self.update(key, update, now + TTL_SECONDS).await?;
        Ok(matches!(written, WriteResult::Written(_)))
    }

    /// Erases the sends of the recipient under `key` that are remembered apart.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be erased.
    pub async fn forget_sends(&self, key: RecordKey, now: Timestamp) -> Result<(), StoreError> {
        let key = self.remembered_key(key);
        let item = Item::from([
            (KEY.into(), binary(&key.0)),
            (FORMAT.into(), number_value(FORMAT_VERSION)),
            (FORGOTTEN_AT.into(), number_value(now.0)),
            (TTL.into(), number_value((now + TTL_SECONDS).0)),
        ]);
        let mut found = None;
        for _ in 0..=CONFLICT_RETRIES_MAX {
            let condition = Condition::Loaded(found);
            let put = self.put_surely(WriteId::random(), key, item.clone(), condition);
            match put.await? {
                PutResult::Saved => return Ok(()),
                PutResult::Conflict(item) => found = item.as_ref().and_then(version),
            }
        }
        Err(StoreError::Conflict)
    }

    /// `past` with a sealed id of its subject that no other verification shares: it is stored
    /// without the others.
    fn with_own_seal(&self, key: RecordKey, past: &PastVerification) -> PastVerification {
        let mut past = past.clone();
        let nonce = past.params.nonce;
        if let Some(subject) = &mut past.params.subject
            && subject.sealed_for != nonce
        {
            let id = subject.id.as_ref().map(SubjectId::reveal);
            let seal = |id: &str| self.keyring.seal(SealedFor::Subject(key, nonce), id);
            subject.sealed_id = id.map(seal).unwrap_or_default();
            subject.sealed_for = nonce;
        }
        past
    }

    fn remembered_key(&self, key: RecordKey) -> RecordKey {
        self.keyring.record_key("remembered sends", &[&key.0])
    }
}

/// The write that stores `leaving` and removes `outdated`. The table takes expressions of at most
/// 4,096 bytes, so the tokens are short: an item of an earlier version has up to 200 such sends.
fn remembering(
    leaving: &[PastVerification],
    outdated: &[&PastVerification],
    now: Timestamp,
) -> Update {
    let mut update = Update::when(IS_NOT_FORGOTTEN)
        .set("#format = :format")
        .name("#format", FORMAT)
        .value(":format", number_value(FORMAT_VERSION))
        .value(":now", number_value(now.0));
    for (number, past) in leaving.iter().enumerate() {
        let Some(name) = name(past) else { continue };
        update = update
            .set(format!("#l{number}=:l{number}"))
            .name(format!("#l{number}"), name)
            .value(format!(":l{number}"), binary(&pack_past(past)));
    }
    for (number, past) in outdated.iter().enumerate() {
        let Some(name) = name(past) else { continue };
        update = update
            .remove(format!("#o{number}"))
            .name(format!("#o{number}"), name);
    }
    update
}

/// The attribute of a verification that was opened with an `Idempotency-Key`.
fn name(past: &PastVerification) -> Option<String> {
    let hash = past.params.idempotency?.key.0;
    Some(format!("{NAME_PREFIX}{}", HEXLOWER.encode(&hash)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{BodyHash, IdempotencyKeyHash};
    use crate::domain::time::DAY_SECONDS;
    use crate::domain::verification::tests::verification;
    use crate::domain::verification_params::Idempotency;
    use crate::store::attributes;
    use crate::store::tests::{KEY, LOST, NOW, TestTable, stored_item};

    fn keyed(n: u8, at: Timestamp) -> PastVerification {
        let mut v = verification(5);
        (v.params.created_at, v.params.expires_at) = (at, at + 300);
        v.params.idempotency = Some(Idempotency {
            key: IdempotencyKeyHash([n; 8]),
            body: BodyHash([8; 8]),
        });
        PastVerification::new(v, at)
    }

    /// The sends that are remembered, oldest first.
    async fn remembered(store: &Store) -> Vec<PastVerification> {
        let mut all = store.remembered_sends(KEY).await.expect("a read");
        all.sort_by_key(|past| past.params.created_at);
        all
    }

    #[tokio::test]
    async fn sends_are_read_back_beside_earlier_ones() {
        let store = TestTable::start().await.store();
        assert_eq!(remembered(&store).await, []);
        let (first, second) = (keyed(1, NOW), keyed(2, NOW + 1));
        for leaving in [&first, &second] {
            let stored = store.remember_sends(KEY, std::slice::from_ref(leaving), &[], NOW);
            assert!(stored.await.expect("a write"));
        }
        assert_eq!(remembered(&store).await, [first, second]);
        let item = stored_item(&store, store.remembered_key(KEY)).await;
        let item = item.expect("an item");
        assert_eq!(attributes::number(&item, TTL), (NOW + TTL_SECONDS).0);
        assert_eq!(attributes::number(&item, FORMAT), FORMAT_VERSION);
    }

    #[tokio::test]
    async fn outdated_sends_are_removed() {
        let store = TestTable::start().await.store();
        let yesterday = [keyed(1, NOW - DAY_SECONDS)];
        let today = [keyed(2, NOW)];
        let stored = store.remember_sends(KEY, &yesterday, &[], NOW);
        assert!(stored.await.expect("a write"));
        let stored = store.remember_sends(KEY, &today, &yesterday, NOW);
        assert!(stored.await.expect("a write"));
        assert_eq!(remembered(&store).await, today);
    }

    #[tokio::test]
    async fn key_that_was_used_again_replaces_its_send() {
        let store = TestTable::start().await.store();
        let yesterday = [keyed(1, NOW - DAY_SECONDS)];
        let today = [keyed(1, NOW)];
        for (leaving, before) in [(&yesterday, &[][..]), (&today, &yesterday)] {
            let stored = store.remember_sends(KEY, leaving, before, NOW).await;
            assert!(stored.expect("a write"));
            assert_eq!(remembered(&store).await, leaving);
        }
    }

    #[tokio::test]
    async fn forgotten_sends_are_not_stored_by_an_earlier_send() {
        let store = TestTable::start().await.store();
        let leaving = [keyed(1, NOW)];
        let stored = store.remember_sends(KEY, &leaving, &[], NOW).await;
        assert!(stored.expect("a write"));
        store.forget_sends(KEY, NOW).await.expect("a write");
        assert_eq!(remembered(&store).await, []);
        let erased = stored_item(&store, store.remembered_key(KEY)).await;
        let ttl = attributes::number(&erased.expect("an item"), TTL);
        assert_eq!(ttl, (NOW + TTL_SECONDS).0);
        let earlier = store.remember_sends(KEY, &leaving, &[], NOW).await;
        assert!(!earlier.expect("an answer"));
        assert_eq!(remembered(&store).await, []);
        let later = store.remember_sends(KEY, &leaving, &[], NOW + 1).await;
        assert!(later.expect("a write"));
        assert_eq!(remembered(&store).await, leaving);
    }

    #[test]
    fn longest_expression_fits_the_table() {
        let all: Vec<_> = (0..200).map(|n| keyed(n, NOW)).collect();
        let outdated: Vec<_> = all.iter().collect();
        let update = remembering(&all, &outdated, NOW);
        // The write id and the TTL are added to it.
        let length = update.expression_length() + 60;
        assert!(length <= 4096, "{length} bytes");
    }

    #[tokio::test]
    async fn many_sends_leave_at_once() {
        let store = TestTable::start().await.store();
        let leaving: Vec<_> = (0..195).map(|n| keyed(n, NOW + i64::from(n))).collect();
        let stored = store.remember_sends(KEY, &leaving, &[], NOW).await;
        assert!(stored.expect("a write"));
        assert_eq!(remembered(&store).await, leaving);
    }

    #[tokio::test]
    async fn failed_erasure_is_an_error() {
        let table = TestTable::start().await;
        let store = table.store();
        let stored = store.remember_sends(KEY, &[keyed(1, NOW)], &[], NOW).await;
        assert!(stored.expect("a write"));
        table.fail(LOST.into_iter().chain(LOST));
        let erased = store.forget_sends(KEY, NOW).await;
        assert!(matches!(erased, Err(StoreError::Request(_))), "{erased:?}");
    }
}
