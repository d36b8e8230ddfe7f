//! Show: reads a verification.

use super::target::{Shown, Target};
use super::verifying::{VerifyError, Verifying};
use crate::domain::time::Timestamp;

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
        match place.shown(verifying, app, recipient, now) {
            Err(VerifyError::NotFound) => {}
            shown => return shown,
        }
    }
    Err(VerifyError::NotFound)
}
