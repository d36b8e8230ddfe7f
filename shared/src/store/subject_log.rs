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
            .and("NOT factors.#factor.expires_at <= :now")
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
            .get_item()
            .key(attributes::KEY, binary(&key.0.0))
            .projection_expression("attempt_nonces, remembered_nonces")
            .consistent_read(true);
        let read = self.send_get(read).await.map_err(StoreError::request)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AttemptHash, DecisionNonce, RecordKey};
    use crate::domain::log_outcomes::tests::{backup_codes, hotp, submitted, totp};
    use crate::domain::subject::Subject;
    use crate::domain::time::Timestamp;
    use crate::store::subject_item::tests::{KEY, approval, check, subject};
    use crate::store::tests::{NOW, TestTable, keyring, stored_item};

    /// A store with the subject, without a log and with few wrong codes.
    async fn settled(table: &TestTable) -> (Store, Subject) {
        let store = table.store();
        let mut subject = subject(&keyring(&["k1"]));
        subject.log.clear();
        let saved = store.save_subject(KEY, subject.clone(), None, NOW).await;
        saved.expect("a write");
        (store, subject)
    }

    fn code(n: u8, factor: &Factor, at: Timestamp) -> FactorAttempt {
        let mut code = submitted(n, factor.id, AttemptHash([n; 16]));
        code.attempt.at = at;
        code
    }

    /// Entries of the log after `attempt`; `None` if it is rejected.
    async fn log(store: &Store, attempt: &FactorAttempt, budget_max: u8) -> Option<usize> {
        let result = store.append_factor_attempt(KEY, attempt, budget_max).await;
        match result.expect("a response") {
            LogResult::Logged(stored) => Some(stored.subject.log.len()),
            LogResult::Rejected(_) => None,
        }
    }

    #[tokio::test]
    async fn codes_are_logged_while_their_budget_has_room() {
        let table = TestTable::start().await;
        let (store, _) = settled(&table).await;
        // Two wrong codes are settled.
        assert_eq!(log(&store, &code(1, &totp(1), NOW), 2).await, None);
        assert_eq!(log(&store, &code(1, &totp(1), NOW), 3).await, Some(1));
        assert_eq!(log(&store, &code(2, &hotp(2), NOW), 3).await, None);
        assert_eq!(log(&store, &code(2, &hotp(2), NOW), 4).await, Some(2));
        // One wrong backup code is settled.
        assert_eq!(log(&store, &code(3, &backup_codes(3), NOW), 1).await, None);
        assert_eq!(
            log(&store, &code(3, &backup_codes(3), NOW), 2).await,
            Some(3)
        );
        assert_eq!(
            log(&store, &code(3, &backup_codes(3), NOW), 9).await,
            None,
            "again"
        );
    }

    #[tokio::test]
    async fn code_of_a_missing_factor_is_rejected() {
        let table = TestTable::start().await;
        let (store, subject) = settled(&table).await;
        assert_eq!(
            log(&store, &code(1, &totp(9), NOW), 9).await,
            None,
            "unknown"
        );
        let expiry = subject.factors[0].expires_at().expect("not confirmed");
        assert_eq!(
            log(&store, &code(1, &totp(1), expiry), 9).await,
            None,
            "expired"
        );
        assert_eq!(
            log(&store, &code(1, &totp(1), expiry - 1), 9).await,
            Some(1)
        );
        let later = NOW + 100_000;
        assert_eq!(
            log(&store, &code(2, &hotp(2), later), 9).await,
            Some(2),
            "confirmed"
        );
        let without = table.store_with(keyring(&["k2"]));
        assert_eq!(
            log(&without, &code(3, &hotp(2), NOW), 9).await,
            None,
            "no live key"
        );
        let codes = code(3, &backup_codes(3), NOW);
        assert_eq!(log(&without, &codes, 9).await, Some(3), "nothing is sealed");
    }

    #[tokio::test]
    async fn repeated_or_denied_code_is_rejected() {
        let table = TestTable::start().await;
        let (store, _) = settled(&table).await;
        assert_eq!(log(&store, &check(4), 9).await, None, "it was settled");
        let mut denied = check(5);
        denied.attempt.decision = Some(DecisionNonce([9; 8]));
        assert_eq!(log(&store, &denied, 9).await, None);
        assert_eq!(log(&store, &check(5), 9).await, Some(1));
        let item = stored_item(&store, KEY.0).await.expect("an item");
        assert_eq!(attributes::number(&item, "app_attempts"), 3);
    }

    #[tokio::test]
    async fn approval_is_recorded_once() {
        let table = TestTable::start().await;
        let store = table.store();
        let approval = approval(&keyring(&["k1"]), 2);
        assert!(
            !store
                .has_recorded(KEY, approval.nonce)
                .await
                .expect("a read")
        );
        for _ in 0..2 {
            let stored = store
                .append_approval(KEY, &approval)
                .await
                .expect("a write");
            assert_eq!(stored.subject.log, [LogEntry::Approval(approval.clone())]);
            store
                .record_approval(KEY, &approval)
                .await
                .expect("a write");
        }
        assert!(
            store
                .has_recorded(KEY, approval.nonce)
                .await
                .expect("a read")
        );
        let other = AttemptNonce::Random([9; 8]);
        assert!(!store.has_recorded(KEY, other).await.expect("a read"));
        let stored = store.load_subject(KEY).await.expect("a read");
        assert_eq!(stored.subject.log.len(), 1);
        let item = stored_item(&store, KEY.0).await.expect("an item");
        assert!(!item.contains_key(attributes::TTL));
    }

    #[tokio::test]
    async fn settled_approval_is_not_recorded_again() {
        let table = TestTable::start().await;
        let (store, subject) = settled(&table).await;
        let mut approval = approval(&keyring(&["k1"]), 6);
        approval.nonce = subject.recorded[0].nonce;
        assert!(
            store
                .has_recorded(KEY, approval.nonce)
                .await
                .expect("a read")
        );
        let stored = store
            .append_approval(KEY, &approval)
            .await
            .expect("a write");
        assert_eq!(stored.subject.log, []);
        store
            .record_approval(KEY, &approval)
            .await
            .expect("a write");
        assert_eq!(
            store.load_subject(KEY).await.expect("a read").subject.log,
            []
        );
    }

    #[tokio::test]
    async fn removal_is_logged_for_a_known_subject_only() {
        let table = TestTable::start().await;
        let removal = Removal {
            nonce: AttemptNonce::Random([7; 8]),
            recipient: RecordKey([5; 12]),
        };
        let store = table.store();
        store.append_removal(KEY, removal).await.expect("a write");
        assert!(stored_item(&store, KEY.0).await.is_none());
        let (store, _) = settled(&table).await;
        for _ in 0..2 {
            store.append_removal(KEY, removal).await.expect("a write");
        }
        let stored = store.load_subject(KEY).await.expect("a read");
        assert_eq!(stored.subject.log, [LogEntry::Removal(removal)]);
    }

    #[tokio::test]
    async fn confirmation_becomes_permanent_once() {
        let table = TestTable::start().await;
        let store = table.store();
        let passing = Subject {
            factors: vec![totp(1)],
            ..Subject::default()
        };
        store
            .save_subject(KEY, passing, None, NOW)
            .await
            .expect("a write");
        let confirmed = |at, counts_from| Factor {
            confirmed_at: at,
            counts_from,
            ..totp(1)
        };
        let stored = async || {
            let item = stored_item(&store, KEY.0).await.expect("an item");
            let has_ttl = item.contains_key(attributes::TTL);
            let subject = store.load_subject(KEY).await.expect("a read").subject;
            let factor = &subject.factors[0];
            (has_ttl, factor.confirmed_at, factor.counts_from)
        };
        let confirm = async |factor: Factor| {
            store.confirm_factor(KEY, &factor).await.expect("a write");
            stored().await
        };
        assert_eq!(confirm(confirmed(None, 0)).await, (true, None, 0));
        let first = (false, Some(NOW + 1), 4);
        assert_eq!(confirm(confirmed(Some(NOW + 1), 4)).await, first);
        assert_eq!(confirm(confirmed(Some(NOW + 2), 5)).await, first);
    }

    #[tokio::test]
    async fn approval_is_recorded_without_a_read() {
        let table = TestTable::start().await;
        let store = table.store();
        let approval = approval(&keyring(&["k1"]), 2);
        store
            .record_approval(KEY, &approval)
            .await
            .expect("a write");
        assert_eq!(table.requests(), 1);
        assert!(
            store
                .has_recorded(KEY, approval.nonce)
                .await
                .expect("a read")
        );
    }
}
