//! A verification that was replaced, as history: how it ended and what is still shown of it.

use crate::domain::delivery::Delivery;
use crate::domain::ids::{AttemptHash, AttemptNonce, DecisionNonce};
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_params::VerificationParams;
use crate::domain::verification_status::{CheckOutcome, Status};

/// A verification that was replaced.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PastVerification {
    /// What was agreed at its start.
    pub params: VerificationParams,
    /// How it ended; never `Pending`.
    pub status: Status,
    /// When it was replaced.
    pub ended_at: Timestamp,
    /// Attempts that it used.
    pub attempts_used: u8,
    /// What its texts showed beside the code.
    pub text_reference: Option<TextReference>,
    /// Its messages, oldest first.
    pub deliveries: Vec<Delivery>,
    /// Outcomes of the checks that had an `Idempotency-Key`.
    pub recorded_checks: Vec<RecordedCheck>,
}

/// Outcome of a check with an `Idempotency-Key`, kept for its replay.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RecordedCheck {
    /// Derived from the key.
    pub nonce: AttemptNonce,
    /// What was submitted.
    pub hash: AttemptHash,
    /// The decision that it named.
    pub decision: Option<DecisionNonce>,
    /// What was answered.
    pub outcome: CheckOutcome,
}

impl PastVerification {
    /// What is kept of `verification` once another one replaces it.
    #[must_use]
    pub fn new(mut verification: Verification, now: Timestamp) -> Self {
        verification.finish_latest_delivery(now);
        let status = match verification.status(now) {
            Status::Pending => Status::Superseded,
            ended => ended,
        };
        let keyed = verification
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.nonce, AttemptNonce::Keyed(_)));
        let recorded_checks = keyed
            .map(|attempt| RecordedCheck {
                nonce: attempt.nonce,
                hash: attempt.hash,
                decision: attempt.decision,
                outcome: verification.outcome(attempt.nonce, now),
            })
            .collect();
        Self {
            status,
            ended_at: now,
            attempts_used: verification.attempts_used(),
            recorded_checks,
            text_reference: verification.text_reference,
            params: verification.params,
            deliveries: verification.deliveries,
        }
    }

    /// Outcome of the attempt `nonce`: the recorded one, or why it is too late.
    #[must_use]
    pub fn outcome(&self, nonce: AttemptNonce) -> CheckOutcome {
        let recorded = self
            .recorded_checks
            .iter()
            .find(|check| check.nonce == nonce);
        recorded.map(|check| check.outcome).unwrap_or(CheckOutcome {
            reason: self.status.rejection(),
            status: self.status,
            attempts_left: self.attempts_left(),
        })
    }

    /// Attempts that were left at its end.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        self.params.attempts_max.saturating_sub(self.attempts_used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt_log::Attempt;
    use crate::domain::verification::tests::{attempt, nonce, verification};
    use crate::domain::verification_status::Reason;

    #[test]
    fn keyed_check_outcome_survives_the_end() {
        let mut v = verification(5);
        let keyed = AttemptNonce::Keyed([5; 8]);
        v.attempts = vec![
            Attempt {
                nonce: keyed,
                ..attempt(5, false)
            },
            attempt(6, false),
        ];
        let first = v.outcome(keyed, Timestamp(1002));
        let past = PastVerification::new(v, Timestamp(1100));
        assert_eq!(past.status, Status::Superseded);
        assert_eq!(past.outcome(keyed), first);
        assert_eq!(
            past.outcome(nonce(6)).reason,
            Some(Reason::Superseded),
            "not kept without key"
        );
        assert_eq!(past.attempts_left(), 3);
    }
}
