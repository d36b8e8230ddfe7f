//! Reservations: a message counted in all of its limits, or in none.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::conversion_guard::guard::{ConversionGuard, GuardReservation, GuardResult, UnsureGuard};
use super::exceeded::Exceeded;
use super::rate_limit::{RateLimit, WindowResult};
use super::reservation_id::ReservationId;
use super::shared_limits::SharedLimits;
use super::spend_cap::SpendCap;
use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;
use crate::platform::logging::causes;
use crate::store::undo::undo;
use crate::store::{Store, StoreError};

/// Result of [`Store::reserve`].
#[derive(Debug)]
pub enum ReserveResult {
    /// The message is counted in all limits.
    Reserved(Reservation),
    /// A limit is exceeded, and the message is counted in none.
    Exceeded(Exceeded),
}

/// A message that is counted in its limits.
#[derive(Debug, Default)]
#[must_use]
pub struct Reservation {
    parts: Vec<ReservedLimit>,
}

#[derive(Debug)]
enum ReservedLimit {
    Window(RateLimit, ReservationId),
    Guard(GuardReservation),
    Spend(SpendCap, ReservationId),
    /// It is not known whether the message is counted.
    UnsureSpend(SpendCap, ReservationId),
}

/// What became of a message in some of its limits.
#[derive(Default)]
struct Outcome {
    reserved: Vec<ReservedLimit>,
    exceeded: Option<Exceeded>,
    failed: Option<StoreError>,
}

/// How the limits are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReserveOrder {
    /// All at the same time. A message that one of them refuses is counted in the others until it
    /// has released them.
    AtOnce,
    /// One after the other, up to the first that refuses.
    OneByOne,
}

/// The time for a reservation.
#[derive(Clone, Copy, Debug)]
pub struct ReserveTime {
    /// When a reservation that is not complete is given up.
    pub until: Instant,
    /// Until when a release is repeated whose response is lost.
    pub release_until: Instant,
}

impl Store {
    /// Counts a message to `recipient` in all of `limits`, or in none. What may have been counted
    /// although no response arrived is released as well.
    ///
    /// # Errors
    /// [`StoreError`]: the message is counted nowhere, as far as the table could be reached.
    pub async fn reserve(
        &self,
        recipient: RecordKey,
        limits: &SharedLimits,
        order: ReserveOrder,
        time: ReserveTime,
        now: Timestamp,
    ) -> Result<ReserveResult, StoreError> {
        let until = time.until;
        let id = ReservationId::new(recipient, now);
        let (at_prefix, at_country) = (UnsureGuard::default(), UnsureGuard::default());
        let of_client = async || {
            let reserving = self.reserve_window(limits.client, id, now);
            in_time(until, reserving, || limits.unsure_client(id)).await
        };
        let of_prefix = async || {
            let reserving = self.reserve_prefix(limits.prefix, id, &at_prefix, now);
            in_time(until, reserving, || limits.unsure_prefix(id, &at_prefix)).await
        };
        let of_country = async || {
            let reserving = self.reserve_country(limits.country, id, &at_country, now);
            in_time(until, reserving, || at_country.reserved()).await
        };
        let of_spend = async || {
            let reserving = self.reserve_money(limits.spend, id, now);
            in_time(until, reserving, || limits.unsure_spend(id)).await
        };
        let outcome = match order {
            ReserveOrder::AtOnce => {
                let (network, prefix, country, spend) =
                    tokio::join!(of_client(), of_prefix(), of_country(), of_spend());
                network.and(prefix).and(country).and(spend)
            }
            ReserveOrder::OneByOne => {
                let outcome = of_client().await.and_then(of_prefix).await;
                outcome.and_then(of_country).await.and_then(of_spend).await
            }
        };
        let reservation = Reservation {
            parts: outcome.reserved,
        };
        let result = match (outcome.failed, outcome.exceeded) {
            (None, None) => return Ok(ReserveResult::Reserved(reservation)),
            (None, Some(exceeded)) => Ok(ReserveResult::Exceeded(exceeded)),
            (Some(error), _) => Err(error),
        };
        if let Err(error) = self.release(reservation, time.release_until, now).await {
            tracing::error!(
                error.kind = "not_released",
                error.cause = causes(&error),
                "failed to release the limits of a send that was not counted in all of them"
            );
        }
        result
    }

    /// Uncounts a message that was not sent. A write whose response is lost is repeated until
    /// `until`.
    ///
    /// # Errors
    /// [`StoreError`]: it may still be counted.
    pub async fn release(
        &self,
        reservation: Reservation,
        until: Instant,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let released = reservation.parts.iter().map(async |part| {
            let is_repeated = AtomicBool::new(false);
            undo(until, || {
                let is_first = !is_repeated.swap(true, Ordering::Relaxed);
                self.release_part(part, is_first, now)
            })
            .await
        });
        join_all(released).await.into_iter().collect()
    }

    /// `is_first`: no earlier try may have released it.
    async fn release_part(
        &self,
        part: &ReservedLimit,
        is_first: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match part {
            ReservedLimit::Window(limit, id) => self.release_in_window(limit, *id, now).await,
            ReservedLimit::Guard(guard) => self.release_at_guard(guard, now).await,
            ReservedLimit::Spend(spend, id) => self.release_spend(spend, *id, is_first, now).await,
            ReservedLimit::UnsureSpend(spend, id) => {
                self.release_spend(spend, *id, false, now).await
            }
        }
    }

    async fn reserve_window(
        &self,
        limit: Option<RateLimit>,
        id: ReservationId,
        now: Timestamp,
    ) -> Outcome {
        let Some(limit) = limit else {
            return Outcome::default();
        };
        match self.reserve_in_window(&limit, id, false, now).await {
            Ok(WindowResult::Exceeded(exceeded)) => exceeded.into(),
            Ok(WindowResult::Reserved | WindowResult::Guarded(_)) => {
                ReservedLimit::Window(limit, id).into()
            }
            Err(error) => error.into(),
        }
    }

    /// The window and the guard of a prefix are in one item: in most cases one write reserves
    /// both. If the guard prevents that, each is reserved by itself.
    async fn reserve_prefix(
        &self,
        limit: Option<RateLimit>,
        id: ReservationId,
        unsure: &UnsureGuard,
        now: Timestamp,
    ) -> Outcome {
        let Some((window, guard)) = limit.and_then(|limit| Some((limit, limit.guard?))) else {
            return self.reserve_window(limit, id, now).await;
        };
        let mut found = None;
        if self.expects_append(&guard, now) {
            let inline = GuardReservation::inline(guard);
            unsure.set(Some(inline));
            match self.reserve_in_window(&window, id, true, now).await {
                Ok(WindowResult::Guarded(item)) => found = Some(item),
                Ok(WindowResult::Exceeded(exceeded)) => return exceeded.into(),
                Ok(WindowResult::Reserved) => {
                    let guard = Outcome::from(ReservedLimit::Guard(inline));
                    return Outcome::from(ReservedLimit::Window(window, id)).and(guard);
                }
                Err(error) => return error.into(),
            }
        }
        unsure.set(None);
        let result = self.reserve_at_guard(&guard, id, found.as_ref(), unsure, now);
        let guarded = Outcome::from(result.await);
        if guarded.failed.is_some() {
            return guarded;
        }
        if guarded.exceeded.is_some() {
            // The window may be full, and for longer.
            return match self.get(window.key, false).await {
                Ok(item) => {
                    let full = item.and_then(|item| window.exceeded(&item, now));
                    full.map_or_else(Outcome::default, Outcome::from)
                        .and(guarded)
                }
                Err(error) => error.into(),
            };
        }
        guarded.and(self.reserve_window(limit, id, now).await)
    }

    async fn reserve_country(
        &self,
        guard: Option<ConversionGuard>,
        id: ReservationId,
        unsure: &UnsureGuard,
        now: Timestamp,
    ) -> Outcome {
        let Some(guard) = guard else {
            return Outcome::default();
        };
        let result = self.reserve_at_guard(&guard, id, None, unsure, now);
        result.await.into()
    }

    async fn reserve_money(
        &self,
        spend: Option<SpendCap>,
        id: ReservationId,
        now: Timestamp,
    ) -> Outcome {
        let Some(spend) = spend else {
            return Outcome::default();
        };
        match self.reserve_spend(&spend, id, now).await {
            Ok(None) => ReservedLimit::Spend(spend, id).into(),
            Ok(Some(exceeded)) => exceeded.into(),
            Err(error) => error.into(),
        }
    }
}

/// The outcome of `reserving`. If it fails or does not end until `until`, the limits in `unsure`
/// may have counted the message.
async fn in_time(
    until: Instant,
    reserving: impl Future<Output = Outcome>,
    unsure: impl FnOnce() -> Vec<ReservedLimit>,
) -> Outcome {
    let mut outcome = match tokio::time::timeout_at(until, reserving).await {
        Ok(outcome) => outcome,
        Err(_) => StoreError::OutOfTime.into(),
    };
    if outcome.failed.is_some() {
        outcome.reserved = unsure();
    }
    outcome
}

impl UnsureGuard {
    fn reserved(&self) -> Vec<ReservedLimit> {
        let reservation = self.get().map(ReservedLimit::Guard);
        reservation.into_iter().collect()
    }
}

impl SharedLimits {
    fn unsure_client(&self, id: ReservationId) -> Vec<ReservedLimit> {
        let window = self.client.map(|window| ReservedLimit::Window(window, id));
        window.into_iter().collect()
    }

    fn unsure_prefix(&self, id: ReservationId, guard: &UnsureGuard) -> Vec<ReservedLimit> {
        let window = self.prefix.map(|window| ReservedLimit::Window(window, id));
        window.into_iter().chain(guard.reserved()).collect()
    }

    fn unsure_spend(&self, id: ReservationId) -> Vec<ReservedLimit> {
        let spend = self.spend;
        let spend = spend.map(|spend| ReservedLimit::UnsureSpend(spend, id));
        spend.into_iter().collect()
    }
}

impl Outcome {
    /// This outcome, and that of the next limit if the message may still be sent.
    async fn and_then(self, next: impl AsyncFnOnce() -> Self) -> Self {
        match (&self.exceeded, &self.failed) {
            (None, None) => self.and(next().await),
            _ => self,
        }
    }

    /// What became of the message in the limits of both.
    fn and(mut self, other: Self) -> Self {
        self.reserved.extend(other.reserved);
        self.exceeded = match (self.exceeded, other.exceeded) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        self.failed = self.failed.or(other.failed);
        self
    }
}

impl From<ReservedLimit> for Outcome {
    fn from(reserved: ReservedLimit) -> Self {
        Self {
            reserved: vec![reserved],
            ..Self::default()
        }
    }
}

impl From<Exceeded> for Outcome {
    fn from(exceeded: Exceeded) -> Self {
        Self {
            exceeded: Some(exceeded),
            ..Self::default()
        }
    }
}

impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Self {
        Self {
            failed: Some(error),
            ..Self::default()
        }
    }
}

impl From<Result<GuardResult, StoreError>> for Outcome {
    fn from(result: Result<GuardResult, StoreError>) -> Self {
        match result {
            Ok(GuardResult::Reserved(guard)) => ReservedLimit::Guard(guard).into(),
            Ok(GuardResult::Held(limit)) => Self {
                exceeded: Some(Exceeded::held(limit)),
                ..Self::default()
            },
            Err(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::*;
    use crate::domain::rate_limit::Limit;
    use crate::store::attributes::number;
    use crate::store::limits::sample_codec::sample_position;
    use crate::store::limits::shared_limits::tests::{in_a_minute, limits, reserve, sample};
    use crate::store::tests::{Fault, LOST, NOW, REFUSED, TestTable, stored_item};

    const ORDERS: [ReserveOrder; 2] = [ReserveOrder::AtOnce, ReserveOrder::OneByOne];

    fn reserved(result: ReserveResult) -> Reservation {
        match result {
            ReserveResult::Reserved(reservation) => reservation,
            ReserveResult::Exceeded(exceeded) => panic!("{exceeded:?}"),
        }
    }

    /// Reserves message `n` of a client, which no limit refuses.
    async fn pass(store: &Store, n: u8, ip: u8, order: ReserveOrder) {
        drop(reserved(reserve(store, &limits(store, n, ip), order).await));
    }

    fn refused(result: ReserveResult) -> Limit {
        match result {
            ReserveResult::Reserved(_) => panic!("reserved"),
            ReserveResult::Exceeded(exceeded) => exceeded.limit.limit,
        }
    }

    #[tokio::test]
    async fn refused_message_is_counted_in_no_limit() {
        for order in ORDERS {
            let table = TestTable::start().await;
            let store = table.store();
            for n in [1, 2] {
                pass(&store, n, 1, order).await;
            }
            for n in [3, 4, 5] {
                let result = reserve(&store, &limits(&store, n, 1), order).await;
                assert_eq!(refused(result), Limit::Client);
            }
            // The prefix takes three messages, and the cap four.
            pass(&store, 6, 2, order).await;
            let result = reserve(&store, &limits(&store, 7, 3), order).await;
            assert_eq!(refused(result), Limit::Prefix);
            let country = store.get(limits(&store, 1, 1).country.expect("a guard").key, true);
            let country = country.await.expect("a read").expect("an item");
            let position = |n| sample_position(&country, "samples", &sample(n, NOW));
            assert_eq!(position(3), None, "released");
            assert!(position(6).is_some());
        }
    }

    #[tokio::test]
    async fn released_message_is_counted_in_no_limit() {
        for order in ORDERS {
            let table = TestTable::start().await;
            let store = table.store();
            for n in 1..=9 {
                let limits = limits(&store, n, 1);
                let reservation = reserved(reserve(&store, &limits, order).await);
                store
                    .release(reservation, in_a_minute().release_until, NOW)
                    .await
                    .expect("a write");
            }
            for (n, ip) in [(11, 1), (12, 1), (13, 2)] {
                pass(&store, n, ip, order).await;
            }
        }
    }

    #[tokio::test]
    async fn message_without_limits_is_reserved() {
        let store = TestTable::start().await.store();
        for order in ORDERS {
            let reservation = reserved(reserve(&store, &SharedLimits::default(), order).await);
            assert!(reservation.parts.is_empty());
        }
    }

    #[tokio::test]
    async fn unsure_reservation_is_released_in_all_limits() {
        // The first four calls are those of the limits, each tried twice.
        for lost in 0..4 {
            let table = TestTable::start().await;
            let store = table.store();
            let calls = (0..lost).map(|_| Fault::None);
            table.fail(calls.chain(LOST));
            let key = RecordKey([1; 12]);
            let order = ReserveOrder::OneByOne;
            let failed = store
                .reserve(key, &limits(&store, 1, 1), order, in_a_minute(), NOW)
                .await;
            assert!(failed.is_err() && table.has_failed(), "{lost}");
            for n in [2, 3] {
                pass(&store, n, 1, order).await;
            }
            pass(&store, 4, 2, order).await;
        }
    }

    #[tokio::test]
    async fn failed_release_is_repeated() {
        for faults in [REFUSED, LOST] {
            let table = TestTable::start().await;
            let store = table.store();
            let limits = limits(&store, 1, 1);
            for _ in 0..9 {
                let reservation = reserved(reserve(&store, &limits, ReserveOrder::AtOnce).await);
                // Each of the four limits fails twice.
                table.fail([faults; 8].concat());
                let until = in_a_minute().release_until;
                let released = store.release(reservation, until, NOW).await;
                assert!(released.is_ok() && table.has_failed(), "{released:?}");
            }
        }
    }

    #[tokio::test]
    async fn failed_reservation_releases_that_of_no_other() {
        let table = TestTable::start().await;
        let store = table.store();
        pass(&store, 1, 1, ReserveOrder::AtOnce).await;
        let key = RecordKey([1; 12]);
        for n in [2, 3, 4] {
            table.fail([REFUSED; 4].concat());
            let (limits, order) = (limits(&store, n, n), ReserveOrder::AtOnce);
            let failed = store.reserve(key, &limits, order, in_a_minute(), NOW).await;
            assert!(failed.is_err() && table.has_failed(), "{failed:?}");
        }
        let spend = limits(&store, 1, 1).spend.expect("a cap");
        let item = stored_item(&store, spend.key).await.expect("an item");
        assert_eq!(number(&item, "spent"), 50_000);
    }

    #[tokio::test]
    async fn reservation_ends_in_time() {
        let store = TestTable::start().await.store();
        for order in ORDERS {
            let key = RecordKey([1; 12]);
            let time = ReserveTime {
                until: Instant::now(),
                ..in_a_minute()
            };
            let late = store
                .reserve(key, &limits(&store, 1, 1), order, time, NOW)
                .await;
            assert!(matches!(late, Err(StoreError::OutOfTime)), "{late:?}");
        }
        for (n, ip) in [(2, 1), (3, 1), (4, 2)] {
            pass(&store, n, ip, ReserveOrder::AtOnce).await;
        }
    }

    #[tokio::test]
    async fn refusals_of_two_limits_are_one() {
        let store = TestTable::start().await.store();
        for (n, ip) in [(1, 1), (2, 1), (3, 2)] {
            pass(&store, n, ip, ReserveOrder::AtOnce).await;
        }
        // The client's hour ends after the ten minutes of the prefix.
        let result = reserve(&store, &limits(&store, 4, 1), ReserveOrder::AtOnce).await;
        assert_eq!(refused(result), Limit::Client);
    }

    #[tokio::test]
    async fn reservation_without_response_is_released() {
        let table = TestTable::start().await;
        let store = table.store();
        table.fail([Fault::Hung; 4]);
        let time = ReserveTime {
            until: Instant::now() + Duration::from_secs(1),
            ..in_a_minute()
        };
        let key = RecordKey([1; 12]);
        let limits = limits(&store, 1, 1);
        let late = store
            .reserve(key, &limits, ReserveOrder::AtOnce, time, NOW)
            .await;
        assert!(matches!(late, Err(StoreError::OutOfTime)), "{late:?}");
        assert!(table.has_failed());
        let prefix = limits.prefix.expect("a window");
        let item = store.get(prefix.key, true).await.expect("a read");
        let item = item.expect("the item of the prefix");
        assert_eq!(prefix.window(&item).slots, []);
        assert_eq!(sample_position(&item, "samples", &sample(1, NOW)), None);
        let country = limits.country.expect("a guard");
        let item = stored_item(&store, country.key).await.expect("an item");
        assert_eq!(sample_position(&item, "samples", &sample(1, NOW)), None);
        let spend = limits.spend.expect("a cap");
        let item = store.get(spend.key, true).await.expect("a read");
        assert_eq!(number(&item.expect("the item of the cap"), "spent"), 0);
        for (n, ip) in [(2, 1), (3, 1), (4, 2)] {
            pass(&store, n, ip, ReserveOrder::AtOnce).await;
        }
    }
}
