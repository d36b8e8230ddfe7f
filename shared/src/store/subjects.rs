//! Subjects: load, save and modify the whole item, under optimistic locking.
//!
//! Invariant: a saved subject is settled, and nothing in it is sealed under an old key that could
//! be opened.

use super::attributes::Item;
use super::recipients::Change;
use super::versioned::{Condition, PutResult, conflict_backoff, version};
use super::{Store, StoreError, WriteId, subject_item};
use crate::crypto::sealing::SealedFor;
use crate::domain::ids::SubjectKey;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;

/// How often a modification is tried again after a conflict: each check of a subject is another
/// writer.
const CONFLICT_RETRIES_MAX: u32 = 12;

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
    /// under an old key is sealed again.
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
                SubjectSaveResult::Conflict(Box::new(self.stored_subject(item.as_ref())?))
            }
        })
    }

    /// Applies `rule` to the settled subject and writes the result. After a conflict the rule runs
    /// again on what is stored then. An error of the rule ends it without a write.
    ///
    /// # Errors
    /// That of the rule, or [`StoreError`].
    pub async fn modify_subject<T, E: From<StoreError>>(
        &self,
        key: SubjectKey,
        now: Timestamp,
        mut rule: impl FnMut(&mut Subject) -> Result<Change<T>, E>,
    ) -> Result<T, E> {
        let mut stored = self.load_subject(key).await?;
        for _ in 0..=CONFLICT_RETRIES_MAX {
            let mut subject = self.keyring.judge(key, &stored.subject).settle(now);
            let value = match rule(&mut subject)? {
                Change::Keep(value) => return Ok(value),
                Change::Write(value) => value,
            };
            match self.save_subject(key, subject, stored.version, now).await? {
                SubjectSaveResult::Saved => return Ok(value),
                SubjectSaveResult::Conflict(newer) => stored = *newer,
            }
            conflict_backoff().await;
        }
        Err(StoreError::Conflict.into())
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

    /// Seals again what is sealed under an old key; the number of such values.
    pub(super) fn reseal_subject(&self, key: SubjectKey, subject: &mut Subject) -> usize {
        let mut count = 0;
        let mut reseal = |purpose, sealed: &mut Vec<u8>| {
            if let Some(resealed) = self.keyring.reseal(purpose, sealed) {
                *sealed = resealed;
                count += 1;
            }
        };
        for factor in &mut subject.factors {
            let purpose = SealedFor::FactorSecret(key, factor.id);
            if let Some(secret) = factor.secret_mut() {
                reseal(purpose, &mut secret.sealed);
            }
        }
        for recipient in &mut subject.recipients {
            let purpose = SealedFor::VerifiedRecipient(key, recipient.recipient);
            reseal(purpose, &mut recipient.sealed_to);
        }
        count
    }
}
