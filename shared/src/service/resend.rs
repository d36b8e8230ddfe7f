//! Resend: one more message of a pending verification, in the same order as a send.

use super::admission::admit_resend;
use super::new_code::fresh_code;
use super::reservation::{Contention, SharedLimits};
use super::send::save_and_enqueue;
use super::sending::{CONFLICT_RETRIES_MAX, ResendRequest, SendContext, SendError, Sending, Sent};
use crate::domain::ids::{DeliveryTag, VerificationId, VerificationNonce};
use crate::domain::policy::ResendCode;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::domain::verification_ref::VerificationRef;
use crate::platform::deadline::Deadline;
use crate::platform::random::random_bytes;
use crate::store::StoreError;

/// Sends one more message of the verification `id`. `deadline` is that of the invocation.
///
/// # Errors
/// [`SendError`]: nothing was sent and nothing is charged.
pub async fn resend(
    sending: &Sending,
    app: &str,
    id: VerificationId,
    request: &ResendRequest,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Sent, SendError> {
    let (key, nonce) = sending.keyring.open_verification_id(app, id);
    let context = SendContext::new(sending, app, key, deadline, now);
    let mut contention = Contention::default();
    for _ in 0..=CONFLICT_RETRIES_MAX {
        if let Some(sent) = try_resend(&context, nonce, request, &mut contention).await? {
            return Ok(sent);
        }
    }
    Err(StoreError::Conflict.into())
}

/// `None`: another send was first, so this one starts over.
async fn try_resend(
    context: &SendContext<'_>,
    nonce: VerificationNonce,
    request: &ResendRequest,
    contention: &mut Contention,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending,
        policy,
        key,
        now,
        ..
    } = *context;
    // Look up.
    let loaded = sending.store.load(key, context.app, now);
    let stored = context.in_time(loaded).await?;
    let recipient = &stored.recipient;
    let current = match recipient.find(nonce, now) {
        Some(VerificationRef::Current(current)) if current.status(now) == Status::Pending => {
            current
        }
        Some(_) => return Err(SendError::NotPending),
        None => return Err(SendError::NotFound),
    };
    // Decide.
    if !current.params.has_time_for_a_send(now) {
        return Err(SendError::TooLate);
    }
    let channel = request.channel.unwrap_or(current.params.channel);
    let to = recipient.address.as_ref().ok_or(SendError::NotPending)?;
    admit_resend(sending, channel, to)?;
    let limits = SharedLimits::new(*context, to, channel, request.client_ip, nonce);
    if let Err(exceeded) = recipient.check_limits(policy, now) {
        return Err(limits.rejection(exceeded).await);
    }
    // Reserve.
    let Some(reservation) = limits.reserve(contention).await? else {
        return Ok(None);
    };
    // Save and enqueue.
    let code = match policy.resend_code {
        ResendCode::Fresh => Some(fresh_code(context, recipient, current)),
        ResendCode::Same => None,
    };
    let mut resent = recipient.clone();
    resent.resend(channel, DeliveryTag(random_bytes()), code, now);
    let result = save_and_enqueue(context, &stored, resent).await;
    if !matches!(result, Ok(Some(_))) {
        reservation.release().await;
    }
    result
}
