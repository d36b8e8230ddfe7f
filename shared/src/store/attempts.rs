//! Attempts: appends one attempt to the log of a verification.

use super::attributes::{binary, number_value};
use super::expression::{Update, WriteResult};
use super::recipient_item::write_attempt;
use super::{Store, StoreError};
use crate::domain::attempt_log::Attempt;
use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;

/// The recipient after an attempt was appended, or as it is if the condition failed: the attempt
/// log decides either way.
#[derive(Debug)]
pub enum AttemptResult {
    /// What is stored.
    Logged(Box<Recipient>),
    /// There is no such recipient.
    UnknownRecipient,
}

impl Store {
    /// Appends `attempt` to the log of a pending verification that has attempts left. One write,
    /// whatever the outcome.
    ///
    /// # Errors
    /// [`StoreError`]: nothing may be said about the attempt.
    pub async fn append_attempt(
        &self,
        key: RecordKey,
        nonce: VerificationNonce,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<AttemptResult, StoreError> {
        let update = Update::when("nonce = :nonce AND expires_at > :now")
            .and("attribute_not_exists(canceled_at) AND attribute_not_exists(approved_at)")
            .and("size(attempts) < attempts_max")
            .append_to_log(attempt.nonce, write_attempt(attempt))
            .value(":nonce", binary(&nonce.0))
            .value(":now", number_value(now.0))
            .returning_item();
        let update = self.with_live_key(update, "code_key_id");
        let written = self.update(key, update, None).await?;
        let (WriteResult::Written(item) | WriteResult::ConditionFailed(item)) = written;
        let recipient = self.recipient_of(key, item.as_ref(), now)?;
        Ok(match recipient {
            Some(recipient) => AttemptResult::Logged(Box::new(recipient)),
            None => AttemptResult::UnknownRecipient,
        })
    }
}
