//! Counters over many recipients: the sends of a client network, a prefix, a country, and the money of a day.
//! Each has an item of its own and is taken in a conditional write without a read; a refused condition brings the item,
//! so a refusal costs no read either. Neither a number nor an address rests here.
//!
//! Write units of a take: 1 for a client network, a prefix and the money of a day; for a country 1, and up to 4 while
//! the outcomes of a hundred sends are awaited. A second write follows where a block of a window over 100 sends is full,
//! where outcomes have become known (with a read of their recipients, half a unit each), and while conversion is low.

mod guard;
mod sample_codec;
mod window;

use std::net::IpAddr;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use guard::{Refused, TakenOfScope};

use super::attributes::{self, Item, binary, number, number_value};
use super::expression::{Repeat, Update, WriteResult};
use super::{Store, StoreError};
use crate::domain::address::Address;
use crate::domain::conversion::Rules;
use crate::domain::conversion::Sample;
use crate::domain::ids::RecordKey;
use crate::domain::money::Money;
use crate::domain::policy::Policy;
use crate::domain::rate_limit::Limit;
use crate::domain::rate_limit::LimitExceeded;
use crate::domain::rate_limit::Quota;
use crate::domain::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use crate::domain::{money, rate_limit};

/// What was spent in a day, in millionths.
const SPENT: &str = "spent";

/// One of the limits that a send must pass beside its recipient's own.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// What it is called.
    pub limit: Limit,
    key: RecordKey,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Scope(Rules, Sample),
    Spend { price: Money, budget: Money },
}

/// A send was counted, or not.
#[derive(Clone, Debug)]
pub enum Take {
    /// It was, and may be given back.
    Taken(Taken),
    /// It was not.
    Refused {
        /// Nothing is allowed until then.
        until: Timestamp,
        /// The last place was taken a moment ago, by a send that may yet give it back.
        is_contested: bool,
    },
}

/// What a send took of a counter.
#[derive(Clone, Debug)]
pub struct Taken {
    counter: Counter,
    of_scope: TakenOfScope,
}

impl Store {
    /// The counters that a message to `to` must pass, in order: none takes anything if one before it refuses.
    #[must_use]
    pub fn counters(
        &self,
        app: &str,
        policy: &Policy,
        client: Option<IpAddr>,
        to: &Address,
        price: Money,
        sample: Sample,
    ) -> Vec<Counter> {
        let scope = |limit: Limit, scope: &[u8], quota: Option<Quota>| {
            // The conversion of a client network is nobody's: users share it at random.
            let conversion = policy.conversion_min.filter(|_| limit != Limit::Client);
            let key = self
                .keyring
                .record_key(limit.name(), &[app.as_bytes(), scope]);
            Counter {
                limit,
                key,
                kind: Kind::Scope(Rules { quota, conversion }, sample),
            }
        };
        let mut counters = vec![];
        if let Some(country) = to.country().filter(|_| policy.conversion_min.is_some()) {
            counters.push(scope(Limit::Country, country.as_bytes(), None));
        }
        if let Some(ip) = client {
            let quota = Quota {
                sends: policy.client_sends_per_hour,
                seconds: HOUR_SECONDS,
            };
            counters.push(scope(
                Limit::Client,
                &rate_limit::client_network(ip),
                Some(quota),
            ));
        }
        if let Address::Phone(number) = to {
            counters.push(scope(
                Limit::Prefix,
                rate_limit::prefix(number.reveal()).as_bytes(),
                Some(policy.prefix_sends),
            ));
        }
        counters.extend(self.spend_counter(app, policy, price, sample.at));
        counters
    }

    /// The counter of the money that `app` spends today; `None` where nothing is spent or there is no end to it.
    #[must_use]
    pub fn spend_counter(
        &self,
        app: &str,
        policy: &Policy,
        price: Money,
        now: Timestamp,
    ) -> Option<Counter> {
        let budget = policy.spend_per_day.filter(|_| price > Money::default())?;
        let key = self.keyring.record_key(
            Limit::Spend.name(),
            &[app.as_bytes(), &money::day(now).to_be_bytes()],
        );
        Some(Counter {
            limit: Limit::Spend,
            key,
            kind: Kind::Spend { price, budget },
        })
    }

    /// Counts a send.
    ///
    /// # Errors
    /// [`StoreError`]: it may have been counted all the same.
    pub async fn take(&self, counter: Counter, now: Timestamp) -> Result<Take, StoreError> {
        let taken = |of_scope: TakenOfScope| Take::Taken(Taken { counter, of_scope });
        match counter.kind {
            Kind::Scope(rules, sample) => {
                let take = self
                    .take_of_scope(&counter.key, rules, &sample, now)
                    .await?;
                Ok(take.map_or_else(
                    |Refused {
                         until,
                         is_contested,
                     }| Take::Refused {
                        until,
                        is_contested,
                    },
                    taken,
                ))
            }
            Kind::Spend { price, budget } => {
                let refused = Take::Refused {
                    until: money::day_end(now),
                    is_contested: false,
                };
                let Some(room) = budget.millionths().checked_sub(price.millionths()) else {
                    return Ok(refused);
                };
                let write = Update::default()
                    .set(format!("{SPENT} = if_not_exists({SPENT}, :zero) + :price"))
                    .and(format!(
                        "(attribute_not_exists({SPENT}) OR {SPENT} <= :room)"
                    ))
                    .value(":zero", number_value(0))
                    .value(":price", number_value(price.millionths()))
                    .value(":room", number_value(room));
                let outcome = self
                    .update(
                        counter.key,
                        write,
                        money::day_end(now) + DAY_SECONDS,
                        Repeat::BySdk,
                    )
                    .await?;
                Ok(if matches!(outcome, WriteResult::Written(_)) {
                    taken(TakenOfScope::default())
                } else {
                    refused
                })
            }
        }
    }

    /// Gives back what a send took that goes nowhere. It is tried once: to take out a send twice would let one more through.
    ///
    /// # Errors
    /// [`StoreError`]: it may still be counted.
    pub async fn give_back(&self, taken: &Taken, now: Timestamp) -> Result<(), StoreError> {
        match taken.counter.kind {
            Kind::Scope(rules, sample) => {
                self.give_back_to_scope(&taken.counter.key, rules, &sample, &taken.of_scope, now)
                    .await
            }
            Kind::Spend { price, .. } => {
                let write = Update::default()
                    .set(format!("{SPENT} = {SPENT} - :price"))
                    .and(format!("{SPENT} >= :price"))
                    .value(":price", number_value(price.millionths()));
                self.update(
                    taken.counter.key,
                    write,
                    money::day_end(now) + DAY_SECONDS,
                    Repeat::Never,
                )
                .await
                .map(|_| ())
            }
        }
    }

    /// Until when each of `counters` allows no send, where it does not; nothing is counted. In one read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counters_full(
        &self,
        counters: &[Counter],
        now: Timestamp,
    ) -> Result<Vec<LimitExceeded>, StoreError> {
        let keys: Vec<RecordKey> = counters.iter().map(|counter| counter.key).collect();
        let items = self.items(&keys, true).await?;
        let full_until = |counter: &Counter| {
            let there = items
                .iter()
                .find(|(key, _)| *key == counter.key)
                .and_then(|(_, there)| there.as_ref());
            match counter.kind {
                Kind::Scope(rules, _) => there
                    .and_then(|there| guard::read(there, rules).scope.judge(rules, now).until(now)),
                Kind::Spend { price, budget } => {
                    let spent = there.map_or(0, |there| number(there, SPENT).unsigned_abs());
                    (spent.saturating_add(price.millionths()) > budget.millionths())
                        .then(|| money::day_end(now))
                }
            }
        };
        Ok(counters
            .iter()
            .filter_map(|counter| {
                full_until(counter).map(|until| LimitExceeded {
                    limit: counter.limit,
                    until,
                })
            })
            .collect())
    }

    /// The items under `keys`, of which there may be a hundred and none twice: `None` where nothing is. Items that the
    /// table had no time for are left out.
    pub(super) async fn items(
        &self,
        keys: &[RecordKey],
        consistent: bool,
    ) -> Result<Vec<(RecordKey, Option<Item>)>, StoreError> {
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let mut wanted = KeysAndAttributes::builder().consistent_read(consistent);
        for key in keys {
            wanted = wanted.keys(Item::from([(attributes::KEY.into(), binary(&key.0))]));
        }
        let wanted = wanted.build().map_err(|error| StoreError::request(error))?;
        let read = self
            .client
            .batch_get_item()
            .request_items(&self.table, wanted)
            .send()
            .await;
        let output = read.map_err(StoreError::request)?;
        let mut found = output
            .responses
            .unwrap_or_default()
            .remove(&self.table)
            .unwrap_or_default();
        let left_out = output
            .unprocessed_keys
            .unwrap_or_default()
            .remove(&self.table)
            .map(|left| left.keys)
            .unwrap_or_default();
        let is = |there: &Item, key: &RecordKey| attributes::bytes(there, attributes::KEY) == key.0;
        let mut items = vec![];
        for key in keys
            .iter()
            .filter(|key| !left_out.iter().any(|left| is(left, key)))
        {
            let at = found.iter().position(|there| is(there, key));
            items.push((*key, at.map(|at| found.swap_remove(at))));
        }
        Ok(items)
    }
}
