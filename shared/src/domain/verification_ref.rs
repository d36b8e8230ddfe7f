//! Reference to a verification of a recipient, current or past.

use crate::domain::delivery::Delivery;
use crate::domain::past_verification::PastVerification;
use crate::domain::time::Timestamp;
use crate::domain::verification::{Status, Verification, VerificationParams};

/// A verification of a recipient, current or past.
#[derive(Clone, Copy, Debug)]
pub enum VerificationRef<'a> {
    /// The current one.
    Current(&'a Verification),
    /// A past one.
    Past(&'a PastVerification),
}

impl VerificationRef<'_> {
    /// What was agreed at its start.
    #[must_use]
    pub fn params(&self) -> &VerificationParams {
        match self {
            Self::Current(verification) => &verification.params,
            Self::Past(ended) => &ended.params,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        match self {
            Self::Current(verification) => verification.status(now),
            Self::Past(ended) => ended.status,
        }
    }

    /// Attempts left, or that were left at its end.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        match self {
            Self::Current(verification) => verification.attempts_left(),
            Self::Past(ended) => ended.attempts_left(),
        }
    }

    /// Its messages, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        match self {
            Self::Current(verification) => &verification.deliveries,
            Self::Past(ended) => &ended.deliveries,
        }
    }
}
