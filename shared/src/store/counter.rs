//! Counters over many recipients: the sends of a client network, a prefix, a country, and the money of a day.
//! Each has an item of its own and is taken in a conditional write without a read; a refused condition brings the item,
//! so a refusal costs no read either. Neither a number nor an address rests here.
//!
//! Write units of a take: 1 for a client network, a prefix and the money of a day; for a country 1, and up to 4 while
//! the outcomes of a hundred sends are awaited. A second write follows where a block of a window over 100 sends is full,
//! where outcomes have become known (with a read of their recipients, half a unit each), and while conversion is low.

use std::net::IpAddr;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure,
};

use super::item::{self, Item, blob, n};
use super::scope::{self, Refused, TakenOfScope};
use super::update::names_in;
use super::{Store, StoreError, store_error};
use crate::crypto::seal::RecordKey;
use crate::domain::address::Address;
use crate::domain::conversion::Rules;
use crate::domain::conversion::Sample;
use crate::domain::money::Money;
use crate::domain::policy::Policy;
use crate::domain::rate_limit::Limit;
use crate::domain::rate_limit::LimitExceeded;
use crate::domain::rate_limit::Quota;
use crate::domain::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use crate::domain::{money, rate_limit};
use crate::platform::random::random_bytes;

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

/// A conditional write: done, or refused by its condition, with the item as it is.
pub(super) enum Outcome {
    Done,
    Refused(Item),
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
            let key = self.seal.record_key(limit.name(), &[app.as_bytes(), scope]);
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
        let key = self.seal.record_key(
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
                let write = Write::default()
                    .set(format!("{SPENT} = if_not_exists({SPENT}, :zero) + :price"))
                    .when(format!(
                        "(attribute_not_exists({SPENT}) OR {SPENT} <= :room)"
                    ))
                    .value(":zero", n(0))
                    .value(":price", n(price.millionths()))
                    .value(":room", n(room));
                let outcome = self
                    .write(&counter.key, write, money::day_end(now) + DAY_SECONDS)
                    .await?;
                Ok(if matches!(outcome, Outcome::Done) {
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
                let write = Write::default()
                    .set(format!("{SPENT} = {SPENT} - :price"))
                    .when(format!("{SPENT} >= :price"))
                    .value(":price", n(price.millionths()));
                self.write_once(&taken.counter.key, write, money::day_end(now) + DAY_SECONDS)
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
                    .and_then(|there| scope::read(there, rules).scope.judge(rules, now).until(now)),
                Kind::Spend { price, budget } => {
                    let spent = there.map_or(0, |there| item::number(there, SPENT).unsigned_abs());
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
            wanted = wanted.keys(Item::from([(item::KEY.into(), blob(key))]));
        }
        let wanted = wanted
            .build()
            .map_err(|error| StoreError(error.to_string()))?;
        let read = self
            .client
            .batch_get_item()
            .request_items(&self.table, wanted)
            .send()
            .await;
        let output = read.map_err(|error| store_error(&error))?;
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
        let is = |there: &Item, key: &RecordKey| item::bytes(there, item::KEY) == key;
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

    /// One UpdateItem, under a random name that tells our own write, its answer lost and repeated by the SDK, from
    /// another's. Only where another came in between is something counted twice.
    pub(super) async fn write(
        &self,
        key: &RecordKey,
        write: Write,
        ttl: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let (name, call) = self.named_update(key, write, ttl);
        outcome(call.send().await, &name)
    }

    /// The same, and the SDK does not repeat it.
    pub(super) async fn write_once(
        &self,
        key: &RecordKey,
        write: Write,
        ttl: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let (name, call) = self.named_update(key, write, ttl);
        let once =
            aws_sdk_dynamodb::config::Config::builder().retry_config(RetryConfig::disabled());
        outcome(call.customize().config_override(once).send().await, &name)
    }

    fn named_update(
        &self,
        key: &RecordKey,
        write: Write,
        ttl: Timestamp,
    ) -> ([u8; 8], UpdateItemFluentBuilder) {
        let name: [u8; 8] = random_bytes();
        let write = write
            .set(format!("{} = :name, #{} = :ttl", item::WRITE, item::TTL))
            .when(format!(
                "(attribute_not_exists({0}) OR {0} <> :name)",
                item::WRITE
            ))
            .value(":name", blob(&name))
            .value(":ttl", n(ttl.0));
        let (condition, update) = (write.conditions.join(" AND "), write.update());
        let mut call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(item::KEY, blob(key));
        for token in names_in(&[&update, &condition]) {
            let attribute = token[1..].to_owned();
            call = call.expression_attribute_names(token, attribute);
        }
        for (token, value) in write.values {
            call = call.expression_attribute_values(token, value);
        }
        let call = call
            .update_expression(update)
            .condition_expression(condition)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        (name, call)
    }
}

fn outcome(
    sent: Result<UpdateItemOutput, SdkError<UpdateItemError>>,
    name: &[u8],
) -> Result<Outcome, StoreError> {
    let Err(error) = sent else {
        return Ok(Outcome::Done);
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
            let there = refused.item().cloned().unwrap_or_default();
            Ok(if item::bytes(&there, item::WRITE) == name {
                Outcome::Done
            } else {
                Outcome::Refused(there)
            })
        }
        _ => Err(store_error(&error)),
    }
}

/// What an UpdateItem sets and removes, under which conditions. A `#name` stands for the attribute called `name`, where that is a
/// word that DynamoDB reserves or begins with a digit.
#[derive(Default)]
pub(super) struct Write {
    set: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<String>,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Write {
    pub(super) fn set(mut self, assignments: String) -> Self {
        self.set.push(assignments);
        self
    }

    pub(super) fn remove(mut self, attribute: &str) -> Self {
        self.remove.push(format!("#{attribute}"));
        self
    }

    pub(super) fn when(mut self, condition: String) -> Self {
        self.conditions.push(condition);
        self
    }

    /// The whole update; spaces would count against the table's limit.
    pub(super) fn update(&self) -> String {
        let set = format!("SET {}", self.set.join(","));
        if self.remove.is_empty() {
            set
        } else {
            format!("{set} REMOVE {}", self.remove.join(","))
        }
    }

    pub(super) fn value(mut self, token: &'static str, value: AttributeValue) -> Self {
        self.values.push((token, value));
        self
    }
}
