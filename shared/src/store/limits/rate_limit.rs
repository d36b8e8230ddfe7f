//! Rate limits: a sliding window of sends, of one client network or one prefix.
//!
//! `slots` has the ids of the last sends, newest first. A send adds its id, on the condition that
//! the oldest of as many sends as are allowed has left the window: one write decides, without a
//! read. Over [`EXACT_SENDS_MAX`](crate::domain::rate_limit::EXACT_SENDS_MAX) sends a slot is a
//! block of sends, `filled` counts those of the newest block, and `recent` has the ids of the last
//! reservations.
//!
//! Write units: 1 for a reservation or a release, as the item stays below 1 KiB; 2 for a prefix of
//! more than 30 sends whose guard has 20 samples. A rejection is a failed write of as many. One
//! write more is needed in 17 reservations of a prefix with 20 sends, in 67 of a client network.

use super::conversion_guard::guard::ConversionGuard;
use super::conversion_guard::state::GuardState;
use super::exceeded::Exceeded;
use super::register::Register;
use super::reservation_id::ReservationId;
use super::retries::{TRIES_MAX, wait_after};
use crate::domain::ids::RecordKey;
use crate::domain::rate_limit::{Limit, LimitExceeded, Quota, Window};
use crate::domain::time::{DAY_SECONDS, Timestamp};
use crate::store::attributes::{Item, number, number_value};
use crate::store::expression::{Update, WriteResult};
use crate::store::{Store, StoreError};

const FILLED: &str = "filled";
/// Recent reservations that a window with blocks knows.
const RECENT: Register = Register {
    name: "recent",
    length: 32,
    capacity: 48,
};

/// One window: an item, or the window of a prefix, whose item also has its conversion guard.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimit {
    pub(super) limit: Limit,
    pub(super) key: RecordKey,
    pub(super) quota: Quota,
    /// Of a prefix.
    pub(super) guard: Option<ConversionGuard>,
}

/// Result of a reservation in a window.
pub(super) enum WindowResult {
    /// The send is counted, and its sample is stored if that was requested.
    Reserved,
    /// The window is full. Nothing was written.
    Exceeded(Exceeded),
    /// The window has room, but the guard must be asked first. Nothing was written.
    Guarded(Item),
}

impl Store {
    /// Counts a send. `with_sample`: the same write stores a sample in the guard of the prefix.
    /// After an error it may be counted, and its sample stored.
    pub(super) async fn reserve_in_window(
        &self,
        limit: &RateLimit,
        id: ReservationId,
        with_sample: bool,
        now: Timestamp,
    ) -> Result<WindowResult, StoreError> {
        let guard = limit.guard.filter(|_| with_sample);
        let (mut starts_block, mut stored) = (limit.quota.block_sends() == 1, Item::new());
        for tries in 1..=TRIES_MAX {
            let mut update = limit.reservation(id, starts_block, &stored, now);
            if let Some(guard) = &guard {
                update = guard.append(update, now);
            }
            let ttl = limit.ttl(now);
            let item = match self.update(limit.key, update, ttl).await? {
                WriteResult::Written(_) => return Ok(WindowResult::Reserved),
                WriteResult::ConditionFailed(item) => item.unwrap_or_default(),
            };
            if limit.ids().position(&item, id).is_some() {
                return Ok(WindowResult::Reserved);
            }
            if let Some(exceeded) = limit.exceeded(&item, now) {
                return Ok(WindowResult::Exceeded(exceeded));
            }
            if guard.is_some_and(|guard| !GuardState::read(&item).can_append(guard.rule, now)) {
                return Ok(WindowResult::Guarded(item));
            }
            starts_block = limit.window(&item).starts_block(limit.quota, now);
            stored = item;
            wait_after(tries).await;
        }
        Err(StoreError::Conflict)
    }

    /// Removes the send `id`. Changes nothing if the window does not have it.
    pub(super) async fn release_in_window(
        &self,
        limit: &RateLimit,
        id: ReservationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // As if it were the newest, of a block with others.
        let (mut position, mut filled) = (0, u32::MAX);
        for tries in 1..=TRIES_MAX {
            let update = limit.release(id, position, filled);
            let item = match self.update(limit.key, update, limit.ttl(now)).await? {
                WriteResult::Written(_) => return Ok(()),
                WriteResult::ConditionFailed(item) => item.unwrap_or_default(),
            };
            filled = limit.window(&item).filled;
            position = match limit.ids().position(&item, id) {
                Some(found) if limit.has_slots() => found,
                // Only a send of the newest block can be removed: no other block has a count.
                Some(found) if found < usize::try_from(filled).unwrap_or(usize::MAX) => found,
                _ => return Ok(()),
            };
            wait_after(tries).await;
        }
        Err(StoreError::Conflict)
    }
}

impl RateLimit {
    /// Until when the stored window allows no send, or too few of the prefix are approved.
    pub(super) fn exceeded(&self, item: &Item, now: Timestamp) -> Option<Exceeded> {
        let window = self.window(item);
        let until = window.full_until(self.quota, now)?;
        let full = LimitExceeded {
            limit: self.limit,
            until,
        };
        let guard = self.guard.and_then(|guard| guard.exceeded(item, now));
        // A guard refuses for good.
        let newest = self.slots().ids(item).next().filter(|_| guard.is_none());
        Some(Exceeded::new(full.or_later(guard), newest, now))
    }

    /// Counts a send, if there is room: in the newest block, or as the first of another. `stored`:
    /// the item as an earlier try has found it, or none.
    fn reservation(
        &self,
        id: ReservationId,
        starts_block: bool,
        stored: &Item,
        now: Timestamp,
    ) -> Update {
        let quota = self.quota;
        let oldest = self.slots().at(quota.slots() - 1);
        let has_room = format!("NOT {oldest} > :edge");
        let update = Update::when(format!("NOT {}", self.ids().contains(":id")))
            .value(":id", id.value())
            .value(":edge", ReservationId::last_of(quota.edge(now)).value());
        if self.has_slots() {
            return self.slots().push(update.and(has_room), id, stored);
        }
        let (update, newest) = (RECENT.push(update, id, stored), self.slots().at(0));
        if starts_block {
            return self
                .slots()
                .push(update.and(has_room), id, stored)
                .set(format!("{FILLED} = :one"))
                .and(format!("(NOT {newest} > :edge OR {FILLED} >= :full)"))
                .value(":one", number_value(1))
                .value(":full", number_value(quota.block_sends()));
        }
        update
            .set(format!("{newest} = :id"))
            .add(format!("{FILLED} :one"))
            .and(format!(
                "{newest} > :edge \
                 AND (NOT {FILLED} >= :last OR ({FILLED} < :full AND {has_room}))"
            ))
            .value(":one", number_value(1))
            .value(":last", number_value(quota.last_block_sends()))
            .value(":full", number_value(quota.block_sends()))
    }

    /// Removes a send that is at `position`, from a block with `filled` sends. What had left the
    /// window when the send was added stays outside.
    fn release(&self, id: ReservationId, position: usize, filled: u32) -> Update {
        let at = self.ids().at(position);
        let update = Update::when(format!("{at} = :id")).value(":id", id.value());
        let update = self.ids().remove(update, position);
        if self.has_slots() {
            return update;
        }
        if filled > 1 {
            return update
                .set(format!("{FILLED} = {FILLED} - :one"))
                .and(format!("{FILLED} > :one AND {FILLED} > :position"))
                .value(":one", number_value(1))
                .value(":position", number_value(position));
        }
        // The only send of the newest block: the block before it was full.
        self.slots()
            .remove(update, 0)
            .set(format!("{FILLED} = :full"))
            .and(format!("{FILLED} = :one"))
            .value(":one", number_value(1))
            .value(":full", number_value(self.quota.block_sends()))
    }

    pub(super) fn window(&self, item: &Item) -> Window {
        let slots = self.slots().ids(item).take(self.quota.slots());
        Window {
            slots: slots.map(ReservationId::at).collect(),
            filled: u32::try_from(number(item, FILLED)).unwrap_or(0),
        }
    }

    /// Whether each send has a slot of its own.
    fn has_slots(&self) -> bool {
        self.quota.block_sends() == 1
    }

    fn slots(&self) -> Register {
        let length = self.quota.slots();
        // Beside them the item of a prefix has samples, and one with blocks the recent ids.
        let capacity = match self.guard {
            None if self.has_slots() => 96,
            _ => 36,
        };
        Register {
            name: "slots",
            length,
            capacity: capacity.max(length + 8),
        }
    }

    /// Where the ids of sends are.
    fn ids(&self) -> Register {
        if self.has_slots() {
            self.slots()
        } else {
            RECENT
        }
    }

    fn ttl(&self, now: Timestamp) -> Timestamp {
        let window = now + self.quota.seconds + DAY_SECONDS;
        self.guard.map_or(window, |_| ConversionGuard::ttl(now))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use futures_util::future::join_all;

    use super::*;
    use crate::domain::conversion::{ConversionRule, ConversionScope, Sample};
    use crate::domain::ids::VerificationNonce;
    use crate::store::limits::sample_codec::sample_position;
    use crate::store::tests::{LOST, NOW, TestTable};

    fn limit(sends: u32) -> RateLimit {
        let key = RecordKey([7; 12]);
        RateLimit {
            limit: Limit::Prefix,
            key,
            quota: Quota {
                sends,
                seconds: DAY_SECONDS,
            },
            guard: Some(ConversionGuard {
                scope: ConversionScope::Prefix,
                key,
                rule: ConversionRule {
                    percent: 10,
                    window: 10,
                },
                sample: Sample {
                    recipient: key,
                    verification: VerificationNonce([8; 4]),
                    at: NOW,
                    salt: [9; 2],
                },
            }),
        }
    }

    /// The table takes expressions of at most 4,096 bytes.
    #[test]
    fn longest_expressions_fit_the_table() {
        let id = ReservationId::new(RecordKey([7; 12]), NOW);
        for sends in [1, 20, 100, 101, 1_000_000] {
            let limit = limit(sends);
            let mut updates = vec![limit.release(id, 0, 1), limit.release(id, 0, u32::MAX)];
            let full = |length| AttributeValue::L(vec![id.value(); length]);
            let full = [("slots", 120), ("recent", 50)]
                .map(|(name, length)| (name.to_owned(), full(length)));
            for stored in [Item::new(), Item::from(full)] {
                for starts_block in [true, false] {
                    let update = limit.reservation(id, starts_block, &stored, NOW);
                    updates.extend(limit.guard.map(|guard| guard.append(update, NOW)));
                }
            }
            for update in updates {
                let bytes = update.expression_length();
                assert!(bytes < 4000, "{sends}: {bytes} bytes");
            }
        }
    }

    #[test]
    fn window_is_read_back_from_its_slots() {
        let limit = limit(3);
        let (first, second) = (
            ReservationId::new(RecordKey([7; 12]), NOW),
            ReservationId::new(RecordKey([7; 12]), NOW + 5),
        );
        let item = |ids: &[ReservationId]| {
            let ids = ids.iter().map(|id| id.value()).collect();
            Item::from([("slots".to_owned(), AttributeValue::L(ids))])
        };
        let two = item(&[second, first]);
        assert_eq!(limit.window(&two).slots, [NOW + 5, NOW]);
        assert_eq!(limit.exceeded(&two, NOW + 5), None, "one is left");
        let item = item(&[second, first, first]);
        let exceeded = limit.exceeded(&item, NOW + 6).expect("a full window");
        assert_eq!(exceeded.limit.until, NOW + DAY_SECONDS);
        assert!(exceeded.is_contested(), "reserved a second ago");
        let later = limit.exceeded(&item, NOW + 60).expect("a full window");
        assert!(!later.is_contested());
    }

    /// Reserves with a new id, without a guard. The name of the result.
    async fn reserve(store: &Store, limit: &RateLimit, now: Timestamp) -> (ReservationId, String) {
        let id = ReservationId::new(limit.key, now);
        (id, reserve_id(store, limit, id, now).await)
    }

    async fn reserve_id(
        store: &Store,
        limit: &RateLimit,
        id: ReservationId,
        now: Timestamp,
    ) -> String {
        match store.reserve_in_window(limit, id, false, now).await {
            Ok(WindowResult::Reserved) => "reserved".to_owned(),
            Ok(WindowResult::Exceeded(exceeded)) => {
                format!("until {}", exceeded.limit.until.seconds_since(NOW))
            }
            Ok(WindowResult::Guarded(_)) => "guarded".to_owned(),
            Err(_) => "error".to_owned(),
        }
    }

    fn window(sends: u32) -> RateLimit {
        let quota = Quota {
            sends,
            seconds: 600,
        };
        RateLimit {
            quota,
            guard: None,
            ..limit(sends)
        }
    }

    #[tokio::test]
    async fn stored_window_slides() {
        let table = TestTable::start().await;
        let (store, limit) = (table.store(), window(2));
        for (seconds, result) in [
            (0, "reserved"),
            (10, "reserved"),
            (599, "until 600"),
            (600, "reserved"),
            (609, "until 610"),
            (610, "reserved"),
        ] {
            assert_eq!(
                reserve(&store, &limit, NOW + seconds).await.1,
                result,
                "{seconds}"
            );
        }
        let item = store.get(limit.key, true).await.expect("a read");
        let ttl = number(&item.expect("an item"), "ttl");
        assert_eq!(ttl, (NOW + 610 + 600 + DAY_SECONDS).0);
    }

    #[tokio::test]
    async fn repeated_reservation_is_counted_once() {
        for sends in [2, 150] {
            let table = TestTable::start().await;
            let (store, limit) = (table.store(), window(sends));
            let (id, _) = reserve(&store, &limit, NOW).await;
            for _ in 0..2 {
                assert_eq!(reserve_id(&store, &limit, id, NOW).await, "reserved");
            }
            let item = store.get(limit.key, true).await.expect("a read");
            let window = limit.window(&item.expect("an item"));
            assert_eq!(window.slots, [NOW]);
            assert_eq!(window.filled, if sends == 150 { 1 } else { 0 });
        }
    }

    #[tokio::test]
    async fn window_slides_on_when_its_registers_are_full() {
        for (sends, gap) in [(2, 301), (101, 7)] {
            let table = TestTable::start().await;
            let (store, limit) = (table.store(), window(sends));
            let mut now = NOW;
            for n in 0..200 {
                now = now + gap;
                assert_eq!(
                    reserve(&store, &limit, now).await.1,
                    "reserved",
                    "{sends}: {n}"
                );
            }
            let item = store.get(limit.key, true).await.expect("a read");
            let item = item.expect("an item");
            for register in [limit.slots(), limit.ids()] {
                assert!(register.ids(&item).count() <= 96, "{register:?}");
            }
            if sends == 2 {
                let end = format!("until {}", (now - 301 + 600).seconds_since(NOW));
                assert_eq!(reserve(&store, &limit, now).await.1, end);
            }
        }
    }

    #[tokio::test]
    async fn parallel_sends_fill_a_full_register_exactly() {
        let table = TestTable::start().await;
        let (store, limit) = (table.store(), window(100));
        for (sends, now) in [(100, NOW), (8, NOW + 600)] {
            for _ in 0..sends {
                assert_eq!(reserve(&store, &limit, now).await.1, "reserved");
            }
        }
        let now = NOW + 1200;
        let parallel = join_all((0..130).map(|_| reserve(&store, &limit, now))).await;
        let reserved = parallel.iter().filter(|(_, result)| result == "reserved");
        assert_eq!(reserved.count(), 100, "{parallel:?}");
        let refused = parallel.iter().filter(|(_, result)| result == "until 1800");
        assert_eq!(refused.count(), 30, "{parallel:?}");
    }

    #[tokio::test]
    async fn release_gives_one_place_back_once() {
        // Blocks of 3, of which 2 sends fit the last one.
        for (sends, released) in [(4, 0), (4, 2), (101, 99), (101, 100)] {
            let table = TestTable::start().await;
            let (store, limit) = (table.store(), window(sends));
            let mut ids = vec![];
            for _ in 0..sends {
                let (id, result) = reserve(&store, &limit, NOW).await;
                assert_eq!(result, "reserved", "{sends}");
                ids.push(id);
            }
            assert_eq!(reserve(&store, &limit, NOW).await.1, "until 600", "{sends}");
            for _ in 0..2 {
                let id = ids[released];
                store
                    .release_in_window(&limit, id, NOW)
                    .await
                    .expect("a write");
            }
            assert_eq!(reserve(&store, &limit, NOW).await.1, "reserved", "{sends}");
            assert_eq!(reserve(&store, &limit, NOW).await.1, "until 600", "{sends}");
        }
    }

    #[tokio::test]
    async fn all_sends_of_a_block_can_be_released() {
        let table = TestTable::start().await;
        let (store, limit) = (table.store(), window(101));
        let mut ids = vec![];
        for _ in 0..5 {
            ids.push(reserve(&store, &limit, NOW).await.0);
        }
        let filled = async || {
            let item = store.get(limit.key, true).await.expect("a read");
            let window = limit.window(&item.expect("an item"));
            (window.slots.len(), window.filled)
        };
        assert_eq!(filled().await, (2, 2));
        // Of an earlier block: no other block has a count.
        for id in &ids[..3] {
            store
                .release_in_window(&limit, *id, NOW)
                .await
                .expect("no write");
            assert_eq!(filled().await, (2, 2));
        }
        for (id, left) in ids
            .iter()
            .rev()
            .zip([(2, 1), (1, 3), (1, 2), (1, 1), (0, 3)])
        {
            store
                .release_in_window(&limit, *id, NOW)
                .await
                .expect("a write");
            assert_eq!(filled().await, left);
        }
        let (_, result) = reserve(&store, &limit, NOW).await;
        assert_eq!((result.as_str(), filled().await), ("reserved", (1, 1)));
    }

    #[tokio::test]
    async fn window_without_blocks_takes_a_send() {
        let table = TestTable::start().await;
        let (store, small, large) = (table.store(), window(150), window(1000));
        let (id, _) = reserve(&store, &small, NOW).await;
        let released = store.release_in_window(&small, id, NOW).await;
        released.expect("a write");
        // Its last block was full, so that it has no block and the size of one.
        assert_eq!(reserve(&store, &large, NOW).await.1, "reserved");
        assert_eq!(reserve(&store, &large, NOW).await.1, "reserved");
        let item = store.get(large.key, true).await.expect("a read");
        assert_eq!(large.window(&item.expect("an item")).filled, 2);
    }

    #[tokio::test]
    async fn release_that_passes_a_replacement_is_kept() {
        let table = TestTable::start().await;
        let (store, large, small) = (table.store(), window(100), window(20));
        let mut ids = vec![];
        for _ in 0..100 {
            ids.push(reserve(&store, &large, NOW).await.0);
        }
        let now = NOW + 600;
        // Longer than the capacity for 20 sends.
        let stored = store.get(small.key, true).await.expect("a read");
        let stored = stored.expect("an item");
        let id = ReservationId::new(small.key, now);
        let replacement = small.reservation(id, false, &stored, now);
        let released = store.release_in_window(&small, ids[95], NOW).await;
        released.expect("a write");
        let written = store.update(small.key, replacement, None).await;
        let failed = matches!(written, Ok(WriteResult::ConditionFailed(_)));
        assert!(failed, "{written:?}");
        assert_eq!(reserve_id(&store, &small, id, now).await, "reserved");
    }

    #[tokio::test]
    async fn block_of_an_earlier_window_takes_no_send() {
        let table = TestTable::start().await;
        let (store, limit) = (table.store(), window(101));
        reserve(&store, &limit, NOW).await;
        assert_eq!(reserve(&store, &limit, NOW + 600).await.1, "reserved");
        let item = store.get(limit.key, true).await.expect("a read");
        let window = limit.window(&item.expect("an item"));
        assert_eq!(window.slots, [NOW + 600, NOW]);
        assert_eq!(window.filled, 1);
    }

    #[tokio::test]
    async fn reservation_of_unknown_result_is_released() {
        let table = TestTable::start().await;
        let (store, limit) = (table.store(), window(1));
        table.fail(LOST);
        let (unsure, result) = reserve(&store, &limit, NOW).await;
        assert!(result == "error" && table.has_failed());
        let released = store.release_in_window(&limit, unsure, NOW).await;
        released.expect("a write");
        assert_eq!(reserve(&store, &limit, NOW).await.1, "reserved");
    }

    #[tokio::test]
    async fn window_of_a_prefix_stores_the_sample_as_well() {
        let table = TestTable::start().await;
        let (store, limit) = (table.store(), limit(2));
        let guard = limit.guard.expect("a guard");
        let id = ReservationId::new(limit.key, NOW);
        let samples = async |with_sample| {
            let result = store.reserve_in_window(&limit, id, with_sample, NOW).await;
            assert!(matches!(result, Ok(WindowResult::Reserved)));
            let item = store.get(limit.key, true).await.expect("a read");
            sample_position(&item.expect("an item"), "samples", &guard.sample)
        };
        assert_eq!(samples(true).await, Some(0));
        store
            .release_in_window(&limit, id, NOW)
            .await
            .expect("a write");
        let released = store.release_inline_sample(&guard, None, NOW).await;
        released.expect("a write");
        assert_eq!(samples(false).await, None, "only the window");
        let item = store.get(limit.key, true).await.expect("a read");
        let ttl = number(&item.expect("an item"), "ttl");
        assert_eq!(ttl, ConversionGuard::ttl(NOW).0, "that of the guard");
    }

    #[tokio::test]
    async fn window_with_room_says_that_its_guard_is_asked() {
        let table = TestTable::start().await;
        let (store, limit) = (table.store(), limit(100));
        for n in 0..20u8 {
            let mut limit = limit;
            let guard = limit.guard.as_mut().expect("a guard");
            guard.sample.salt = [n; 2];
            let id = ReservationId::new(limit.key, NOW);
            let result = store.reserve_in_window(&limit, id, true, NOW).await;
            assert!(matches!(result, Ok(WindowResult::Reserved)), "{n}");
        }
        let id = ReservationId::new(limit.key, NOW);
        let result = store.reserve_in_window(&limit, id, true, NOW).await;
        assert!(
            matches!(result, Ok(WindowResult::Guarded(_))),
            "it has 20 samples"
        );
        assert_eq!(reserve_id(&store, &limit, id, NOW).await, "reserved");
    }

    #[tokio::test]
    async fn first_reservation_is_one_write() {
        for sends in [2, 101] {
            let table = TestTable::start().await;
            let (store, limit) = (table.store(), window(sends));
            reserve(&store, &limit, NOW).await;
            // That a block starts is known from the item which a failed write returns.
            assert_eq!(table.requests(), if sends == 2 { 1 } else { 2 });
        }
    }
}
