//! Changes of a subject's record: load, settle, change, save. After a conflict the change runs
//! again on what is stored then.
//!
//! Invariants: before a verified recipient is removed, the subject's ownership of it ends. Each
//! write removes the recipients over the maximum.

use crate::crypto::keyring::Keyring;
use crate::domain::ids::SubjectKey;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::store::{Change, Store, StoreError, StoredSubject, SubjectSaveResult};

/// How often a change is tried again after a conflict: each check of a subject is another writer.
const CONFLICT_RETRIES_MAX: u32 = 12;

/// The record of one subject, to be changed.
#[derive(Clone, Copy)]
pub(super) struct SubjectRecord<'a> {
    pub(super) store: &'a Store,
    pub(super) keyring: &'a Keyring,
    pub(super) key: SubjectKey,
    pub(super) now: Timestamp,
}

impl SubjectRecord<'_> {
    /// Reads the subject and applies `change` to it. An error of the change ends it without a
    /// write.
    ///
    /// # Errors
    /// That of the change, or [`StoreError`].
    pub(super) async fn change<T, E: From<StoreError>>(
        self,
        change: impl FnMut(&mut Subject) -> Result<Change<T>, E>,
    ) -> Result<T, E> {
        let stored = self.store.load_subject(self.key).await?;
        self.change_stored(stored, change).await
    }

    /// As [`Self::change`], from a subject that was read already.
    ///
    /// # Errors
    /// That of the change, or [`StoreError`].
    pub(super) async fn change_stored<T, E: From<StoreError>>(
        self,
        mut stored: StoredSubject,
        mut change: impl FnMut(&mut Subject) -> Result<Change<T>, E>,
    ) -> Result<T, E> {
        let (store, key, now) = (self.store, self.key, self.now);
        for _ in 0..=CONFLICT_RETRIES_MAX {
            let before = self.keyring.judge(key, &stored.subject).settle(now);
            let mut subject = before.clone();
            subject.remove_surplus_recipients();
            let value = match change(&mut subject)? {
                Change::Keep(value) => return Ok(value),
                Change::Write(value) => value,
            };
            self.release_removed(&before, &subject).await?;
            match store
                .save_subject(key, subject, stored.version, now)
                .await?
            {
                SubjectSaveResult::Saved => return Ok(value),
                SubjectSaveResult::Conflict(newer) => stored = *newer,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn release_removed(self, before: &Subject, after: &Subject) -> Result<(), StoreError> {
        let is_kept = |key| after.recipients.iter().any(|kept| kept.recipient == key);
        for removed in before.recipients.iter().filter(|known| known.is_unique) {
            if !is_kept(removed.recipient) {
                let release = self
                    .store
                    .release_owner(removed.recipient, self.key, self.now);
                release.await?;
            }
        }
        Ok(())
    }
}
