//! Circuit breakers: a carrier that failed five times in a row for a channel and country is skipped
//! there for 30 s, then gets one probe, and so on every 30 s. Failures of its account (credentials,
//! balance) count for all channels and countries.
//!
//! The state is shared by all workers through the table, because an instance knows only its own
//! calls. Within an instance a gate limits the calls in flight to those that may still fail. A
//! breaker that cannot be read or written never blocks sending.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::carrier::Receipt;
use crate::crypto::keyring::Keyring;
use crate::domain::channel::Channel;
use crate::domain::ids::RecordKey;
use crate::platform::clock::Clock;
use crate::platform::logging::causes;
use crate::store::{BreakerState, Store, StoreError};

/// Consecutive failures that open a breaker.
const FAILURES_MAX: u32 = 5;
/// How long it stays open, and how long a probe may take.
const OPEN_SECONDS: i64 = 30;
/// How long a delayed message is remembered at most: the longest validity of a code.
const RATE_LIMIT_SECONDS_MAX: i64 = 1800;
/// A breaker without a failure for this long is removed when another failure is written.
const STALE_AFTER_SECONDS: i64 = 600;
/// Most stale breakers that one write removes.
const STALE_REMOVED_MAX: usize = 8;
/// Most breakers that are kept. They are one item, which every delivery reads.
const BREAKERS_MAX: usize = 200;

/// States of all breakers, by scope.
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

/// What a call's outcome counts for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scopes {
    /// The carrier's account.
    account: String,
    /// The carrier, channel and country.
    destination: String,
}

impl Scopes {
    /// Of a call to `carrier`.
    pub(super) fn new(carrier: &str, channel: Channel, country: Option<&str>) -> Self {
        let (channel, country) = (channel.name(), country.unwrap_or("-"));
        Self {
            account: carrier.to_owned(),
            destination: format!("{carrier}/{channel}/{country}"),
        }
    }

    fn all(&self) -> [&String; 2] {
        [&self.account, &self.destination]
    }
}

/// Result of [`Breakers::enter`].
pub(super) enum Entry<'b> {
    /// The call is allowed.
    Permitted(CallPermit<'b>),
    /// The breaker is open, or the carrier delayed this recipient's message.
    Open,
    /// As many calls are in flight as would open the breaker, and the wait for one of them is over.
    Full,
}

/// Calls of this instance to one carrier, channel and country.
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

    /// Names of the carriers with an open breaker, for their account or for a channel and country.
    pub async fn open_carriers(&self) -> BTreeSet<String> {
        let states = self.read().await;
        let open = states
            .iter()
            .filter(|(_, state)| state.failures >= FAILURES_MAX);
        let carrier = |scope: &str| scope.split('/').next().unwrap_or(scope).to_owned();
        open.map(|(scope, _)| carrier(scope)).collect()
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

    /// A permit for a call, if the breakers of `scopes` allow it. While as many calls are in flight
    /// as would open a breaker, a further one waits for their outcome, at most until `wait_until`.
    pub(super) async fn enter(
        &self,
        states: &mut States,
        scopes: &Scopes,
        recipient: RecordKey,
        wait_until: Instant,
    ) -> Entry<'_> {
        loop {
            let call_ended = self.call_ended.notified();
            tokio::pin!(call_ended);
            call_ended.as_mut().enable();
            if self.delays(states, scopes, recipient) {
                return Entry::Open;
            }
            for scope in scopes.all() {
                if !self.is_closed(states, scope).await {
                    return Entry::Open;
                }
            }
            let destination = scopes.destination.clone();
            if self.gates().entry(destination).or_default().enter() {
                return Entry::Permitted(CallPermit {
                    breakers: self,
                    scopes: scopes.clone(),
                    is_success: None,
                });
            }
            let ended = tokio::time::timeout_at(wait_until, call_ended).await;
            if ended.is_err() {
                return Entry::Full;
            }
            *states = self.read().await;
        }
    }

    /// Counts the outcome of a call for `recipient` and returns its permit. A carrier that answers,
    /// even with a permanent rejection, works.
    pub(super) async fn leave(
        &self,
        mut permit: CallPermit<'_>,
        states: &States,
        recipient: RecordKey,
        receipt: &Receipt,
    ) {
        let scopes = &permit.scopes;
        let written = match receipt {
            Receipt::Accepted | Receipt::Permanent | Receipt::Blocked => {
                permit.is_success = Some(true);
                let open = scopes.all().into_iter();
                let open: Vec<_> = open.filter(|s| states.contains_key(*s)).cloned().collect();
                match open.is_empty() {
                    true => Ok(()),
                    false => {
                        let now = self.clock.now();
                        self.store.close_breakers(self.key, &open, now).await
                    }
                }
            }
            Receipt::Transient {
                retry_after_seconds: Some(seconds),
            } => {
                let recipient = short(recipient);
                self.count_rate_limit(states, &scopes.destination, &recipient, *seconds)
                    .await
            }
            Receipt::AccountRejected => {
                permit.is_success = Some(false);
                self.count_failure(states, &scopes.account).await
            }
            Receipt::Transient { .. } | Receipt::Misconfigured | Receipt::Unknown => {
                permit.is_success = Some(false);
                self.count_failure(states, &scopes.destination).await
            }
        };
        if let Err(error) = written {
            tracing::warn!(
                carrier = scopes.account,
                error.kind = "breaker_unwritten",
                error.cause = causes(&error),
                "could not write the outcome of a call to the circuit breaker"
            );
        }
        // Only now, so that a call that waits for this permit reads what was written.
        drop(permit);
    }

    async fn count_failure(&self, states: &States, scope: &str) -> Result<(), StoreError> {
        if states.len() >= BREAKERS_MAX && !states.contains_key(scope) {
            return Ok(());
        }
        let now = self.clock.now();
        let is_stale = |(_, state): &(&String, &BreakerState)| {
            state.open_until + STALE_AFTER_SECONDS < now && state.limited_until <= now
        };
        let stale = states.iter().filter(is_stale).map(|(stale, _)| stale);
        let stale: Vec<_> = stale
            .filter(|stale| *stale != scope)
            .take(STALE_REMOVED_MAX)
            .cloned()
            .collect();
        self.store
            .count_carrier_failure(self.key, scope, now + OPEN_SECONDS, &stale, now)
            .await
    }

    /// One delayed message says nothing about others: many carriers limit the rate of one number.
    /// Once the carrier delays the message of a second recipient, it is skipped.
    async fn count_rate_limit(
        &self,
        states: &States,
        scope: &str,
        recipient: &[u8],
        retry_after_seconds: i64,
    ) -> Result<(), StoreError> {
        let (now, state) = (self.clock.now(), states.get(scope));
        let is_second =
            state.is_some_and(|state| state.limited_until > now && state.limited_by != recipient);
        let is_open = state.is_some_and(|state| state.failures >= FAILURES_MAX);
        if is_second || is_open {
            let open_until = now + OPEN_SECONDS;
            return self
                .store
                .open_breaker(self.key, scope, FAILURES_MAX, open_until, now)
                .await;
        }
        let until = now + retry_after_seconds.clamp(0, RATE_LIMIT_SECONDS_MAX);
        self.store
            .note_rate_limit(self.key, scope, recipient, until, now)
            .await
    }

    /// Whether the carrier delayed the message of `recipient` until later.
    fn delays(&self, states: &States, scopes: &Scopes, recipient: RecordKey) -> bool {
        let state = states.get(&scopes.destination);
        state.is_some_and(|state| {
            state.limited_until > self.clock.now() && state.limited_by == short(recipient)
        })
    }

    /// Whether a call is allowed. After its time an open breaker allows one call: the probe.
    async fn is_closed(&self, states: &States, scope: &str) -> bool {
        let now = self.clock.now();
        match states.get(scope) {
            Some(state) if state.failures >= FAILURES_MAX => {
                if now < state.open_until {
                    return false;
                }
                let open_until = now + OPEN_SECONDS;
                self.store
                    .take_probe(self.key, scope, state, open_until, now)
                    .await
                    .unwrap_or(true)
            }
            _ => true,
        }
    }

    fn gates(&self) -> MutexGuard<'_, HashMap<String, Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// First bytes of a recipient's key, enough to tell two recipients apart.
fn short(recipient: RecordKey) -> [u8; 4] {
    let [a, b, c, d, ..] = recipient.0;
    [a, b, c, d]
}

/// A permit to call a carrier. It is returned when it is dropped, whatever became of the call: an
/// error, a panic or a cancelled request must not block the carrier in this instance.
#[must_use]
pub(super) struct CallPermit<'b> {
    breakers: &'b Breakers,
    scopes: Scopes,
    /// `None` as long as the outcome of the call is not known.
    is_success: Option<bool>,
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        let mut gates = self.breakers.gates();
        gates
            .entry(self.scopes.destination.clone())
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
