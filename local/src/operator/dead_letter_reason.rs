//! What a dead letter is about, and why it was not handled, from the item that it names.
//!
//! Invariant: no number and no code; of an id as much as the logs have.

use otp::domain::delivery::DeliveryStatus;
use otp::domain::time::Timestamp;
use otp::domain::verification_ref::VerificationRef;
use otp::domain::verification_status::Status;
use otp::platform::queue::{Dispatch, FeedbackDispatch};
use otp::service::sending::Sending;
use otp::store::StoreError;
use serde_json::{Value, json};

/// Characters of a verification's id in logs.
const ID_CHARACTERS: usize = 8;

/// App, verification, last message and reason of the letter with this body.
///
/// # Errors
/// The table failed.
pub(crate) async fn explain(
    sending: &Sending,
    body: &str,
    now: Timestamp,
) -> Result<Value, StoreError> {
    if let Some(feedback) = FeedbackDispatch::parse(body) {
        let id = short(&feedback.id.to_string());
        let reason = "the carrier did not accept the conversion feedback";
        return Ok(json!({
            "app": feedback.app, "verification": id, "status": null, "channel": null,
            "carrier": feedback.carrier, "message": null, "reason": reason,
        }));
    }
    let Some(dispatch) = Dispatch::parse(body) else {
        return Ok(json!({
            "app": null, "verification": null, "status": null, "channel": null,
            "carrier": null, "message": null, "reason": "not a dispatch of this version",
        }));
    };
    let (key, nonce) = sending
        .keyring
        .open_verification_id(&dispatch.app, dispatch.id);
    let stored = sending.store.load(key, &dispatch.app, now).await?;
    let found = stored.recipient.find(nonce, now);
    let last = found.and_then(|found| found.deliveries().last());
    Ok(json!({
        "app": dispatch.app,
        "verification": short(&dispatch.id.to_string()),
        "status": found.map(|found| found.status(now).name()),
        "channel": last.map(|delivery| delivery.channel.name()),
        "carrier": last.and_then(|delivery| delivery.carrier.clone()),
        "message": last.map(|delivery| delivery.status.name()),
        "reason": reason(found, now),
    }))
}

fn short(id: &str) -> String {
    id.chars().take(ID_CHARACTERS).collect()
}

fn reason(found: Option<VerificationRef<'_>>, now: Timestamp) -> &'static str {
    let Some(found) = found else {
        return "the verification is not stored any more; nothing will be sent";
    };
    if found.status(now) != Status::Pending {
        return "the verification has ended; nothing will be sent";
    }
    match found.deliveries().last().map(|delivery| delivery.status) {
        None | Some(DeliveryStatus::Queued) => "the worker failed before it called a carrier",
        Some(DeliveryStatus::Sending) => "no carrier accepted the message, or the worker crashed",
        Some(DeliveryStatus::Unknown) => "a carrier gave no clear response",
        Some(DeliveryStatus::Sent | DeliveryStatus::Delivered) => {
            "the worker failed after a carrier accepted the message"
        }
        Some(
            DeliveryStatus::Undelivered
            | DeliveryStatus::Rejected
            | DeliveryStatus::Expired
            | DeliveryStatus::Failed,
        ) => "the message failed, and the worker failed at the next step",
    }
}
