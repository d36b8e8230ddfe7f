//! Conversion guard: how many of the last sends to a prefix or country were approved, and what
//! follows from it.
//!
//! A send is a sample while its outcome is pending. Over ten minutes later its outcome is learned
//! and added to the history. These rules are pure; `store/limits` says what is stored where.
//!
//! Invariant: whether a send is a sample depends on its [`Sample::level`] alone, which is random,
//! so all sends of one minute are sampled with the same probability.

use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::time::{RETENTION_SECONDS, Timestamp};

/// While conversion is low, one send in this many is let through.
pub const LET_THROUGH_ONE_IN: u32 = 100;
/// `Retry-After` of a send that is held back.
pub const HELD_SECONDS: i64 = 600;
/// Age from which on the outcome of a send counts: over ten minutes.
pub const OUTCOME_AGE_SECONDS: i64 = 601;
/// From this many samples on, a shard thins them out.
const SHARD_SAMPLES: usize = 32;
/// A shard that thins out keeps at most this many, so that it does not thin out again at once.
const SHARD_SAMPLES_KEPT: usize = 24;

/// The sends that are judged together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConversionScope {
    /// Those to one prefix.
    Prefix,
    /// Those to one country.
    Country,
}

impl ConversionScope {
    /// Member `scope` of a problem document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Country => "country",
        }
    }
}

/// The share of sends that must be approved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConversionRule {
    /// Minimum, in percent.
    pub percent: u32,
    /// Outcomes that are judged; nothing is held back before there are as many.
    pub window: u32,
}

impl ConversionRule {
    /// Approved outcomes that a full window must have.
    #[must_use]
    pub fn approved_min(self) -> u32 {
        self.percent.saturating_mul(self.window).div_ceil(100)
    }
}

/// A send whose outcome is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The recipient's record.
    pub recipient: RecordKey,
    /// Its verification.
    pub verification: VerificationNonce,
    /// When it was sent.
    pub at: Timestamp,
    /// Random: distinguishes the sends of one verification in one second.
    pub salt: [u8; 2],
}

impl Sample {
    /// The first moment at which its outcome can be learned.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.at + OUTCOME_AGE_SECONDS
    }

    /// Its outcome; `approved` is `None` if the verification is unknown. An unknown verification
    /// counts as not approved until records as old as this one are removed; then it says nothing.
    #[must_use]
    pub fn outcome(&self, approved: Option<bool>, now: Timestamp) -> Option<bool> {
        approved.or_else(|| (now <= self.at + RETENTION_SECONDS).then_some(false))
    }

    /// Random level: a sample has level `n` or more with the probability 1/2ⁿ.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.random().leading_zeros()
    }

    /// Whether it is let through at random while conversion is low.
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        self.random().is_multiple_of(LET_THROUGH_ONE_IN)
    }

    /// Random bits: nonce and salt, mixed by the finalizer of MurmurHash3.
    fn random(&self) -> u32 {
        let nonce = u32::from_be_bytes(self.verification.0);
        let salt = u32::from(u16::from_be_bytes(self.salt));
        let mut bits = nonce ^ salt.wrapping_mul(0x9E37_79B9);
        bits = (bits ^ (bits >> 16)).wrapping_mul(0x85EB_CA6B);
        bits = (bits ^ (bits >> 13)).wrapping_mul(0xC2B2_AE35);
        bits ^ (bits >> 16)
    }
}

/// Outcomes of the last sends, oldest first: approved or not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConversionHistory(pub Vec<bool>);

impl ConversionHistory {
    /// Adds outcomes of later sends, and drops those that `rule` no longer judges.
    pub fn learn(&mut self, later: impl IntoIterator<Item = bool>, rule: ConversionRule) {
        self.0.extend(later);
        let window = usize::try_from(rule.window).unwrap_or(usize::MAX);
        self.0.drain(..self.0.len().saturating_sub(window));
    }

    /// Known outcomes.
    #[must_use]
    pub fn known(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Approved outcomes.
    #[must_use]
    pub fn approved(&self) -> u32 {
        u32::try_from(self.0.iter().filter(|approved| **approved).count()).unwrap_or(u32::MAX)
    }

    /// Whether too few were approved.
    #[must_use]
    pub fn is_low(&self, rule: ConversionRule) -> bool {
        self.known() >= rule.window && self.approved() < rule.approved_min()
    }

    /// The fewest further outcomes after which conversion can be low; 0 if it is.
    #[must_use]
    pub fn outcomes_until_low(&self, rule: ConversionRule) -> u32 {
        let until_full = rule.window.saturating_sub(self.known());
        let spare = (self.approved() + 1).saturating_sub(rule.approved_min());
        until_full + spare
    }
}

/// The samples of one shard in one minute: a random subset of its sends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SampleShard {
    /// Only samples of this level or a higher one are kept.
    pub min_level: u32,
    /// In order of arrival.
    pub samples: Vec<Sample>,
}

/// What a shard does with a send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The send is not a sample.
    Skip,
    /// The sample is appended.
    Append,
    /// The samples are thinned out and include the new one.
    Replace(SampleShard),
}

impl SampleShard {
    /// Decides whether `sample` is kept. About half of the samples are dropped whenever there are
    /// too many, so the number of writes grows with the logarithm of the number of sends.
    #[must_use]
    pub fn admit(&self, sample: Sample) -> Admission {
        if sample.level() < self.min_level {
            return Admission::Skip;
        }
        if self.samples.len() < SHARD_SAMPLES {
            return Admission::Append;
        }
        let mut thinned = self.clone();
        while thinned.samples.len() > SHARD_SAMPLES_KEPT {
            thinned.min_level += 1;
            let min_level = thinned.min_level;
            thinned.samples.retain(|kept| kept.level() >= min_level);
        }
        if sample.level() < thinned.min_level {
            return Admission::Skip;
        }
        thinned.samples.push(sample);
        Admission::Replace(thinned)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const RULE: ConversionRule = ConversionRule {
        percent: 10,
        window: 100,
    };

    fn sample(nonce: u32, at: Timestamp) -> Sample {
        Sample {
            recipient: RecordKey([7; 12]),
            verification: VerificationNonce(nonce.to_be_bytes()),
            at,
            salt: [0; 2],
        }
    }

    fn history(approved: usize, known: usize) -> ConversionHistory {
        ConversionHistory((0..known).map(|at| at < approved).collect())
    }

    #[test]
    fn conversion_is_low_below_minimum_of_full_window() {
        let is_low = |approved, known| history(approved, known).is_low(RULE);
        assert!(!is_low(0, 99), "fewer than a window");
        assert!(is_low(0, 100));
        assert!(is_low(9, 100));
        assert!(!is_low(10, 100));
    }

    #[test]
    fn minimum_is_never_rounded_to_zero() {
        let rule = ConversionRule {
            percent: 1,
            window: 10,
        };
        assert_eq!(rule.approved_min(), 1);
    }

    #[test]
    fn history_keeps_the_last_outcomes() {
        let mut history = ConversionHistory::default();
        history.learn([true; 100], RULE);
        history.learn([false; 90], RULE);
        assert_eq!((history.known(), history.approved()), (100, 10));
        assert!(!history.is_low(RULE));
        history.learn([false], RULE);
        assert!(history.is_low(RULE));
        history.learn([true; 10], RULE);
        assert_eq!((history.known(), history.approved()), (100, 10));
        assert!(!history.is_low(RULE), "recovered");
    }

    #[test]
    fn outcome_counts_after_ten_minutes_and_until_records_expire() {
        let sample = sample(1, NOW);
        assert_eq!(sample.due(), NOW + 601);
        assert_eq!(sample.outcome(None, NOW + 601), Some(false));
        assert_eq!(sample.outcome(None, NOW + (RETENTION_SECONDS + 1)), None);
        assert_eq!(
            sample.outcome(Some(true), NOW + (RETENTION_SECONDS + 1)),
            Some(true)
        );
    }

    proptest! {
        /// So that their outcomes can wait. As many make it low if none of them is approved.
        #[test]
        fn fewer_outcomes_than_announced_never_make_it_low(
            percent in 1u32..=100,
            window in 10u32..150,
            known in 0usize..150,
            approved in 0usize..150,
            later in proptest::collection::vec(any::<bool>(), 0..300),
        ) {
            let rule = ConversionRule { percent, window };
            let known = known.min(window as usize);
            let start = history(approved.min(known), known);
            let announced = start.outcomes_until_low(rule) as usize;
            prop_assert_eq!(announced == 0, start.is_low(rule));
            let mut soon = start.clone();
            soon.learn(later.into_iter().take(announced.saturating_sub(1)), rule);
            prop_assert!(announced == 0 || !soon.is_low(rule));
            let mut worst = start;
            worst.learn(vec![false; announced], rule);
            prop_assert!(worst.is_low(rule));
        }

        /// Of a few sends all are samples; of many, few, with few writes.
        #[test]
        fn shard_is_a_fair_and_small_sample(first in any::<u32>(), sends in 1u32..30_000) {
            let (mut shard, mut writes) = (SampleShard::default(), 0);
            for n in 0..sends {
                // Consecutive nonces are as good as random ones: the bits are mixed.
                let sample = sample(first.wrapping_add(n), NOW);
                match shard.admit(sample) {
                    Admission::Skip => continue,
                    Admission::Append => shard.samples.push(sample),
                    Admission::Replace(thinned) => shard = thinned,
                }
                writes += 1;
            }
            prop_assert!(shard.samples.len() <= SHARD_SAMPLES);
            prop_assert!(sends > 32 || shard.samples.len() == sends as usize, "all of a few");
            let doublings = f64::from(sends).log2().ceil() as usize;
            prop_assert!(writes <= 32 + 32 * doublings, "{} writes", writes);
            let mut levels = shard.samples.iter().map(Sample::level);
            prop_assert!(levels.all(|level| level >= shard.min_level));
        }
    }

    #[test]
    fn sends_of_a_minute_are_sampled_with_equal_probability() {
        // 400 minutes of 5,000 sends: where in the minute are the samples?
        let mut tenths = [0u32; 10];
        for minute in 0..400u32 {
            let mut shard = SampleShard::default();
            for n in 0..5_000u32 {
                let sample = sample(minute * 5_000 + n, NOW);
                match shard.admit(sample) {
                    Admission::Skip => {}
                    Admission::Append => shard.samples.push(sample),
                    Admission::Replace(thinned) => shard = thinned,
                }
            }
            for sample in shard.samples {
                let n = u32::from_be_bytes(sample.verification.0) - minute * 5_000;
                tenths[(n / 500) as usize] += 1;
            }
        }
        let total: u32 = tenths.iter().sum();
        for (tenth, count) in tenths.into_iter().enumerate() {
            let share = f64::from(count) / f64::from(total);
            assert!((0.085..0.115).contains(&share), "{tenth}: {share}");
        }
    }

    #[test]
    fn shard_is_thinned_out_from_its_maximum_on() {
        let some = |is_lowest: bool| {
            let samples = (0..1_000).map(|nonce| sample(nonce, NOW));
            samples.filter(move |sample| (sample.level() == 0) == is_lowest)
        };
        let lowest: Vec<_> = some(true).take(9).collect();
        let higher: Vec<_> = some(false).take(24).collect();
        let mut shard = SampleShard {
            min_level: 0,
            samples: [&lowest[..8], &higher[..23]].concat(),
        };
        assert_eq!(shard.admit(higher[23]), Admission::Append);
        shard.samples.push(higher[23]);
        // 24 samples are left after the lowest are dropped: no more are.
        let next = some(false).skip(24).find(|sample| sample.level() == 1);
        let next = next.expect("half of them");
        let thinned = SampleShard {
            min_level: 1,
            samples: [&higher[..], &[next]].concat(),
        };
        assert_eq!(shard.admit(next), Admission::Replace(thinned));
        assert_eq!(shard.admit(lowest[8]), Admission::Skip);
    }

    #[test]
    fn one_send_in_a_hundred_is_drawn() {
        let drawn = (0..100_000).filter(|n| sample(*n, NOW).is_drawn()).count();
        assert!((900..1100).contains(&drawn), "{drawn}");
    }

    #[test]
    fn random_bits_are_those_of_murmurhash() {
        let random = |nonce: u32, salt: [u8; 2]| {
            let sample = Sample {
                salt,
                ..sample(nonce, NOW)
            };
            sample.random()
        };
        // Published values of the finalizer.
        assert_eq!(random(1, [0, 0]), 0x514E_28B7);
        assert_eq!(random(u32::MAX, [0, 0]), 0x81F1_6F39);
        // The nonce and the salt of which the input is 1.
        assert_eq!(random(0x9E37_79B9 ^ 1, [0, 1]), 0x514E_28B7);
    }
}
