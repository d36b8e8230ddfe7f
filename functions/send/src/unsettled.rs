//! Sends that are written and not settled: a repeated call finds their message with nobody yet, or they may not go and are taken
//! back. Must never ask for a message that has not passed its limits, nor give an attempt back.

use std::convert::Infallible;
use std::time::Duration;

use otp::domain::delivery::DeliveryStatus;
use otp::domain::recipient::Recipient;
use otp::domain::verification::{Nonce, Status, Step, Verification};
use otp::platform::queue::Dispatch;
use otp::store::{Begin, Change, NEVER, Raised};

use crate::{Call, Handover, Opened, SendError, Sent, Written};

/// The first step of a verification whose limits may not have been passed yet, and of one whose limits have.
pub(crate) const NOT_PASSED: u16 = 1;
pub(crate) const PASSED: u16 = 2;
/// How long a call may be under way: as long as the function may run.
const UNDER_WAY_SECONDS: i64 = 10;
/// What a call waits for another one that it has met: many times what the limits take.
pub(crate) const UNDER_WAY_WAIT: Duration = Duration::from_millis(500);

/// The same call again: the verification as it is now. A message that nobody has taken yet may never have been asked for, so that is
/// done once more, under a new sequence number, which also keeps the first call from taking it back. It has passed its limits, or would
/// not be there.
pub(crate) fn repeat(
    call: &Call<'_>,
    nonce: &Nonce,
    recipient: &mut Recipient,
) -> Result<Change<Opened>, SendError> {
    if let Some(verification) = recipient
        .verification
        .as_mut()
        .filter(|v| v.params.nonce == *nonce && is_unheard(call, v))
    {
        if verification.is_in_hand(call.now) {
            return Ok(Change::Keep(Opened::UnderWay));
        }
        verification.step.sequence = verification.step.sequence.saturating_add(1);
        return call
            .written(recipient, None)
            .map(|written| Change::Write(Opened::Unheard(Box::new(written))));
    }
    let repeated = call.shown(nonce, recipient).ok_or(SendError::NotFound)?;
    Ok(Change::Keep(Opened::Repeated(Sent {
        replayed: true,
        ..repeated
    })))
}

/// Whether the message that `verification` was made with is with no worker yet. Where the function publishes, whoever holds it is a
/// call that may have died.
fn is_unheard(call: &Call<'_>, verification: &Verification) -> bool {
    let is_untouched =
        verification.is_untouched() || (call.publishes() && verification.is_unheard_of());
    let is_first = verification
        .deliveries
        .iter()
        .all(|delivery| delivery.number == 1);
    is_untouched
        && is_first
        && verification.status(call.now) == Status::Pending
        && verification.params.has_time_for_a_send(call.now)
}

/// Asks for the message of a repeated call.
pub(crate) async fn ask_again(call: &Call<'_>, written: Written) -> Result<Sent, SendError> {
    let recipient = call.ask(&written).await.map_err(SendError::NotDispatched)?;
    let sent = recipient
        .and_then(|recipient| call.shown(&written.nonce, &recipient))
        .unwrap_or(written.sent);
    Ok(Sent {
        replayed: true,
        ..sent
    })
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
    let Call {
        app,
        caller,
        key,
        now,
        ..
    } = *call;
    let Some(before) = &written.before else {
        return TakenBack::Unsure;
    };
    let rule = |recipient: &mut Recipient| {
        // A report of an earlier message may have made the next step due: that builds on nothing.
        let is_ours = |v: &Verification| {
            v.params.nonce == written.nonce
                && Step {
                    due: written.step.due,
                    ..v.step
                } == written.step
        };
        if recipient.verification.as_ref().is_some_and(is_ours) {
            recipient.take_back(before);
            let restored = recipient
                .verification
                .as_ref()
                .filter(|v| v.status(now) == Status::Pending && v.step.due != NEVER);
            return Ok::<_, Infallible>(Change::Write(Ok(restored.cloned())));
        }
        // Somebody came in between. If that was another send, or a forget, this one's message will never go.
        if never_went(call, written, recipient) {
            recipient.take_back_overtaken(&written.nonce, &written.tag, now);
            return Ok(Change::Write(Ok(None)));
        }
        Ok(Change::Keep(Err(recipient.clone())))
    };
    match app.store.change(&key, caller, Begin::Read, now, rule).await {
        Ok(Ok(Ok(restored))) => {
            ask_for_restored(call, restored).await;
            TakenBack::Undone
        }
        Ok(Ok(Err(stands))) => left_standing(call, written, stands),
        Ok(Err(never)) => match never {},
        Err(error) => {
            tracing::error!(
                error.kind = "not_taken_back",
                error.cause = error.0,
                "a send that does not go out stays counted"
            );
            TakenBack::Unsure
        }
    }
}

async fn ask_for_restored(call: &Call<'_>, restored: Option<Verification>) {
    let Call {
        app,
        caller,
        key,
        now,
        ..
    } = *call;
    let (Some(verification), Handover::Queue(queue)) = (restored, &app.handover) else {
        return;
    };
    let (params, step) = (&verification.params, verification.step);
    // Its own call may still be passing its limits, and ask for it then or take it back.
    let is_settled_at = if step.sequence == NOT_PASSED {
        params.created_at + UNDER_WAY_SECONDS
    } else {
        now
    };
    let dispatch = Dispatch::new(
        caller,
        app.seal.verification_id(caller, &key, &params.nonce),
        step.sequence,
    );
    if let Err(error) = queue
        .enqueue(&dispatch, step.due.max(is_settled_at).seconds_since(now))
        .await
    {
        tracing::error!(
            error.kind = "not_dispatched",
            error.cause = error.0,
            "a message may wait for a repeated call"
        );
    }
}

/// Whether the message that was `written` is in nobody's hands and will not be: forgotten, left as `failed`, or, where this function
/// publishes, held for this call.
fn never_went(call: &Call<'_>, written: &Written, recipient: &Recipient) -> bool {
    let is_left = |status| {
        status == DeliveryStatus::Failed || (call.publishes() && status == DeliveryStatus::Sending)
    };
    match recipient.find(&written.nonce, call.now) {
        None => true,
        Some(found) => found
            .deliveries()
            .iter()
            .find(|delivery| delivery.tag == written.tag)
            .is_none_or(|delivery| is_left(delivery.status)),
    }
}

/// A worker has it, or a call with the same key goes on with it.
fn left_standing(call: &Call<'_>, written: &Written, recipient: Recipient) -> TakenBack {
    let is_raised = |v: &Verification| v.params.nonce == written.nonce && is_unheard(call, v);
    if recipient.verification.as_ref().is_some_and(is_raised) {
        return TakenBack::Unsure;
    }
    TakenBack::TakenUp(Box::new(recipient))
}

/// Tells what became of a message that was overtaken.
pub(crate) async fn settle(
    call: &Call<'_>,
    written: &Written,
    status: DeliveryStatus,
    carrier: Option<&str>,
) -> Option<Recipient> {
    match call
        .app
        .store
        .raise(&call.key, &written.tag, status, carrier, call.now)
        .await
    {
        Ok(Raised::Done(recipient) | Raised::Unchanged(recipient)) => Some(recipient),
        Ok(Raised::Gone) => None,
        Err(error) => {
            tracing::error!(
                error.kind = "untold",
                error.cause = error.0,
                "what became of a message is not told"
            );
            None
        }
    }
}
