//! A verification as it is found in its recipient's record, whether it is the one of now or one before it. Pure.

use crate::delivery::Delivery;
use crate::timestamp::Timestamp;
use crate::verification::{Ended, Status, Terms, Verification};

/// A verification of a recipient: the one of now, or one before it.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// The one of now.
    Now(&'a Verification),
    /// One before it.
    Before(&'a Ended),
}

impl Found<'_> {
    /// What was agreed at its start.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        match self {
            Self::Now(verification) => &verification.terms,
            Self::Before(ended) => &ended.terms,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        match self {
            Self::Now(verification) => verification.status(now),
            Self::Before(ended) => ended.status,
        }
    }

    /// Attempts left, or that were left at its end.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        match self {
            Self::Now(verification) => verification.attempts_left(),
            Self::Before(ended) => ended.attempts_left(),
        }
    }

    /// Its messages, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        match self {
            Self::Now(verification) => &verification.deliveries,
            Self::Before(ended) => &ended.deliveries,
        }
    }
}
