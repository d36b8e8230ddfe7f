//! Cancel: ends a pending verification.

use super::target::{Shown, Target, end_pending};
use super::verifying::{VerifyError, Verifying};
use crate::domain::time::Timestamp;

/// Cancels the verification `target`.
///
/// # Errors
/// [`VerifyError`].
pub async fn cancel(
    verifying: &Verifying,
    app: &str,
    target: &Target,
    now: Timestamp,
) -> Result<Shown, VerifyError> {
    end_pending(verifying, app, target, now, |recipient| {
        recipient.cancel(now)
    })
    .await
}
