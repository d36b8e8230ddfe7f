//! Roll back: undoes the write of a send whose message could not be enqueued.

use std::time::Duration;

use tokio::time::Instant;

use super::sending::{CONFLICT_RETRIES_MAX, SendContext, SendError};
use crate::domain::ids::ClaimId;
use crate::domain::recipient::Recipient;
use crate::domain::verification::Verification;
use crate::platform::logging::causes;
use crate::store::{RestoreResult, StoreError, StoredRecipient, WriteId, jittered_backoff};

/// How often a roll back waits for a newer send, which may be rolled back as well.
const WAITS_MAX: u32 = 20;
/// Longest of these waits.
const WAIT_MILLIS_MAX: u64 = 150;
/// Time to enqueue the step of a restored verification, however late it is.
const ENQUEUE_TIME_MIN: Duration = Duration::from_millis(500);

/// Result of a roll back.
pub(super) enum RolledBack {
    /// The recipient is as it was before the send, with what others have written since.
    Undone,
    /// A worker or a repetition may have the message, or a newer send replaced it: the recipient is
    /// left as it is now.
    Left(Box<StoredRecipient>),
    /// It is not known whether the recipient is restored.
    Unknown,
}

/// Restores the recipient as it was before a send, unless a worker or a repetition may have its
/// message. `own_claim`: without a queue, the send may have claimed it, and has not handed it over.
pub(super) async fn roll_back(
    context: &SendContext<'_>,
    before: &StoredRecipient,
    saved: &Recipient,
    written: Option<WriteId>,
    own_claim: ClaimId,
) -> RolledBack {
    let (store, until) = (&context.sending.store, context.restore_until);
    let Some(mut written) = written else {
        return RolledBack::Unknown;
    };
    let mut restored = before.clone();
    let (mut conflicts, mut waits) = (0, 0);
    while conflicts <= CONFLICT_RETRIES_MAX {
        let restoring = store.restore(context.key, &restored, written, until, context.now);
        match restoring.await {
            Ok(RestoreResult::Restored) => {
                enqueue_restored_step(context, &restored.recipient).await;
                return RolledBack::Undone;
            }
            // A report about an earlier message, or the end of its handover, came in between.
            // Or an attempt, a cancel or an unlock.
            Ok(RestoreResult::Changed(changed)) => match changed.version {
                Some(version)
                    if is_unknown_to_others(&changed.recipient, before, saved, own_claim) =>
                {
                    restored.recipient = undone(context, before, &changed.recipient, saved);
                    written = version;
                    conflicts += 1;
                }
                // The response was lost, and another writer came next.
                Some(_) if is_restored(&changed.recipient, before, saved) => {
                    enqueue_restored_step(context, &changed.recipient).await;
                    return RolledBack::Undone;
                }
                _ if waits < WAITS_MAX
                    && Instant::now() < until
                    && may_be_current_again(&changed.recipient, saved) =>
                {
                    jittered_backoff(WAIT_MILLIS_MAX).await;
                    waits += 1;
                }
                _ => return RolledBack::Left(changed),
            },
            Err(error) => {
                log_not_rolled_back(context, &error);
                // It may be restored. If it is not, the dispatch is stale and does nothing.
                enqueue_restored_step(context, &restored.recipient).await;
                return RolledBack::Unknown;
            }
        }
    }
    log_not_rolled_back(context, &StoreError::Conflict);
    RolledBack::Unknown
}

/// Whether the verification before the send is the current one again, without the message that
/// `saved` has.
fn is_restored(changed: &Recipient, before: &StoredRecipient, saved: &Recipient) -> bool {
    let nonce = |recipient: &Recipient| recipient.current.as_ref().map(|v| v.params.nonce);
    let earlier = nonce(&before.recipient);
    let has_message = |saved| has_message_of(changed, saved);
    earlier.is_some()
        && nonce(changed) == earlier
        && !saved.current.as_ref().is_some_and(has_message)
}

fn log_not_rolled_back(context: &SendContext<'_>, error: &StoreError) {
    tracing::error!(
        app = context.app,
        error.kind = "not_rolled_back",
        error.cause = causes(error),
        "failed to roll back a send that could not be enqueued"
    );
}

/// The recipient before the send, with what was written since.
fn undone(
    context: &SendContext<'_>,
    before: &StoredRecipient,
    changed: &Recipient,
    saved: &Recipient,
) -> Recipient {
    let SendContext { policy, now, .. } = *context;
    let is_resend = saved
        .current
        .as_ref()
        .is_some_and(|v| !is_opened(v, before));
    let before = &before.recipient;
    match is_resend {
        true => before.with_changes_since_resend(changed, now),
        false => before.with_changes_since_send(saved, changed, policy.guess_budget, now),
    }
}

/// Whether a newer send replaced the verification that this one opened, and is not on its way yet:
/// if it fails, it makes that verification the current one again.
fn may_be_current_again(changed: &Recipient, saved: &Recipient) -> bool {
    let (Some(current), Some(saved)) = (&changed.current, &saved.current) else {
        return false;
    };
    let mut past = changed.past.iter();
    saved.params.idempotency.is_none()
        && current.is_untouched()
        && past.any(|past| past.params.nonce == saved.params.nonce)
}

/// Whether neither a worker nor a repetition can have the message of the send: it is the latest
/// one, and without an `Idempotency-Key` no repetition enqueues the first message of a
/// verification. A verification that was approved meanwhile stays.
fn is_unknown_to_others(
    changed: &Recipient,
    before: &StoredRecipient,
    saved: &Recipient,
    own_claim: ClaimId,
) -> bool {
    let (Some(current), Some(saved)) = (&changed.current, &saved.current) else {
        return false;
    };
    let latest = |verification: &Verification| verification.deliveries.last().map(|d| d.tag);
    let claim = current.step.claim;
    let is_claimed = claim.is_some_and(|claim| claim.id == own_claim) && current.latest_is_queued();
    let is_opened = is_opened(saved, before);
    let is_repeatable = is_opened && saved.params.idempotency.is_some();
    current.params.nonce == saved.params.nonce
        && latest(current) == latest(saved)
        && !is_repeatable
        && !(is_opened && current.is_approved())
        && (current.is_untouched() || is_claimed)
}

/// Whether `saved` is a new verification, not one with a further message.
pub(super) fn is_opened(saved: &Verification, before: &StoredRecipient) -> bool {
    let earlier = before.recipient.current.as_ref();
    earlier.is_none_or(|current| current.params.nonce != saved.params.nonce)
}

/// Whether `stored` has the latest message of `saved`: its write was applied, its response was
/// lost, and another writer came before the read that finds out.
pub(super) fn has_message_of(stored: &Recipient, saved: &Verification) -> bool {
    let current = stored.current.as_ref();
    let current = current.filter(|current| current.params.nonce == saved.params.nonce);
    let latest = saved.deliveries.last().map(|latest| latest.tag);
    current.is_some_and(|current| {
        let mut deliveries = current.deliveries.iter();
        deliveries.any(|delivery| Some(delivery.tag) == latest)
    })
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
    let enqueued = dispatcher.enqueue_later(&dispatch, delay_seconds);
    let until = context.restore_until.max(Instant::now() + ENQUEUE_TIME_MIN);
    let error = match tokio::time::timeout_at(until, enqueued).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => SendError::from(error),
        Err(_) => SendError::OutOfTime,
    };
    tracing::error!(
        verification.id = dispatch.id.log_prefix(),
        error.kind = "not_enqueued",
        error.cause = causes(&error),
        "failed to enqueue the step of a restored verification"
    );
}
