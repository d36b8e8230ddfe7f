//! Ended: a verification whose place was taken, and what is still told about it. Pure.

use super::{AttemptHash, Outcome, Status, Terms};
use crate::delivery::Delivery;
use crate::timestamp::Timestamp;

/// A verification whose place was taken: what is still told about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// What was agreed.
    pub terms: Terms,
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

impl Ended {
    /// What an attempt finds: the first answer again, or why it comes too late.
    #[must_use]
    pub fn outcome(&self, nonce: &[u8]) -> Outcome {
        let answered = self.answers.iter().find(|answer| answer.nonce == nonce).map(|answer| answer.outcome);
        answered.unwrap_or(Outcome { reason: self.status.refusal(), status: self.status, attempts_left: self.attempts_left() })
    }

    /// What was left at the end.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        self.terms.attempts_max.saturating_sub(self.attempts_used)
    }
}
