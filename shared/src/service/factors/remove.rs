//! Remove: a factor, a verified recipient, or all of a subject; and unlock.
//!
//! Invariant: only `unlock` restores attempts.

use super::{SubjectContext, SubjectError};
use crate::domain::factor::Factor;
use crate::domain::ids::FactorId;
use crate::domain::subject::Subject;
use crate::domain::verified_recipient::VerifiedRecipient;
use crate::store::{Change, StoreError};

/// Removes a factor. Returns it as it was.
///
/// # Errors
/// [`SubjectError`].
pub async fn factor(context: SubjectContext<'_>, id: FactorId) -> Result<Factor, SubjectError> {
    let remove = |subject: &mut Subject| {
        let factor = subject.factor(id, context.now).cloned();
        let factor = factor.ok_or(SubjectError::FactorNotFound)?;
        subject.factors.retain(|other| other.id != id);
        Ok(Change::Write(factor))
    };
    context.record().change(remove).await
}

/// Removes a verified recipient, and the subject's ownership of it. Returns it as it was.
///
/// # Errors
/// [`SubjectError`].
pub async fn recipient(
    context: SubjectContext<'_>,
    id: &str,
) -> Result<VerifiedRecipient, SubjectError> {
    let remove = |subject: &mut Subject| {
        let mut recipients = subject.recipients.iter();
        let recipient = recipients.find(|known| context.recipient_id(known.recipient) == id);
        let recipient = recipient.cloned().ok_or(SubjectError::RecipientNotFound)?;
        subject.remove_recipient(recipient.recipient);
        Ok(Change::Write(recipient))
    };
    context.record().change(remove).await
}

/// Erases the subject; keeps the counts of wrong codes.
///
/// # Errors
/// [`StoreError`].
pub async fn erase(context: SubjectContext<'_>) -> Result<(), StoreError> {
    let erase = |subject: &mut Subject| {
        if *subject == Subject::default() {
            return Ok(Change::Keep(()));
        }
        subject.erase();
        Ok(Change::Write(()))
    };
    context.record().change(erase).await
}

/// Clears the counts of wrong codes. A used code stays used.
///
/// # Errors
/// [`StoreError`].
pub async fn unlock(context: SubjectContext<'_>) -> Result<(), StoreError> {
    let unlock = |subject: &mut Subject| {
        if *subject == Subject::default() {
            return Ok(Change::Keep(()));
        }
        subject.unlock();
        Ok(Change::Write(()))
    };
    context.record().change(unlock).await
}
