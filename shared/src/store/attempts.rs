//! Attempts: appends one attempt to the log of a verification.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{binary, number_value, text};
use super::expression::{Update, WriteResult};
use super::recipient_item::write_attempt;
use super::{Store, StoreError, TTL_SECONDS};
use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Attempt;

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
        let attempt_nonce = binary(&attempt.nonce.to_bytes());
        let mut update = Update::when("nonce = :nonce AND expires_at > :now")
            .and("attribute_not_exists(canceled_at) AND attribute_not_exists(approved_at)")
            .and("size(attempts) < attempts_max")
            .and("NOT contains(attempt_nonces, :attempt_nonce)")
            .set("attempts = list_append(attempts, :attempt)")
            .set("attempt_nonces = list_append(attempt_nonces, :attempt_nonces)")
            .value(":nonce", binary(&nonce.0))
            .value(":now", number_value(now.0))
            .value(":attempt", AttributeValue::L(vec![write_attempt(attempt)]))
            .value(
                ":attempt_nonces",
                AttributeValue::L(vec![attempt_nonce.clone()]),
            )
            .value(":attempt_nonce", attempt_nonce)
            .returning_item();
        let mut tokens = vec![];
        for (index, id) in self.keyring.seal_key_ids().enumerate() {
            let token = format!(":key{index}");
            update = update.value(token.clone(), text(id));
            tokens.push(token);
        }
        let update = update.and(format!("code_key_id IN ({})", tokens.join(", ")));
        let written = self.update(key, update, now + TTL_SECONDS).await?;
        let (WriteResult::Written(item) | WriteResult::ConditionFailed(item)) = written;
        let recipient = self.recipient_of(key, item.as_ref(), now)?;
        Ok(match recipient {
            Some(recipient) => AttemptResult::Logged(Box::new(recipient)),
            None => AttemptResult::UnknownRecipient,
        })
    }
}
