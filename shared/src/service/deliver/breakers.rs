//! Circuit breakers: a carrier that failed five times in a row is skipped for 30 s, then gets one
//! probe.
//!
//! The state is shared by all workers through the table, because an instance knows only its own
//! calls. Within an instance a gate limits the calls in flight to those that may still fail. A
//! breaker that cannot be read or written never blocks sending.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::carrier::Receipt;
use crate::crypto::keyring::Keyring;
use crate::domain::ids::RecordKey;
use crate::platform::clock::Clock;
use crate::platform::logging::causes;
use crate::store::{BreakerState, Store};

/// Consecutive failures that open a breaker.
const FAILURES_MAX: u32 = 5;
/// How long it stays open, and how long a probe may take.
const OPEN_SECONDS: i64 = 30;
/// Longest time that a carrier's `Retry-After` keeps it out: the longest validity of a code.
const BUSY_SECONDS_MAX: i64 = 1800;

/// States of all breakers, by carrier.
pub(super) type States = BTreeMap<String, BreakerState>;

/// The breakers of all carriers, and this instance's gates.
pub struct Breakers {
    store: Store,
    key: RecordKey,
    clock: Clock,
    gates: Mutex<HashMap<String, Gate>>,
    /// Notified when a call ends.
    call_ended: Notify,
}

/// Calls of this instance to one carrier.
#[derive(Default)]
struct Gate {
    in_flight: u32,
    consecutive_failures: u32,
}

impl Breakers {
    /// The breakers in `store`.
    #[must_use]
    pub fn new(store: Store, keyring: &Keyring, clock: Clock) -> Self {
        let key = keyring.record_key("breakers", &[]);
        Self {
            store,
            key,
            clock,
            gates: Mutex::default(),
            call_ended: Notify::new(),
        }
    }

    /// All breakers; none if they cannot be read.
    pub(super) async fn read(&self) -> States {
        self.store
            .breakers(self.key, self.clock.now())
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(
                    error.kind = "breakers_unread",
                    error.cause = causes(&error),
                    "could not read the circuit breakers; sending without them"
                );
                States::new()
            })
    }

    /// A permit to call `carrier`, if its breaker allows a call. While as many calls are in flight
    /// as would open the breaker, a further one waits for their outcome, at most `wait`.
    pub(super) async fn enter<'b>(
        &'b self,
        states: &mut States,
        carrier: &'b str,
        wait: Duration,
    ) -> Option<CallPermit<'b>> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let call_ended = self.call_ended.notified();
            tokio::pin!(call_ended);
            call_ended.as_mut().enable();
            if !self.is_closed(states, carrier).await {
                return None;
            }
            if self.gates().entry(carrier.to_owned()).or_default().enter() {
                return Some(CallPermit {
                    breakers: self,
                    carrier,
                    is_success: None,
                });
            }
            if tokio::time::timeout_at(until, call_ended).await.is_err() {
                return None;
            }
            *states = self.read().await;
        }
    }

    /// Counts the outcome of a call and returns its permit. A carrier that answers, even with a
    /// permanent rejection, works.
    pub(super) async fn leave(
        &self,
        mut permit: CallPermit<'_>,
        states: &States,
        receipt: &Receipt,
    ) {
        let (now, carrier) = (self.clock.now(), permit.carrier);
        let is_success = match receipt {
            Receipt::Accepted | Receipt::Permanent => true,
            Receipt::Transient { .. } | Receipt::Misconfigured | Receipt::Unknown => false,
        };
        permit.is_success = Some(is_success);
        let busy_until = match receipt {
            Receipt::Transient {
                retry_after_seconds: Some(seconds),
            } => Some(now + (*seconds).min(BUSY_SECONDS_MAX)),
            _ => None,
        };
        let has_failures = states.get(carrier).is_some_and(|state| state.failures > 0);
        let written = match is_success {
            true if has_failures => self.store.close_breaker(self.key, carrier, now).await,
            true => Ok(()),
            false => {
                let open_until = now + OPEN_SECONDS;
                self.store
                    .count_carrier_failure(self.key, carrier, open_until, busy_until, now)
                    .await
            }
        };
        if let Err(error) = written {
            tracing::warn!(
                delivery.carrier = carrier,
                error.kind = "breaker_unwritten",
                error.cause = causes(&error),
                "could not write the outcome of a call to the circuit breaker"
            );
        }
        // Only now, so that a call that waits for this permit reads what was written.
        drop(permit);
    }

    /// Whether a call is allowed. After its time an open breaker allows one call: the probe.
    async fn is_closed(&self, states: &States, carrier: &str) -> bool {
        let now = self.clock.now();
        match states.get(carrier) {
            Some(state) if now < state.busy_until => false,
            Some(state) if state.failures >= FAILURES_MAX => {
                let open_until = now + OPEN_SECONDS;
                let probe = self
                    .store
                    .take_probe(self.key, carrier, state, open_until, now);
                now >= state.open_until && probe.await.unwrap_or(true)
            }
            _ => true,
        }
    }

    fn gates(&self) -> MutexGuard<'_, HashMap<String, Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit to call a carrier. It is returned when it is dropped, whatever became of the call: an
/// error, a panic or a cancelled request must not block the carrier in this instance.
#[must_use]
pub(super) struct CallPermit<'b> {
    breakers: &'b Breakers,
    carrier: &'b str,
    /// `None` as long as the outcome of the call is not known.
    is_success: Option<bool>,
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        let mut gates = self.breakers.gates();
        gates
            .entry(self.carrier.to_owned())
            .or_default()
            .leave(self.is_success);
        drop(gates);
        self.breakers.call_ended.notify_waiters();
    }
}

impl Gate {
    /// The calls in flight, if all of them fail, must not exceed the breaker's limit. One call is
    /// always allowed.
    fn enter(&mut self) -> bool {
        let may_fail = self.in_flight + self.consecutive_failures;
        let is_open = self.in_flight == 0 || may_fail < FAILURES_MAX;
        self.in_flight += u32::from(is_open);
        is_open
    }

    /// A call without a known outcome says nothing about the carrier.
    fn leave(&mut self, is_success: Option<bool>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.consecutive_failures = match is_success {
            Some(true) => 0,
            Some(false) => self.consecutive_failures.saturating_add(1),
            None => self.consecutive_failures,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_admits_no_more_calls_than_may_fail() {
        let mut gate = Gate::default();
        let entered = (0..20).filter(|_| gate.enter()).count();
        assert_eq!(entered, 5);
        gate.leave(Some(false));
        assert!(!gate.enter(), "four are out and one has failed");
        gate.leave(Some(true));
        assert!(
            gate.enter() && gate.enter() && !gate.enter(),
            "a success makes room"
        );
    }

    #[test]
    fn gate_always_admits_one_call() {
        let mut gate = Gate {
            in_flight: 0,
            consecutive_failures: 1000,
        };
        assert!(gate.enter() && !gate.enter());
        gate.leave(Some(true));
        assert_eq!((0..20).filter(|_| gate.enter()).count(), 5);
    }

    #[test]
    fn call_without_outcome_counts_for_nothing() {
        let mut gate = Gate {
            in_flight: 0,
            consecutive_failures: 3,
        };
        for _ in 0..20 {
            assert!(
                gate.enter() && gate.enter() && !gate.enter(),
                "two more may fail"
            );
            gate.leave(None);
            gate.leave(None);
        }
    }
}
