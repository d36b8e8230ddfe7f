//! Show: reads a verification.

use super::check::{VerifyError, Verifying};
use crate::domain::ids::{VerificationId, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification_ref::VerificationRef;

/// A verification and its recipient.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The recipient, as stored.
    pub recipient: Recipient,
    /// The verification's nonce.
    pub nonce: VerificationNonce,
}

/// Reads the verification `id`.
///
/// # Errors
/// [`VerifyError`].
pub async fn show(
    verifying: &Verifying,
    app: &str,
    id: VerificationId,
    now: Timestamp,
) -> Result<Shown, VerifyError> {
    let (key, nonce) = verifying.keyring.open_verification_id(app, id);
    let recipient = verifying.store.load(key, app, now).await?.recipient;
    match recipient.find(nonce, now) {
        None => return Err(VerifyError::NotFound),
        Some(VerificationRef::Current(_)) => {
            verifying.approvals(key, now).complete(&recipient).await?;
        }
        // The send that replaced it has completed its approval.
        Some(VerificationRef::Past(_)) => {}
    }
    Ok(Shown { recipient, nonce })
}
