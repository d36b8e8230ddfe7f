//! Breakers: one item for the circuit breakers of all carriers.
//!
//! A breaker has a scope: a carrier's account, or a carrier, channel and country.

use std::collections::BTreeMap;

use super::attributes::{self, Item, binary, bytes, number, number_value};
use super::expression::{Update, WriteResult};
use super::{Store, StoreError, TTL_SECONDS};
use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;

// An attribute's name is one of these and the scope.
const FAILURES: &str = "failures:";
const OPEN_UNTIL: &str = "open_until:";
const LIMITED_BY: &str = "limited_by:";
const LIMITED_UNTIL: &str = "limited_until:";

/// What all workers know of one scope.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BreakerState {
    /// Consecutive failures.
    pub failures: u32,
    /// With enough failures: no call before this moment.
    pub open_until: Timestamp,
    /// The recipient whose message the carrier delayed with `Retry-After`.
    pub limited_by: Vec<u8>,
    /// Until when it delayed that message.
    pub limited_until: Timestamp,
}

impl BreakerState {
    /// Whether nothing of it matters any more at `now`.
    fn is_over(&self, now: Timestamp) -> bool {
        self.failures == 0 && self.limited_until <= now
    }
}

impl Store {
    /// States of all breakers, by scope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn breakers(
        &self,
        key: RecordKey,
        now: Timestamp,
    ) -> Result<BTreeMap<String, BreakerState>, StoreError> {
        let read = self.get_item().key(attributes::KEY, binary(&key.0));
        let output = self.send_get(read).await.map_err(StoreError::request)?;
        let item = output
            .item()
            .filter(|item| number(item, attributes::TTL) > now.0);
        let mut states = item.map(read_states).unwrap_or_default();
        states.retain(|_, state| !state.is_over(now));
        Ok(states)
    }

    /// Counts a failure of `scope`. If that opens the breaker, it is open until `open_until`. The
    /// breakers of `stale` scopes are removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_carrier_failure(
        &self,
        key: RecordKey,
        scope: &str,
        open_until: Timestamp,
        stale: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Update::default()
            .add("#failures :one")
            .set("#open_until = :open_until")
            .name("#failures", format!("{FAILURES}{scope}"))
            .name("#open_until", format!("{OPEN_UNTIL}{scope}"))
            .value(":one", number_value(1))
            .value(":open_until", number_value(open_until.0));
        self.write_breaker(key, removing(update, stale), now).await
    }

    /// Opens the breaker of `scope` until `open_until`, as after `failures` failures.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_breaker(
        &self,
        key: RecordKey,
        scope: &str,
        failures: u32,
        open_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Update::default()
            .set("#failures = :failures, #open_until = :open_until")
            .name("#failures", format!("{FAILURES}{scope}"))
            .name("#open_until", format!("{OPEN_UNTIL}{scope}"))
            .value(":failures", number_value(failures))
            .value(":open_until", number_value(open_until.0));
        self.write_breaker(key, update, now).await
    }

    /// Notes that the carrier delayed the message of `recipient` until `until`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_rate_limit(
        &self,
        key: RecordKey,
        scope: &str,
        recipient: &[u8],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Update::default()
            .set("#limited_by = :recipient, #limited_until = :until")
            .name("#limited_by", format!("{LIMITED_BY}{scope}"))
            .name("#limited_until", format!("{LIMITED_UNTIL}{scope}"))
            .value(":recipient", binary(recipient))
            .value(":until", number_value(until.0));
        self.write_breaker(key, update, now).await
    }

    /// Closes the breakers of `scopes`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_breakers(
        &self,
        key: RecordKey,
        scopes: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = removing(Update::default(), scopes);
        self.write_breaker(key, update, now).await
    }

    /// Takes the one probe of an open breaker; `false` if another worker has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_probe(
        &self,
        key: RecordKey,
        scope: &str,
        seen: &BreakerState,
        open_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = Update::when("#open_until = :seen AND #failures = :failures")
            .set("#open_until = :open_until")
            .name("#failures", format!("{FAILURES}{scope}"))
            .name("#open_until", format!("{OPEN_UNTIL}{scope}"))
            .value(":failures", number_value(seen.failures))
            .value(":seen", number_value(seen.open_until.0))
            .value(":open_until", number_value(open_until.0));
        let written = self.update(key, update, now + TTL_SECONDS).await?;
        Ok(matches!(written, WriteResult::Written(_)))
    }

    async fn write_breaker(
        &self,
        key: RecordKey,
        update: Update,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.update(key, update, now + TTL_SECONDS).await.map(drop)
    }
}

fn read_states(item: &Item) -> BTreeMap<String, BreakerState> {
    let mut states: BTreeMap<String, BreakerState> = BTreeMap::new();
    for name in item.keys() {
        let value = number(item, name);
        if let Some(scope) = name.strip_prefix(FAILURES) {
            let failures = u32::try_from(value).unwrap_or(u32::MAX);
            states.entry(scope.into()).or_default().failures = failures;
        } else if let Some(scope) = name.strip_prefix(OPEN_UNTIL) {
            states.entry(scope.into()).or_default().open_until = Timestamp(value);
        } else if let Some(scope) = name.strip_prefix(LIMITED_BY) {
            states.entry(scope.into()).or_default().limited_by = bytes(item, name).to_vec();
        } else if let Some(scope) = name.strip_prefix(LIMITED_UNTIL) {
            states.entry(scope.into()).or_default().limited_until = Timestamp(value);
        }
    }
    states
}

/// Removes all that is stored of `scopes`.
fn removing(mut update: Update, scopes: &[String]) -> Update {
    for (index, scope) in scopes.iter().enumerate() {
        for (n, prefix) in [FAILURES, OPEN_UNTIL, LIMITED_BY, LIMITED_UNTIL]
            .into_iter()
            .enumerate()
        {
            let token = format!("#r{index}_{n}");
            update = update
                .remove(token.clone())
                .name(token, format!("{prefix}{scope}"));
        }
    }
    update
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{KEY, NOW, TestTable, stored_item};

    const SCOPE: &str = "sim-a/sms/FR";
    const OTHER: &str = "sim-b/sms/FR";

    async fn breakers(store: &Store, now: Timestamp) -> BTreeMap<String, BreakerState> {
        store.breakers(KEY, now).await.expect("a read")
    }

    async fn fail(store: &Store, scope: &str, stale: &[String]) {
        let counted = store.count_carrier_failure(KEY, scope, NOW + 30, stale, NOW);
        counted.await.expect("a write");
    }

    #[tokio::test]
    async fn failures_are_counted_by_scope() {
        let table = TestTable::start().await;
        let store = table.store();
        assert_eq!(breakers(&store, NOW).await, BTreeMap::new());
        for scope in [SCOPE, SCOPE, OTHER] {
            fail(&store, scope, &[]).await;
        }
        let state = |failures| BreakerState {
            failures,
            open_until: NOW + 30,
            ..BreakerState::default()
        };
        let expected = BTreeMap::from([(SCOPE.to_owned(), state(2)), (OTHER.to_owned(), state(1))]);
        assert_eq!(breakers(&store, NOW).await, expected);
        fail(&store, OTHER, &[SCOPE.to_owned()]).await;
        let expected = BTreeMap::from([(OTHER.to_owned(), state(2))]);
        assert_eq!(
            breakers(&store, NOW).await,
            expected,
            "the stale one is removed"
        );
        let end = NOW + TTL_SECONDS;
        assert_eq!(breakers(&store, end - 1).await, expected);
        assert_eq!(
            breakers(&store, end).await,
            BTreeMap::new(),
            "its TTL is over"
        );
    }

    #[tokio::test]
    async fn opened_breaker_is_closed_with_its_rate_limit() {
        let table = TestTable::start().await;
        let store = table.store();
        let opened = store.open_breaker(KEY, SCOPE, 5, NOW + 60, NOW);
        opened.await.expect("a write");
        let noted = store.note_rate_limit(KEY, SCOPE, &[7, 7], NOW + 20, NOW);
        noted.await.expect("a write");
        let state = BreakerState {
            failures: 5,
            open_until: NOW + 60,
            limited_by: vec![7, 7],
            limited_until: NOW + 20,
        };
        let expected = BTreeMap::from([(SCOPE.to_owned(), state)]);
        assert_eq!(breakers(&store, NOW).await, expected);
        let scopes = [SCOPE.to_owned()];
        let closed = store.close_breakers(KEY, &scopes, NOW);
        closed.await.expect("a write");
        assert_eq!(breakers(&store, NOW).await, BTreeMap::new());
        let item = stored_item(&store, KEY).await.expect("an item");
        assert!(item.keys().all(|name| !name.contains(SCOPE)), "{item:?}");
    }

    #[tokio::test]
    async fn rate_limit_alone_ends_by_itself() {
        let table = TestTable::start().await;
        let store = table.store();
        let noted = store.note_rate_limit(KEY, SCOPE, &[7], NOW + 20, NOW);
        noted.await.expect("a write");
        assert_eq!(breakers(&store, NOW + 19).await.len(), 1);
        assert_eq!(breakers(&store, NOW + 20).await.len(), 0);
    }

    #[tokio::test]
    async fn probe_is_taken_by_one_worker() {
        let table = TestTable::start().await;
        let store = table.store();
        let opened = store.open_breaker(KEY, SCOPE, 5, NOW + 30, NOW);
        opened.await.expect("a write");
        let seen = breakers(&store, NOW).await[SCOPE].clone();
        let other_count = BreakerState {
            failures: 6,
            ..seen.clone()
        };
        let take = async |seen: &BreakerState| {
            let taken = store.take_probe(KEY, SCOPE, seen, NOW + 60, NOW + 30);
            taken.await.expect("a response")
        };
        assert!(!take(&other_count).await);
        assert!(take(&seen).await);
        assert!(!take(&seen).await, "it is taken");
        assert_eq!(breakers(&store, NOW).await[SCOPE].open_until, NOW + 60);
    }
}
