//! PastVerification: a verification whose place was taken, and what is still told about it. Pure.

use crate::domain::delivery::Delivery;
use crate::domain::time::Timestamp;
use crate::domain::verification::{
    AttemptHash, KEYED_ATTEMPT_NONCE_LENGTH, Outcome, Status, Verification, VerificationParams,
};

/// A verification whose place was taken: what is still told about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastVerification {
    /// What was agreed.
    pub params: VerificationParams,
    /// How it ended; never `Pending`.
    pub status: Status,
    /// When its place was taken.
    pub ended_at: Timestamp,
    /// Attempts that it took.
    pub attempts_used: u8,
    /// Its messages, oldest first.
    pub deliveries: Vec<Delivery>,
    /// Outcomes of the attempts that carried an `Idempotency-Key`.
    pub answers: Vec<Answer>,
}

/// The first answer to a check with an `Idempotency-Key`, kept for its repetition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Derived from the key.
    pub nonce: Vec<u8>,
    /// What was presented.
    pub hash: AttemptHash,
    /// What was answered.
    pub outcome: Outcome,
}

impl PastVerification {
    /// What is kept of `verification` once another one replaces it.
    #[must_use]
    pub fn new(mut verification: Verification, now: Timestamp) -> Self {
        verification.leave_latest(now);
        let status = Some(verification.status(now))
            .filter(|status| *status != Status::Pending)
            .unwrap_or(Status::Superseded);
        let keyed = verification
            .attempts
            .iter()
            .filter(|attempt| attempt.nonce.len() == KEYED_ATTEMPT_NONCE_LENGTH);
        let answers = keyed.map(|attempt| Answer {
            nonce: attempt.nonce.clone(),
            hash: attempt.hash,
            outcome: verification.outcome(&attempt.nonce, now),
        });
        let (answers, attempts_used) = (answers.collect(), verification.attempts_used());
        Self {
            attempts_used,
            params: verification.params,
            status,
            ended_at: now,
            deliveries: verification.deliveries,
            answers,
        }
    }

    /// What an attempt finds: the first answer again, or why it comes too late.
    #[must_use]
    pub fn outcome(&self, nonce: &[u8]) -> Outcome {
        let answered = self
            .answers
            .iter()
            .find(|answer| answer.nonce == nonce)
            .map(|answer| answer.outcome);
        answered.unwrap_or(Outcome {
            reason: self.status.refusal(),
            status: self.status,
            attempts_left: self.attempts_left(),
        })
    }

    /// What was left at the end.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        self.params.attempts_max.saturating_sub(self.attempts_used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::verification::tests::{attempt, verification};
    use crate::domain::verification::{Attempt, Reason};

    #[test]
    fn keyed_check_outcome_survives_the_end_of_the_verification() {
        let mut v = verification(5);
        v.attempts = vec![
            Attempt {
                nonce: vec![5; 9],
                ..attempt(5, false)
            },
            attempt(6, false),
        ];
        let first = v.outcome(&[5; 9], Timestamp(1002));
        let ended = PastVerification::new(v, Timestamp(1100));
        assert_eq!(ended.status, Status::Superseded);
        assert_eq!(ended.outcome(&[5; 9]), first);
        assert_eq!(
            ended.outcome(&[6; 8]).reason,
            Some(Reason::Superseded),
            "without a key nothing is kept"
        );
        assert_eq!(ended.attempts_left(), 3);
    }
}
