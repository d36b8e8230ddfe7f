//! Rate limits: which limits there are, and windows of sends.
//!
//! A window slides: a send is allowed if fewer than the quota were made in the seconds before it.
//! The table stores the window and decides in a condition; these rules say what is stored, and
//! explain a rejection.
//!
//! Invariant: no window holds more sends than its quota. Up to [`EXACT_SENDS_MAX`] sends it holds
//! no fewer, and the announced end is the first moment at which a send is allowed.

use std::net::IpAddr;

use crate::domain::conversion::ConversionScope;
use crate::domain::time::Timestamp;

/// Up to this quota, each send has a slot of its own.
pub const EXACT_SENDS_MAX: u32 = 100;
/// Over it, sends are stored in about this many blocks: the item stays within one write unit.
const BLOCKS: u32 = 50;
/// Phone numbers that differ in this many last digits only have the same prefix.
const PREFIX_SUFFIX_DIGITS: usize = 4;

/// What can reject a send for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Too soon after the last send to the recipient.
    Cooldown,
    /// Too many sends to the recipient in an hour.
    RecipientHour,
    /// Too many sends to the recipient in a day.
    RecipientDay,
    /// Too many wrong attempts of the recipient in a day.
    GuessBudget,
    /// Too many sends of a client network in an hour.
    Client,
    /// Too many sends to one prefix.
    Prefix,
    /// Too few of the last sends to a prefix or country were approved.
    Conversion(ConversionScope),
    /// The app's spend cap of the day is reached.
    Spend,
    /// Too many wrong codes of a subject's factors in a day.
    FactorGuessBudget,
    /// Too many decisions of a subject are pending.
    Decisions,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Cooldown,
        Self::RecipientHour,
        Self::RecipientDay,
        Self::GuessBudget,
        Self::Client,
        Self::Prefix,
        Self::Conversion(ConversionScope::Prefix),
        Self::Conversion(ConversionScope::Country),
        Self::Spend,
        Self::FactorGuessBudget,
        Self::Decisions,
    ];

    /// Member `limit` of a problem document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cooldown => "cooldown",
            Self::RecipientHour => "recipient_hour",
            Self::RecipientDay => "recipient_day",
            Self::GuessBudget | Self::FactorGuessBudget => "guess_budget",
            Self::Client => "client",
            Self::Prefix => "prefix",
            Self::Conversion(_) => "conversion",
            Self::Spend => "spend",
            Self::Decisions => "decisions",
        }
    }

    /// Member `scope` of a problem document.
    #[must_use]
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::Conversion(scope) => Some(scope.name()),
            _ => None,
        }
    }
}

/// A limit that rejects a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitExceeded {
    /// Which limit.
    pub limit: Limit,
    /// The first moment at which it no longer applies.
    pub until: Timestamp,
}

impl LimitExceeded {
    /// This one, or the one of `others` that ends last, if it ends later.
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

/// The network of a client: the addresses that one subscriber can choose from. IPv4 /32, IPv6 /56.
/// An IPv4 address that is mapped to IPv6 is an IPv4 address.
#[must_use]
pub fn client_network(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets()[..7].to_vec(),
    }
}

/// The prefix of an E.164 number: the number without its last four digits.
#[must_use]
pub fn prefix(e164: &str) -> &str {
    e164.get(..e164.len().saturating_sub(PREFIX_SUFFIX_DIGITS))
        .unwrap_or_default()
}

/// At most `sends` in any `seconds`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Sends.
    pub sends: u32,
    /// Length of the window.
    pub seconds: i64,
}

impl Quota {
    /// Slots of the window: one for each send, or for each block of sends.
    #[must_use]
    pub fn slots(self) -> usize {
        usize::try_from(self.sends.div_ceil(self.block_sends())).unwrap_or(usize::MAX)
    }

    /// Sends of a full block; 1 if each send has a slot of its own.
    #[must_use]
    pub fn block_sends(self) -> u32 {
        if self.sends <= EXACT_SENDS_MAX {
            1
        } else {
            self.sends.div_ceil(BLOCKS)
        }
    }

    /// Sends that fit the newest block while all other blocks are in the window.
    #[must_use]
    pub fn last_block_sends(self) -> u32 {
        let others = u32::try_from(self.slots().saturating_sub(1)).unwrap_or(u32::MAX);
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

/// The stored sends of a window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// The last send of each slot, newest first.
    pub slots: Vec<Timestamp>,
    /// Sends of the newest block; not used if each send has a slot of its own.
    pub filled: u32,
}

impl Window {
    /// Until when `quota` allows no further send; `None` if it allows one at `now`.
    #[must_use]
    pub fn full_until(&self, quota: Quota, now: Timestamp) -> Option<Timestamp> {
        let oldest = self
            .slots
            .get(quota.slots() - 1)
            .filter(|at| **at > quota.edge(now))?;
        let is_full = quota.block_sends() == 1 || self.filled >= quota.last_block_sends();
        is_full.then(|| *oldest + quota.seconds)
    }

    /// Whether the next send starts a block. Nothing is added to a block that has left the window.
    #[must_use]
    pub fn starts_block(&self, quota: Quota, now: Timestamp) -> bool {
        quota.block_sends() == 1
            || self.filled >= quota.block_sends()
            || self
                .slots
                .first()
                .is_none_or(|newest| *newest <= quota.edge(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    /// What the table does with a send that passes the condition.
    fn add(window: &mut Window, quota: Quota, now: Timestamp) {
        if window.starts_block(quota, now) {
            window.slots.insert(0, now);
            window.slots.truncate(quota.slots());
            window.filled = 0;
        }
        window.slots[0] = now;
        window.filled += 1;
    }

    #[test]
    fn burst_of_any_size_is_exactly_the_quota() {
        for sends in [1, 2, 20, 99, 100, 101, 150, 199, 200, 1000, 1234] {
            let quota = Quota {
                sends,
                seconds: 600,
            };
            assert!(
                quota.slots() <= 100 && quota.last_block_sends() >= 1,
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
        #[test]
        fn no_window_holds_more_than_its_quota(
            sends in prop_oneof![1u32..12, 95u32..130],
            seconds in 1i64..400,
            gaps in proptest::collection::vec(0i64..40, 1..400),
        ) {
            let quota = Quota { sends, seconds };
            let (mut window, mut reserved, mut now) = (Window::default(), vec![], NOW);
            for gap in gaps {
                now = now + gap;
                let is_within = |at: &&Timestamp| now.seconds_since(**at) < seconds;
                let within = reserved.iter().filter(is_within).count();
                let end = window.full_until(quota, now);
                if let Some(end) = end {
                    prop_assert!(end > now);
                    prop_assert_eq!(window.full_until(quota, end), None);
                    prop_assert!(window.full_until(quota, end - 1).is_some());
                } else {
                    prop_assert!(within < sends as usize);
                }
                if quota.block_sends() == 1 {
                    prop_assert_eq!(end.is_none(), within < sends as usize);
                } else if within + (quota.block_sends() as usize) < sends as usize / 2 {
                    prop_assert_eq!(end, None, "far from full");
                }
                if end.is_none() {
                    add(&mut window, quota, now);
                    reserved.push(now);
                }
            }
        }
    }

    #[test]
    fn network_is_what_one_subscriber_can_choose_from() {
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
    fn prefix_omits_the_last_four_digits() {
        assert_eq!(prefix("+33612345678"), "+3361234");
        assert_eq!(prefix("+1"), "");
    }

    #[test]
    fn limit_that_ends_last_is_reported() {
        let exceeded = |limit, seconds| LimitExceeded {
            limit,
            until: NOW + seconds,
        };
        let others = [
            exceeded(Limit::Prefix, 9),
            exceeded(Limit::Spend, 9),
            exceeded(Limit::Conversion(ConversionScope::Country), 3),
        ];
        let sooner = exceeded(Limit::Client, 5).or_later(others);
        assert_eq!(sooner, exceeded(Limit::Prefix, 9));
        let same = exceeded(Limit::Client, 9).or_later(others);
        assert_eq!(same, exceeded(Limit::Client, 9));
    }

    #[test]
    fn names_of_limits_are_those_of_problems() {
        let named = Limit::ALL.map(|limit| (limit.name(), limit.scope()));
        let expected = [
            ("cooldown", None),
            ("recipient_hour", None),
            ("recipient_day", None),
            ("guess_budget", None),
            ("client", None),
            ("prefix", None),
            ("conversion", Some("prefix")),
            ("conversion", Some("country")),
            ("spend", None),
            ("guess_budget", None),
            ("decisions", None),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn large_quota_is_stored_in_fifty_blocks() {
        let shape = |sends| {
            let quota = Quota { sends, seconds: 60 };
            (quota.slots(), quota.block_sends(), quota.last_block_sends())
        };
        assert_eq!(shape(100), (100, 1, 1));
        assert_eq!(shape(101), (34, 3, 2));
        assert_eq!(shape(1000), (50, 20, 20));
    }
}
