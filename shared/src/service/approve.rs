//! Approve: ends a pending verification as approved, without a code. It counts no attempt.

use super::target::{Shown, Target, end_pending};
use super::verifying::{VerifyError, Verifying};
use crate::domain::address::Address;
use crate::domain::time::Timestamp;
use crate::platform::metrics::Metric;

/// Approves the verification `target`: the app has verified the recipient in another way.
///
/// # Errors
/// [`VerifyError`].
pub async fn approve(
    verifying: &Verifying,
    app: &str,
    target: &Target,
    now: Timestamp,
) -> Result<Shown, VerifyError> {
    let approved = end_pending(verifying, app, target, now, |recipient| {
        recipient.approve(now)
    });
    let shown = approved.await?;
    let (key, _) = verifying.keyring.open_verification_id(app, shown.id);
    let approvals = verifying.approvals(key, now);
    approvals.complete(&shown.recipient).await?;
    let Shown {
        recipient, nonce, ..
    } = &shown;
    if let Some(verification) = recipient.find(*nonce, now) {
        let country = recipient.address.as_ref().and_then(Address::country);
        let seconds = now.seconds_since(verification.params().created_at);
        let metric = Metric::Approval { country, seconds };
        verifying.metrics.count(&metric);
    }
    Ok(shown)
}
