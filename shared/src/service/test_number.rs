//! Sends to test numbers (`OTP_TEST_NUMBERS`): the code is known, there is no message, and the
//! limits of sends do not apply. Attempts and guess budget do.

use super::replay::remember;
use super::roll_back::roll_back;
use super::sending::{SendContext, SendError, SendRequest, Sent};
use crate::domain::channel::Channel;
use crate::domain::ids::{ClaimId, DeliveryTag};
use crate::domain::past_verification::PastVerification;
use crate::domain::recipient::Recipient;
use crate::domain::verification::{SealedCode, Verification};
use crate::platform::random::random_bytes;
use crate::store::{SaveResult, StoredRecipient, WriteId};

/// Saves `verification`, which has the known code; see [`super::send::open`] about `remembered`.
/// `None`: another writer was first.
pub(super) async fn send_to_test_number(
    context: &SendContext<'_>,
    stored: &StoredRecipient,
    verification: Verification,
    request: &SendRequest,
    remembered: Option<Vec<PastVerification>>,
) -> Result<Option<Sent>, SendError> {
    let mut recipient = stored.recipient.clone();
    let sealed = context.sending.store.seal_address(context.key, &request.to);
    recipient.sealed_address = sealed;
    recipient.address = Some(request.to.clone());
    check_guess_budget(context, &recipient)?;
    let leaving = recipient.open_uncounted(verification, context.now);
    if !remember(context, &stored.recipient, &leaving, remembered).await? {
        return Ok(None);
    }
    save(context, stored, recipient).await
}

/// Adds a message to the current verification, which has `code` from now on. `None`: another writer
/// was first.
pub(super) async fn resend_to_test_number(
    context: &SendContext<'_>,
    stored: &StoredRecipient,
    channel: Channel,
    code: SealedCode,
) -> Result<Option<Sent>, SendError> {
    let mut recipient = stored.recipient.clone();
    check_guess_budget(context, &recipient)?;
    recipient.resend_uncounted(channel, DeliveryTag(random_bytes()), code, context.now);
    save(context, stored, recipient).await
}

fn check_guess_budget(context: &SendContext<'_>, recipient: &Recipient) -> Result<(), SendError> {
    let checked = recipient.check_guess_budget(context.policy, context.now);
    checked.map_err(SendError::LimitExceeded)
}

async fn save(
    context: &SendContext<'_>,
    stored: &StoredRecipient,
    recipient: Recipient,
) -> Result<Option<Sent>, SendError> {
    let SendContext {
        sending, key, now, ..
    } = *context;
    let Some(current) = &recipient.current else {
        return Err(SendError::NotFound);
    };
    let nonce = current.params.nonce;
    let write_id = WriteId::random();
    let store = &sending.store;
    let saved = store.save_as(write_id, key, &recipient, stored.version, now);
    match context.in_time(saved).await {
        Ok(SaveResult::Saved(_)) => Ok(Some(Sent {
            id: context.id(nonce),
            nonce,
            recipient,
            is_replay: false,
        })),
        Ok(SaveResult::Conflict(_)) => Ok(None),
        // It may have been written.
        Err(error) => {
            // A message of a test number is never claimed.
            let claim_id = ClaimId(random_bytes());
            roll_back(context, stored, &recipient, Some(write_id), claim_id).await;
            Err(error)
        }
    }
}
