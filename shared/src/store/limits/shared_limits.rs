//! The limits over many recipients that one message must pass.

use std::net::IpAddr;

use super::conversion_guard::guard::ConversionGuard;
use super::exceeded::Exceeded;
use super::rate_limit::RateLimit;
use super::spend_cap::SpendCap;
use crate::domain::address::Address;
use crate::domain::conversion::{ConversionScope, Sample};
use crate::domain::ids::RecordKey;
use crate::domain::money::{self, Money};
use crate::domain::policy::Policy;
use crate::domain::rate_limit::{self as rules, Limit, Quota};
use crate::domain::time::{HOUR_SECONDS, Timestamp};
use crate::store::attributes::Item;
use crate::store::{Store, StoreError};

/// The limits over many recipients that one message must pass.
#[derive(Clone, Default, Debug)]
pub struct SharedLimits {
    pub(super) client: Option<RateLimit>,
    pub(super) prefix: Option<RateLimit>,
    pub(super) country: Option<ConversionGuard>,
    pub(super) spend: Option<SpendCap>,
}

impl Store {
    /// The limits of a message of `app` to `to`.
    #[must_use]
    pub fn shared_limits(
        &self,
        app: &str,
        policy: &Policy,
        client_ip: Option<IpAddr>,
        to: &Address,
        price: Money,
        sample: Sample,
    ) -> SharedLimits {
        let key = |kind: &str, of: &[u8]| self.keyring.record_key(kind, &[app.as_bytes(), of]);
        let guard = |scope, key: RecordKey| {
            policy.conversion_min.map(|rule| ConversionGuard {
                scope,
                key,
                rule,
                sample,
            })
        };
        let client = client_ip.map(|ip| RateLimit {
            limit: Limit::Client,
            key: key("client", &rules::client_network(ip)),
            quota: Quota {
                sends: policy.client_sends_per_hour,
                seconds: HOUR_SECONDS,
            },
            guard: None,
        });
        let prefix = match to {
            Address::Phone(number) => {
                let key = key("prefix", rules::prefix(number.reveal()).as_bytes());
                Some(RateLimit {
                    limit: Limit::Prefix,
                    key,
                    quota: policy.prefix_sends,
                    guard: guard(ConversionScope::Prefix, key),
                })
            }
            Address::Email(_) => None,
        };
        let country = to.country().and_then(|country| {
            guard(ConversionScope::Country, key("country", country.as_bytes()))
        });
        SharedLimits {
            client,
            prefix,
            country,
            ..self.spend_limit(app, policy, price, sample.at)
        }
    }

    /// The limit of a message that no request asked for: the app's spend cap.
    #[must_use]
    pub fn spend_limit(
        &self,
        app: &str,
        policy: &Policy,
        price: Money,
        now: Timestamp,
    ) -> SharedLimits {
        let cap = policy.spend_per_day.filter(|_| price > Money::default());
        let day = money::day(now).to_be_bytes();
        let spend = cap.map(|cap| SpendCap {
            key: self.keyring.record_key("spend", &[app.as_bytes(), &day]),
            cap,
            price,
        });
        SharedLimits {
            spend,
            ..SharedLimits::default()
        }
    }

    /// Those of `limits` that would refuse a message now. Nothing is counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn exceeded(
        &self,
        limits: &SharedLimits,
        now: Timestamp,
    ) -> Result<Vec<Exceeded>, StoreError> {
        let windows = [&limits.client, &limits.prefix].into_iter().flatten();
        let keys: Vec<RecordKey> = windows
            .clone()
            .map(|window| window.key)
            .chain(limits.country.map(|guard| guard.key))
            .chain(limits.spend.map(|spend| spend.key))
            .collect();
        let items = self.batch_get(&keys, true).await?;
        let item = |key| items.get(&key).and_then(Option::as_ref);
        let windows = windows.filter_map(|window| {
            let item = item(window.key)?;
            let guard = window.guard.and_then(|guard| guard.exceeded(item, now));
            let full = window.exceeded(item, now);
            full.or(guard.map(Exceeded::held))
        });
        let country = limits
            .country
            .and_then(|guard| guard.exceeded(item(guard.key)?, now));
        let no_item = Item::default();
        let spend = limits.spend.and_then(|spend| {
            let item = item(spend.key).unwrap_or(&no_item);
            spend.exceeded(item, now)
        });
        let country = country.map(Exceeded::held);
        Ok(windows.chain(country).chain(spend).collect())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::conversion::ConversionRule;
    use crate::domain::email::EmailAddress;
    use crate::domain::ids::VerificationNonce;
    use crate::domain::phone::{Line, PhoneNumber};
    use crate::store::limits::reservation::{ReserveOrder, ReserveResult, ReserveTime};
    use crate::store::tests::{NOW, TestTable};
    use tokio::time::{Duration, Instant};

    /// Two sends of a client, three to a prefix, four messages of money.
    pub(in crate::store::limits) fn policy() -> Policy {
        Policy {
            client_sends_per_hour: 2,
            prefix_sends: Quota {
                sends: 3,
                seconds: 600,
            },
            spend_per_day: Money::of(0.20),
            conversion_min: Some(ConversionRule {
                percent: 10,
                window: 10,
            }),
            ..Policy::default()
        }
    }

    pub(in crate::store::limits) fn sample(n: u8, at: Timestamp) -> Sample {
        Sample {
            recipient: RecordKey([n; 12]),
            verification: VerificationNonce([n; 4]),
            at,
            salt: [n; 2],
        }
    }

    fn phone() -> Address {
        Address::Phone(PhoneNumber::from_stored("+33612345678", "FR", Line::Mobile))
    }

    /// The limits of message `n`, which the client with the last byte `ip` requests.
    pub(in crate::store::limits) fn limits(store: &Store, n: u8, ip: u8) -> SharedLimits {
        let ip = IpAddr::from([203, 0, 113, ip]);
        let price = Money::of(0.05).expect("a price");
        store.shared_limits("shop", &policy(), Some(ip), &phone(), price, sample(n, NOW))
    }

    /// Time for all that a test does.
    pub(in crate::store::limits) fn in_a_minute() -> ReserveTime {
        let until = Instant::now() + Duration::from_secs(60);
        ReserveTime {
            until,
            release_until: until,
        }
    }

    pub(in crate::store::limits) async fn reserve(
        store: &Store,
        limits: &SharedLimits,
        order: ReserveOrder,
    ) -> ReserveResult {
        let reserved = store.reserve(RecordKey([1; 12]), limits, order, in_a_minute(), NOW);
        reserved.await.expect("a response")
    }

    #[tokio::test]
    async fn message_has_the_limits_that_concern_it() {
        let store = TestTable::start().await.store();
        let price = Money::of(0.05).expect("a price");
        let of = |policy: &Policy, ip: Option<IpAddr>, to: &Address, price| {
            let limits = store.shared_limits("shop", policy, ip, to, price, sample(1, NOW));
            let has_guard = limits.prefix.is_some_and(|prefix| prefix.guard.is_some());
            [
                limits.client.is_some(),
                limits.prefix.is_some(),
                has_guard,
                limits.country.is_some(),
                limits.spend.is_some(),
            ]
        };
        let ip = Some(IpAddr::from([203, 0, 113, 1]));
        assert_eq!(of(&policy(), ip, &phone(), price), [true; 5]);
        let email = Address::Email(EmailAddress::from_stored("a@example.com".into()));
        let of_email = of(&policy(), None, &email, Money::default());
        assert_eq!(of_email, [false; 5]);
        let without = Policy {
            spend_per_day: None,
            conversion_min: None,
            ..policy()
        };
        let expected = [true, true, false, false, false];
        assert_eq!(of(&without, ip, &phone(), price), expected);
    }

    #[tokio::test]
    async fn limits_are_those_of_one_app_and_day() {
        let store = TestTable::start().await.store();
        let key = |app: &str, now| {
            let price = Money::of(0.05).expect("a price");
            let limits = store.spend_limit(app, &policy(), price, now);
            limits.spend.map(|spend| spend.key)
        };
        assert_eq!(key("shop", NOW), key("shop", NOW + 60));
        assert_ne!(key("shop", NOW), key("bank", NOW));
        assert_ne!(key("shop", NOW), key("shop", NOW + 86_400));
        let limits = limits(&store, 1, 1);
        let keys = [
            limits.client.map(|limit| limit.key),
            limits.prefix.map(|limit| limit.key),
            limits.country.map(|limit| limit.key),
        ];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        let other = self::limits(&store, 2, 2);
        assert_ne!(other.client.map(|limit| limit.key), keys[0]);
        assert_eq!(other.prefix.map(|limit| limit.key), keys[1]);
    }

    #[tokio::test]
    async fn limits_that_would_refuse_are_named_uncounted() {
        let store = TestTable::start().await.store();
        let refusing = async |n, ip| {
            let exceeded = store.exceeded(&limits(&store, n, ip), NOW).await;
            let exceeded = exceeded.expect("a read").into_iter();
            exceeded
                .map(|exceeded| exceeded.limit.limit)
                .collect::<Vec<_>>()
        };
        for (n, ip) in [(1, 1), (2, 1), (3, 2)] {
            assert_eq!(refusing(n, ip).await, []);
            let limits = limits(&store, n, ip);
            let reserved = reserve(&store, &limits, ReserveOrder::AtOnce).await;
            assert!(
                matches!(reserved, ReserveResult::Reserved(_)),
                "{reserved:?}"
            );
        }
        assert_eq!(refusing(4, 1).await, [Limit::Client, Limit::Prefix]);
        assert_eq!(refusing(4, 2).await, [Limit::Prefix]);
        let price = Money::of(0.06).expect("a price");
        let dear = store.spend_limit("shop", &policy(), price, NOW);
        let exceeded = store.exceeded(&dear, NOW).await.expect("a read");
        assert_eq!(exceeded.len(), 1);
        assert_eq!(exceeded[0].limit.limit, Limit::Spend);
    }
}
