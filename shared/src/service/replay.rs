//! Replay: a send with an `Idempotency-Key` that was seen before.

use super::dispatcher::Dispatched;
use super::sending::{SendContext, SendError, Sent};
use crate::domain::ids::{ClaimId, VerificationNonce};
use crate::domain::past_verification::PastVerification;
use crate::domain::recipient::Recipient;
use crate::domain::remembered_sends::find_by_idempotency_key;
use crate::domain::step::StepState;
use crate::domain::verification::Verification;
use crate::domain::verification_params::Idempotency;
use crate::domain::verification_ref::VerificationRef;
use crate::platform::random::random_bytes;
use crate::store::{SaveResult, StoredRecipient};

/// Result of looking for an `Idempotency-Key`.
pub(super) enum Replay {
    /// The key is new. With the sends that are remembered apart.
    NewKey(Vec<PastVerification>),
    /// The verification that an earlier request opened.
    Sent(Box<Sent>),
    /// The record has changed in between: start over.
    Conflict,
}

/// Finds the verification that the key opened. If no worker has claimed its message, the earlier
/// request may not have enqueued it: it is enqueued again, under the same step number.
pub(super) async fn replay(
    context: &SendContext<'_>,
    stored: &StoredRecipient,
    idempotency: Idempotency,
) -> Result<Replay, SendError> {
    let recipient = &stored.recipient;
    let found = recipient.find_by_idempotency_key(idempotency.key, context.now);
    let Some((verification, opened_with)) = found else {
        return replay_remembered(context, recipient, idempotency).await;
    };
    if opened_with.body != idempotency.body {
        return Err(SendError::IdempotencyMismatch);
    }
    let nonce = verification.params().nonce;
    match verification {
        VerificationRef::Current(current) if is_first_message_pending(context, current) => {
            enqueue_again(context, stored, current).await
        }
        VerificationRef::Current(_) | VerificationRef::Past(_) => {
            Ok(replayed(context, nonce, recipient.clone()))
        }
    }
}

/// Finds the verification among the sends that are remembered apart.
async fn replay_remembered(
    context: &SendContext<'_>,
    recipient: &Recipient,
    idempotency: Idempotency,
) -> Result<Replay, SendError> {
    let remembered = remembered_sends(context, recipient).await?;
    let found = find_by_idempotency_key(&remembered, idempotency.key, context.now);
    let Some(past) = found else {
        return Ok(Replay::NewKey(remembered));
    };
    if past.params.idempotency != Some(idempotency) {
        return Err(SendError::IdempotencyMismatch);
    }
    let nonce = past.params.nonce;
    let mut recipient = recipient.clone();
    recipient.past.push(past.clone());
    Ok(replayed(context, nonce, recipient))
}

/// The sends of `recipient` that are remembered apart.
async fn remembered_sends(
    context: &SendContext<'_>,
    recipient: &Recipient,
) -> Result<Vec<PastVerification>, SendError> {
    if !recipient.may_have_remembered_sends(context.now) {
        return Ok(Vec::new());
    }
    let remembered = context.sending.store.remembered_sends(context.key);
    context.in_time(remembered).await
}

/// Remembers the verifications that leave the item of `recipient`, beside those that were
/// `remembered` when it was loaded; reads these if they were not read yet. `false`: the recipient
/// was forgotten since.
pub(super) async fn remember(
    context: &SendContext<'_>,
    recipient: &Recipient,
    leaving: &[PastVerification],
    remembered: Option<Vec<PastVerification>>,
) -> Result<bool, SendError> {
    if leaving.is_empty() {
        return Ok(true);
    }
    let remembered = match remembered {
        Some(remembered) => remembered,
        None => remembered_sends(context, recipient).await?,
    };
    let store = &context.sending.store;
    let stored = store.remember_sends(context.key, leaving, &remembered, context.now);
    context.in_time(stored).await
}

/// Whether the message that a send opened `verification` with may still have to be enqueued.
fn is_first_message_pending(context: &SendContext<'_>, verification: &Verification) -> bool {
    let is_first = verification
        .deliveries
        .iter()
        .all(|delivery| delivery.number == 1);
    let hands_over = context.sending.dispatcher.hands_over();
    let is_open = match verification.step.state(context.now) {
        StepState::Queued => verification.is_untouched(),
        // With `OTP_DISPATCH=sns` the request that holds the step publishes, or crashed.
        StepState::Held { .. } | StepState::Abandoned => {
            hands_over && verification.latest_is_queued()
        }
        StepState::Done => false,
    };
    is_first && is_open && verification.is_deliverable(context.now)
}

async fn enqueue_again(
    context: &SendContext<'_>,
    stored: &StoredRecipient,
    verification: &Verification,
) -> Result<Replay, SendError> {
    if let StepState::Held { .. } = verification.step.state(context.now) {
        return Err(SendError::InProgress);
    }
    let SendContext {
        sending, key, now, ..
    } = *context;
    let nonce = verification.params.nonce;
    let dispatch = context.dispatch(nonce, verification.step.sequence);
    match context
        .dispatch_now(&dispatch, ClaimId(random_bytes()))
        .await?
    {
        Dispatched::HandedOver(recipient) => Ok(replayed(context, nonce, *recipient)),
        Dispatched::NotAccepted(_) => Err(SendError::NotAccepted),
        // The earlier request may be about to roll back. This write prevents that; if the earlier
        // request was first, this one starts over.
        Dispatched::Enqueued => {
            let store = &sending.store;
            let saved = store.save(key, &stored.recipient, stored.version, now);
            let saved = context.in_time(saved).await?;
            Ok(match saved {
                SaveResult::Saved(_) => replayed(context, nonce, stored.recipient.clone()),
                SaveResult::Conflict(_) => Replay::Conflict,
            })
        }
    }
}

fn replayed(context: &SendContext<'_>, nonce: VerificationNonce, recipient: Recipient) -> Replay {
    let id = context.id(nonce);
    Replay::Sent(Box::new(Sent {
        id,
        nonce,
        recipient,
        is_replay: true,
    }))
}
