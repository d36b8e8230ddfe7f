//! Send: opens a verification and enqueues its first message.
//!
//! One order for every send: look up, replay, decide, reserve, save, enqueue.
//!
//! Invariants: success only once the message is enqueued or handed over. A send that fails releases
//! its reservation and leaves the recipient as it was. If it is not known whether the recipient is
//! as it was, the message may be sent and stays counted.

use super::admission::admit;
use super::dispatcher::Dispatched;
use super::new_code::new_verification;
use super::replay::{Replay, remember, replay};
use super::reservation::SharedLimits;
use super::roll_back::{RolledBack, has_message_of, is_opened, roll_back};
use super::sending::{
    CONFLICT_RETRIES_MAX, NotSent, SendContext, SendError, SendRequest, Sending, Sent,
};
use super::test_number::send_to_test_number;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::ClaimId;
use crate::domain::past_verification::PastVerification;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::platform::deadline::Deadline;
use crate::platform::random::random_bytes;
use crate::store::{SaveResult, StoreError, StoredRecipient, WriteId};

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
    for _ in 0..=CONFLICT_RETRIES_MAX {
        if let Some(sent) = try_send(&context, request).await? {
            return Ok(sent);
        }
    }
    Err(StoreError::Conflict.into())
}

/// `None`: another send was first, so this one starts over.
async fn try_send(
    context: &SendContext<'_>,
    request: &SendRequest,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    // Look up.
    let loaded = sending.store.load(key, context.app, now);
    let stored = context.in_time(loaded).await?;
    // Replay.
    let Some(idempotency) = request.idempotency else {
        return open(context, &stored, request, None).await;
    };
    match replay(context, &stored, idempotency).await? {
        Replay::Sent(sent) => Ok(Some(*sent)),
        Replay::Conflict => Ok(None),
        Replay::NewKey(remembered) => open(context, &stored, request, Some(remembered)).await,
    }
}

/// Opens a verification for the recipient as it was loaded, with the sends that are `remembered`
/// apart if they were read: decides, reserves, saves, enqueues. `None`: another send was first.
pub(super) async fn open(
    context: &SendContext<'_>,
    stored: &StoredRecipient,
    request: &SendRequest,
    remembered: Option<Vec<PastVerification>>,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    // Decide.
    let test_code = sending.test_numbers.code_of(&request.to, now);
    let verification = new_verification(context, request, &stored.recipient, test_code);
    if test_code.is_some() {
        complete_replaced(context, &stored.recipient).await?;
        return send_to_test_number(context, stored, verification, request, remembered).await;
    }
    let (nonce, channel) = (verification.params.nonce, request.channel);
    let limits = SharedLimits::new(*context, &request.to, channel, request.client_ip, nonce);
    if let Err(exceeded) = stored.recipient.check_limits(context.policy, now) {
        return Err(limits.rejection(exceeded).await);
    }
    complete_replaced(context, &stored.recipient).await?;
    let mut recipient = stored.recipient.clone();
    recipient.sealed_address = sending.store.seal_address(key, &request.to);
    recipient.address = Some(request.to.clone());
    let leaving = recipient.open(verification, now);
    if !remember(context, &stored.recipient, &leaving, remembered).await? {
        return Ok(None);
    }
    // Reserve.
    let Some(reservation) = limits.reserve(stored).await? else {
        return Ok(None);
    };
    // Save and enqueue.
    let result = save_and_enqueue(context, stored, recipient).await;
    reservation.settle(result).await
}

/// Completes the approval of the verification that a new one replaces.
async fn complete_replaced(
    context: &SendContext<'_>,
    recipient: &Recipient,
) -> Result<(), SendError> {
    let approvals = context.sending.approvals(context.key, context.now);
    let completed = approvals.complete_before_send(recipient);
    context.in_time(completed).await
}

/// Saves `recipient`, whose current verification has a new message, and enqueues that message. If
/// it cannot be enqueued, the recipient is restored. `None`: another writer was first.
pub(super) async fn save_and_enqueue(
    context: &SendContext<'_>,
    before: &StoredRecipient,
    recipient: Recipient,
) -> Result<Option<Sent>, NotSent> {
    let SendContext { key, now, .. } = *context;
    let Some(current) = &recipient.current else {
        return Err(SendError::NotFound.into());
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
    let (write_id, claim_id) = (WriteId::random(), ClaimId(random_bytes()));
    let store = &context.sending.store;
    let saved = store.save_as(write_id, key, &recipient, before.version, now);
    let (error, written) = match context.in_time(saved).await {
        Ok(SaveResult::Conflict(stored)) if !has_message_of(&stored.recipient, current) => {
            return Ok(None);
        }
        Ok(SaveResult::Saved(_) | SaveResult::Conflict(_)) => {
            let dispatch = context.dispatch(nonce, sequence);
            match context.dispatch_now(&dispatch, claim_id).await {
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
        // It may have been written, or may still be.
        Err(error) => (error, Some(write_id)),
    };
    let rolled_back = roll_back(context, before, &recipient, written, claim_id);
    let may_be_sent = match rolled_back.await {
        // A worker has the message although the queue's response was lost, or a repetition of this
        // request has enqueued it.
        RolledBack::Left(changed) if is_sent(context, &changed, before, &recipient) => {
            context.count_send(&changed.recipient);
            return Ok(sent(changed.recipient));
        }
        RolledBack::Left(changed) => may_be_sent(&changed.recipient, current),
        RolledBack::Unknown => true,
        RolledBack::Undone => false,
    };
    Err(NotSent { error, may_be_sent })
}

/// Whether the latest message of `saved` was sent, or may be: a worker or a repetition has it, or a
/// newer send replaced it that may be rolled back.
fn may_be_sent(changed: &Recipient, saved: &Verification) -> bool {
    let latest = saved.deliveries.last().map(|latest| latest.tag);
    let mut deliveries = changed.verifications().flat_map(|known| known.deliveries());
    let left = deliveries.find(|delivery| Some(delivery.tag) == latest);
    let is_newer_untouched = changed
        .current
        .as_ref()
        .is_some_and(Verification::is_untouched);
    left.is_some_and(|left| left.status != DeliveryStatus::Failed || is_newer_untouched)
}

/// Whether the message that `saved` was saved with is on its way: a worker has claimed it, or a
/// repetition of the request that opened the verification has enqueued it and written so. Without a
/// queue the claim is that of this request, and only a repetition may have handed it over.
///
/// If an earlier message has changed as well, it is not known whether a repetition wrote. Then the
/// send is not a success, and its next repetition enqueues the message.
fn is_sent(
    context: &SendContext<'_>,
    changed: &StoredRecipient,
    before: &StoredRecipient,
    saved_recipient: &Recipient,
) -> bool {
    let hands_over = context.sending.dispatcher.hands_over();
    let changed = &changed.recipient;
    let (Some(current), Some(saved)) = (&changed.current, &saved_recipient.current) else {
        return false;
    };
    let is_repeated = is_opened(saved, before) && changed.past == saved_recipient.past;
    current.params.nonce == saved.params.nonce
        && current.deliveries.len() >= saved.deliveries.len()
        && (is_repeated || !current.is_untouched())
        && !(hands_over && current.latest_is_queued())
}
