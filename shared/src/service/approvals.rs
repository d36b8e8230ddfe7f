//! Approvals: the second and third write of a verification that was approved for a subject. The
//! second records the recipient for the subject, the third stores the owner of the recipient.
//!
//! Invariants: each is written once, also after the subject has forgotten that it recorded the
//! approval. After a crash in between, the same check with its
//! `Idempotency-Key`, a read of the verification or the next send writes what is missing; the owner
//! is in effect from the first write on.

use super::subject_change::SubjectRecord;
use crate::crypto::keyring::Keyring;
use crate::crypto::sealing::SealedFor;
use crate::domain::ids::{RecordKey, SubjectKey};
use crate::domain::recipient::Recipient;
use crate::domain::subject::Subject;
use crate::domain::time::{RETENTION_SECONDS, Timestamp};
use crate::domain::verified_recipient::Approval;
use crate::store::{Change, Store, StoreError, StoredSubject};

/// Entries of a log from which on an approval settles it.
const LOG_ENTRIES_MAX: usize = 20;

/// The record of a recipient and what its approvals need.
#[derive(Clone, Copy)]
pub(super) struct Approvals<'a> {
    pub(super) store: &'a Store,
    pub(super) keyring: &'a Keyring,
    /// Key of the recipient's record.
    pub(super) key: RecordKey,
    pub(super) now: Timestamp,
}

impl Approvals<'_> {
    /// Records the approval of the current verification for its subject. Returns the subject after
    /// it; `None` if the verification was not approved for a subject.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be recorded.
    pub(super) async fn record(self, recipient: &Recipient) -> Result<Option<Subject>, StoreError> {
        let Some((subject_key, approval)) = self.approval(recipient) else {
            return Ok(None);
        };
        let stored = self.store.append_approval(subject_key, &approval).await?;
        self.store_owner(recipient, subject_key, &approval).await?;
        let judged = self.keyring.judge(subject_key, &stored.subject);
        let has_surplus = judged.subject.has_surplus_recipients();
        if has_surplus || stored.subject.log.len() > LOG_ENTRIES_MAX {
            self.settle(subject_key, stored).await?;
        }
        Ok(Some(judged.subject))
    }

    /// Writes what is missing of the approval of the current verification.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be recorded.
    pub(super) async fn complete(self, recipient: &Recipient) -> Result<(), StoreError> {
        match self.record_missing(recipient).await? {
            Some((key, approval)) => self.store_owner(recipient, key, &approval).await,
            None => Ok(()),
        }
    }

    /// As [`Self::complete`], before a send replaces the verification: the send stores the owner.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be recorded.
    pub(super) async fn complete_before_send(
        self,
        recipient: &Recipient,
    ) -> Result<(), StoreError> {
        self.record_missing(recipient).await.map(drop)
    }

    /// Records the approval of the current verification, unless it is known to be recorded.
    async fn record_missing(
        self,
        recipient: &Recipient,
    ) -> Result<Option<(SubjectKey, Approval)>, StoreError> {
        let is_missing = recipient.has_approval_to_record();
        let Some((key, approval)) = self.approval(recipient).filter(|_| is_missing) else {
            return Ok(None);
        };
        if !self.store.has_recorded(key, approval.nonce).await? {
            self.store.record_approval(key, &approval).await?;
        }
        Ok(Some((key, approval)))
    }

    /// The approval of the current verification, and the subject that it is for.
    fn approval(self, recipient: &Recipient) -> Option<(SubjectKey, Approval)> {
        let current = recipient.current.as_ref()?;
        let subject = current.approved_subject()?;
        let success = current.success();
        // Without a code, the app has approved it.
        let at = success.map_or(current.approved_at, |attempt| Some(attempt.at))?;
        // That an owner was stored is remembered with the verification. Otherwise the subject
        // remembers it, but not for ever.
        if !subject.is_unique && self.now >= at + RETENTION_SECONDS {
            return None;
        }
        let purpose = SealedFor::VerifiedRecipient(subject.key, self.key);
        let to = recipient.address.as_ref();
        let approval = Approval {
            nonce: self.keyring.approval_nonce(self.key, current.params.nonce),
            recipient: self.key,
            sealed_to: to.map_or(vec![], |to| self.keyring.seal(purpose, to.reveal())),
            channel: current.params.channel,
            purpose: current.params.purpose.clone(),
            is_unique: subject.is_unique,
            decision: success.and_then(|attempt| attempt.decision),
            at,
        };
        Some((subject.key, approval))
    }

    async fn store_owner(
        self,
        recipient: &Recipient,
        owner: SubjectKey,
        approval: &Approval,
    ) -> Result<(), StoreError> {
        match &recipient.current {
            Some(current) if approval.is_unique && !current.is_recorded => {
                let nonce = current.params.nonce;
                self.store
                    .store_owner(self.key, nonce, owner, self.now)
                    .await
            }
            _ => Ok(()),
        }
    }

    /// Settles the record of a subject, which removes the recipients over the maximum.
    async fn settle(self, key: SubjectKey, stored: StoredSubject) -> Result<(), StoreError> {
        let record = SubjectRecord {
            store: self.store,
            keyring: self.keyring,
            key,
            now: self.now,
        };
        let keep = |_: &mut Subject| Ok::<_, StoreError>(Change::Write(()));
        record.change_stored(stored, keep).await
    }
}
