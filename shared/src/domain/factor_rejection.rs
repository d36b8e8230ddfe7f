//! Factor rejection: the reasons why the table did not append an attempt to the log of its subject.
//!
//! Invariant: an attempt that was not appended was not compared. The reason follows from the stored
//! record alone.

use crate::domain::decision::DecisionStatus;
use crate::domain::factor::{FactorStatus, FactorType};
use crate::domain::log_outcomes::Judged;
use crate::domain::subject::{Budget, FactorAttempt, RememberedCheck, remembered_seconds};
use crate::domain::time::Timestamp;

/// Why an attempt was not appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// There is no such factor, or it has expired.
    UnknownFactor,
    /// An attempt with the same nonce is known.
    Known(Box<RememberedCheck>),
    /// The decision is not remembered.
    UnknownDecision,
    /// The decision is denied or expired.
    DecisionNotPending,
    /// The key that sealed the secret was removed.
    Unreadable,
    /// The budget of wrong codes is used up.
    Locked {
        /// When the first attempt is available again.
        until: Timestamp,
    },
    /// Once the record is settled the attempt can be appended.
    Unsettled,
}

/// Why `attempt` was not appended to the log whose outcomes are `judged`. `budget_max`: wrong codes
/// that are allowed in 24 h.
#[must_use]
pub fn rejection(
    judged: &Judged,
    attempt: &FactorAttempt,
    budget_max: u8,
    now: Timestamp,
) -> Rejection {
    let subject = &judged.subject;
    let Some(factor) = subject.factor(attempt.factor, now) else {
        return Rejection::UnknownFactor;
    };
    if let Some(known) = known(judged, attempt, now) {
        return Rejection::Known(Box::new(known));
    }
    if let Some(nonce) = attempt.attempt.decision {
        match subject.decision(nonce, now).map(|d| d.status(now)) {
            None => return Rejection::UnknownDecision,
            Some(DecisionStatus::Denied | DecisionStatus::Expired) => {
                return Rejection::DecisionNotPending;
            }
            Some(DecisionStatus::Pending | DecisionStatus::Approved) => {}
        }
    }
    if factor.status() == FactorStatus::Unreadable {
        return Rejection::Unreadable;
    }
    let budget = Budget::from(attempt.factor.kind().unwrap_or(FactorType::Totp));
    match subject.unlocks_at(budget, budget_max, now) {
        Some(until) => Rejection::Locked { until },
        None => Rejection::Unsettled,
    }
}

/// The attempt with the nonce of `attempt`, while it is remembered.
#[must_use]
pub fn known(judged: &Judged, attempt: &FactorAttempt, now: Timestamp) -> Option<RememberedCheck> {
    let nonce = attempt.attempt.nonce;
    let logged = judged
        .check(nonce)
        .map(|(submitted, outcome)| RememberedCheck {
            submitted: submitted.clone(),
            outcome: outcome.clone(),
        });
    let settled = || {
        let mut remembered = judged.subject.remembered.iter();
        let found = remembered.find(|check| check.submitted.attempt.nonce == nonce);
        found.cloned()
    };
    let known = logged.or_else(settled)?;
    let until = known.submitted.attempt.at + remembered_seconds(nonce);
    (now < until).then_some(known)
}
