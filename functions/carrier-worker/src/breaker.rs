//! Breakers: a carrier that failed five times in a row is passed over for 30 s, then gets one probe.
//! Shared by all workers through the table, since an instance knows only itself; within an instance a gate keeps the
//! calls that are not answered yet to the few that may still fail. A breaker that cannot be read or written never keeps
//! a message back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use otp::carrier::Receipt;
use otp::crypto::seal::{Keyring, RecordKey};
use otp::platform::clock::Clock;
use otp::store::{BreakerState, Store};
use tokio::sync::Notify;

/// Failures in a row that open a breaker.
const FAILURES_MAX: u32 = 5;
/// How long it stays open, and how long a probe may take.
const OPEN_SECONDS: i64 = 30;

/// The longest that a carrier's `Retry-After` keeps it out: as long as a code lives.
const BUSY_SECONDS_MAX: i64 = 1800;

/// All breakers, by carrier.
pub(crate) type States = BTreeMap<String, BreakerState>;

/// The breakers' record, and this instance's gates.
pub(crate) struct Breakers {
    store: Store,
    key: RecordKey,
    clock: Clock,
    gates: Mutex<HashMap<String, Gate>>,
    /// A call has ended.
    ended: Notify,
}

/// Calls of this instance to one carrier.
#[derive(Default)]
struct Gate {
    unanswered: u32,
    failures_in_a_row: u32,
}

impl Breakers {
    pub(crate) fn new(store: Store, seal: &Keyring, clock: Clock) -> Self {
        let key = seal.record_key("breakers", &[]);
        Self {
            store,
            key,
            clock,
            gates: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// All breakers; none, if they cannot be read.
    pub(crate) async fn read(&self) -> States {
        self.store
            .breakers(&self.key, self.clock.now())
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(
                    error.kind = "breakers_unread",
                    error.cause = error.0,
                    "sending goes on without breakers"
                );
                States::new()
            })
    }

    /// A place at the gate of `carrier`, if it may be called now. While as many calls are unanswered as would open the breaker, a
    /// further one waits for their outcome, at most `wait`.
    pub(crate) async fn enter<'b>(
        &'b self,
        states: &mut States,
        carrier: &'b str,
        wait: Duration,
    ) -> Option<Place<'b>> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if !self.is_closed(states, carrier).await {
                return None;
            }
            if self.gates().entry(carrier.to_owned()).or_default().let_in() {
                return Some(Place {
                    breakers: self,
                    carrier,
                    works: None,
                });
            }
            if tokio::time::timeout_at(until, ended).await.is_err() {
                return None;
            }
            *states = self.read().await;
        }
    }

    /// Counts what a call came to, and frees its place. A carrier that answers, even with a permanent refusal, works.
    pub(crate) async fn leave(&self, mut place: Place<'_>, states: &States, receipt: &Receipt) {
        let (now, carrier) = (self.clock.now(), place.carrier);
        let works = match receipt {
            Receipt::Accepted | Receipt::Permanent => true,
            Receipt::Transient { .. } | Receipt::Misconfigured | Receipt::Unknown => false,
        };
        place.works = Some(works);
        let busy_until = match receipt {
            Receipt::Transient {
                retry_after_seconds: Some(seconds),
            } => Some(now + ((*seconds).min(BUSY_SECONDS_MAX))),
            _ => None,
        };
        let failed_before = states.get(carrier).is_some_and(|state| state.failures > 0);
        let written = match works {
            true if failed_before => self.store.close_breaker(&self.key, carrier, now).await,
            true => Ok(()),
            false => {
                self.store
                    .count_carrier_failure(&self.key, carrier, now + OPEN_SECONDS, busy_until, now)
                    .await
            }
        };
        if let Err(error) = written {
            tracing::warn!(
                error.kind = "breaker_unwritten",
                error.cause = error.0,
                "a carrier's outcome was not counted"
            );
        }
        // Only now, so that whoever waits for the place reads what was written.
        drop(place);
    }

    /// After its time an open breaker lets one call through: whoever takes the probe.
    async fn is_closed(&self, states: &States, carrier: &str) -> bool {
        let now = self.clock.now();
        match states.get(carrier) {
            Some(state) if now < state.busy_until => false,
            Some(state) if state.failures >= FAILURES_MAX => {
                now >= state.open_until
                    && self
                        .store
                        .take_probe(&self.key, carrier, state, now + OPEN_SECONDS, now)
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

/// A call's place at a carrier's gate. It is free again once this is dropped, whatever became of the call: an error, a panic
/// or a caller that is gone must not shut the carrier out of this instance.
#[must_use]
pub(crate) struct Place<'b> {
    breakers: &'b Breakers,
    carrier: &'b str,
    /// Whether the carrier works, once that is known.
    works: Option<bool>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.breakers
            .gates()
            .entry(self.carrier.to_owned())
            .or_default()
            .let_out(self.works);
        self.breakers.ended.notify_waiters();
    }
}

impl Gate {
    /// The calls that are out, should they all fail, must not take the row past the breaker's limit. One may always go.
    fn let_in(&mut self) -> bool {
        let open = self.unanswered == 0 || self.unanswered + self.failures_in_a_row < FAILURES_MAX;
        self.unanswered += u32::from(open);
        open
    }

    /// A call without an answer says nothing of the carrier.
    fn let_out(&mut self, works: Option<bool>) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.failures_in_a_row = match works {
            Some(true) => 0,
            Some(false) => self.failures_in_a_row.saturating_add(1),
            None => self.failures_in_a_row,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_no_more_calls_than_may_fail() {
        let mut gate = Gate::default();
        let let_in = (0..20).filter(|_| gate.let_in()).count();
        assert_eq!(let_in, 5);
        gate.let_out(Some(false));
        assert!(!gate.let_in(), "four are out and one has failed");
        gate.let_out(Some(true));
        assert!(
            gate.let_in() && gate.let_in() && !gate.let_in(),
            "a success makes room"
        );
    }

    #[test]
    fn a_gate_never_shuts_for_good() {
        let mut gate = Gate {
            unanswered: 0,
            failures_in_a_row: 1000,
        };
        assert!(gate.let_in() && !gate.let_in());
        gate.let_out(Some(true));
        assert_eq!((0..20).filter(|_| gate.let_in()).count(), 5);
    }

    #[test]
    fn a_call_without_an_answer_leaves_its_place_and_counts_for_nothing() {
        let mut gate = Gate {
            unanswered: 0,
            failures_in_a_row: 3,
        };
        for _ in 0..20 {
            assert!(
                gate.let_in() && gate.let_in() && !gate.let_in(),
                "two more may fail"
            );
            gate.let_out(None);
            gate.let_out(None);
        }
    }
}
