//! Reference to a verification of a recipient, current or past.

use crate::domain::delivery::Delivery;
use crate::domain::past_verification::PastVerification;
use crate::domain::status::Status;
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_params::VerificationParams;

/// A verification of a recipient, current or past.
#[derive(Clone, Copy, Debug)]
pub enum VerificationRef<'a> {
    /// The current one.
    Current(&'a Verification),
    /// A past one.
    Past(&'a PastVerification),
}

impl<'a> VerificationRef<'a> {
    /// What was agreed at its start.
    #[must_use]
    pub fn params(&self) -> &'a VerificationParams {
        match self {
            Self::Current(verification) => &verification.params,
            Self::Past(past) => &past.params,
        }
    }

    /// Its status at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        match self {
            Self::Current(verification) => verification.status(now),
            Self::Past(past) => past.status,
        }
    }

    /// Attempts left, or that were left at its end.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        match self {
            Self::Current(verification) => verification.attempts_left(),
            Self::Past(past) => past.attempts_left(),
        }
    }

    /// What its texts show beside the code.
    #[must_use]
    pub fn text_reference(&self) -> Option<TextReference> {
        match self {
            Self::Current(verification) => verification.text_reference,
            Self::Past(past) => past.text_reference,
        }
    }

    /// Its messages, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> &'a [Delivery] {
        match self {
            Self::Current(verification) => &verification.deliveries,
            Self::Past(past) => &past.deliveries,
        }
    }
}
