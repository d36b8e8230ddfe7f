//! Cancel: ends a pending verification.

use super::check::{VerifyError, Verifying};
use super::show::Shown;
use crate::domain::ids::VerificationId;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification_ref::VerificationRef;
use crate::store::Change;

/// Cancels the verification `id`.
///
/// # Errors
/// [`VerifyError`].
pub async fn cancel(
    verifying: &Verifying,
    app: &str,
    id: VerificationId,
    now: Timestamp,
) -> Result<Shown, VerifyError> {
    let (key, nonce) = verifying.keyring.open_verification_id(app, id);
    let rule = |recipient: &mut Recipient| {
        let found = recipient.find(nonce, now).ok_or(VerifyError::NotFound)?;
        let is_current = matches!(found, VerificationRef::Current(_));
        if !is_current || !recipient.cancel(now) {
            return Err(VerifyError::NotPending);
        }
        Ok(Change::Write(recipient.clone()))
    };
    let recipient = verifying.store.modify(key, app, now, rule).await?;
    Ok(Shown { recipient, nonce })
}
