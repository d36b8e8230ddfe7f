//! Verification params: what was agreed when a verification was opened. They never change.

use crate::domain::channel::Channel;
use crate::domain::delivery::HANDOVER_MARGIN_SECONDS;
use crate::domain::ids::{BodyHash, IdempotencyKeyHash, SubjectKey, VerificationNonce};
use crate::domain::subject_id::SubjectId;
use crate::domain::time::Timestamp;

/// Purpose of a verification that names none.
pub const DEFAULT_PURPOSE: &str = "default";

/// What a payment shows and a check repeats (PSD2 dynamic linking).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Transaction {
    /// Amount, as shown to the person.
    pub amount: String,
    /// Currency, as shown to the person.
    pub currency: String,
    /// Payee, as shown to the person.
    pub payee: String,
}

/// The `Idempotency-Key` of a send and the body that it came with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Idempotency {
    /// Hash of the key.
    pub key: IdempotencyKeyHash,
    /// Hash of the body.
    pub body: BodyHash,
}

/// The subject for whom a recipient is verified, as it is stored.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VerificationSubject {
    /// Key of the subject's own record.
    pub key: SubjectKey,
    /// The id, sealed.
    pub sealed_id: Vec<u8>,
    /// The verification that it was sealed for: this one, or a newer one for the same subject.
    pub sealed_for: VerificationNonce,
    /// The id; `None` if the key that sealed it was removed.
    pub id: Option<SubjectId>,
    /// Whether an approval makes the subject the owner of the recipient (policy at the send).
    pub is_unique: bool,
    /// Whether the recipient belonged to another subject at the send.
    pub is_taken: bool,
}

impl VerificationSubject {
    /// Whether `other` is the same subject with the same sealed id.
    #[must_use]
    pub fn is_sealed_like(&self, other: &Self) -> bool {
        (self.key, self.sealed_for) == (other.key, other.sealed_for)
            && self.sealed_id == other.sealed_id
    }
}

/// What was agreed at the start; never changes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VerificationParams {
    /// Distinguishes it from the recipient's other verifications.
    pub nonce: VerificationNonce,
    /// The requested channel.
    pub channel: Channel,
    /// Fallback channels, in order.
    pub fallback: Vec<Channel>,
    /// Language tag of the text.
    pub locale: String,
    /// What is verified.
    pub purpose: String,
    /// What is paid.
    pub transaction: Option<Transaction>,
    /// The subject for whom the recipient is verified.
    pub subject: Option<VerificationSubject>,
    /// The app's reference, never interpreted.
    pub reference: Option<String>,
    /// Present if the send had an `Idempotency-Key`.
    pub idempotency: Option<Idempotency>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// From this moment on no code is right.
    pub expires_at: Timestamp,
    /// Attempts that it accepts: k, or what was left of the guess budget.
    pub attempts_max: u8,
}

impl VerificationParams {
    /// Whether a message may be handed over at `now`.
    #[must_use]
    pub fn is_in_time(&self, now: Timestamp) -> bool {
        now <= self.expires_at - HANDOVER_MARGIN_SECONDS
    }

    /// Whether a message that is requested at `at` can still be handed over.
    #[must_use]
    pub fn has_time_for_a_send(&self, at: Timestamp) -> bool {
        self.is_in_time(at + 1)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::verification::tests::verification;

    #[test]
    fn last_message_is_ten_seconds_before_the_expiry() {
        let params = verification(5).params;
        let last = params.expires_at - 10;
        assert!(params.is_in_time(last) && !params.is_in_time(last + 1));
        assert!(params.has_time_for_a_send(last - 1) && !params.has_time_for_a_send(last));
    }
}
