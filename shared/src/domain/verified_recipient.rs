//! Verified recipients: the numbers and addresses that approved verifications proved for a subject.

use crate::domain::channel::Channel;
use crate::domain::ids::{AttemptNonce, DecisionNonce, RecordKey};
use crate::domain::time::Timestamp;

/// Recipients of a subject that are kept.
pub const RECIPIENTS_MAX: usize = 20;

/// A recipient that was verified for a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedRecipient {
    /// Key of the recipient's own record.
    pub recipient: RecordKey,
    /// The number or address, sealed.
    pub sealed_to: Vec<u8>,
    /// Channel of the latest approved verification.
    pub channel: Channel,
    /// Purpose of the latest approved verification.
    pub purpose: String,
    /// The first approval.
    pub first_verified_at: Timestamp,
    /// The latest approval.
    pub verified_at: Timestamp,
    /// Whether the subject is its owner.
    pub is_unique: bool,
    /// Number of the first decision that was made while it was verified.
    pub counts_from: u32,
}

/// An approved verification, as an entry of the subject's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Names the verification: an approval is recorded once.
    pub nonce: AttemptNonce,
    /// Key of the recipient's own record.
    pub recipient: RecordKey,
    /// The number or address, sealed.
    pub sealed_to: Vec<u8>,
    /// The channel that was requested at its start.
    pub channel: Channel,
    /// Its purpose.
    pub purpose: String,
    /// Whether the subject becomes the owner of the recipient.
    pub is_unique: bool,
    /// The decision that the check named.
    pub decision: Option<DecisionNonce>,
    /// When the right code was submitted.
    pub at: Timestamp,
}

/// Removal of a verified recipient, as an entry of the subject's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removal {
    /// Names the removal.
    pub nonce: AttemptNonce,
    /// Key of the recipient's own record.
    pub recipient: RecordKey,
}

/// An approval that was recorded: it is not recorded again, also once the recipient was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordedApproval {
    /// Names the verification.
    pub nonce: AttemptNonce,
    /// When it was approved.
    pub at: Timestamp,
}

impl VerifiedRecipient {
    /// The recipient of a first approval.
    #[must_use]
    pub fn new(approval: &Approval, counts_from: u32) -> Self {
        Self {
            recipient: approval.recipient,
            sealed_to: approval.sealed_to.clone(),
            channel: approval.channel,
            purpose: approval.purpose.clone(),
            first_verified_at: approval.at,
            verified_at: approval.at,
            is_unique: approval.is_unique,
            counts_from,
        }
    }

    /// Records a further approval.
    pub fn renew(&mut self, approval: &Approval) {
        self.is_unique |= approval.is_unique;
        if approval.at >= self.verified_at {
            self.sealed_to.clone_from(&approval.sealed_to);
            self.channel = approval.channel;
            self.purpose.clone_from(&approval.purpose);
            self.verified_at = approval.at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval(at: i64, channel: Channel, is_unique: bool) -> Approval {
        Approval {
            nonce: AttemptNonce::Random([1; 8]),
            recipient: RecordKey([2; 12]),
            sealed_to: vec![3],
            channel,
            purpose: channel.name().into(),
            is_unique,
            decision: None,
            at: Timestamp(at),
        }
    }

    #[test]
    fn latest_approval_is_shown_and_the_first_remembered() {
        let mut known = VerifiedRecipient::new(&approval(1000, Channel::Sms, false), 4);
        known.renew(&approval(1000, Channel::Voice, false));
        assert_eq!(
            (known.channel, known.purpose.as_str()),
            (Channel::Voice, "voice")
        );
        known.renew(&approval(2000, Channel::Whatsapp, true));
        known.renew(&approval(1500, Channel::Sms, false));
        let expected = VerifiedRecipient {
            first_verified_at: Timestamp(1000),
            ..VerifiedRecipient::new(&approval(2000, Channel::Whatsapp, true), 4)
        };
        assert_eq!(known, expected);
    }

    #[test]
    fn earlier_approval_makes_a_recipient_unique() {
        let mut known = VerifiedRecipient::new(&approval(1000, Channel::Sms, false), 1);
        known.renew(&approval(900, Channel::Sms, true));
        assert!(known.is_unique);
        assert_eq!(known.verified_at, Timestamp(1000));
    }
}
