//! Show: a subject, or one of its factors or decisions.

use super::check::confirm;
use super::{SubjectContext, SubjectError};
use crate::domain::decision::Decision;
use crate::domain::factor::Factor;
use crate::domain::ids::{FactorId, RecordKey};
use crate::domain::subject::{Budget, Subject};
use crate::domain::time::Timestamp;
use crate::domain::verified_recipient::VerifiedRecipient;
use crate::store::StoreError;

/// A subject, settled.
pub struct ShownSubject {
    /// The subject.
    pub subject: Subject,
    /// Attempts left of TOTP and HOTP factors.
    pub attempts_left: u8,
    /// Attempts left of backup codes.
    pub backup_attempts_left: u8,
    /// When the first attempt of TOTP and HOTP factors is available again, while none is left.
    pub unlocks_at: Option<Timestamp>,
}

/// Reads the subject.
///
/// # Errors
/// [`StoreError`].
pub async fn show(context: SubjectContext<'_>) -> Result<ShownSubject, StoreError> {
    let subject = settled(context).await?;
    let budget_max = context.policy().factor_guess_budget;
    let left = |budget| {
        let wrong = subject.counted_wrong_codes(budget, context.now).len();
        budget_max.saturating_sub(u8::try_from(wrong).unwrap_or(u8::MAX))
    };
    Ok(ShownSubject {
        attempts_left: left(Budget::Apps),
        backup_attempts_left: left(Budget::BackupCodes),
        unlocks_at: subject.unlocks_at(Budget::Apps, budget_max, context.now),
        subject,
    })
}

/// Reads one factor.
///
/// # Errors
/// [`SubjectError`].
pub async fn factor(context: SubjectContext<'_>, id: FactorId) -> Result<Factor, SubjectError> {
    let subject = settled(context).await?;
    let factor = subject.factor(id, context.now).cloned();
    factor.ok_or(SubjectError::FactorNotFound)
}

/// Reads one decision.
///
/// # Errors
/// [`SubjectError`].
pub async fn decision(context: SubjectContext<'_>, id: &str) -> Result<Decision, SubjectError> {
    let opened = context.subjects.keyring.open_decision_id(context.key, id);
    let opened = opened.ok_or(SubjectError::DecisionNotFound)?;
    let subject = settled(context).await?;
    let decision = subject.decision(opened.nonce, context.now).cloned();
    decision.ok_or(SubjectError::DecisionNotFound)
}

impl SubjectContext<'_> {
    /// Public id of a verified recipient.
    #[must_use]
    pub fn recipient_id(&self, recipient: RecordKey) -> String {
        self.subjects.keyring.recipient_id(self.key, recipient)
    }

    /// Public id of a decision.
    #[must_use]
    pub fn decision_id(&self, decision: &Decision) -> String {
        let (nonce, expires_at) = (decision.nonce, decision.expires_at);
        self.subjects
            .keyring
            .decision_id(self.key, nonce, expires_at)
    }

    /// The number or address of a verified recipient; `None` if the key that sealed it was removed.
    #[must_use]
    pub fn address_of(&self, recipient: &VerifiedRecipient) -> Option<String> {
        let purpose =
            crate::crypto::sealing::SealedFor::VerifiedRecipient(self.key, recipient.recipient);
        self.subjects.keyring.open(purpose, &recipient.sealed_to)
    }
}

/// The subject as it is now. A confirmation that only the log holds becomes permanent before it is
/// shown.
async fn settled(context: SubjectContext<'_>) -> Result<Subject, StoreError> {
    let stored = context.subjects.store.load_subject(context.key).await?;
    let judged = context.subjects.keyring.judge(context.key, &stored.subject);
    for factor in &stored.subject.factors {
        confirm(context, &stored, &judged, factor.id).await?;
    }
    let mut subject = judged.settle(context.now);
    // The next write removes them.
    subject.remove_surplus_recipients();
    Ok(subject)
}
