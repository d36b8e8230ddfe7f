//! Owners: stores and releases the subject that a recipient belongs to. Ownership is decided on the
//! recipient's own item, which serializes its verifications.
//!
//! Invariants: to store and to release an owner is one conditional write each. An item with an
//! owner has no TTL; one whose owner was released has one again.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{TTL, binary, number_value};
use super::expression::{Update, WriteResult};
use super::recipient_item::{HISTORY_UNTIL, IS_RECORDED, OWNER};
use super::recipients::Change;
use super::{Store, StoreError, TTL_SECONDS};
use crate::domain::ids::{RecordKey, SubjectKey, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;

impl Store {
    /// Stores the owner that an approval of the verification `nonce` made, and that the approval
    /// was recorded. Does nothing if the verification was replaced: the send that did so has stored
    /// the owner.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be stored.
    pub async fn store_owner(
        &self,
        key: RecordKey,
        nonce: VerificationNonce,
        owner: SubjectKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Update::when("nonce = :nonce AND attribute_not_exists(#is_recorded)")
            .set("#owner = :owner, #is_recorded = :true, #until = :until")
            .remove("#ttl")
            .name("#owner", OWNER)
            .name("#is_recorded", IS_RECORDED)
            .name("#until", HISTORY_UNTIL)
            .name("#ttl", TTL)
            .value(":nonce", binary(&nonce.0))
            .value(":owner", binary(&owner.0.0))
            .value(":true", AttributeValue::Bool(true))
            .value(":until", number_value((now + TTL_SECONDS).0));
        self.update(key, update, None).await.map(drop)
    }

    /// Ends the ownership of `owner`. One write; two more and a read if the owner is in effect, but
    /// not stored yet.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be released.
    pub async fn release_owner(
        &self,
        key: RecordKey,
        owner: SubjectKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Update::when("#owner = :owner")
            .remove("#owner, #until")
            .name("#owner", OWNER)
            .name("#until", HISTORY_UNTIL)
            .value(":owner", binary(&owner.0.0))
            .returning_item();
        let written = self.update(key, update, now + TTL_SECONDS);
        let (WriteResult::Written(item) | WriteResult::ConditionFailed(item)) = written.await?;
        let recipient = self.recipient_of(key, item.as_ref(), now)?;
        let Some(recipient) = recipient.filter(|recipient| recipient.owner() == Some(owner)) else {
            return Ok(());
        };
        let rule = |recipient: &mut Recipient| {
            if recipient.owner() != Some(owner) {
                return Ok(Change::Keep(()));
            }
            recipient.release_owner();
            Ok::<_, StoreError>(Change::Write(()))
        };
        self.modify(key, &recipient.app, now, rule).await
    }
}
