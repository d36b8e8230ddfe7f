//! Conversion guard: how many of the last sends to a prefix or country were approved, and what follows.
//!
//! The table keeps the counts and decides in its conditions. These rules say what the counts mean.

use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::rate_limit::{Quota, Window};
use crate::domain::time::{RETENTION_SECONDS, Timestamp};

/// Sends whose outcome is pending; while there are this many, further sends are not sampled.
pub const SAMPLES_MAX: usize = 100;
/// While conversion is low, one send in this many goes out.
pub const HELD_ONE_IN: u32 = 100;
/// `Retry-After` of a send that is held back.
pub const HELD_SECONDS: i64 = 600;
/// Age over which a send that was not approved counts as not approved.
const OUTCOME_SECONDS: i64 = 600;

/// The least share of sends that must be approved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConversionRule {
    /// Of a hundred.
    pub percent: u32,
    /// Outcomes that are looked at; nothing is held back before there are so many.
    pub window: u32,
}

impl ConversionRule {
    /// Approved ones that a full window must hold.
    #[must_use]
    pub fn approved_min(self) -> u32 {
        self.percent.saturating_mul(self.window).div_ceil(100)
    }
}

/// A send whose outcome is awaited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Where the recipient's record is.
    pub recipient: RecordKey,
    /// Its verification.
    pub verification: VerificationNonce,
    /// When it was sent.
    pub at: Timestamp,
}

impl Sample {
    /// The first moment at which its outcome counts.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.at + (OUTCOME_SECONDS + 1)
    }

    /// What became of it, if it counts at all: `approved` is `None` where nothing is known of the verification. That
    /// says nothing once records as old as this have been removed.
    #[must_use]
    pub fn outcome(&self, approved: Option<bool>, now: Timestamp) -> Option<bool> {
        approved.or_else(|| (now <= self.at + RETENTION_SECONDS).then_some(false))
    }
}

/// Known outcomes of the last sends of a scope, oldest first: approved or not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcomes(pub Vec<bool>);

impl Outcomes {
    /// Adds the outcomes of later sends, and forgets what `rule` does not look at.
    pub fn learn(&mut self, later: impl IntoIterator<Item = bool>, rule: ConversionRule) {
        self.0.extend(later);
        let window = usize::try_from(rule.window).unwrap_or(usize::MAX);
        self.0.drain(..self.0.len().saturating_sub(window));
    }

    /// How many there are.
    #[must_use]
    pub fn known(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// How many of them were approved.
    #[must_use]
    pub fn approved(&self) -> u32 {
        u32::try_from(self.0.iter().filter(|approved| **approved).count()).unwrap_or(u32::MAX)
    }

    /// Whether too few were approved.
    #[must_use]
    pub fn are_low(&self, rule: ConversionRule) -> bool {
        self.known() >= rule.window && self.approved() < rule.approved_min()
    }
}

/// What is asked of the sends of a scope: one client network, one prefix, one country of one app.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// How many there may be.
    pub quota: Option<Quota>,
    /// How many must be approved.
    pub conversion: Option<ConversionRule>,
}

/// A scope as its rules see it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    /// Its sends.
    pub window: Window,
    /// What became of them.
    pub outcomes: Outcomes,
    /// Sends held back since one went out.
    pub held: u32,
}

/// What becomes of a send to a scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes out.
    Free,
    /// It goes out as the one in [`HELD_ONE_IN`].
    Chosen,
    /// Conversion is low: it does not go out, and is counted towards the one that does.
    Held,
    /// The window is full until then: it does not go out, and counts for nothing.
    Full(Timestamp),
}

impl Verdict {
    /// Until when the scope allows no send; `None` if it allows one now.
    #[must_use]
    pub fn until(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Free | Self::Chosen => None,
            Self::Held => Some(now + HELD_SECONDS),
            Self::Full(until) => Some(until),
        }
    }
}

impl Scope {
    /// What becomes of a send at `now`.
    #[must_use]
    pub fn judge(&self, rules: Rules, now: Timestamp) -> Verdict {
        let full_until = rules
            .quota
            .and_then(|quota| self.window.full_until(quota, now));
        let is_low = rules
            .conversion
            .is_some_and(|rule| self.outcomes.are_low(rule));
        let is_chosen = self.held >= HELD_ONE_IN - 1;
        match full_until {
            Some(until) if is_low && !is_chosen => Verdict::Full(until.max(now + HELD_SECONDS)),
            Some(until) => Verdict::Full(until),
            None if !is_low => Verdict::Free,
            None if is_chosen => Verdict::Chosen,
            None => Verdict::Held,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const RULE: ConversionRule = ConversionRule {
        percent: 10,
        window: 100,
    };

    #[test]
    fn nothing_is_held_back_before_the_window_is_full_or_while_enough_are_approved() {
        let low = |approved: usize, known: usize| {
            Outcomes((0..known).map(|at| at < approved).collect()).are_low(RULE)
        };
        assert_eq!(
            [low(0, 99), low(0, 100), low(9, 100), low(10, 100)],
            [false, true, true, false]
        );
        assert_eq!(
            ConversionRule {
                percent: 1,
                window: 10
            }
            .approved_min(),
            1,
            "a share is never rounded to nothing"
        );
    }

    #[test]
    fn the_window_of_outcomes_slides() {
        let mut outcomes = Outcomes::default();
        outcomes.learn([true; 100], RULE);
        outcomes.learn([false; 90], RULE);
        assert_eq!(
            (
                outcomes.known(),
                outcomes.approved(),
                outcomes.are_low(RULE)
            ),
            (100, 10, false)
        );
        outcomes.learn([false], RULE);
        assert!(outcomes.are_low(RULE));
        outcomes.learn([true; 10], RULE);
        assert_eq!(
            (outcomes.approved(), outcomes.are_low(RULE)),
            (10, false),
            "recovered"
        );
    }

    #[test]
    fn an_outcome_counts_after_ten_minutes_and_is_unknown_once_records_are_gone() {
        let sample = Sample {
            recipient: RecordKey([0; 12]),
            verification: VerificationNonce([0; 4]),
            at: NOW,
        };
        assert_eq!(sample.due(), NOW + 601);
        assert_eq!(sample.outcome(None, NOW + 601), Some(false));
        assert_eq!(sample.outcome(None, NOW + (RETENTION_SECONDS + 1)), None);
        assert_eq!(
            sample.outcome(Some(true), NOW + (RETENTION_SECONDS + 1)),
            Some(true)
        );
    }

    #[test]
    fn while_conversion_is_low_one_in_a_hundred_goes_out_and_a_full_window_counts_for_nothing() {
        let rules = Rules {
            quota: Some(Quota {
                sends: 1,
                seconds: 60,
            }),
            conversion: Some(RULE),
        };
        let mut scope = Scope {
            outcomes: Outcomes(vec![false; 100]),
            ..Scope::default()
        };
        assert_eq!(scope.judge(rules, NOW), Verdict::Held);
        assert_eq!(Verdict::Held.until(NOW), Some(NOW + 600));
        scope.held = 99;
        assert_eq!(scope.judge(rules, NOW), Verdict::Chosen);
        scope.window.moments = vec![NOW];
        assert_eq!(scope.judge(rules, NOW), Verdict::Full(NOW + 60));
        scope.held = 98;
        assert_eq!(
            scope.judge(rules, NOW),
            Verdict::Full(NOW + 600),
            "both apply: the later"
        );
        scope.outcomes = Outcomes(vec![true; 100]);
        assert_eq!(scope.judge(rules, NOW + 60), Verdict::Free);
    }
}
