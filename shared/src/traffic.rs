//! Traffic: what bounds the sends of an app over many recipients. Sliding windows, the conversion of a prefix or a
//! country, money.
//! Pure: the table keeps the counts and decides in its conditions; these rules say what the counts mean.

use std::net::IpAddr;

use crate::recipient::RETENTION_SECONDS;
use crate::timestamp::{DAY_SECONDS, Timestamp};

/// A window is kept as at most so many moments, each the last of a block of sends.
pub const BLOCKS_MAX: u32 = 100;
/// Sends of a scope whose outcome is awaited; while there are so many, further ones are no samples.
pub const SAMPLES_MAX: usize = 100;
/// While its conversion is low, one send in so many goes out to a scope.
pub const HELD_ONE_IN: u32 = 100;
/// What a send that is held back is told to wait: when its like are judged next.
pub const HELD_SECONDS: i64 = 600;
/// The age over which a send that was not approved counts as such.
const OUTCOME_SECONDS: i64 = 600;
/// Digits at the end of a number that its neighbours differ in.
const NEIGHBOUR_DIGITS: usize = 4;
const MILLION: f64 = 1e6;
/// Far over any budget, and whole millionths up to it are exact in an `f64`.
const UNITS_MAX: f64 = 1e9;

/// The client's network: what one subscriber can choose addresses from. IPv4 /32, IPv6 /56; an IPv4 address in IPv6
/// spelling is IPv4.
#[must_use]
pub fn client_network(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets()[..7].to_vec(),
    }
}

/// What neighbouring numbers share: an E.164 number without its last four digits.
#[must_use]
pub fn prefix(e164: &str) -> &str {
    e164.get(..e164.len().saturating_sub(NEIGHBOUR_DIGITS)).unwrap_or_default()
}

/// The first moment of the next day, UTC.
#[must_use]
pub fn day_end(now: Timestamp) -> Timestamp {
    Timestamp(day(now).saturating_add(1).saturating_mul(DAY_SECONDS))
}

/// The day, UTC, counted from 1970.
#[must_use]
pub fn day(now: Timestamp) -> i64 {
    now.0.div_euclid(DAY_SECONDS)
}

/// Money in the unit of the carriers' prices, kept in whole millionths, which add up without rounding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Money(u64);

impl Money {
    /// `units`, rounded to a millionth; `None` if negative, not a number, or more than anyone has.
    #[must_use]
    pub fn of(units: f64) -> Option<Self> {
        (0.0..=UNITS_MAX).contains(&units).then(|| Self((units * MILLION).round() as u64))
    }

    /// Reads decimal digits with at most one point among them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.starts_with(|c: char| c.is_ascii_digit()) && !text.ends_with('.');
        plain.then(|| text.parse().ok()).flatten().and_then(Self::of)
    }

    /// Millionths of the unit.
    #[must_use]
    pub fn millionths(self) -> u64 {
        self.0
    }

    /// Whole units, rounded down.
    #[must_use]
    pub fn units(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// Sends per seconds, sliding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// At most so many …
    pub sends: u32,
    /// … in any so many seconds.
    pub seconds: i64,
}

impl Quota {
    /// Moments that are kept: one a send, or one a block where there are too many.
    #[must_use]
    pub fn blocks(self) -> usize {
        usize::try_from(self.sends.div_ceil(self.block_sends())).unwrap_or(usize::MAX)
    }

    /// Sends of a full block.
    #[must_use]
    pub fn block_sends(self) -> u32 {
        self.sends.div_ceil(BLOCKS_MAX).max(1)
    }

    /// Sends of the newest block while all others lie within the window: what is left of the quota beside them.
    #[must_use]
    pub fn last_block_sends(self) -> u32 {
        let others = u32::try_from(self.blocks().saturating_sub(1)).unwrap_or(u32::MAX);
        self.sends.saturating_sub(others.saturating_mul(self.block_sends())).max(1)
    }

    /// Sends up to this moment have left the window.
    #[must_use]
    pub fn edge(self, now: Timestamp) -> Timestamp {
        now.plus(-self.seconds)
    }
}

/// The sends of a window, as they are kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// Last send of each block, newest first.
    pub moments: Vec<Timestamp>,
    /// Sends of the newest block; counts only where a block has more than one.
    pub filled: u32,
}

impl Window {
    /// Until when `quota` allows no further send; `None` if it allows one now.
    #[must_use]
    pub fn full_until(&self, quota: Quota, now: Timestamp) -> Option<Timestamp> {
        let oldest = self.moments.get(quota.blocks() - 1).filter(|at| **at > quota.edge(now))?;
        let is_full = quota.block_sends() == 1 || self.filled >= quota.last_block_sends();
        is_full.then(|| oldest.plus(quota.seconds))
    }

    /// Whether the next send begins a block. A block that has left the window is not added to.
    #[must_use]
    pub fn begins_block(&self, quota: Quota, now: Timestamp) -> bool {
        quota.block_sends() == 1 || self.filled >= quota.block_sends() || self.moments.first().is_none_or(|newest| *newest <= quota.edge(now))
    }
}

/// The least share of sends that must be approved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConversionMin {
    /// Of a hundred.
    pub percent: u32,
    /// Outcomes that are looked at; nothing is held back before there are so many.
    pub window: u32,
}

impl ConversionMin {
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
    pub recipient: [u8; 16],
    /// How the nonce of the verification begins.
    pub verification: [u8; 4],
    /// When it was sent.
    pub at: Timestamp,
}

impl Sample {
    /// The first moment at which its outcome counts.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.at.plus(OUTCOME_SECONDS + 1)
    }

    /// What became of it, if it counts at all: `approved` is `None` where nothing is known of the verification. That
    /// says nothing once records as old as this have been removed.
    #[must_use]
    pub fn outcome(&self, approved: Option<bool>, now: Timestamp) -> Option<bool> {
        approved.or_else(|| (now <= self.at.plus(RETENTION_SECONDS)).then_some(false))
    }
}

/// Known outcomes of the last sends of a scope, oldest first: approved or not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcomes(pub Vec<bool>);

impl Outcomes {
    /// Adds the outcomes of later sends, and forgets what `rule` does not look at.
    pub fn learn(&mut self, later: impl IntoIterator<Item = bool>, rule: ConversionMin) {
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
    pub fn are_low(&self, rule: ConversionMin) -> bool {
        self.known() >= rule.window && self.approved() < rule.approved_min()
    }
}

/// What is asked of the sends of a scope: one client network, one prefix, one country of one app.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// How many there may be.
    pub quota: Option<Quota>,
    /// How many must be approved.
    pub conversion: Option<ConversionMin>,
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
            Self::Held => Some(now.plus(HELD_SECONDS)),
            Self::Full(until) => Some(until),
        }
    }
}

impl Scope {
    /// What becomes of a send at `now`.
    #[must_use]
    pub fn judge(&self, rules: Rules, now: Timestamp) -> Verdict {
        let full_until = rules.quota.and_then(|quota| self.window.full_until(quota, now));
        let is_low = rules.conversion.is_some_and(|rule| self.outcomes.are_low(rule));
        let is_chosen = self.held >= HELD_ONE_IN - 1;
        match full_until {
            Some(until) if is_low && !is_chosen => Verdict::Full(until.max(now.plus(HELD_SECONDS))),
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
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const RULE: ConversionMin = ConversionMin { percent: 10, window: 100 };

    /// What the table does with a send that its condition lets through.
    fn add(window: &mut Window, quota: Quota, now: Timestamp) {
        if window.begins_block(quota, now) {
            window.moments.insert(0, now);
            window.moments.truncate(quota.blocks());
            window.filled = 0;
        }
        window.moments[0] = now;
        window.filled += 1;
    }

    #[test]
    fn a_burst_is_exactly_the_quota_whatever_its_size() {
        for sends in [1, 2, 20, 99, 100, 101, 150, 199, 200, 1000, 1234] {
            let quota = Quota { sends, seconds: 600 };
            assert!(quota.blocks() <= 100 && quota.last_block_sends() >= 1, "{sends}");
            let mut window = Window::default();
            for _ in 0..sends {
                assert_eq!(window.full_until(quota, NOW), None, "{sends}");
                add(&mut window, quota, NOW);
            }
            assert_eq!(window.full_until(quota, NOW), Some(NOW.plus(600)), "{sends}");
            assert_eq!(window.full_until(quota, NOW.plus(600)), None, "{sends}");
        }
    }

    proptest! {
        /// No window of the length of the quota ever holds more sends than it; up to a hundred sends it holds no fewer
        /// either, and the announced end is the first moment at which a send is allowed.
        #[test]
        fn no_window_holds_more_than_the_quota(
            sends in prop_oneof![1u32..12, 95u32..130], seconds in 1i64..400, gaps in proptest::collection::vec(0i64..40, 1..400),
        ) {
            let quota = Quota { sends, seconds };
            let (mut window, mut taken, mut now) = (Window::default(), vec![], NOW);
            for gap in gaps {
                now = now.plus(gap);
                let within = |at: Timestamp| taken.iter().filter(|t: &&Timestamp| at.since(**t) < seconds).count();
                let end = window.full_until(quota, now);
                if let Some(end) = end {
                    prop_assert!(end > now);
                    prop_assert_eq!(window.full_until(quota, end), None);
                    prop_assert!(window.full_until(quota, end.plus(-1)).is_some());
                } else {
                    prop_assert!(within(now) < sends as usize);
                }
                if quota.block_sends() == 1 {
                    prop_assert_eq!(end.is_none(), within(now) < sends as usize);
                } else if within(now) + (quota.block_sends() as usize) < sends as usize / 2 {
                    prop_assert_eq!(end, None, "far from full");
                }
                if end.is_none() {
                    add(&mut window, quota, now);
                    taken.push(now);
                }
            }
        }

        #[test]
        fn money_is_read_as_it_is_written(units in 0u32..1_000_000, millionths in 0u32..1_000_000) {
            let money = Money::parse(&format!("{units}.{millionths:06}"));
            prop_assert_eq!(money.map(Money::millionths), Some(u64::from(units) * 1_000_000 + u64::from(millionths)));
        }
    }

    #[test]
    fn money_that_is_none_is_refused_and_prices_add_up_exactly() {
        for wrong in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1.2.3", "NaN", "1,5", " 1", "99999999999999"] {
            assert_eq!(Money::parse(wrong), None, "{wrong}");
        }
        assert_eq!([Money::of(-0.1), Money::of(f64::NAN), Money::of(f64::INFINITY)], [None; 3]);
        assert_eq!(Money::of(0.1).map(|m| m.millionths() * 3), Money::parse("0.3").map(Money::millionths));
        assert_eq!(Money::parse("12.99").map(Money::units), Some(12));
    }

    #[test]
    fn a_network_is_what_one_subscriber_can_choose_from() {
        let network = |ip: &str| client_network(ip.parse().expect("an address"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_eq!(network("2001:db8:1:2200::1"), network("2001:db8:1:22ff:ffff::9"), "one /56");
        assert_ne!(network("2001:db8:1:2200::1"), network("2001:db8:1:2300::1"));
    }

    #[test]
    fn neighbours_share_all_but_their_last_four_digits() {
        assert_eq!(prefix("+33612345678"), "+3361234");
        assert_eq!(prefix("+1"), "");
    }

    #[test]
    fn a_day_ends_at_midnight() {
        assert_eq!(day_end(Timestamp(86_399)), Timestamp(86_400));
        assert_eq!(day_end(Timestamp(86_400)), Timestamp(172_800));
    }

    #[test]
    fn nothing_is_held_back_before_the_window_is_full_or_while_enough_are_approved() {
        let low = |approved: usize, known: usize| Outcomes((0..known).map(|at| at < approved).collect()).are_low(RULE);
        assert_eq!([low(0, 99), low(0, 100), low(9, 100), low(10, 100)], [false, true, true, false]);
        assert_eq!(ConversionMin { percent: 1, window: 10 }.approved_min(), 1, "a share is never rounded to nothing");
    }

    #[test]
    fn the_window_of_outcomes_slides() {
        let mut outcomes = Outcomes::default();
        outcomes.learn([true; 100], RULE);
        outcomes.learn([false; 90], RULE);
        assert_eq!((outcomes.known(), outcomes.approved(), outcomes.are_low(RULE)), (100, 10, false));
        outcomes.learn([false], RULE);
        assert!(outcomes.are_low(RULE));
        outcomes.learn([true; 10], RULE);
        assert_eq!((outcomes.approved(), outcomes.are_low(RULE)), (10, false), "recovered");
    }

    #[test]
    fn an_outcome_counts_after_ten_minutes_and_is_unknown_once_records_are_gone() {
        let sample = Sample { recipient: [0; 16], verification: [0; 4], at: NOW };
        assert_eq!(sample.due(), NOW.plus(601));
        assert_eq!(sample.outcome(None, NOW.plus(601)), Some(false));
        assert_eq!(sample.outcome(None, NOW.plus(RETENTION_SECONDS + 1)), None);
        assert_eq!(sample.outcome(Some(true), NOW.plus(RETENTION_SECONDS + 1)), Some(true));
    }

    #[test]
    fn while_conversion_is_low_one_in_a_hundred_goes_out_and_a_full_window_counts_for_nothing() {
        let rules = Rules { quota: Some(Quota { sends: 1, seconds: 60 }), conversion: Some(RULE) };
        let mut scope = Scope { outcomes: Outcomes(vec![false; 100]), ..Scope::default() };
        assert_eq!(scope.judge(rules, NOW), Verdict::Held);
        assert_eq!(Verdict::Held.until(NOW), Some(NOW.plus(600)));
        scope.held = 99;
        assert_eq!(scope.judge(rules, NOW), Verdict::Chosen);
        scope.window.moments = vec![NOW];
        assert_eq!(scope.judge(rules, NOW), Verdict::Full(NOW.plus(60)));
        scope.held = 98;
        assert_eq!(scope.judge(rules, NOW), Verdict::Full(NOW.plus(600)), "both apply: the later");
        scope.outcomes = Outcomes(vec![true; 100]);
        assert_eq!(scope.judge(rules, NOW.plus(60)), Verdict::Free);
    }
}
