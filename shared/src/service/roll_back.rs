//! Roll back: undoes the write of a send whose message could not be enqueued.

use super::sending::SendContext;
use crate::domain::recipient::Recipient;
use crate::platform::logging::causes;
use crate::store::{RestoreResult, StoredRecipient, WriteId};

/// Restores the recipient as it was before a send, unless the record has changed since: then the
/// changed recipient is returned and left as it is.
pub(super) async fn roll_back(
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
