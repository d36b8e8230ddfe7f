//! Subjects: load and save the whole item, under optimistic locking.
//!
//! Invariant: a saved subject is settled, and nothing in it is sealed under an old key that could
//! be opened.

use super::attributes::Item;
use super::versioned::{Condition, PutResult, conflict_backoff, version};
use super::{Store, StoreError, WriteId, subject_item};
use crate::domain::ids::SubjectKey;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;

/// A subject as it was loaded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoredSubject {
    /// The subject, not settled; an empty one if there is no item.
    pub subject: Subject,
    /// Version of the item; `None` if there is no item.
    pub version: Option<WriteId>,
}

/// Result of [`Store::save_subject`].
#[derive(Debug)]
pub enum SubjectSaveResult {
    /// Written.
    Saved,
    /// Another writer was first: nothing was written. The subject as it is now.
    Conflict(Box<StoredSubject>),
}

impl Store {
    /// Reads a subject.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load_subject(&self, key: SubjectKey) -> Result<StoredSubject, StoreError> {
        let item = self.read_item(key.0).await?;
        self.stored_subject(item.as_ref())
    }

    /// Writes a settled subject if the item still has the version that was loaded. What is sealed
    /// under an old key is sealed again. Waits for a moment after a conflict.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be written.
    pub async fn save_subject(
        &self,
        key: SubjectKey,
        mut subject: Subject,
        loaded: Option<WriteId>,
        now: Timestamp,
    ) -> Result<SubjectSaveResult, StoreError> {
        self.reseal_subject(key, &mut subject);
        let item = subject_item::write(key, &subject, now);
        let condition = Condition::Loaded(loaded);
        let put = self.put_surely(WriteId::random(), key.0, item, condition);
        Ok(match put.await? {
            PutResult::Saved => SubjectSaveResult::Saved,
            PutResult::Conflict(item) => {
                conflict_backoff().await;
                SubjectSaveResult::Conflict(Box::new(self.stored_subject(item.as_ref())?))
            }
        })
    }

    pub(super) fn stored_subject(&self, item: Option<&Item>) -> Result<StoredSubject, StoreError> {
        Ok(match item {
            Some(item) => StoredSubject {
                subject: subject_item::read(&self.keyring, item)?,
                version: version(item),
            },
            None => StoredSubject::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sealing::{SealedFor, seal_key_id};
    use crate::store::subject_item::tests::{KEY, subject};
    use crate::store::tests::{NOW, TestTable, keyring};

    async fn loaded(store: &Store) -> StoredSubject {
        store.load_subject(KEY).await.expect("a read")
    }

    #[tokio::test]
    async fn subject_is_saved_over_the_loaded_version_only() {
        let table = TestTable::start().await;
        let store = table.store();
        assert_eq!(loaded(&store).await, StoredSubject::default());
        let subject = subject(&keyring(&["k1"]));
        let saved = store.save_subject(KEY, subject.clone(), None, NOW).await;
        assert!(matches!(saved, Ok(SubjectSaveResult::Saved)), "{saved:?}");
        let stored = loaded(&store).await;
        assert_eq!(stored.subject, subject);
        assert!(stored.version.is_some());
        let conflict = store.save_subject(KEY, Subject::default(), None, NOW).await;
        let Ok(SubjectSaveResult::Conflict(current)) = conflict else {
            panic!("{conflict:?}");
        };
        assert_eq!(*current, stored);
        let saved = store
            .save_subject(KEY, Subject::default(), stored.version, NOW)
            .await;
        assert!(matches!(saved, Ok(SubjectSaveResult::Saved)), "{saved:?}");
        assert_eq!(loaded(&store).await.subject, Subject::default());
    }

    #[tokio::test]
    async fn saved_values_are_sealed_under_the_current_key() {
        let table = TestTable::start().await;
        let rotated = keyring(&["k1", "k2"]);
        let store = table.store_with(rotated.clone());
        let old = subject(&keyring(&["k1"]));
        let saved = store.save_subject(KEY, old, None, NOW).await;
        assert!(matches!(saved, Ok(SubjectSaveResult::Saved)), "{saved:?}");
        let subject = loaded(&store).await.subject;
        for factor in &subject.factors {
            let purpose = SealedFor::FactorSecret(KEY, factor.id);
            if let Some(secret) = factor.secret() {
                assert_eq!(seal_key_id(&secret.sealed), "k2");
                let opened = rotated.open(purpose, &secret.sealed);
                assert_eq!(opened.as_deref(), Some("secret"));
            }
        }
        for known in &subject.recipients {
            let purpose = SealedFor::VerifiedRecipient(KEY, known.recipient);
            assert_eq!(seal_key_id(&known.sealed_to), "k2");
            let opened = rotated.open(purpose, &known.sealed_to);
            assert_eq!(opened.as_deref(), Some("+33612345678"));
        }
    }
}
