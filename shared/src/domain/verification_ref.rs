//! Reference to a verification of a recipient, current or past.

use crate::domain::delivery::{Cause, Delivery};
use crate::domain::past_verification::PastVerification;
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification::{MessageRequest, Verification};
use crate::domain::verification_params::VerificationParams;
use crate::domain::verification_status::Status;

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

    /// When it was last changed for the app: by a request for a message, an attempt or its end.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        match self {
            Self::Current(verification) => verification.changed_at(),
            Self::Past(past) => past.ended_at,
        }
    }

    /// Its requested messages, oldest first. Those of a past one are known from its deliveries.
    #[must_use]
    pub fn requests(&self) -> Vec<MessageRequest> {
        if let Self::Current(verification) = self
            && !verification.requests.is_empty()
        {
            return verification.requests.clone();
        }
        let deliveries = self.deliveries().iter();
        let requested = deliveries.filter(|delivery| delivery.cause == Cause::Requested);
        let request = |delivery: &Delivery| MessageRequest {
            tag: delivery.tag,
            channel: delivery.channel,
            at: match delivery.number {
                1 => self.params().created_at,
                _ => delivery.updated_at,
            },
        };
        requested.map(request).collect()
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
