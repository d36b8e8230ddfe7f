//! One send at one guard: decide on what is known, write, and start over on what the write returned
//! if others were first.

use super::cache::RememberedShard;
use super::guard::{ConversionGuard, GuardReservation, GuardResult, StoredSample};
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

    /// Passes a send, or holds it back. `item`: the guard's item, if it was just returned.
    pub(in crate::store::limits) async fn reserve_at_guard(
        &self,
        guard: &ConversionGuard,
        id: ReservationId,
        item: Option<&Item>,
        now: Timestamp,
    ) -> Result<GuardResult, StoreError> {
        GuardedSend::new(self, *guard, id, now).reserve(item).await
    }
}

/// One send at one guard.
struct GuardedSend<'a> {
    store: &'a Store,
    guard: ConversionGuard,
    id: ReservationId,
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
    fn new(store: &'a Store, guard: ConversionGuard, id: ReservationId, now: Timestamp) -> Self {
        let shard = store.guards.next_shard(guard.key, now);
        let is_sample = shard.shard.admit(guard.sample) != Admission::Skip;
        Self {
            store,
            guard,
            id,
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
        let written = self.store.update(self.guard.key, update, ttl);
        let (is_written, item) = match written.await {
            Ok(WriteResult::Written(item)) => (true, item.unwrap_or_default()),
            Ok(WriteResult::ConditionFailed(item)) => (false, item.unwrap_or_default()),
            Err(error) => {
                // It may have been written.
                let reservation = self.reservation(plan, None);
                let _ = self.store.release_at_guard(&reservation, self.now).await;
                return Err(error);
            }
        };
        let newer = self.current(&item);
        let position = self.guard.position(&item);
        let is_applied = match change.held {
            HeldChange::LetThrough(_) => newer.state.let_through == Some(self.id),
            _ => plan.place == SamplePlace::Inline && position.is_some(),
        };
        Ok(match is_written || is_applied {
            true => WriteOutcome::Written { position },
            false => WriteOutcome::Superseded(newer),
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
            match self.store.add_to_shard(&self.guard, shard, self.now).await {
                Ok(place) => reservation.place = place,
                Err(error) => {
                    let _ = self.store.release_at_guard(&reservation, self.now).await;
                    return Err(error);
                }
            }
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
