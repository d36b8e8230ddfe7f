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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AttemptHash, AttemptNonce};
    use crate::store::recipients::StoredRecipient;
    use crate::store::tests::{KEY, NONCE, NOW, TestTable, keyring, opened, store_with_recipient};

    fn attempt(n: u8) -> Attempt {
        Attempt {
            nonce: AttemptNonce::Random([n; 8]),
            hash: AttemptHash([n; 16]),
            decision: None,
            at: NOW + i64::from(n),
            invocation: [n; 4],
        }
    }

    /// The log after attempt `n` on the verification `nonce`.
    async fn log(store: &Store, nonce: VerificationNonce, n: u8, now: Timestamp) -> Vec<Attempt> {
        let result = store.append_attempt(KEY, nonce, &attempt(n), now).await;
        match result.expect("a response") {
            AttemptResult::Logged(recipient) => recipient.current.expect("current").attempts,
            AttemptResult::UnknownRecipient => panic!("unknown recipient"),
        }
    }

    #[tokio::test]
    async fn attempts_are_appended_once_up_to_the_maximum() {
        let table = TestTable::start().await;
        let store = store_with_recipient(&table, &opened(&keyring(&["k1"]))).await;
        assert_eq!(log(&store, NONCE, 1, NOW).await, [attempt(1)]);
        let two = [attempt(1), attempt(2)];
        assert_eq!(log(&store, NONCE, 2, NOW).await, two);
        assert_eq!(log(&store, NONCE, 2, NOW).await, two, "a repetition");
        let other = VerificationNonce([9; 4]);
        assert_eq!(
            log(&store, other, 3, NOW).await,
            two,
            "of another verification"
        );
        let three = [attempt(1), attempt(2), attempt(3)];
        assert_eq!(log(&store, NONCE, 3, NOW + 299).await, three);
        assert_eq!(log(&store, NONCE, 4, NOW).await, three, "none is left");
    }

    #[tokio::test]
    async fn ended_verification_takes_no_attempt() {
        let keyring = keyring(&["k1"]);
        let mut canceled = opened(&keyring);
        assert!(canceled.cancel(NOW));
        let mut approved = opened(&keyring);
        assert!(approved.approve(NOW));
        for (recipient, now) in [
            (opened(&keyring), NOW + 300),
            (canceled, NOW),
            (approved, NOW),
        ] {
            let table = TestTable::start().await;
            let store = store_with_recipient(&table, &recipient).await;
            assert_eq!(log(&store, NONCE, 1, now).await, []);
        }
    }

    #[tokio::test]
    async fn code_without_live_key_takes_no_attempt() {
        let table = TestTable::start().await;
        let k1 = keyring(&["k1"]);
        store_with_recipient(&table, &opened(&k1)).await;
        let without = table.store_with(keyring(&["k2"]));
        assert_eq!(log(&without, NONCE, 1, NOW).await, []);
        let rotated = table.store_with(keyring(&["k1", "k2"]));
        assert_eq!(log(&rotated, NONCE, 1, NOW).await, [attempt(1)]);
    }

    #[tokio::test]
    async fn attempt_of_an_unknown_recipient_is_not_logged() {
        let table = TestTable::start().await;
        let store = table.store();
        let result = store.append_attempt(KEY, NONCE, &attempt(1), NOW).await;
        assert!(
            matches!(result, Ok(AttemptResult::UnknownRecipient)),
            "{result:?}"
        );
        let StoredRecipient { version, .. } = store.load(KEY, "shop", NOW).await.expect("a read");
        assert_eq!(version, None);
    }
}
