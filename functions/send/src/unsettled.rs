//! Sends that are written and not settled: another call with the same key has made them and may not have gone on, or they may not
//! go and are taken back. Must never ask for a message that has not passed its limits, nor give an attempt back.

use std::convert::Infallible;
use std::time::Duration;

use otp::delivery::{Delivery, DeliveryStatus};
use otp::queue::Dispatch;
use otp::recipient::{Found, Recipient};
use otp::store::{Begin, Change, NEVER, Raised};
use otp::verification::{Nonce, Status, Step, Verification};

use crate::limits::Limits;
use crate::{Call, Handover, SendError, Sent, Written};

/// The first step of a verification whose limits may not have been passed yet, and of one whose limits have.
pub(crate) const NOT_PASSED: u16 = 1;
pub(crate) const PASSED: u16 = 2;
/// How long a call may be under way: as long as the function may run.
const UNDER_WAY_SECONDS: i64 = 10;
/// What its repetition waits for it: many times what the limits take.
pub(crate) const UNDER_WAY_WAIT: Duration = Duration::from_millis(500);

/// Whether the message that `verification` was made with is with nobody yet: its call is still passing its limits, or has ended
/// without asking for it, or it waits in the queue.
pub(crate) fn is_waiting(call: &Call<'_>, verification: &Verification) -> bool {
    // Where the function publishes, no worker holds it: whoever does is a call that may have died.
    let is_untouched = verification.is_untouched() || (call.publishes() && verification.is_unheard_of());
    let is_first = verification.deliveries.iter().all(|delivery| delivery.number == 1);
    is_untouched && is_first && verification.status(call.now) == Status::Pending && verification.terms.has_time_for_a_send(call.now)
}

/// Does what the call that made the verification may have left undone: passes the limits, since that one may have died before it
/// did, and asks for the message, under a new sequence number, which keeps that one from taking it back. At worst a message that
/// waited in the queue is counted twice.
pub(crate) async fn go_on(limits: &mut Limits<'_>, nonce: &Nonce) -> Result<Sent, SendError> {
    let call = limits.call;
    let Call { app, caller, key, now, .. } = call;
    let waiting = |recipient: &Recipient| recipient.verification.clone().filter(|v| v.terms.nonce == *nonce && is_waiting(&call, v));
    let found = app.store.read(&key, now).await?.and_then(|recipient| waiting(&recipient)).ok_or(SendError::InProgress)?;
    if found.is_in_hand(now) {
        return Err(SendError::InProgress);
    }
    if found.step.sequence == NOT_PASSED
        && let Err(refusal) = limits.pass().await
    {
        let may_be_under_way = now.since(found.terms.created_at) <= UNDER_WAY_SECONDS;
        let refusal = if may_be_under_way && matches!(refusal, SendError::Limited(..)) { SendError::InProgress } else { refusal };
        return Err(limits.refuse(refusal).await);
    }
    let rule = |recipient: &mut Recipient| {
        let is_as_found = waiting(recipient).is_some_and(|v| v.step == found.step);
        let Some(verification) = recipient.verification.as_mut().filter(|_| is_as_found) else { return Err(SendError::InProgress) };
        verification.step.sequence = verification.step.sequence.saturating_add(1);
        call.written(recipient, None).map(Change::Write)
    };
    let written = match app.store.change(&key, caller, Begin::Read, now, rule).await {
        Ok(Ok(written)) => written,
        Ok(Err(refusal)) => return Err(limits.refuse(refusal).await),
        Err(error) => return Err(limits.refuse(SendError::Store(error)).await),
    };
    // What the limits counted stays counted if nobody can be asked: the next repetition finds that they were passed.
    let recipient = call.ask(&written).await.map_err(SendError::NotDispatched)?;
    let sent = recipient.and_then(|recipient| call.shown(nonce, &recipient)).unwrap_or(written.sent);
    Ok(Sent { replayed: true, ..sent })
}

/// What became of a send that was to be taken back.
pub(crate) enum TakenBack {
    /// Nothing is left of it, or nothing that will ever be sent.
    Undone,
    /// A worker has it although its sender was not told so.
    TakenUp(Box<Recipient>),
    /// Another call goes on with it, or it is not known.
    Unsure,
}

/// Undoes a send that goes nowhere, unless somebody has built on it. A step that stood before it is asked for again: a worker that
/// came meanwhile found it replaced and went away.
pub(crate) async fn take_back(call: &Call<'_>, written: &Written) -> TakenBack {
    let Call { app, caller, key, now, .. } = *call;
    let Some(before) = &written.before else { return TakenBack::Unsure };
    let rule = |recipient: &mut Recipient| {
        // A report of an earlier message may have made the next step due: that builds on nothing.
        let is_ours = |v: &Verification| v.terms.nonce == written.nonce && Step { due: written.step.due, ..v.step } == written.step;
        if recipient.verification.as_ref().is_some_and(is_ours) {
            recipient.take_back(before);
            let restored = recipient.verification.as_ref().filter(|v| v.status(now) == Status::Pending && v.step.due != NEVER);
            return Ok::<_, Infallible>(Change::Write(Ok(restored.cloned())));
        }
        // Another send came in between: this one's message, which nobody has been asked for, will never go.
        let is_overtaken = recipient.ended.iter().any(|ended| ended.terms.nonce == written.nonce && never_went(call, written, &ended.deliveries));
        if is_overtaken && recipient.take_back_overtaken(&written.nonce) {
            return Ok(Change::Write(Ok(None)));
        }
        Ok(Change::Keep(Err(recipient.clone())))
    };
    match app.store.change(&key, caller, Begin::Read, now, rule).await {
        Ok(Ok(Ok(restored))) => {
            ask_for_restored(call, restored).await;
            TakenBack::Undone
        }
        Ok(Ok(Err(stands))) => left_standing(call, written, stands).await,
        Ok(Err(never)) => match never {},
        Err(error) => {
            tracing::error!(error.kind = "not_taken_back", error.cause = error.0, "a send that does not go out stays counted");
            TakenBack::Unsure
        }
    }
}

async fn ask_for_restored(call: &Call<'_>, restored: Option<Verification>) {
    let Call { app, caller, key, now, .. } = *call;
    let (Some(verification), Handover::Queue(queue)) = (restored, &app.handover) else { return };
    let (terms, step) = (&verification.terms, verification.step);
    // Its own call may still be passing its limits, and ask for it then or take it back.
    let is_settled_at = if step.sequence == NOT_PASSED { terms.created_at.plus(UNDER_WAY_SECONDS) } else { now };
    let dispatch = Dispatch::new(caller, app.seal.verification_id(caller, &key, &terms.nonce), step.sequence);
    if let Err(error) = queue.enqueue(&dispatch, step.due.max(is_settled_at).since(now)).await {
        tracing::error!(error.kind = "not_dispatched", error.cause = error.0, "a message may wait for a repeated call");
    }
}

/// Whether the message that was `written` is the only one of a verification that lost its place, and was in nobody's hands but this
/// call's, which holds it where it publishes.
fn never_went(call: &Call<'_>, written: &Written, deliveries: &[Delivery]) -> bool {
    let is_held = |status| status == DeliveryStatus::Sending && call.publishes();
    matches!(deliveries, [only] if only.tag == written.tag && (only.status == DeliveryStatus::Failed || is_held(only.status)))
}

/// Somebody came in between: a worker, a call with the same key, or another send.
async fn left_standing(call: &Call<'_>, written: &Written, recipient: Recipient) -> TakenBack {
    let Some(found) = recipient.find(&written.nonce, call.now) else { return TakenBack::Undone };
    let status = found.deliveries().iter().find(|delivery| delivery.tag == written.tag).map(|delivery| delivery.status);
    match (status, found) {
        (Some(DeliveryStatus::Queued), Found::Now(v)) if v.is_untouched() => TakenBack::Unsure,
        // It was held for this call, which does not publish it: nobody else will.
        (Some(DeliveryStatus::Sending), Found::Before(_)) if call.publishes() => {
            settle(call, written, DeliveryStatus::Failed, None).await;
            TakenBack::Undone
        }
        (Some(DeliveryStatus::Failed) | None, _) => TakenBack::Undone,
        (Some(_), _) => TakenBack::TakenUp(Box::new(recipient)),
    }
}

/// Tells what became of a message that was overtaken.
pub(crate) async fn settle(call: &Call<'_>, written: &Written, status: DeliveryStatus, carrier: Option<&str>) -> Option<Recipient> {
    match call.app.store.raise(&call.key, &written.tag, status, carrier, call.now).await {
        Ok(Raised::Done(recipient) | Raised::Unchanged(recipient)) => Some(recipient),
        Ok(Raised::Gone) => None,
        Err(error) => {
            tracing::error!(error.kind = "untold", error.cause = error.0, "what became of a message is not told");
            None
        }
    }
}
