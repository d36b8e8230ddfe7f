//! The log of a subject: appends a submitted code, an approved verification, or the removal of a
//! recipient.
//!
//! Invariants: each is one conditional write. A code is appended only for a factor that exists, has
//! not expired and can be opened, while the budget has room, and for a decision that is not denied.

use super::attributes::{self, binary, number_value, text};
use super::expression::{Update, WriteResult};
use super::subject_item::{
    FORMAT_VERSION, KIND, KIND_SUBJECT, attempts_name, decision_value, factor_name, log_value,
};
use super::subjects::StoredSubject;
use super::{Store, StoreError};
use crate::domain::factor::{Factor, FactorType};
use crate::domain::ids::{AttemptNonce, SubjectKey};
use crate::domain::subject::{Budget, FactorAttempt, LogEntry};
use crate::domain::verified_recipient::{Approval, Removal};

/// No settled check and no recorded approval has the nonce.
const IS_NOT_REMEMBERED: &str = "NOT contains(remembered_nonces, :attempt_nonce)";

/// The subject after an entry was appended, or as it is if the condition failed.
#[derive(Debug)]
pub enum LogResult {
    /// Appended.
    Logged(Box<StoredSubject>),
    /// The condition failed: nothing was written.
    Rejected(Box<StoredSubject>),
}

impl Store {
    /// Appends a submitted code. One write, whatever the outcome. `budget_max`: wrong codes that
    /// are allowed in 24 h.
    ///
    /// # Errors
    /// [`StoreError`]: nothing may be said about the code.
    pub async fn append_factor_attempt(
        &self,
        key: SubjectKey,
        attempt: &FactorAttempt,
        budget_max: u8,
    ) -> Result<LogResult, StoreError> {
        let kind = attempt.factor.kind().unwrap_or(FactorType::Totp);
        let (nonce, entry) = (attempt.attempt.nonce, LogEntry::Check(attempt.clone()));
        let mut update = Update::when("attribute_exists(factors.#factor)")
            .and(
                "(attribute_not_exists(factors.#factor.expires_at) \
                 OR factors.#factor.expires_at > :now)",
            )
            .and("#attempts < :budget_max")
            .and(IS_NOT_REMEMBERED)
            .append_to_log(nonce, log_value(&entry))
            .set("#attempts = #attempts + :one")
            .name("#factor", factor_name(attempt.factor))
            .name("#attempts", attempts_name(Budget::from(kind)))
            .value(":now", number_value(attempt.attempt.at.0))
            .value(":budget_max", number_value(budget_max))
            .value(":one", number_value(1));
        if kind != FactorType::BackupCodes {
            update = self.with_live_key(update, "factors.#factor.key_id");
        }
        if let Some(decision) = attempt.attempt.decision {
            update = update
                .and("contains(live_decisions, :decision)")
                .value(":decision", decision_value(decision));
        }
        let update = update.returning_item();
        Ok(match self.update(key.0, update, None).await? {
            WriteResult::Written(item) => {
                LogResult::Logged(Box::new(self.stored_subject(item.as_ref())?))
            }
            WriteResult::ConditionFailed(item) => {
                LogResult::Rejected(Box::new(self.stored_subject(item.as_ref())?))
            }
        })
    }

    /// Appends an approved verification, once. The item is created if there is none; it has no TTL
    /// then.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be recorded.
    pub async fn append_approval(
        &self,
        key: SubjectKey,
        approval: &Approval,
    ) -> Result<StoredSubject, StoreError> {
        let update = approving(approval).returning_item();
        let written = self.update(key.0, update, None).await?;
        let (WriteResult::Written(item) | WriteResult::ConditionFailed(item)) = written;
        self.stored_subject(item.as_ref())
    }

    /// As [`Self::append_approval`], without reading the subject.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be recorded.
    pub async fn record_approval(
        &self,
        key: SubjectKey,
        approval: &Approval,
    ) -> Result<(), StoreError> {
        let update = approving(approval);
        self.update(key.0, update, None).await.map(drop)
    }

    /// Appends the removal of a verified recipient, if there is such a subject.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be removed.
    pub async fn append_removal(
        &self,
        key: SubjectKey,
        removal: Removal,
    ) -> Result<(), StoreError> {
        let entry = LogEntry::Removal(removal);
        let update = Update::when("attribute_exists(pk)")
            .append_to_new_log(removal.nonce, log_value(&entry));
        self.update(key.0, update, None).await.map(drop)
    }

    /// Makes a confirmation permanent, unless that was done already. The item has no TTL then.
    ///
    /// # Errors
    /// [`StoreError`]: not known to be permanent.
    pub async fn confirm_factor(&self, key: SubjectKey, factor: &Factor) -> Result<(), StoreError> {
        let Some(confirmed_at) = factor.confirmed_at else {
            return Ok(());
        };
        let update = Update::when("attribute_exists(factors.#factor.expires_at)")
            .set("factors.#factor.confirmed_at = :confirmed_at")
            .set("factors.#factor.counts_from = :counts_from")
            .remove("factors.#factor.expires_at, #ttl")
            .name("#factor", factor_name(factor.id))
            .name("#ttl", attributes::TTL)
            .value(":confirmed_at", number_value(confirmed_at.0))
            .value(":counts_from", number_value(factor.counts_from));
        self.update(key.0, update, None).await.map(drop)
    }

    /// Whether an approval is in the log, or was settled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_recorded(
        &self,
        key: SubjectKey,
        nonce: AttemptNonce,
    ) -> Result<bool, StoreError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(attributes::KEY, binary(&key.0.0))
            .projection_expression("attempt_nonces, remembered_nonces")
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::request)?;
        let nonce = binary(&nonce.to_bytes());
        let item = read.item.unwrap_or_default();
        let mut lists = ["attempt_nonces", "remembered_nonces"].into_iter();
        Ok(lists.any(|name| attributes::list(&item, name).contains(&nonce)))
    }
}

fn approving(approval: &Approval) -> Update {
    let entry = LogEntry::Approval(approval.clone());
    Update::when(IS_NOT_REMEMBERED)
        .append_to_new_log(approval.nonce, log_value(&entry))
        .set("#kind = :kind, #format = if_not_exists(#format, :format)")
        .remove("#ttl")
        .name("#kind", KIND)
        .name("#format", attributes::FORMAT)
        .name("#ttl", attributes::TTL)
        .value(":kind", text(KIND_SUBJECT))
        .value(":format", number_value(FORMAT_VERSION))
}
