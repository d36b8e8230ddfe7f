//! Show: reads a verification.

use super::target::{Shown, Target};
use super::verifying::{VerifyError, Verifying};
use crate::domain::time::Timestamp;
use crate::domain::verification_ref::VerificationRef;

/// Reads the verification `target`.
///
/// # Errors
/// [`VerifyError`].
pub async fn show(
    verifying: &Verifying,
    app: &str,
    target: &Target,
    now: Timestamp,
) -> Result<Shown, VerifyError> {
    for place in target.places(&verifying.keyring, app) {
        let recipient = verifying.store.load(place.key, app, now).await?.recipient;
        if let Some(VerificationRef::Current(_)) = place.find(&recipient, now) {
            // Of a past one, the send that replaced it has completed the approval.
            let approvals = verifying.approvals(place.key, now);
            approvals.complete(&recipient).await?;
        }
        match place.shown(verifying, app, recipient, now) {
            Err(VerifyError::NotFound) => {}
            shown => return shown,
        }
    }
    Err(VerifyError::NotFound)
}
