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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::ids::DeliveryTag;
    use crate::domain::verification::tests::{attempt, verification};

    const FIRST: DeliveryTag = DeliveryTag([1; 4]);
    const SECOND: DeliveryTag = DeliveryTag([2; 4]);

    /// Two requested messages, and one of a second carrier between them.
    fn resent() -> Verification {
        let mut v = verification(5);
        v.text_reference = TextReference::from_bytes(b"KX");
        v.attempts = vec![attempt(1, false), attempt(2, false)];
        v.add_delivery(Channel::Sms, Cause::Requested, FIRST, Timestamp(1000));
        let other = DeliveryTag([9; 4]);
        v.add_delivery(Channel::Sms, Cause::SecondCarrier, other, Timestamp(1020));
        v.add_delivery(Channel::Voice, Cause::Requested, SECOND, Timestamp(1040));
        for delivery in &mut v.deliveries {
            delivery.updated_at = delivery.updated_at + 5;
        }
        v
    }

    #[test]
    fn current_and_past_verification_show_the_same() {
        let current = resent();
        let past = PastVerification::new(current.clone(), Timestamp(1100));
        let references = [
            VerificationRef::Current(&current),
            VerificationRef::Past(&past),
        ];
        for verification in references {
            assert_eq!(verification.attempts_left(), 3);
            assert_eq!(verification.params(), &current.params);
            assert_eq!(verification.text_reference(), current.text_reference);
            assert_eq!(verification.deliveries().len(), 3);
        }
        let changed = references.map(|verification| verification.changed_at());
        assert_eq!(changed, [1040, 1100].map(Timestamp));
        let statuses = references.map(|verification| verification.status(Timestamp(1041)));
        assert_eq!(statuses, [Status::Pending, Status::Superseded]);
    }

    #[test]
    fn requests_of_a_past_verification_follow_from_deliveries() {
        let mut current = resent();
        let request = |tag, channel, at| MessageRequest {
            tag,
            channel,
            at: Timestamp(at),
        };
        let first = request(FIRST, Channel::Sms, 1000);
        let stored = [first, request(SECOND, Channel::Voice, 1040)];
        assert_eq!(VerificationRef::Current(&current).requests(), stored);
        // The time of a later one is that of its last status.
        let derived = [first, request(SECOND, Channel::Voice, 1045)];
        current.requests.clear();
        assert_eq!(VerificationRef::Current(&current).requests(), derived);
        let mut past = PastVerification::new(current.clone(), Timestamp(1045));
        past.deliveries.clone_from(&current.deliveries);
        assert_eq!(VerificationRef::Past(&past).requests(), derived);
    }
}
