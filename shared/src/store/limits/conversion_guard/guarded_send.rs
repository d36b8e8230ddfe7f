//! One send at one guard: decide on what is known, write, and start over on what the write returned
//! if others were first.

use super::cache::RememberedShard;
use super::guard::{ConversionGuard, GuardReservation, GuardResult, StoredSample, UnsureGuard};
use super::state::{Change, GuardState, HeldChange, News, Plan, SamplePlace};
use crate::domain::conversion::Admission;
use crate::domain::time::Timestamp;
use crate::store::attributes::Item;
use crate::store::expression::WriteResult;
use crate::store::limits::reservation_id::ReservationId;
use crate::store::limits::retries::{TRIES_MAX, wait_after};
use crate::store::{Store, StoreError};

/// How long a state that was read decides where nothing is written.
const FRESH_SECONDS: i64 = 5;
impl Store {
    /// Whether the write of a send can store its sample as well, as far as this instance knows.
    pub(in crate::store::limits) fn expects_append(
        &self,
        guard: &ConversionGuard,
        now: Timestamp,
    ) -> bool {
        let remembered = self.guards.state(guard.key);
        remembered.is_none_or(|state| state.can_append(guard.rule, now))
    }

    /// Passes a send, or holds it back. `item`: the guard's item, if it was just returned. After an
    /// error, what is `unsure` may be reserved.
    pub(in crate::store::limits) async fn reserve_at_guard(
        &self,
        guard: &ConversionGuard,
        id: ReservationId,
        item: Option<&Item>,
        unsure: &UnsureGuard,
        now: Timestamp,
    ) -> Result<GuardResult, StoreError> {
        let send = GuardedSend::new(self, *guard, id, unsure, now);
        send.reserve(item).await
    }
}

/// One send at one guard.
struct GuardedSend<'a> {
    store: &'a Store,
    guard: ConversionGuard,
    id: ReservationId,
    unsure: &'a UnsureGuard,
    now: Timestamp,
    /// The shard that takes the sample if samples go to shards; `None` if the send is no sample.
    shard: Option<RememberedShard>,
}

/// What is known of the guard.
struct Known {
    state: GuardState,
    /// When it was read; `None` if it is assumed.
    seen_at: Option<Timestamp>,
    /// Whether it was read by this send.
    is_current: bool,
}

enum WriteOutcome {
    /// Written; the sample is at this position of the item.
    Written { position: Option<usize> },
    /// Another send was first.
    Superseded(Known),
}

enum Step {
    Done(GuardResult),
    /// Start over with this.
    Again(Known),
}

impl<'a> GuardedSend<'a> {
    fn new(
        store: &'a Store,
        guard: ConversionGuard,
        id: ReservationId,
        unsure: &'a UnsureGuard,
        now: Timestamp,
    ) -> Self {
        let shard = store.guards.next_shard(guard.key, now);
        let is_sample = shard.shard.admit(guard.sample) != Admission::Skip;
        Self {
            store,
            guard,
            id,
            unsure,
            now,
            shard: is_sample.then_some(shard),
        }
    }

    async fn reserve(&self, item: Option<&Item>) -> Result<GuardResult, StoreError> {
        let mut known = match item {
            Some(item) => self.current(item),
            None => self.remembered(),
        };
        for tries in 1..=TRIES_MAX {
            known = match self.step(known).await? {
                Step::Done(result) => return Ok(result),
                Step::Again(newer) => newer,
            };
            wait_after(tries).await;
        }
        Err(StoreError::Conflict)
    }

    async fn step(&self, known: Known) -> Result<Step, StoreError> {
        // While samples go to shards, a send that is no sample leaves learning to one that is.
        let may_learn = self.shard.is_some() || !known.state.is_sharded(self.now);
        let is_due = may_learn && known.state.is_due(self.guard.rule, self.now);
        let plan = self.plan(&known.state, News::Nothing);
        if !is_due && !plan.replaces_samples() {
            return self.apply(&known, plan).await;
        }
        // Reading is cheaper than a write that fails.
        if !known.is_current {
            return Ok(Step::Again(self.read().await?));
        }
        let _turn = self.store.guards.replacing.lock().await;
        let newest = self.store.guards.state(self.guard.key);
        if newest.is_some_and(|newest| newest.version != known.state.version) {
            // Another send of this instance has replaced them meanwhile.
            return Ok(Step::Again(self.remembered()));
        }
        if !is_due {
            return self.apply(&known, plan).await;
        }
        let was_low = known.state.is_low(self.guard.rule);
        let state = self
            .store
            .learn(&self.guard, &known.state, self.now)
            .await?;
        let news = match state.is_low(self.guard.rule) && !was_low {
            true => News::BecameLow,
            false => News::Outcomes,
        };
        self.apply(&known, self.plan(&state, news)).await
    }

    fn plan(&self, state: &GuardState, news: News) -> Plan {
        state.plan(self.guard.rule, self.guard.sample, news, self.now)
    }

    async fn apply(&self, known: &Known, plan: Plan) -> Result<Step, StoreError> {
        let Some(change) = &plan.change else {
            return Ok(match known.is_fresh(self.now) {
                true => Step::Done(self.finish(&plan, None).await?),
                false => Step::Again(self.read().await?),
            });
        };
        Ok(match self.write(change, &plan).await? {
            WriteOutcome::Written { position } => Step::Done(self.finish(&plan, position).await?),
            WriteOutcome::Superseded(newer) => Step::Again(newer),
        })
    }

    async fn write(&self, change: &Change, plan: &Plan) -> Result<WriteOutcome, StoreError> {
        let update = change
            .update(&self.guard, self.id, self.now)
            .returning_item();
        let ttl = ConversionGuard::ttl(self.now);
        self.unsure.set(Some(self.reservation(plan, None)));
        let written = self.store.update(self.guard.key, update, ttl);
        let (is_written, item) = match written.await? {
            WriteResult::Written(item) => (true, item.unwrap_or_default()),
            WriteResult::ConditionFailed(item) => (false, item.unwrap_or_default()),
        };
        let newer = self.current(&item);
        let position = self.guard.position(&item);
        let is_applied = match change.held {
            HeldChange::LetThrough(_) => newer.state.let_through == Some(self.id),
            _ => plan.place == SamplePlace::Inline && position.is_some(),
        };
        Ok(match is_written || is_applied {
            true => WriteOutcome::Written { position },
            false => {
                self.unsure.set(None);
                WriteOutcome::Superseded(newer)
            }
        })
    }

    /// The result of a plan whose change is written, with the sample at `position`.
    async fn finish(
        &self,
        plan: &Plan,
        position: Option<usize>,
    ) -> Result<GuardResult, StoreError> {
        if !plan.passes {
            return Ok(GuardResult::Held(self.guard.held(self.now)));
        }
        let mut reservation = self.reservation(plan, position);
        if let (SamplePlace::Shards, Some(shard)) = (plan.place, self.shard.clone()) {
            let key = self
                .store
                .shard_key(self.guard.key, shard.slot, shard.number);
            reservation.place = StoredSample::Shard(key, None);
            self.unsure.set(Some(reservation));
            let added = self.store.add_to_shard(&self.guard, shard, self.now);
            reservation.place = added.await?;
        }
        Ok(GuardResult::Reserved(reservation))
    }

    fn reservation(&self, plan: &Plan, position: Option<usize>) -> GuardReservation {
        let held = plan.change.as_ref().map(|change| change.held);
        let is_let_through = matches!(held, Some(HeldChange::LetThrough(_)));
        GuardReservation {
            guard: self.guard,
            place: match plan.place {
                SamplePlace::Inline => StoredSample::Inline(position),
                SamplePlace::Shards | SamplePlace::Nowhere => StoredSample::Nowhere,
            },
            let_through: is_let_through.then_some(self.id),
        }
    }

    async fn read(&self) -> Result<Known, StoreError> {
        let item = self.store.get(self.guard.key, false).await?;
        Ok(self.current(&item.unwrap_or_default()))
    }

    /// The state of an item that was just returned.
    fn current(&self, item: &Item) -> Known {
        let state = GuardState::read(item);
        self.store.guards.remember(self.guard.key, &state, self.now);
        Known {
            state,
            seen_at: Some(self.now),
            is_current: true,
        }
    }

    /// What this instance saw last. A guard that it does not know is assumed to be new.
    fn remembered(&self) -> Known {
        let guards = &self.store.guards;
        Known {
            state: guards.state(self.guard.key).unwrap_or_default(),
            seen_at: guards.seen_at(self.guard.key),
            is_current: false,
        }
    }
}

impl Known {
    /// Whether it is recent enough to decide alone. It is not after the clock was set back.
    fn is_fresh(&self, now: Timestamp) -> bool {
        let age = self.seen_at.map(|seen_at| now.seconds_since(seen_at));
        age.is_some_and(|age| (0..=FRESH_SECONDS).contains(&age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::conversion::{ConversionHistory, ConversionRule, ConversionScope, Sample};
    use crate::domain::ids::{RecordKey, VerificationNonce};
    use crate::domain::rate_limit::Limit;
    use crate::store::limits::conversion_guard::cache::{SHARDS, slot};
    use crate::store::limits::conversion_guard::shards;
    use crate::store::limits::conversion_guard::state::{SamplesChange, Sharded};
    use crate::store::tests::{Fault, KEY, LOST, NOW, TestTable, keyring, opened};

    /// When the outcomes of [`NOW`] count.
    const LATER: Timestamp = Timestamp(NOW.0 + 601);

    /// The guard with the sample of send `n`; half of the last ten sends must be approved.
    fn guard(n: u8, at: Timestamp) -> ConversionGuard {
        ConversionGuard {
            scope: ConversionScope::Country,
            key: KEY,
            rule: ConversionRule {
                percent: 50,
                window: 10,
            },
            sample: Sample {
                recipient: recipient(n),
                verification: VerificationNonce([n; 4]),
                at,
                salt: [n; 2],
            },
        }
    }

    fn recipient(n: u8) -> RecordKey {
        let mut key = RecordKey([n; 12]);
        key.0[11] = 1;
        key
    }

    /// Passes send `n`; `None` if it is held.
    async fn pass(store: &Store, n: u8, now: Timestamp) -> Option<GuardReservation> {
        let id = ReservationId::new(recipient(n), now);
        let guard = guard(n, now);
        let result = store
            .reserve_at_guard(&guard, id, None, &UnsureGuard::default(), now)
            .await;
        match result.expect("a response") {
            GuardResult::Reserved(reservation) => Some(reservation),
            GuardResult::Held(limit) => {
                assert_eq!(limit.limit, Limit::Conversion(ConversionScope::Country));
                assert_eq!(limit.until, now + 600);
                None
            }
        }
    }

    async fn state(store: &Store) -> GuardState {
        let item = store.get(KEY, true).await.expect("a read");
        GuardState::read(&item.unwrap_or_default())
    }

    /// Stores the recipient of send `n` with an approved verification.
    async fn approve(store: &Store, n: u8) {
        let mut approved = opened(&keyring(&["k1"]));
        let current = approved.current.as_mut().expect("a verification");
        current.params.nonce = VerificationNonce([n; 4]);
        assert!(approved.approve(NOW));
        let saved = store.save(recipient(n), &approved, None, NOW).await;
        saved.expect("a write");
    }

    /// Ten sends, of which so many are approved.
    async fn ten_sends(store: &Store, approved: u8) {
        for n in 0..10 {
            assert!(pass(store, n, NOW).await.is_some(), "{n}");
            if n < approved {
                approve(store, n).await;
            }
        }
    }

    #[tokio::test]
    async fn sends_are_held_once_too_few_are_approved() {
        for (approved, passes) in [(4, false), (5, true)] {
            for is_warm in [true, false] {
                let table = TestTable::start().await;
                let store = table.store();
                ten_sends(&store, approved).await;
                assert!(pass(&store, 10, LATER - 1).await.is_some(), "not due yet");
                let later = if is_warm { store } else { table.store() };
                let passed = pass(&later, 11, LATER).await;
                assert_eq!(passed.is_some(), passes, "{approved} {is_warm}");
                let state = state(&later).await;
                assert_eq!(
                    (state.history.known(), state.history.approved()),
                    (10, approved.into())
                );
                assert_eq!(state.held, u32::from(!passes));
            }
        }
    }

    /// Stores this state with so many sends held back.
    async fn store_state(store: &Store, state: GuardState, held: u32) {
        let change = Change {
            samples: SamplesChange::Replace(Box::new(state)),
            held: HeldChange::Set(held),
        };
        let id = ReservationId::new(recipient(0), NOW);
        let update = change.update(&guard(0, NOW), id, NOW);
        let written = store.update(KEY, update, ConversionGuard::ttl(NOW)).await;
        assert!(matches!(written.expect("a write"), WriteResult::Written(_)));
    }

    /// A state with ten samples of [`NOW`], and with shards if they are still open.
    fn ten_samples(is_sharded: bool) -> GuardState {
        let open = Sharded {
            from: NOW,
            until: LATER + 60,
        };
        GuardState {
            samples: (0..10).map(|n| guard(n, NOW).sample).collect(),
            sharded: is_sharded.then_some(open),
            ..GuardState::default()
        }
    }

    #[tokio::test]
    async fn held_sends_are_counted_since_conversion_is_low() {
        for (was_approved, held) in [(true, 1), (false, 51)] {
            let table = TestTable::start().await;
            let store = table.store();
            let state_before = GuardState {
                history: ConversionHistory(vec![was_approved; 10]),
                ..ten_samples(false)
            };
            store_state(&store, state_before, 50).await;
            assert!(pass(&store, 11, LATER).await.is_none());
            let after = state(&store).await;
            assert_eq!((after.held, after.samples), (held, vec![]));
        }
    }

    #[tokio::test]
    async fn repeated_turn_is_recognised_by_its_id() {
        for is_sharded in [false, true] {
            let table = TestTable::start().await;
            let store = table.store();
            let low = GuardState {
                history: ConversionHistory(vec![false; 10]),
                ..ten_samples(is_sharded)
            };
            store_state(&store, low, 99).await;
            let unsure = UnsureGuard::default();
            let [first, second] = [11, 12].map(|n| {
                let id = ReservationId::new(recipient(n), NOW);
                GuardedSend::new(&store, guard(n, NOW), id, &unsure, NOW)
            });
            let known = first.read().await.expect("a read");
            for (send, is_let_through) in [(&first, true), (&first, true), (&second, false)] {
                let plan = send.plan(&known.state, News::Nothing);
                let change = plan.change.clone().expect("a write");
                let outcome = send.write(&change, &plan).await.expect("a response");
                let is_written = matches!(outcome, WriteOutcome::Written { .. });
                assert_eq!(is_written, is_let_through, "{is_sharded}");
            }
            assert_eq!(state(&store).await.held, 0);
        }
    }

    #[tokio::test]
    async fn samples_alone_learn_while_shards_are_open() {
        for (is_sharded, is_sample, learns) in [
            (false, true, true),
            (false, false, true),
            (true, true, true),
            (true, false, false),
        ] {
            let table = TestTable::start().await;
            let store = table.store();
            store_state(&store, ten_samples(is_sharded), 0).await;
            let id = ReservationId::new(recipient(11), LATER);
            let unsure = UnsureGuard::default();
            let mut send = GuardedSend::new(&store, guard(11, LATER), id, &unsure, LATER);
            assert!(send.shard.is_some(), "no shard thins out yet");
            send.shard = send.shard.filter(|_| is_sample);
            send.reserve(None).await.expect("a response");
            let known = state(&store).await.history.known();
            let expected = if learns { 10 } else { 0 };
            assert_eq!(known, expected, "{is_sharded} {is_sample}");
        }
    }

    #[tokio::test]
    async fn one_of_a_hundred_held_sends_is_let_through() {
        let table = TestTable::start().await;
        let store = table.store();
        ten_sends(&store, 0).await;
        for n in 0..99 {
            assert!(pass(&store, 11 + n, LATER).await.is_none(), "{n}");
        }
        let reservation = pass(&store, 200, LATER).await.expect("its turn");
        let let_through = reservation.let_through.expect("while conversion is low");
        let after = state(&store).await;
        assert_eq!((after.held, after.let_through_count), (0, 1));
        assert_eq!(after.let_through, Some(let_through));
        assert_eq!(after.samples, [guard(200, LATER).sample]);
        for _ in 0..2 {
            let released = store.release_at_guard(&reservation, LATER).await;
            released.expect("a write");
        }
        let released = state(&store).await;
        assert_eq!((released.held, released.let_through), (99, None));
        assert_eq!(released.samples, []);
        assert!(
            pass(&store, 201, LATER).await.is_some(),
            "the turn is passed on"
        );
        assert!(pass(&store, 202, LATER).await.is_none());
    }

    #[tokio::test]
    async fn sample_is_stored_once_and_released_once() {
        let table = TestTable::start().await;
        let store = table.store();
        let reservation = pass(&store, 1, NOW).await.expect("it passes");
        assert!(matches!(reservation.place, StoredSample::Inline(Some(0))));
        pass(&store, 2, NOW).await.expect("it passes");
        pass(&store, 1, NOW).await.expect("a repetition");
        let samples = [1, 2].map(|n| guard(n, NOW).sample);
        assert_eq!(state(&store).await.samples, samples);
        for position in [Some(0), Some(1), None] {
            let released = store
                .release_inline_sample(&guard(1, NOW), position, NOW)
                .await;
            released.expect("a write");
            assert_eq!(state(&store).await.samples, samples[1..]);
        }
        let released = GuardReservation::inline(guard(2, NOW));
        store
            .release_at_guard(&released, NOW)
            .await
            .expect("a write");
        let state = state(&store).await;
        assert_eq!((state.samples, state.samples_stored), (vec![], 2));
    }

    #[tokio::test]
    async fn many_samples_go_to_shards() {
        let table = TestTable::start().await;
        let store = table.store();
        let mut in_shards = vec![];
        for n in 0..30 {
            let reservation = pass(&store, n, NOW).await.expect("it passes");
            match reservation.place {
                StoredSample::Inline(position) => assert_eq!(position, Some(n.into())),
                StoredSample::Shard(..) => in_shards.push(reservation),
                StoredSample::Nowhere => panic!("{n} is no sample"),
            }
        }
        assert_eq!(in_shards.len(), 9, "the 21st opens the shards");
        let stored = async || {
            let mut samples = 0;
            for number in 0..SHARDS {
                let key = store.shard_key(KEY, slot(NOW), number);
                let item = store.get(key, true).await.expect("a read");
                let shard = shards::read(&item.unwrap_or_default());
                samples += shard.samples.len();
            }
            samples
        };
        assert_eq!(stored().await, 9);
        for _ in 0..2 {
            store
                .release_at_guard(&in_shards[0], NOW)
                .await
                .expect("a write");
            assert_eq!(stored().await, 8);
        }
        // All are learned, those of the item and those of the shards.
        for n in 0..30 {
            approve(&store, n).await;
        }
        assert!(pass(&store, 31, LATER).await.is_some());
        let state = state(&store).await;
        assert_eq!((state.history.known(), state.history.approved()), (10, 10));
        assert!(state.samples_stored < 20, "{}", state.samples_stored);
    }

    /// Reserves for send `n`, which fails, and releases what may be reserved.
    async fn fail_and_release(table: &TestTable, store: &Store, n: u8, now: Timestamp) {
        let (id, unsure) = (
            ReservationId::new(recipient(n), now),
            UnsureGuard::default(),
        );
        let failed = store
            .reserve_at_guard(&guard(n, now), id, None, &unsure, now)
            .await;
        assert!(failed.is_err() && table.has_failed());
        let unsure = unsure.get().expect("an unsure reservation");
        let released = store.release_at_guard(&unsure, now).await;
        released.expect("a write");
    }

    #[tokio::test]
    async fn unsure_sample_is_released() {
        let table = TestTable::start().await;
        let store = table.store();
        table.fail(LOST);
        fail_and_release(&table, &store, 1, NOW).await;
        assert_eq!(state(&store).await.samples, []);
    }

    #[tokio::test]
    async fn unsure_turn_is_passed_on() {
        let table = TestTable::start().await;
        let store = table.store();
        ten_sends(&store, 0).await;
        for n in 0..99 {
            assert!(pass(&store, 11 + n, LATER).await.is_none(), "{n}");
        }
        // The sample of a send whose turn it is replaces those of the item, which is read first.
        table.fail([Fault::None].into_iter().chain(LOST));
        fail_and_release(&table, &store, 200, LATER).await;
        let state = state(&store).await;
        assert_eq!((state.held, state.samples), (99, vec![]));
    }

    #[tokio::test]
    async fn append_is_expected_until_the_item_is_full() {
        let table = TestTable::start().await;
        let store = table.store();
        assert!(
            store.expects_append(&guard(1, NOW), NOW),
            "an unknown guard"
        );
        for n in 0..20 {
            assert!(store.expects_append(&guard(n, NOW), NOW));
            pass(&store, n, NOW).await.expect("it passes");
        }
        assert!(!store.expects_append(&guard(21, NOW), NOW));
    }

    #[tokio::test]
    async fn appended_sample_costs_one_request() {
        let table = TestTable::start().await;
        let store = table.store();
        for n in 0..20 {
            let before = table.requests();
            pass(&store, n, NOW).await.expect("it passes");
            assert_eq!(table.requests(), before + 1, "{n}");
        }
    }

    #[test]
    fn state_is_fresh_for_five_seconds() {
        let fresh = |seconds: Option<i64>| {
            let known = Known {
                state: GuardState::default(),
                seen_at: seconds.map(|seconds| NOW - seconds),
                is_current: false,
            };
            known.is_fresh(NOW)
        };
        let ages = [None, Some(-1), Some(0), Some(5), Some(6)];
        assert_eq!(ages.map(fresh), [false, false, true, true, false]);
    }
}
