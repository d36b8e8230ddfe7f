//! Resend: one more message of a pending verification, in the same order as a send.

use super::admission::admit_resend;
use super::new_code::{fresh_code, new_reference};
use super::reservation::SharedLimits;
use super::send::save_and_enqueue;
use super::sending::{
    CONFLICT_RETRIES_MAX, NotSent, ResendRequest, SendContext, SendError, Sending, Sent,
};
use super::test_number::resend_to_test_number;
use crate::domain::channel::Channel;
use crate::domain::device::Device;
use crate::domain::ids::{DeliveryTag, VerificationId, VerificationNonce};
use crate::domain::policy::ResendCode;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_ref::VerificationRef;
use crate::domain::verification_status::Status;
use crate::platform::deadline::Deadline;
use crate::platform::random::random_bytes;
use crate::store::{StoreError, StoredRecipient};

/// Longest wait before the first repeated save; each one after it may wait as much longer.
const SAVE_BACKOFF_MILLIS: u64 = 20;

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
    for _ in 0..=CONFLICT_RETRIES_MAX {
        if let Some(sent) = try_resend(&context, nonce, request).await? {
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
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    // Look up.
    let loaded = sending.store.load(key, context.app, now);
    let stored = context.in_time(loaded).await?;
    let current = match stored.recipient.find(nonce, now) {
        Some(VerificationRef::Current(current)) if current.status(now) == Status::Pending => {
            current
        }
        Some(_) => return Err(SendError::NotPending),
        None => return Err(SendError::NotFound),
    };
    send_again(context, &stored, current, request, 0).await
}

/// Sends one more message of `current`, which is pending and of the recipient as it was loaded:
/// decides, reserves, saves, enqueues. If another writer is first, the message is decided and saved
/// again, up to `save_retries` times, under the same reservation: it is the same message of the
/// same verification. `None`: another send was first.
pub(super) async fn send_again(
    context: &SendContext<'_>,
    stored: &StoredRecipient,
    current: &Verification,
    request: &ResendRequest,
    save_retries: u64,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending,
        policy,
        key,
        now,
        ..
    } = *context;
    let recipient = &stored.recipient;
    // Decide.
    if !current.params.has_time_for_a_send(now) {
        return Err(SendError::TooLate);
    }
    let channel = request.channel.unwrap_or(current.params.channel);
    let to = recipient.address.as_ref().ok_or(SendError::NotPending)?;
    admit_resend(context, channel, to)?;
    let has_device = request.push_to.is_some() || current.sealed_device.is_some();
    if channel == Channel::Push && !has_device {
        return Err(SendError::DeviceMissing);
    }
    if let Some(code) = sending.test_numbers.code_of(to, now) {
        let code = sending.keyring.seal_code(key, &current.params, code);
        return resend_to_test_number(context, stored, channel, code).await;
    }
    let nonce = current.params.nonce;
    let limits = SharedLimits::new(*context, to, channel, request.client_ip, nonce);
    if let Err(exceeded) = recipient.check_limits(policy, now) {
        return Err(limits.rejection(exceeded).await);
    }
    // Reserve.
    let Some(reservation) = limits.reserve(stored).await? else {
        return Ok(None);
    };
    // Save and enqueue.
    let to = (channel, request.push_to.as_ref());
    let saved = save_again(context, stored.clone(), nonce, to, save_retries).await;
    reservation.settle(saved).await
}

/// Saves one more message, as long as the verification is the pending one and the recipient's own
/// limits allow it. `None`: another writer was first, more often than `retries` times or in a way
/// that has to be decided again.
async fn save_again(
    context: &SendContext<'_>,
    mut stored: StoredRecipient,
    nonce: VerificationNonce,
    to: (Channel, Option<&Device>),
    retries: u64,
) -> Result<Option<Sent>, NotSent> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    for retry in 0..=retries {
        if retry > 0 {
            context.back_off(retry * SAVE_BACKOFF_MILLIS).await?;
            let loaded = sending.store.load(key, context.app, now);
            stored = context.in_time(loaded).await?;
        }
        let Some(resent) = resent(context, &stored.recipient, nonce, to) else {
            return Ok(None);
        };
        if let Some(sent) = save_and_enqueue(context, &stored, resent).await? {
            return Ok(Some(sent));
        }
    }
    Ok(None)
}

/// `recipient` with one more message of its verification; `None` if that is not the pending one, or
/// if the recipient's own limits allow no message.
fn resent(
    context: &SendContext<'_>,
    recipient: &Recipient,
    nonce: VerificationNonce,
    (channel, device): (Channel, Option<&Device>),
) -> Option<Recipient> {
    let SendContext {
        sending,
        policy,
        now,
        ..
    } = *context;
    let current = recipient.current.as_ref()?;
    let is_open = current.params.nonce == nonce
        && current.status(now) == Status::Pending
        && current.params.has_time_for_a_send(now)
        && recipient.check_limits(policy, now).is_ok();
    if !is_open {
        return None;
    }
    let code = match policy.resend_code {
        ResendCode::Fresh if !current.is_code_of_app => {
            Some(fresh_code(context, recipient, current))
        }
        ResendCode::Fresh | ResendCode::Same => None,
    };
    let mut resent = recipient.clone();
    if code.is_some() {
        replace_reference(&mut resent);
    }
    if let (Some(device), Some(current)) = (device, &mut resent.current) {
        let sealed = sending.keyring.seal_device(context.key, nonce, device);
        current.sealed_device = Some(sealed);
    }
    resent.resend(channel, DeliveryTag(random_bytes()), code, now);
    Some(resent)
}

/// Gives the current verification, whose code is replaced, another reference, if it has one.
fn replace_reference(recipient: &mut Recipient) {
    let reference = new_reference(recipient);
    if let Some(shown) = recipient
        .current
        .as_mut()
        .and_then(|current| current.text_reference.as_mut())
    {
        *shown = reference;
    }
}
