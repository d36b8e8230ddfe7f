//! Roll back: undoes the write of a send whose message could not be enqueued.

use super::sending::{CONFLICT_RETRIES_MAX, SendContext};
use crate::domain::recipient::Recipient;
use crate::domain::verification::Verification;
use crate::platform::logging::causes;
use crate::store::{RestoreResult, StoreError, StoredRecipient, WriteId};

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
    for _ in 0..=CONFLICT_RETRIES_MAX {
        match sending.store.restore(key, &restored, written, now).await {
            Ok(RestoreResult::Restored) => {
                enqueue_restored_step(context, &restored.recipient).await;
                return None;
            }
            // A report about an earlier message, or the end of its handover, came in between.
            Ok(RestoreResult::Changed(changed)) => match changed.version {
                Some(version) if is_unknown_to_others(&changed.recipient, before, saved) => {
                    let earlier = &mut restored.recipient;
                    earlier.raise_deliveries_to_those_of(&changed.recipient, now);
                    written = version;
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

/// Whether the verification that a send opened is current, and neither a worker nor a repetition
/// can have its message: without an `Idempotency-Key` there is no repetition.
fn is_unknown_to_others(changed: &Recipient, before: &StoredRecipient, saved: &Recipient) -> bool {
    let (Some(current), Some(saved)) = (&changed.current, &saved.current) else {
        return false;
    };
    is_opened(saved, before)
        && current.params.nonce == saved.params.nonce
        && saved.params.idempotency.is_none()
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
