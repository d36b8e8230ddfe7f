//! The carriers' breakers: one record for all of them, two numbers a carrier.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::item::{self, blob, n};
use super::{Store, StoreError, TTL_SECONDS, store_error};
use crate::crypto::seal::RecordKey;
use crate::domain::time::Timestamp;

/// Attribute names begin so, the carrier's name follows.
const FAILURES: &str = "f:";
const OPEN_UNTIL: &str = "u:";
const BUSY_UNTIL: &str = "w:";

/// What the workers know together of one carrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BreakerState {
    /// Failures since its last success.
    pub failures: u32,
    /// No call before this moment, once there are enough failures.
    pub open_until: Timestamp,
    /// No call before this moment, whatever else: it said so itself.
    pub busy_until: Timestamp,
}

impl Store {
    /// All breakers, by carrier.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn breakers(
        &self,
        key: &RecordKey,
        now: Timestamp,
    ) -> Result<BTreeMap<String, BreakerState>, StoreError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(item::KEY, blob(key))
            .send()
            .await;
        let output = read.map_err(|error| store_error(&error))?;
        let there = output
            .item()
            .filter(|there| item::number(there, item::TTL) > now.0);
        let mut states: BTreeMap<String, BreakerState> = BTreeMap::new();
        for name in there.into_iter().flat_map(|there| there.keys()) {
            let value = there.map_or(0, |there| item::number(there, name));
            if let Some(carrier) = name.strip_prefix(FAILURES) {
                states.entry(carrier.into()).or_default().failures =
                    u32::try_from(value).unwrap_or(u32::MAX);
            } else if let Some(carrier) = name.strip_prefix(OPEN_UNTIL) {
                states.entry(carrier.into()).or_default().open_until = Timestamp(value);
            } else if let Some(carrier) = name.strip_prefix(BUSY_UNTIL) {
                states.entry(carrier.into()).or_default().busy_until = Timestamp(value);
            }
        }
        Ok(states)
    }

    /// Counts a failure of `carrier`; should it open the breaker, then until `open_until`. A carrier that named a time is
    /// left alone until then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_carrier_failure(
        &self,
        key: &RecordKey,
        carrier: &str,
        open_until: Timestamp,
        busy_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = BreakerState {
            failures: 1,
            open_until,
            busy_until: busy_until.unwrap_or_default(),
        };
        let update = match busy_until {
            Some(_) => "SET #u = :u, #w = :w, #ttl = :ttl ADD #f :f",
            None => "SET #u = :u, #ttl = :ttl ADD #f :f",
        };
        self.write_breaker(key, carrier, update, &state, None, now)
            .await
            .map(|_| ())
    }

    /// Forgets the failures of `carrier`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_breaker(
        &self,
        key: &RecordKey,
        carrier: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_breaker(
            key,
            carrier,
            "SET #u = :u, #f = :f, #ttl = :ttl",
            &BreakerState {
                open_until: now,
                ..BreakerState::default()
            },
            None,
            now,
        )
        .await
        .map(|_| ())
    }

    /// Takes the one probe of an open breaker; `false` if another worker has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_probe(
        &self,
        key: &RecordKey,
        carrier: &str,
        seen: &BreakerState,
        open_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write_breaker(
            key,
            carrier,
            "SET #u = :u, #f = :f, #ttl = :ttl",
            &BreakerState {
                open_until,
                ..*seen
            },
            Some(seen),
            now,
        )
        .await
    }

    async fn write_breaker(
        &self,
        key: &RecordKey,
        carrier: &str,
        update: &str,
        state: &BreakerState,
        seen: Option<&BreakerState>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(item::KEY, blob(key))
            .update_expression(update)
            .expression_attribute_names("#u", format!("{OPEN_UNTIL}{carrier}"))
            .expression_attribute_names("#f", format!("{FAILURES}{carrier}"))
            .expression_attribute_names("#ttl", item::TTL)
            .expression_attribute_values(":u", n(state.open_until.0))
            .expression_attribute_values(":f", n(state.failures))
            .expression_attribute_values(":ttl", n((now + TTL_SECONDS).0));
        if update.contains("#w") {
            call = call
                .expression_attribute_names("#w", format!("{BUSY_UNTIL}{carrier}"))
                .expression_attribute_values(":w", n(state.busy_until.0));
        }
        if let Some(seen) = seen {
            call = call
                .condition_expression("#u = :seen AND #f = :f")
                .expression_attribute_values(":seen", n(seen.open_until.0));
        }
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(store_error(&error)),
            },
        }
    }
}
