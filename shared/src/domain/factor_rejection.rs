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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::tests::challenge;
    use crate::domain::ids::{AttemptHash, AttemptNonce, DecisionNonce};
    use crate::domain::log_outcomes::judge;
    use crate::domain::log_outcomes::tests::{FewCodes, NOW, backup_codes, submitted, totp};
    use crate::domain::proof::Proof;
    use crate::domain::subject::{LogEntry, Subject};

    const CODES: FewCodes = FewCodes(1000);
    const WRONG: AttemptHash = AttemptHash([9; 16]);

    fn subject() -> Subject {
        let decision = |n: u8, is_denied| {
            let mut decision = challenge(u32::from(n), vec![vec![Proof::Totp]]);
            (decision.nonce, decision.is_denied) = (DecisionNonce([n; 8]), is_denied);
            (decision.created_at, decision.expires_at) = (NOW, NOW + 300);
            decision
        };
        Subject {
            factors: vec![totp(1), backup_codes(2)],
            decisions: vec![decision(1, false), decision(2, true)],
            ..Subject::default()
        }
    }

    fn reason(subject: &Subject, attempt: &FactorAttempt, now: Timestamp) -> Rejection {
        rejection(&judge(subject, &CODES), attempt, 1, now)
    }

    #[test]
    fn missing_or_expired_factor_is_unknown() {
        let of = |n| submitted(1, totp(n).id, WRONG);
        assert_eq!(reason(&subject(), &of(9), NOW), Rejection::UnknownFactor);
        assert_eq!(
            reason(&subject(), &of(1), NOW + 600),
            Rejection::UnknownFactor
        );
        assert_eq!(reason(&subject(), &of(1), NOW + 599), Rejection::Unsettled);
    }

    #[test]
    fn decision_must_be_known_and_not_denied() {
        let naming = |n: u8| {
            let mut attempt = submitted(1, totp(1).id, WRONG);
            attempt.attempt.decision = Some(DecisionNonce([n; 8]));
            attempt
        };
        let of = |n, now| reason(&subject(), &naming(n), now);
        assert_eq!(of(1, NOW), Rejection::Unsettled);
        assert_eq!(of(1, NOW + 300), Rejection::DecisionNotPending, "expired");
        assert_eq!(of(2, NOW), Rejection::DecisionNotPending);
        assert_eq!(of(3, NOW), Rejection::UnknownDecision);
    }

    #[test]
    fn unreadable_factor_is_rejected_before_a_lock() {
        let mut subject = subject();
        subject.wrong_app_codes = vec![NOW];
        let attempt = submitted(1, totp(1).id, WRONG);
        let locked = Rejection::Locked {
            until: NOW + 86_400,
        };
        assert_eq!(reason(&subject, &attempt, NOW), locked);
        let codes = submitted(1, backup_codes(2).id, WRONG);
        assert_eq!(
            reason(&subject, &codes, NOW),
            Rejection::Unsettled,
            "its own budget"
        );
        let secret = subject.factors[0].secret_mut().expect("a secret");
        secret.has_live_key = false;
        assert_eq!(reason(&subject, &attempt, NOW), Rejection::Unreadable);
    }

    #[test]
    fn repetition_is_known_for_its_time() {
        let keyed = |n| {
            let mut attempt = submitted(n, totp(1).id, WRONG);
            attempt.attempt.nonce = AttemptNonce::Keyed([n; 8]);
            attempt
        };
        let mut logged = subject();
        logged.factors[0].confirmed_at = Some(NOW);
        logged.log = vec![LogEntry::Check(submitted(1, totp(1).id, WRONG))];
        logged.log.push(LogEntry::Check(keyed(2)));
        let settled = judge(&logged, &CODES).settle(NOW);
        for subject in [logged, settled] {
            let judged = judge(&subject, &CODES);
            let is_known = |attempt: &FactorAttempt, seconds| {
                let now = NOW + seconds;
                let known = known(&judged, attempt, now);
                let rejection = rejection(&judged, attempt, 9, now);
                assert_eq!(matches!(rejection, Rejection::Known(_)), known.is_some());
                known.is_some_and(|known| known.submitted == *attempt)
            };
            let random = submitted(1, totp(1).id, WRONG);
            assert!(is_known(&random, 14) && !is_known(&random, 15));
            assert!(is_known(&keyed(2), 86_399) && !is_known(&keyed(2), 86_400));
            assert!(!is_known(&keyed(3), 0));
        }
    }
}
