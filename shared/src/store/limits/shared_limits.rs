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
