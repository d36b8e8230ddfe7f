//! Breakers: one item for the circuit breakers of all carriers.

use std::collections::BTreeMap;

use super::attributes::{self, binary, number, number_value};
use super::expression::{Repeat, Update, WriteResult};
use super::{Store, StoreError, TTL_SECONDS};
use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;

// Attribute names are one of these and the carrier's name.
const FAILURES: &str = "failures:";
const OPEN_UNTIL: &str = "open_until:";
const BUSY_UNTIL: &str = "busy_until:";

/// What all workers know of one carrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BreakerState {
    /// Consecutive failures.
    pub failures: u32,
    /// With enough failures: no call before this moment.
    pub open_until: Timestamp,
    /// No call before this moment, because the carrier sent `Retry-After`.
    pub busy_until: Timestamp,
}

impl Store {
    /// States of all breakers, by carrier.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn breakers(
        &self,
        key: RecordKey,
        now: Timestamp,
    ) -> Result<BTreeMap<String, BreakerState>, StoreError> {
        let read = self.client.get_item().table_name(&self.table);
        let read = read.key(attributes::KEY, binary(&key.0)).send().await;
        let output = read.map_err(StoreError::request)?;
        let item = output
            .item()
            .filter(|item| number(item, attributes::TTL) > now.0);
        let mut states: BTreeMap<String, BreakerState> = BTreeMap::new();
        for (item, name) in item
            .into_iter()
            .flat_map(|item| item.keys().map(move |n| (item, n)))
        {
            let value = number(item, name);
            if let Some(carrier) = name.strip_prefix(FAILURES) {
                let failures = u32::try_from(value).unwrap_or(u32::MAX);
                states.entry(carrier.into()).or_default().failures = failures;
            } else if let Some(carrier) = name.strip_prefix(OPEN_UNTIL) {
                states.entry(carrier.into()).or_default().open_until = Timestamp(value);
            } else if let Some(carrier) = name.strip_prefix(BUSY_UNTIL) {
                states.entry(carrier.into()).or_default().busy_until = Timestamp(value);
            }
        }
        Ok(states)
    }

    /// Counts a failure of `carrier`. If that opens the breaker, it is open until `open_until`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_carrier_failure(
        &self,
        key: RecordKey,
        carrier: &str,
        open_until: Timestamp,
        busy_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = Update::default()
            .set("#failures = if_not_exists(#failures, :zero) + :one, #open_until = :open_until")
            .name("#failures", format!("{FAILURES}{carrier}"))
            .name("#open_until", format!("{OPEN_UNTIL}{carrier}"))
            .value(":zero", number_value(0))
            .value(":one", number_value(1))
            .value(":open_until", number_value(open_until.0));
        if let Some(busy_until) = busy_until {
            update = update
                .set("#busy_until = :busy_until")
                .name("#busy_until", format!("{BUSY_UNTIL}{carrier}"))
                .value(":busy_until", number_value(busy_until.0));
        }
        self.update(key, update, now + TTL_SECONDS, Repeat::BySdk)
            .await
            .map(drop)
    }

    /// Clears the failures of `carrier`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_breaker(
        &self,
        key: RecordKey,
        carrier: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Update::default()
            .set("#failures = :zero, #open_until = :now")
            .name("#failures", format!("{FAILURES}{carrier}"))
            .name("#open_until", format!("{OPEN_UNTIL}{carrier}"))
            .value(":zero", number_value(0))
            .value(":now", number_value(now.0));
        self.update(key, update, now + TTL_SECONDS, Repeat::BySdk)
            .await
            .map(drop)
    }

    /// Takes the one probe of an open breaker; `false` if another worker has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_probe(
        &self,
        key: RecordKey,
        carrier: &str,
        seen: &BreakerState,
        open_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = Update::when("#open_until = :seen AND #failures = :failures")
            .set("#open_until = :open_until")
            .name("#failures", format!("{FAILURES}{carrier}"))
            .name("#open_until", format!("{OPEN_UNTIL}{carrier}"))
            .value(":failures", number_value(seen.failures))
            .value(":seen", number_value(seen.open_until.0))
            .value(":open_until", number_value(open_until.0));
        let written = self
            .update(key, update, now + TTL_SECONDS, Repeat::BySdk)
            .await?;
        Ok(matches!(written, WriteResult::Written(_)))
    }
}
