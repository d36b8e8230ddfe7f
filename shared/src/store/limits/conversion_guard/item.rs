//! The item of a guard: its attributes, and the writes to it.
//!
//! | attribute | |
//! |---|---|
//! | `samples` | samples that are stored inline, in order of arrival |
//! | `outcomes`, `known`, `approved` | the history: one bit each, their number, approved ones |
//! | `version`, `learn_at`, `sharded_from`, `sharded_until`, `learned_at` | see `state` |
//! | `held` | sends held back since one was let through |
//! | `let_through`, `let_through_count` | id of the last one, and their number in its second |
//! | `drawn_until` | until then, sends are let through at random, without a write |
//!
//! The item of a prefix has its window as well (`rate_limit`).

use super::super::reservation_id::ReservationId;
use super::super::sample_codec::{
    append_sample, pack_outcomes, pack_samples, released_value, sample_position, sample_value,
    unpack_outcomes, unpack_samples,
};
use super::guard::ConversionGuard;
use super::state::{
    Change, GuardState, HELD_BEFORE_ONE, HeldChange, INLINE_SAMPLES_MAX,
    LET_THROUGH_PER_SECOND_MAX, SamplesChange, Sharded, few_outcomes_decide,
};
use crate::domain::conversion::ConversionRule;
use crate::domain::time::Timestamp;
use crate::store::attributes::{Item, binary, bytes, list, number, number_value, optional_number};
use crate::store::expression::Update;

const SAMPLES: &str = "samples";
const OUTCOMES: &str = "outcomes";
const KNOWN: &str = "known";
const APPROVED: &str = "approved";
const VERSION: &str = "version";
const LEARN_AT: &str = "learn_at";
const SHARDED_FROM: &str = "sharded_from";
const SHARDED_UNTIL: &str = "sharded_until";
const LEARNED_AT: &str = "learned_at";
const HELD: &str = "held";
const LET_THROUGH: &str = "let_through";
const LET_THROUGH_COUNT: &str = "let_through_count";
const DRAWN_UNTIL: &str = "drawn_until";
/// How long sends are drawn before the rate of held sends is looked at again.
const DRAWN_SECONDS: i64 = 30;

impl GuardState {
    /// Reads the item. One without a guard's attributes reads as the state before the first send.
    pub(in crate::store::limits) fn read(item: &Item) -> Self {
        let count = |name: &str| u32::try_from(number(item, name)).unwrap_or(0);
        let time = |name: &str| optional_number(item, name).map(Timestamp);
        let sharded = time(SHARDED_FROM).zip(time(SHARDED_UNTIL));
        Self {
            version: number(item, VERSION),
            history: unpack_outcomes(bytes(item, OUTCOMES), count(KNOWN)),
            samples: unpack_samples(item, SAMPLES),
            samples_stored: list(item, SAMPLES).len(),
            learn_at: time(LEARN_AT),
            sharded: sharded.map(|(from, until)| Sharded { from, until }),
            learned_at: time(LEARNED_AT),
            held: count(HELD),
            let_through: ReservationId::read(item, LET_THROUGH),
            let_through_count: count(LET_THROUGH_COUNT),
            drawn_until: time(DRAWN_UNTIL),
        }
    }

    /// Replaces samples and history, unless another write did or appended a sample.
    fn replace(&self, rule: ConversionRule, now: Timestamp) -> Update {
        let stored = match self.samples_stored {
            0 => format!("(attribute_not_exists({SAMPLES}) OR size({SAMPLES}) = :stored)"),
            _ => format!("size({SAMPLES}) = :stored"),
        };
        let update = at_version(self.version)
            .and(stored)
            .value(":stored", number_value(self.samples_stored))
            .set(format!(
                "{VERSION} = :next_version, {SAMPLES} = :samples, {OUTCOMES} = :outcomes"
            ))
            .set(format!("{KNOWN} = :known, {APPROVED} = :approved"))
            .value(":next_version", number_value(self.version + 1))
            .value(":samples", pack_samples(&self.samples))
            .value(":outcomes", binary(&pack_outcomes(&self.history)))
            .value(":known", number_value(self.history.known()))
            .value(":approved", number_value(self.history.approved()));
        let times = [
            (LEARN_AT, self.next_learn_at(rule, now)),
            (SHARDED_FROM, self.sharded.map(|sharded| sharded.from)),
            (SHARDED_UNTIL, self.sharded.map(|sharded| sharded.until)),
            (LEARNED_AT, self.learned_at),
        ];
        times
            .into_iter()
            .fold(update, |update, (name, time)| match time {
                Some(time) => update
                    .set(format!("{name} = :{name}"))
                    .value(format!(":{name}"), number_value(time.0)),
                None => update.remove(name),
            })
    }
}

impl Change {
    /// The write.
    pub(super) fn update(
        &self,
        guard: &ConversionGuard,
        id: ReservationId,
        now: Timestamp,
    ) -> Update {
        let update = match &self.samples {
            SamplesChange::Append => guard.append(Update::default(), now),
            SamplesChange::Keep { version } => at_version(*version),
            SamplesChange::Replace(state) => state.replace(guard.rule, now),
        };
        match self.held {
            HeldChange::Keep => update,
            HeldChange::Set(held) => update
                .set(format!("{HELD} = :held"))
                .value(":held", number_value(held)),
            HeldChange::Increment => update
                .add(format!("{HELD} :one"))
                .and(format!("NOT {HELD} >= :before"))
                .value(":one", number_value(1))
                .value(":before", number_value(HELD_BEFORE_ONE)),
            HeldChange::LetThrough(count) => {
                let update = update
                    .set(format!("{HELD} = {HELD} - :before, {LET_THROUGH} = :id"))
                    .set(format!("{LET_THROUGH_COUNT} = :count"))
                    .and(format!("{HELD} >= :before AND NOT {LET_THROUGH} = :id"))
                    .value(":before", number_value(HELD_BEFORE_ONE))
                    .value(":id", id.value())
                    .value(":count", number_value(count));
                if count < LET_THROUGH_PER_SECOND_MAX {
                    return update;
                }
                update
                    .set(format!("{DRAWN_UNTIL} = :drawn_until"))
                    .value(":drawn_until", number_value((now + DRAWN_SECONDS).0))
            }
        }
    }
}

impl ConversionGuard {
    /// Appends the sample, under the condition of [`GuardState::can_append`].
    pub(in crate::store::limits) fn append(&self, update: Update, now: Timestamp) -> Update {
        let update = append_sample(update, SAMPLES, &self.sample, INLINE_SAMPLES_MAX)
            .and(format!(
                "(NOT {KNOWN} >= :judged \
                 OR ({KNOWN} = :judged AND {APPROVED} >= :approved_min))"
            ))
            .and(format!("NOT {LEARN_AT} <= :now"))
            .and(format!("NOT {SHARDED_UNTIL} >= :now"))
            .value(":judged", number_value(self.rule.window))
            .value(":approved_min", number_value(self.rule.approved_min()))
            .value(":now", number_value(now.0));
        // Of a guard without outcomes, so many decide.
        if !few_outcomes_decide(self.rule.window) {
            return update;
        }
        update
            .set(format!("{LEARN_AT} = if_not_exists({LEARN_AT}, :due)"))
            .value(":due", number_value(self.sample.due().0))
    }

    /// Where the item has the sample.
    pub(super) fn position(&self, item: &Item) -> Option<usize> {
        sample_position(item, SAMPLES, &self.sample)
    }

    /// Releases the sample at `position`. Writes that replace the samples notice it by the version.
    pub(super) fn release_sample(&self, position: usize) -> Update {
        Update::when(format!("{SAMPLES}[{position}] = :sample"))
            .set(format!("{SAMPLES}[{position}] = :released"))
            .add(format!("{VERSION} :one"))
            .value(":sample", sample_value(&self.sample))
            .value(":released", released_value())
            .value(":one", number_value(1))
    }

    /// Passes the turn of a send that was let through to the next one.
    pub(super) fn pass_on(&self, id: ReservationId) -> Update {
        Update::when(format!("{LET_THROUGH} = :id"))
            .add(format!("{HELD} :before"))
            .remove(LET_THROUGH)
            .value(":id", id.value())
            .value(":before", number_value(HELD_BEFORE_ONE))
    }
}

/// The item has this version.
fn at_version(version: i64) -> Update {
    match version {
        0 => Update::when(format!("attribute_not_exists({VERSION})")),
        _ => Update::when(format!("{VERSION} = :version")).value(":version", number_value(version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::conversion::ConversionHistory;
    use crate::store::Store;
    use crate::store::expression::WriteResult;
    use crate::store::limits::conversion_guard::guard::tests::guard;
    use crate::store::tests::{KEY, NOW, TestTable, stored_item};

    /// Whether the change is written.
    async fn write(store: &Store, samples: SamplesChange, held: HeldChange) -> bool {
        let change = Change { samples, held };
        let id = ReservationId::new(KEY, NOW);
        let written = store
            .update(KEY, change.update(&guard(), id, NOW), None)
            .await;
        matches!(written, Ok(WriteResult::Written(_)))
    }

    async fn stored(store: &Store) -> GuardState {
        GuardState::read(&stored_item(store, KEY).await.expect("an item"))
    }

    #[tokio::test]
    async fn sends_are_drawn_from_the_fourth_on() {
        let store = TestTable::start().await.store();
        let keep = || SamplesChange::Keep { version: 0 };
        for (count, drawn_until) in [(1, None), (3, None), (4, Some(NOW + 30))] {
            assert!(write(&store, keep(), HeldChange::Set(HELD_BEFORE_ONE)).await);
            assert!(write(&store, keep(), HeldChange::LetThrough(count)).await);
            let state = stored(&store).await;
            assert_eq!((state.held, state.let_through_count), (0, count));
            assert_eq!(state.drawn_until, drawn_until);
        }
        assert!(
            !write(&store, keep(), HeldChange::LetThrough(5)).await,
            "none was held"
        );
    }

    #[tokio::test]
    async fn held_sends_are_counted_up_to_their_maximum() {
        let store = TestTable::start().await.store();
        let keep = || SamplesChange::Keep { version: 0 };
        for held in 1..=HELD_BEFORE_ONE {
            assert!(write(&store, keep(), HeldChange::Increment).await);
            assert_eq!(stored(&store).await.held, held);
        }
        assert!(!write(&store, keep(), HeldChange::Increment).await);
    }

    #[tokio::test]
    async fn state_is_replaced_over_its_own_version() {
        let store = TestTable::start().await.store();
        let replace = |state: &GuardState| SamplesChange::Replace(Box::new(state.clone()));
        let mut state = GuardState {
            history: ConversionHistory(vec![true, false]),
            ..GuardState::default()
        };
        assert!(
            write(&store, replace(&state), HeldChange::Keep).await,
            "a new item"
        );
        assert!(
            !write(&store, replace(&state), HeldChange::Keep).await,
            "of version 0"
        );
        let first = stored(&store).await;
        assert_eq!((first.version, &first.history), (1, &state.history));
        state.version = 1;
        assert!(write(&store, replace(&state), HeldChange::Keep).await);
        assert_eq!(stored(&store).await.version, 2);
        let stale = SamplesChange::Keep { version: 1 };
        assert!(!write(&store, stale, HeldChange::Set(1)).await);
        let current = SamplesChange::Keep { version: 2 };
        assert!(write(&store, current, HeldChange::Set(1)).await);
    }
}
