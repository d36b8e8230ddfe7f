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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sealing::SealedFor;
    use crate::domain::verification_params::VerificationSubject;
    use crate::store::attributes::{bytes, number};
    use crate::store::tests::{
        KEY, NONCE, NOW, TestTable, keyring, opened, store_with_recipient, stored_item,
    };

    const OWNER_KEY: SubjectKey = SubjectKey(RecordKey([8; 12]));
    const OTHER: SubjectKey = SubjectKey(RecordKey([9; 12]));

    /// The stored owner, whether its approval is recorded, and the times at which the item and the
    /// rest of an owner's item end.
    async fn stored(store: &Store) -> (Vec<u8>, bool, i64, i64) {
        let item = stored_item(store, KEY).await.expect("an item");
        (
            bytes(&item, OWNER).to_vec(),
            item.contains_key(IS_RECORDED),
            number(&item, TTL),
            number(&item, HISTORY_UNTIL),
        )
    }

    /// A recipient that an approved verification for the subject made its own.
    fn approved() -> Recipient {
        let keyring = keyring(&["k1"]);
        let mut recipient = opened(&keyring);
        let current = recipient.current.as_mut().expect("a verification");
        current.params.subject = Some(VerificationSubject {
            key: OWNER_KEY,
            sealed_id: keyring.seal(SealedFor::Subject(KEY, NONCE), "user-1"),
            sealed_for: NONCE,
            id: Some("user-1".parse().expect("an id")),
            is_unique: true,
            is_taken: false,
        });
        assert!(recipient.approve(NOW));
        assert_eq!(recipient.owner(), Some(OWNER_KEY));
        recipient
    }

    #[tokio::test]
    async fn owner_is_stored_once_for_its_verification() {
        let table = TestTable::start().await;
        let store = store_with_recipient(&table, &approved()).await;
        let until = (NOW + TTL_SECONDS).0;
        let replaced = VerificationNonce([9; 4]);
        let result = store.store_owner(KEY, replaced, OWNER_KEY, NOW + 5).await;
        result.expect("a write");
        assert_eq!(stored(&store).await, (vec![], false, until, 0));
        for owner in [OWNER_KEY, OTHER] {
            let result = store.store_owner(KEY, NONCE, owner, NOW + 5).await;
            result.expect("a write");
            let expected = (OWNER_KEY.0.0.to_vec(), true, 0, until + 5);
            assert_eq!(stored(&store).await, expected);
        }
    }

    #[tokio::test]
    async fn stored_owner_is_released_by_its_subject() {
        let table = TestTable::start().await;
        let store = store_with_recipient(&table, &approved()).await;
        store
            .store_owner(KEY, NONCE, OWNER_KEY, NOW)
            .await
            .expect("a write");
        store.release_owner(KEY, OTHER, NOW).await.expect("a write");
        assert_eq!(stored(&store).await.0, OWNER_KEY.0.0);
        store
            .release_owner(KEY, OWNER_KEY, NOW + 7)
            .await
            .expect("a write");
        let until = (NOW + TTL_SECONDS).0;
        assert_eq!(stored(&store).await, (vec![], true, until + 7, 0));
        let recipient = store
            .load(KEY, "shop", NOW)
            .await
            .expect("a read")
            .recipient;
        assert_eq!(recipient.owner(), None);
    }

    #[tokio::test]
    async fn owner_that_is_not_stored_yet_is_released() {
        let table = TestTable::start().await;
        let store = store_with_recipient(&table, &approved()).await;
        let owner = async || {
            let stored = store.load(KEY, "shop", NOW).await.expect("a read");
            stored.recipient.owner()
        };
        store.release_owner(KEY, OTHER, NOW).await.expect("a write");
        assert_eq!(owner().await, Some(OWNER_KEY));
        store
            .release_owner(KEY, OWNER_KEY, NOW)
            .await
            .expect("a write");
        assert_eq!(owner().await, None);
        let unknown = RecordKey([1; 12]);
        store
            .release_owner(unknown, OWNER_KEY, NOW)
            .await
            .expect("a read");
        assert!(stored_item(&store, unknown).await.is_none());
    }
}
