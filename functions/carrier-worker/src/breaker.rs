//! Breakers: a carrier that failed five times in a row is passed over for 30 s, then gets one probe.
//! Shared by all workers through the table, since an instance knows only itself. A breaker that cannot be read or
//! written never keeps a message back.

use std::collections::BTreeMap;

use otp::carrier::Receipt;
use otp::seal::{RecipientKey, Seal};
use otp::store::{BreakerState, Store};
use otp::timestamp::Timestamp;

/// Failures in a row that open a breaker.
const FAILURES_MAX: u32 = 5;
/// How long it stays open, and how long a probe may take.
const OPEN_SECONDS: i64 = 30;

/// All breakers, by carrier.
pub(crate) type States = BTreeMap<String, BreakerState>;

/// The breakers' record.
pub(crate) struct Breakers {
    store: Store,
    key: RecipientKey,
}

impl Breakers {
    pub(crate) fn new(store: Store, seal: &Seal) -> Self {
        Self { store, key: seal.record_key("breakers", &[]) }
    }

    /// All breakers; none, if they cannot be read.
    pub(crate) async fn read(&self, now: Timestamp) -> States {
        self.store.breakers(&self.key, now).await.unwrap_or_else(|error| {
            tracing::warn!(error.kind = "breakers_unread", error.cause = error.0, "sending goes on without breakers");
            States::new()
        })
    }

    /// Whether `carrier` may be called now. After its time an open breaker lets one call through: whoever takes the probe.
    pub(crate) async fn lets_through(&self, states: &States, carrier: &str, now: Timestamp) -> bool {
        match states.get(carrier) {
            Some(state) if state.failures >= FAILURES_MAX => {
                now >= state.open_until && self.store.take_probe(&self.key, carrier, state, now.plus(OPEN_SECONDS), now).await.unwrap_or(true)
            }
            _ => true,
        }
    }

    /// Counts what a call came to. A carrier that answers, even with a permanent refusal, works.
    pub(crate) async fn learn(&self, states: &States, carrier: &str, receipt: &Receipt, now: Timestamp) {
        let failed_before = states.get(carrier).is_some_and(|state| state.failures > 0);
        let written = match receipt {
            Receipt::Accepted | Receipt::Permanent if failed_before => self.store.close_breaker(&self.key, carrier, now).await,
            Receipt::Accepted | Receipt::Permanent => Ok(()),
            Receipt::Transient { .. } | Receipt::Misconfigured | Receipt::Unknown => {
                self.store.count_carrier_failure(&self.key, carrier, now.plus(OPEN_SECONDS), now).await
            }
        };
        if let Err(error) = written {
            tracing::warn!(error.kind = "breaker_unwritten", error.cause = error.0, "a carrier's outcome was not counted");
        }
    }
}
