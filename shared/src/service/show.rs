//! Show: reads a verification.

use super::check::{VerifyError, Verifying};
use crate::domain::ids::{VerificationId, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;

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
    if recipient.find(nonce, now).is_none() {
        return Err(VerifyError::NotFound);
    }
    Ok(Shown { recipient, nonce })
}
