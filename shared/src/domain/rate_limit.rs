//! Rate limits: which limits exist, and sliding windows of sends.
//!
//! The table keeps the counts and decides in its conditions. These rules say what the counts mean.

use std::net::IpAddr;

use crate::domain::time::Timestamp;

/// A window is stored as at most this many timestamps, each the last send of a block of sends.
pub const BLOCKS_MAX: u32 = 100;
/// Digits at the end of a phone number in which the numbers of one prefix differ.
const PREFIX_SUFFIX_DIGITS: usize = 4;

/// What can refuse a send for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Too soon after the last send.
    Cooldown,
    /// Too many sends in an hour.
    RecipientHour,
    /// Too many sends in a day.
    RecipientDay,
    /// Too many wrong attempts in a day.
    GuessBudget,
    /// Too many sends of a client network in an hour.
    Client,
    /// Too many sends to neighbouring numbers, or too few of them approved.
    Prefix,
    /// Too few approved of those to the country.
    Country,
    /// The money of the day is spent.
    Spend,
}

impl Limit {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cooldown => "cooldown",
            Self::RecipientHour => "recipient_hour",
            Self::RecipientDay => "recipient_day",
            Self::GuessBudget => "guess_budget",
            Self::Client => "client",
            Self::Prefix => "prefix",
            Self::Country => "country",
            Self::Spend => "spend",
        }
    }
}

/// A send that a limit refuses, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitExceeded {
    /// Which one; where several apply, the one that ends last.
    pub limit: Limit,
    /// The first moment at which it no longer applies.
    pub until: Timestamp,
}

impl LimitExceeded {
    /// This one, or the one of `others` that ends last, if that is later.
    #[must_use]
    pub fn or_later(self, others: impl IntoIterator<Item = Self>) -> Self {
        others.into_iter().fold(self, |last, other| {
            if other.until > last.until {
                other
            } else {
                last
            }
        })
    }
}

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
    e164.get(..e164.len().saturating_sub(PREFIX_SUFFIX_DIGITS))
        .unwrap_or_default()
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
        self.sends
            .saturating_sub(others.saturating_mul(self.block_sends()))
            .max(1)
    }

    /// Sends up to this moment have left the window.
    #[must_use]
    pub fn edge(self, now: Timestamp) -> Timestamp {
        now - self.seconds
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
        let oldest = self
            .moments
            .get(quota.blocks() - 1)
            .filter(|at| **at > quota.edge(now))?;
        let is_full = quota.block_sends() == 1 || self.filled >= quota.last_block_sends();
        is_full.then(|| *oldest + quota.seconds)
    }

    /// Whether the next send begins a block. A block that has left the window is not added to.
    #[must_use]
    pub fn begins_block(&self, quota: Quota, now: Timestamp) -> bool {
        quota.block_sends() == 1
            || self.filled >= quota.block_sends()
            || self
                .moments
                .first()
                .is_none_or(|newest| *newest <= quota.edge(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

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
            let quota = Quota {
                sends,
                seconds: 600,
            };
            assert!(
                quota.blocks() <= 100 && quota.last_block_sends() >= 1,
                "{sends}"
            );
            let mut window = Window::default();
            for _ in 0..sends {
                assert_eq!(window.full_until(quota, NOW), None, "{sends}");
                add(&mut window, quota, NOW);
            }
            assert_eq!(window.full_until(quota, NOW), Some(NOW + 600), "{sends}");
            assert_eq!(window.full_until(quota, NOW + 600), None, "{sends}");
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
                now = now + gap;
                let within = |at: Timestamp| taken.iter().filter(|t: &&Timestamp| at.seconds_since(**t) < seconds).count();
                let end = window.full_until(quota, now);
                if let Some(end) = end {
                    prop_assert!(end > now);
                    prop_assert_eq!(window.full_until(quota, end), None);
                    prop_assert!(window.full_until(quota, end - 1).is_some());
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
    }

    #[test]
    fn a_network_is_what_one_subscriber_can_choose_from() {
        let network = |ip: &str| client_network(ip.parse().expect("an address"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_eq!(
            network("2001:db8:1:2200::1"),
            network("2001:db8:1:22ff:ffff::9"),
            "one /56"
        );
        assert_ne!(network("2001:db8:1:2200::1"), network("2001:db8:1:2300::1"));
    }

    #[test]
    fn neighbours_share_all_but_their_last_four_digits() {
        assert_eq!(prefix("+33612345678"), "+3361234");
        assert_eq!(prefix("+1"), "");
    }

    #[test]
    fn of_several_limits_the_last_end_counts() {
        let exceeded = |limit, seconds| LimitExceeded {
            limit,
            until: NOW + seconds,
        };
        let others = [
            exceeded(Limit::Prefix, 9),
            exceeded(Limit::Spend, 9),
            exceeded(Limit::Country, 3),
        ];
        let sooner = exceeded(Limit::Client, 5).or_later(others);
        assert_eq!(sooner, exceeded(Limit::Prefix, 9));
        let same = exceeded(Limit::Client, 9).or_later(others);
        assert_eq!(same, exceeded(Limit::Client, 9));
    }
}
