//! Roll back: undoes the write of a send whose message could not be enqueued.

use std::time::Duration;

use super::sending::{CONFLICT_RETRIES_MAX, SendContext};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::platform::logging::causes;
use crate::store::{RestoreResult, StoreError, StoredRecipient, WriteId, jittered_backoff};

/// How often a roll back waits for a newer send, which may be rolled back as well.
const WAITS_MAX: u32 = 20;
/// Longest of these waits.
const WAIT_MILLIS_MAX: u64 = 150;
/// Time that is left after the waits and the repetitions of a roll back, for what follows them.
const TIME_LEFT_MIN: Duration = Duration::from_millis(1500);

/// Restores the recipient as it was before a send, unless a worker or a repetition may have its
/// message: then the changed recipient is returned and left as it is.
pub(super) async fn roll_back(
    context: &SendContext<'_>,
    before: &StoredRecipient,
    saved: &Recipient,
    written: Option<WriteId>,
) -> Option<StoredRecipient> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    let (mut restored, mut written) = (before.clone(), written?);
    let (mut conflicts, mut waits) = (0, 0);
    let restore_until = context.deadline.earlier_by(TIME_LEFT_MIN).instant();
    while conflicts <= CONFLICT_RETRIES_MAX {
        let restoring = sending
            .store
            .restore(key, &restored, written, restore_until, now);
        match restoring.await {
            Ok(RestoreResult::Restored) => {
                enqueue_restored_step(context, &restored.recipient).await;
                return None;
            }
            // A report about an earlier message, or the end of its handover, came in between.
            // Or an attempt, a cancel or an unlock during a resend.
            Ok(RestoreResult::Changed(changed)) => match changed.version {
                Some(version) if is_unknown_to_others(&changed.recipient, before, saved) => {
                    restored.recipient = undone(&restored, &changed.recipient, saved, now);
                    written = version;
                    conflicts += 1;
                }
                _ if waits < WAITS_MAX
                    && context.deadline.time_left() > TIME_LEFT_MIN
                    && may_be_current_again(&changed.recipient, saved) =>
                {
                    jittered_backoff(WAIT_MILLIS_MAX).await;
                    waits += 1;
                }
                _ => return Some(*changed),
            },
            Err(error) => {
                log_not_rolled_back(context, &error);
                return None;
            }
        }
    }
    log_not_rolled_back(context, &StoreError::Conflict);
    None
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
    before: &StoredRecipient,
    changed: &Recipient,
    saved: &Recipient,
    now: Timestamp,
) -> Recipient {
    let is_resend = saved
        .current
        .as_ref()
        .is_some_and(|v| !is_opened(v, before));
    if is_resend {
        return before.recipient.with_changes_since_resend(changed, now);
    }
    let mut undone = before.recipient.clone();
    undone.raise_deliveries_to_those_of(changed, now);
    undone
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
/// verification.
fn is_unknown_to_others(changed: &Recipient, before: &StoredRecipient, saved: &Recipient) -> bool {
    let (Some(current), Some(saved)) = (&changed.current, &saved.current) else {
        return false;
    };
    let latest = |verification: &Verification| verification.deliveries.last().map(|d| d.tag);
    let is_repeatable = is_opened(saved, before) && saved.params.idempotency.is_some();
    current.params.nonce == saved.params.nonce
        && latest(current) == latest(saved)
        && !is_repeatable
        && current.is_untouched()
}

/// Whether `saved` is a new verification, not one with a further message.
pub(super) fn is_opened(saved: &Verification, before: &StoredRecipient) -> bool {
    let earlier = before.recipient.current.as_ref();
    earlier.is_none_or(|current| current.params.nonce != saved.params.nonce)
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
