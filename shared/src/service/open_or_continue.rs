//! Open or continue: a send for dialects in which one request is both. It continues the pending
//! verification of the recipient, or opens a new one where it cannot.
//!
//! One read, one decision, one write, in the order of a send. Parallel requests for one recipient
//! are decided one after another.

use super::admission::{admit, is_served};
use super::resend::send_again;
use super::send::open;
use super::sending::{
    CONFLICT_RETRIES_MAX, ResendRequest, SendContext, SendError, SendRequest, Sending, Sent,
};
use crate::crypto::hashes::BoundToCode;
use crate::domain::channel::Channel;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_status::Status;
use crate::platform::deadline::Deadline;
use crate::store::StoreError;

/// How often a message is saved again, after others of the same verification were first: as many
/// as may be requested at once.
const SAVE_RETRIES_MAX: u64 = 16;
/// Longest wait before the first retry; each one after it may wait as much longer.
const BACKOFF_MILLIS: u64 = 20;

/// Sends a code to `request.to`: one more message of its pending verification, or the first one of
/// a new verification. With `voice_fallback`, a new verification falls back to voice where a
/// carrier serves that. `deadline` is that of the invocation.
///
/// # Errors
/// [`SendError`]: nothing was sent and nothing is charged.
pub async fn open_or_continue(
    sending: &Sending,
    app: &str,
    mut request: SendRequest,
    voice_fallback: bool,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Sent, SendError> {
    if voice_fallback && is_served(sending, Channel::Voice, &request.to) {
        request.fallback = vec![Channel::Voice];
    }
    let key = sending.keyring.recipient_key(app, &request.to.canonical());
    let context = SendContext::new(sending, app, key, deadline, now);
    admit(&context, &request)?;
    for retry in 0..=u64::from(CONFLICT_RETRIES_MAX) {
        if retry > 0 {
            context.back_off(retry * BACKOFF_MILLIS).await?;
        }
        if let Some(sent) = try_once(&context, &request).await? {
            return Ok(sent);
        }
    }
    Err(StoreError::Conflict.into())
}

/// `None`: another send was first, so this one starts over.
async fn try_once(
    context: &SendContext<'_>,
    request: &SendRequest,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    let loaded = sending.store.load(key, context.app, now);
    let stored = context.in_time(loaded).await?;
    let Some(current) = continued(context, &stored.recipient, request) else {
        return open(context, &stored, request, None).await;
    };
    let resend = ResendRequest {
        channel: Some(request.channel),
        push_to: None,
        client_ip: request.client_ip,
    };
    send_again(context, &stored, current, &resend, SAVE_RETRIES_MAX).await
}

/// The verification that `request` continues: a pending one with the same purpose, the same
/// payment, no subject and no other code, with enough time left for one more message.
fn continued<'r>(
    context: &SendContext<'_>,
    recipient: &'r Recipient,
    request: &SendRequest,
) -> Option<&'r Verification> {
    let current = recipient.current.as_ref()?;
    let params = &current.params;
    let has_code = |code: &str| {
        let keyring = &context.sending.keyring;
        let bound = BoundToCode {
            purpose: &params.purpose,
            transaction: params.transaction.as_ref(),
            subject: None,
        };
        let hash = keyring.attempt_hash(context.key, params.nonce, &bound, code);
        current.is_code_of_app && hash == current.expected_hash
    };
    let is_continued = current.status(context.now) == Status::Pending
        && recipient.address.is_some()
        && params.subject.is_none()
        && params.purpose == request.purpose
        && params.transaction == request.transaction
        && params.has_time_for_a_send(context.now)
        && request
            .code
            .as_ref()
            .is_none_or(|code| has_code(code.reveal()));
    is_continued.then_some(current)
}
