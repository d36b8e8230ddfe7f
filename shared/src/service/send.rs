//! Send: opens a verification and enqueues its first message.
//!
//! One order for every send: look up, replay, decide, reserve, save, enqueue.
//!
//! Invariants: success only once the message is enqueued or handed over. A send that fails releases
//! its reservation and leaves the recipient as it was.

use super::admission::admit;
use super::approvals::Approvals;
use super::dispatcher::Dispatched;
use super::new_code::new_verification;
use super::replay::{Replay, replay};
use super::reservation::{Contention, SharedLimits};
use super::sending::{CONFLICT_RETRIES_MAX, SendContext, SendError, SendRequest, Sending, Sent};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::platform::deadline::Deadline;
use crate::platform::logging::causes;
use crate::store::{RestoreResult, SaveResult, StoreError, StoredRecipient, WriteId};

/// Sends a code to `request.to`. `deadline` is that of the invocation.
///
/// # Errors
/// [`SendError`]: nothing was sent and nothing is charged.
pub async fn send(
    sending: &Sending,
    app: &str,
    request: &SendRequest,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Sent, SendError> {
    let key = sending.keyring.recipient_key(app, &request.to.canonical());
    let context = SendContext::new(sending, app, key, deadline, now);
    admit(&context, request)?;
    let mut contention = Contention::default();
    for _ in 0..=CONFLICT_RETRIES_MAX {
        if let Some(sent) = try_send(&context, request, &mut contention).await? {
            return Ok(sent);
        }
    }
    Err(StoreError::Conflict.into())
}

/// `None`: another send was first, so this one starts over.
async fn try_send(
    context: &SendContext<'_>,
    request: &SendRequest,
    contention: &mut Contention,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    // Look up.
    let loaded = sending.store.load(key, context.app, now);
    let stored = context.in_time(loaded).await?;
    // Replay.
    if let Some(idempotency) = request.idempotency {
        match replay(context, &stored, idempotency).await? {
            Replay::Sent(sent) => return Ok(Some(*sent)),
            Replay::Conflict => return Ok(None),
            Replay::NewKey => {}
        }
    }
    // Decide.
    let verification = new_verification(context, request, &stored.recipient);
    let (nonce, channel) = (verification.params.nonce, request.channel);
    let limits = SharedLimits::new(*context, &request.to, channel, request.client_ip, nonce);
    if let Err(exceeded) = stored.recipient.check_limits(context.policy, now) {
        return Err(limits.rejection(exceeded).await);
    }
    // Complete the approval that the new verification replaces.
    let approvals = Approvals {
        store: &sending.store,
        keyring: &sending.keyring,
        key,
        now,
    };
    let completed = approvals.complete_before_send(&stored.recipient);
    context.in_time(completed).await?;
    // Reserve.
    let Some(reservation) = limits.reserve(contention).await? else {
        return Ok(None);
    };
    // Save and enqueue.
    let mut recipient = stored.recipient.clone();
    recipient.sealed_address = sending.store.seal_address(key, &request.to);
    recipient.address = Some(request.to.clone());
    recipient.open(verification, now);
    let result = save_and_enqueue(context, &stored, recipient).await;
    if !matches!(result, Ok(Some(_))) {
        reservation.release().await;
    }
    result
}

/// Saves `recipient`, whose current verification has a new message, and enqueues that message. If
/// it cannot be enqueued, the recipient is restored. `None`: another writer was first.
pub(super) async fn save_and_enqueue(
    context: &SendContext<'_>,
    before: &StoredRecipient,
    recipient: Recipient,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    let Some(current) = &recipient.current else {
        return Err(SendError::NotFound);
    };
    let (nonce, sequence) = (current.params.nonce, current.step.sequence);
    let id = context.id(nonce);
    let sent = |recipient| {
        Some(Sent {
            id,
            nonce,
            recipient,
            is_replay: false,
        })
    };
    let write_id = WriteId::random();
    let saved = sending
        .store
        .save_as(write_id, key, &recipient, before.version, now);
    let (error, written) = match context.in_time(saved).await {
        Ok(SaveResult::Saved(_)) => {
            let dispatch = context.dispatch(nonce, sequence);
            match context.dispatch_now(&dispatch).await {
                Ok(Dispatched::Enqueued) => {
                    context.count_send(&recipient);
                    return Ok(sent(recipient));
                }
                Ok(Dispatched::HandedOver(recipient)) => {
                    context.count_send(&recipient);
                    return Ok(sent(*recipient));
                }
                Ok(Dispatched::NotAccepted(claimed)) => (SendError::NotAccepted, claimed),
                Err(error) => (error, Some(write_id)),
            }
        }
        Ok(SaveResult::Conflict(_)) => return Ok(None),
        // It may have been written, or may still be.
        Err(error) => (error, Some(write_id)),
    };
    match roll_back(context, before, written).await {
        // A worker has the message although the queue's response was lost, or a repetition of this
        // request has enqueued it.
        Some(changed) if is_sent(context, &changed, before, &recipient) => {
            context.count_send(&changed.recipient);
            Ok(sent(changed.recipient))
        }
        _ => Err(error),
    }
}

/// Restores the recipient as it was before a send, unless the record has changed since: then the
/// changed recipient is returned and left as it is.
async fn roll_back(
    context: &SendContext<'_>,
    before: &StoredRecipient,
    written: Option<WriteId>,
) -> Option<StoredRecipient> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    match sending.store.restore(key, before, written?, now).await {
        Ok(RestoreResult::Restored) => {
            enqueue_restored_step(context, &before.recipient).await;
            None
        }
        Ok(RestoreResult::Changed(changed)) => Some(*changed),
        Err(error) => {
            tracing::error!(
                app = context.app,
                error.kind = "not_rolled_back",
                error.cause = causes(&error),
                "failed to roll back a send that could not be enqueued"
            );
            None
        }
    }
}

/// Enqueues the step that was planned before a send that was rolled back. Its own dispatch may have
/// been dropped as stale in between.
async fn enqueue_restored_step(context: &SendContext<'_>, recipient: &Recipient) {
    let Some(current) = recipient
        .current
        .as_ref()
        .filter(|v| v.is_deliverable(context.now))
    else {
        return;
    };
    let Some(due) = current.step.due else { return };
    let dispatch = context.dispatch(current.params.nonce, current.step.sequence);
    let delay_seconds = due.seconds_since(context.now);
    let dispatcher = &context.sending.dispatcher;
    let enqueued = dispatcher.enqueue_later(&dispatch, delay_seconds).await;
    if let Err(error) = enqueued {
        tracing::error!(
            verification.id = dispatch.id.log_prefix(),
            error.kind = "not_enqueued",
            error.cause = causes(&error),
            "failed to enqueue the step of a restored verification"
        );
    }
}

/// Whether the message that `saved` was saved with is on its way: a worker has claimed it, or a
/// repetition of the request that opened the verification has enqueued it and written so. Without a
/// queue the claim is that of this request, and only a repetition may have handed it over.
fn is_sent(
    context: &SendContext<'_>,
    changed: &StoredRecipient,
    before: &StoredRecipient,
    saved: &Recipient,
) -> bool {
    let hands_over = context.sending.dispatcher.hands_over();
    let (Some(current), Some(saved)) = (&changed.recipient.current, &saved.current) else {
        return false;
    };
    let nonce = saved.params.nonce;
    let is_new = before.recipient.current.as_ref();
    let is_new = is_new.is_none_or(|current| current.params.nonce != nonce);
    current.params.nonce == nonce
        && current.deliveries.len() >= saved.deliveries.len()
        && (is_new || !current.is_untouched())
        && !(hands_over && current.latest_is_queued())
}
