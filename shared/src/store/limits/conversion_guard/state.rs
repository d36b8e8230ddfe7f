//! The state of a guard, and what a send does to it. Pure: `item` reads and writes it.
//!
//! Invariant: an outcome that is due and could make conversion low, or end that, is learned before
//! the next send is decided. Others wait until many are learned in one write.

use super::super::reservation_id::ReservationId;
use crate::domain::conversion::{
    ConversionHistory, ConversionRule, LET_THROUGH_ONE_IN, OUTCOME_AGE_SECONDS, Sample,
};
use crate::domain::time::Timestamp;

/// Samples that sends append to the item: with a window of 20 sends in it, it has less than 1 KiB.
pub(super) const INLINE_SAMPLES_MAX: usize = 20;
/// Samples that the item has at most, or nearly: the send that opens shards, and those that learn
/// while samples go to shards, store their own sample in it.
const INLINE_SAMPLES_EVER: usize = 32;
/// From this many on, due outcomes are learned by the next write: no append fails.
const INLINE_SAMPLES_FULL: usize = 14;
/// How long samples go to shards after the item was full.
const SHARDED_SECONDS: i64 = 300;
/// Clocks of instances differ by less.
const CLOCK_SKEW_SECONDS: i64 = 5;
/// How often outcomes are learned while samples go to shards.
const SHARDS_LEARNED_EVERY_SECONDS: i64 = 30;
/// Sends held back before one is let through.
pub(super) const HELD_BEFORE_ONE: u32 = LET_THROUGH_ONE_IN - 1;
/// From this many sends let through in one second on, they are drawn at random. So held sends write
/// the item about four hundred times a second at most.
pub(super) const LET_THROUGH_PER_SECOND_MAX: u32 = 4;

/// What is stored of a guard.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(in crate::store::limits) struct GuardState {
    /// Raised by every write that replaces samples or history.
    pub(super) version: i64,
    pub(super) history: ConversionHistory,
    /// Samples in the item itself.
    pub(super) samples: Vec<Sample>,
    /// Their number in the stored item, with those that were released.
    pub(super) samples_stored: usize,
    /// From this time on, outcomes must be learned before a sample is appended.
    pub(super) learn_at: Option<Timestamp>,
    /// Samples of this time may be in shards and are not learned.
    pub(super) sharded: Option<Sharded>,
    /// When outcomes were last learned from shards.
    pub(super) learned_at: Option<Timestamp>,
    /// Sends held back since one was let through.
    pub(super) held: u32,
    /// The last send that was let through.
    pub(super) let_through: Option<ReservationId>,
    /// Sends that were let through in its second.
    pub(super) let_through_count: u32,
    /// Until then, sends are let through at random.
    pub(super) drawn_until: Option<Timestamp>,
}

/// A time, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sharded {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// What is new in a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// It is the stored state.
    Nothing,
    /// Outcomes were learned.
    Outcomes,
    /// Outcomes were learned, and conversion is low because of them.
    BecameLow,
}

impl Plan {
    /// Whether its write fails if another one replaces the samples.
    pub(super) fn replaces_samples(&self) -> bool {
        let samples = self.change.as_ref().map(|change| &change.samples);
        matches!(samples, Some(SamplesChange::Replace(_)))
    }
}

/// What a send does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    /// Whether it passes the guard.
    pub(super) passes: bool,
    /// Where its sample is stored.
    pub(super) place: SamplePlace,
    /// The write to the item; `None` if there is none: the known state decides.
    pub(super) change: Option<Change>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SamplePlace {
    Nowhere,
    Inline,
    Shards,
}

/// A write to the item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub(super) samples: SamplesChange,
    pub(super) held: HeldChange,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SamplesChange {
    /// The sample is appended, if [`GuardState::can_append`].
    Append,
    /// Nothing, if the item still has this version.
    Keep { version: i64 },
    /// Samples and history are replaced, if the item still has the version before.
    Replace(Box<GuardState>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeldChange {
    Keep,
    Set(u32),
    Increment,
    /// One is let through: the so many-th of this second.
    LetThrough(u32),
}

impl GuardState {
    /// Whether conversion is low.
    pub(super) fn is_low(&self, rule: ConversionRule) -> bool {
        self.history.is_low(rule)
    }

    /// Whether the next send is held back, or most likely is.
    pub(super) fn holds(&self, rule: ConversionRule, now: Timestamp) -> bool {
        self.is_low(rule) && (self.is_drawn(now) || self.held < HELD_BEFORE_ONE)
    }

    /// Whether samples go to shards.
    pub(super) fn is_sharded(&self, now: Timestamp) -> bool {
        self.sharded.is_some_and(|sharded| now <= sharded.until)
    }

    /// Whether a sample can be appended without more knowledge. The condition of `item::append`.
    pub(in crate::store::limits) fn can_append(
        &self,
        rule: ConversionRule,
        now: Timestamp,
    ) -> bool {
        self.history.known() <= rule.window
            && !self.is_low(rule)
            && self.learn_at.is_none_or(|at| at > now)
            && !self.is_sharded(now)
            && self.samples_stored < INLINE_SAMPLES_MAX
    }

    /// Whether outcomes must be learned before a send is decided.
    pub(super) fn is_due(&self, rule: ConversionRule, now: Timestamp) -> bool {
        let learnable = now - OUTCOME_AGE_SECONDS;
        let oldest = self.samples.iter().map(|sample| sample.at).min();
        let in_shards = self.sharded.map(|sharded| sharded.from);
        if self.is_sharded(now) {
            let next = self.learned_at.map(|at| at + SHARDS_LEARNED_EVERY_SECONDS);
            let mut oldest = oldest.into_iter().chain(in_shards);
            return oldest.any(|at| at <= learnable) && next.is_none_or(|next| next <= now);
        }
        let is_full = self.samples.len() >= INLINE_SAMPLES_FULL;
        in_shards.is_some_and(|at| at <= learnable)
            || self.learn_at.is_some_and(|at| at <= now)
            || (is_full && oldest.is_some_and(|at| at <= learnable))
            || self.history.known() > rule.window
    }

    /// From when on outcomes may be due that make conversion low, or end that.
    pub(super) fn next_learn_at(&self, rule: ConversionRule, now: Timestamp) -> Option<Timestamp> {
        let oldest = self.samples.iter().map(Sample::due).min();
        let inline = match few_outcomes_decide(self.history.outcomes_until_low(rule)) {
            // A sample may be appended, at a time that is not known here.
            true if !self.is_low(rule) => Some(oldest.unwrap_or(now)),
            true => oldest,
            false => None,
        };
        let in_shards = self
            .sharded
            .map(|sharded| sharded.from + OUTCOME_AGE_SECONDS);
        inline.into_iter().chain(in_shards).min()
    }

    /// What a send does.
    pub(super) fn plan(
        &self,
        rule: ConversionRule,
        sample: Sample,
        news: News,
        now: Timestamp,
    ) -> Plan {
        let (passes, held) = self.decide(rule, sample, news, now);
        let is_stored = news == News::Nothing;
        let without_sample = || match held {
            _ if !is_stored => Some(SamplesChange::Replace(Box::new(self.clone()))),
            HeldChange::Keep => None,
            _ => Some(SamplesChange::Keep {
                version: self.version,
            }),
        };
        let (place, samples) = if !passes {
            (SamplePlace::Nowhere, without_sample())
        } else if self.is_sharded(now) && (is_stored || !self.has_room_for_learner()) {
            (SamplePlace::Shards, without_sample())
        } else if is_stored && self.can_append(rule, now) {
            (SamplePlace::Inline, Some(SamplesChange::Append))
        } else {
            let next = self.with_sample(sample, now);
            (
                SamplePlace::Inline,
                Some(SamplesChange::Replace(Box::new(next))),
            )
        };
        Plan {
            passes,
            place,
            change: samples.map(|samples| Change { samples, held }),
        }
    }

    fn decide(
        &self,
        rule: ConversionRule,
        sample: Sample,
        news: News,
        now: Timestamp,
    ) -> (bool, HeldChange) {
        if !self.is_low(rule) {
            return (true, HeldChange::Keep);
        }
        if news == News::BecameLow {
            return (false, HeldChange::Set(1));
        }
        if self.is_drawn(now) {
            return (sample.is_drawn(), HeldChange::Keep);
        }
        if self.held < HELD_BEFORE_ONE {
            return (false, HeldChange::Increment);
        }
        let before = match self.let_through {
            Some(last) if last.at() == now => self.let_through_count,
            _ => 0,
        };
        (true, HeldChange::LetThrough(before + 1))
    }

    /// With the sample in the item. If that is full, the next samples go to shards.
    fn with_sample(&self, sample: Sample, now: Timestamp) -> Self {
        let mut next = self.clone();
        if !self.has_room() && !self.is_sharded(now) {
            let first = now - CLOCK_SKEW_SECONDS;
            next.sharded = Some(Sharded {
                from: self.sharded.map_or(first, |sharded| sharded.from),
                until: now + SHARDED_SECONDS,
            });
        }
        next.samples.push(sample);
        next
    }

    /// Whether the item has room for a sample. While there are samples in shards it is kept half
    /// empty, for those of sends that learn.
    fn has_room(&self) -> bool {
        let samples_max = match self.sharded {
            Some(_) => INLINE_SAMPLES_MAX / 2,
            None => INLINE_SAMPLES_MAX,
        };
        self.samples.len() < samples_max
    }

    /// Whether the item has room for the sample of a send that learns while samples go to shards:
    /// it writes the item anyway.
    fn has_room_for_learner(&self) -> bool {
        self.samples.len() < INLINE_SAMPLES_EVER
    }

    fn is_drawn(&self, now: Timestamp) -> bool {
        self.drawn_until.is_some_and(|until| now <= until)
    }
}

/// Whether the samples that fit the item can make conversion low.
pub(super) fn few_outcomes_decide(outcomes_until_low: u32) -> bool {
    usize::try_from(outcomes_until_low).is_ok_and(|few| few <= INLINE_SAMPLES_EVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{RecordKey, VerificationNonce};

    const NOW: Timestamp = Timestamp(1_795_291_200);
    const RULE: ConversionRule = ConversionRule {
        percent: 10,
        window: 100,
    };

    fn sample(n: usize, at: Timestamp) -> Sample {
        Sample {
            recipient: RecordKey([7; 12]),
            verification: VerificationNonce(u32::try_from(n).expect("few").to_be_bytes()),
            at,
            salt: [0; 2],
        }
    }

    fn state(approved: usize, known: usize, samples: usize) -> GuardState {
        GuardState {
            version: 1,
            history: ConversionHistory((0..known).map(|n| n < approved).collect()),
            samples: (0..samples).map(|n| sample(n, NOW)).collect(),
            samples_stored: samples,
            ..GuardState::default()
        }
    }

    fn plan(state: &GuardState, news: News, now: Timestamp) -> Plan {
        state.plan(RULE, sample(999, now), news, now)
    }

    /// The state that the write of `plan` stores.
    fn replaced(plan: Plan) -> GuardState {
        match plan.change.map(|change| change.samples) {
            Some(SamplesChange::Replace(next)) => *next,
            other => panic!("the item is not replaced: {other:?}"),
        }
    }

    /// With so many samples in the item, and shards open for these seconds around [`NOW`].
    fn sharded(samples: usize, from: i64, until: i64) -> GuardState {
        GuardState {
            sharded: Some(Sharded {
                from: NOW + from,
                until: NOW + until,
            }),
            ..state(50, 100, samples)
        }
    }

    #[test]
    fn send_appends_its_sample() {
        let plan = plan(&state(50, 100, 19), News::Nothing, NOW);
        assert!(plan.passes);
        assert_eq!(plan.place, SamplePlace::Inline);
        let change = plan.change.expect("a write");
        assert_eq!(change.samples, SamplesChange::Append);
        assert_eq!(change.held, HeldChange::Keep);
    }

    #[test]
    fn send_to_a_full_item_opens_shards() {
        let plan_of_opener = plan(&state(50, 100, 20), News::Nothing, NOW);
        assert_eq!(plan_of_opener.place, SamplePlace::Inline);
        let next = replaced(plan_of_opener);
        assert_eq!(next.samples.len(), 21, "its own sample is in the item");
        assert!(next.is_sharded(NOW + SHARDED_SECONDS));
        assert!(!next.is_sharded(NOW + (SHARDED_SECONDS + 1)));
        let later = plan(&next, News::Nothing, NOW + 1);
        assert!(later.passes);
        assert_eq!(later.place, SamplePlace::Shards);
        assert_eq!(later.change, None, "the item is not written");
    }

    #[test]
    fn shards_are_opened_for_clocks_that_are_behind() {
        let next = replaced(plan(&state(50, 100, 20), News::Nothing, NOW));
        let opened = Sharded {
            from: NOW - 5,
            until: NOW + 300,
        };
        assert_eq!(next.sharded, Some(opened));
    }

    #[test]
    fn item_with_room_opens_no_shards() {
        for (samples, opens) in [(0, false), (19, false), (20, true)] {
            let next = replaced(plan(&state(50, 100, samples), News::Outcomes, NOW));
            assert_eq!(next.samples.len(), samples + 1);
            assert_eq!(next.is_sharded(NOW), opens, "{samples} samples");
        }
    }

    #[test]
    fn open_shards_are_not_prolonged() {
        for samples in [0, 9, 10, 20] {
            let open = sharded(samples, -10, 0);
            let next = replaced(plan(&open, News::Outcomes, NOW));
            assert_eq!(next.sharded, open.sharded, "{samples} samples");
        }
    }

    #[test]
    fn item_is_kept_half_empty_until_shards_are_learned() {
        for (samples, reopens) in [(0, false), (9, false), (10, true)] {
            let closed = sharded(samples, -400, -1);
            let next = replaced(plan(&closed, News::Outcomes, NOW));
            let times = next.sharded.expect("samples that are not learned");
            assert_eq!(times.from, NOW - 400, "none is left out");
            let until = if reopens { NOW + 300 } else { NOW - 1 };
            assert_eq!(times.until, until, "{samples} samples");
        }
    }

    #[test]
    fn learning_send_uses_a_shard_once_item_is_full() {
        let fits = plan(&sharded(31, -400, 0), News::Outcomes, NOW);
        assert_eq!(fits.place, SamplePlace::Inline);
        assert_eq!(replaced(fits).samples.len(), 32);
        let full = plan(&sharded(32, -400, 0), News::Outcomes, NOW);
        assert_eq!(full.place, SamplePlace::Shards);
        let next = replaced(full);
        assert_eq!(next.samples.len(), 32, "what was learned is written");
    }

    #[test]
    fn outcomes_in_shards_are_due_with_the_first() {
        let due = NOW + OUTCOME_AGE_SECONDS;
        let mut healthy = sharded(0, 0, 300);
        healthy.learn_at = healthy.next_learn_at(RULE, NOW);
        assert_eq!(healthy.learn_at, Some(due));
        assert!(!healthy.is_due(RULE, due - 1));
        assert!(healthy.is_due(RULE, due));
        let earlier = GuardState {
            samples: vec![sample(1, NOW - 7)],
            ..sharded(0, 0, 300)
        };
        assert_eq!(earlier.next_learn_at(RULE, NOW), Some(due));
        let deciding = GuardState {
            history: state(41, 100, 0).history,
            ..earlier
        };
        assert_eq!(deciding.next_learn_at(RULE, NOW), Some(due - 7));
    }

    #[test]
    fn learning_send_stores_its_sample_in_the_same_write() {
        let mut sharded = state(50, 100, 10);
        sharded.sharded = Some(Sharded {
            from: NOW - 601,
            until: NOW + 100,
        });
        assert!(!sharded.is_due(RULE, NOW - 1));
        assert!(sharded.is_due(RULE, NOW));
        sharded.learned_at = Some(NOW - 29);
        assert!(!sharded.is_due(RULE, NOW));
        assert!(sharded.is_due(RULE, NOW + 1));
        let plan = plan(&sharded, News::Outcomes, NOW);
        assert_eq!(plan.place, SamplePlace::Inline);
        assert!(plan.passes);
    }

    #[test]
    fn outcomes_that_decide_nothing_wait() {
        let due = NOW + OUTCOME_AGE_SECONDS;
        let mut healthy = state(90, 100, 13);
        assert_eq!(healthy.next_learn_at(RULE, NOW), None);
        assert!(!healthy.is_due(RULE, due));
        healthy.samples.push(sample(13, NOW));
        assert!(!healthy.is_due(RULE, due - 1));
        assert!(healthy.is_due(RULE, due), "there is little room left");
    }

    #[test]
    fn outcomes_that_may_decide_are_due_at_once() {
        let due = NOW + OUTCOME_AGE_SECONDS;
        for (approved, known) in [(41, 100), (5, 68), (9, 100)] {
            let mut state = state(approved, known, 1);
            state.learn_at = state.next_learn_at(RULE, NOW);
            assert_eq!(state.learn_at, Some(due), "{approved} of {known}");
            assert!(!state.is_due(RULE, due - 1));
            assert!(state.is_due(RULE, due));
            assert!(!state.can_append(RULE, due));
        }
        assert_eq!(state(43, 100, 1).next_learn_at(RULE, NOW), None);
        assert_eq!(state(0, 67, 1).next_learn_at(RULE, NOW), None);
    }

    #[test]
    fn item_without_samples_is_learned_again_unless_low() {
        for (approved, is_low) in [(10, false), (41, false), (9, true), (0, true)] {
            let mut empty = state(approved, 100, 0);
            assert_eq!(empty.is_low(RULE), is_low);
            empty.learn_at = empty.next_learn_at(RULE, NOW);
            // Sends are appended while conversion is not low, but held back while it is.
            assert_eq!(empty.is_due(RULE, NOW), !is_low, "{approved} approved");
            assert_eq!(empty.learn_at, (!is_low).then_some(NOW));
        }
    }

    #[test]
    fn one_send_in_a_hundred_is_let_through() {
        let mut low = state(9, 100, 0);
        let becomes_low = plan(&low, News::BecameLow, NOW);
        assert!(!becomes_low.passes);
        let held = becomes_low.change.map(|change| change.held);
        assert_eq!(held, Some(HeldChange::Set(1)));
        low.held = 98;
        let held = plan(&low, News::Nothing, NOW);
        assert!(!held.passes);
        let change = held.change.expect("a write");
        assert_eq!(change.held, HeldChange::Increment);
        assert_eq!(change.samples, SamplesChange::Keep { version: 1 });
        assert!(low.holds(RULE, NOW));
        low.held = 99;
        let let_through = plan(&low, News::Nothing, NOW);
        assert!(let_through.passes);
        assert_eq!(let_through.place, SamplePlace::Inline);
        let held = let_through.change.map(|change| change.held);
        assert_eq!(held, Some(HeldChange::LetThrough(1)));
        assert!(!low.holds(RULE, NOW));
    }

    #[test]
    fn sends_let_through_are_counted_by_second() {
        let mut low = state(9, 100, 0);
        low.held = 99;
        low.let_through = Some(ReservationId::new(RecordKey([7; 12]), NOW));
        low.let_through_count = 3;
        for (seconds, count) in [(0, 4), (1, 1), (60, 1)] {
            let plan = plan(&low, News::Nothing, NOW + seconds);
            let held = plan.change.map(|change| change.held);
            assert_eq!(held, Some(HeldChange::LetThrough(count)), "{seconds} s");
        }
    }

    #[test]
    fn held_sends_are_drawn_at_high_rates() {
        let mut low = state(9, 100, 0);
        low.held = 99;
        low.let_through = Some(ReservationId::new(RecordKey([7; 12]), NOW));
        low.let_through_count = 3;
        let held = plan(&low, News::Nothing, NOW)
            .change
            .map(|change| change.held);
        assert_eq!(
            held,
            Some(HeldChange::LetThrough(LET_THROUGH_PER_SECOND_MAX))
        );
        low.drawn_until = Some(NOW + 30);
        let drawn = (0..10_000).map(|n| low.plan(RULE, sample(n, NOW), News::Nothing, NOW));
        let (passing, held): (Vec<_>, Vec<_>) = drawn.partition(|plan| plan.passes);
        assert!((50..200).contains(&passing.len()), "{}", passing.len());
        assert!(held.iter().all(|plan| plan.change.is_none()));
    }
}
