//! The verification object: what callers see of a verification. Made here only, so that all answers agree.
//! Must never show a code, an id of a carrier, or anything of the text.

use serde_json::{Value, json};

use crate::domain::delivery::{Delivery, DeliveryStatus, IN_HAND_SECONDS};
use crate::domain::policy::Policy;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Status;
use crate::domain::verification_ref::VerificationRef;

/// The verification object for `found`, one of `recipient`'s.
#[must_use]
pub fn render(
    id: &str,
    recipient: &Recipient,
    found: VerificationRef<'_>,
    policy: &Policy,
    now: Timestamp,
) -> Value {
    let params = found.params();
    let status = found.status(now);
    let deliveries: Vec<Value> = found
        .deliveries()
        .iter()
        .map(|d| delivery(d, &found, now))
        .collect();
    let transaction = params
        .transaction
        .as_ref()
        .map(|t| json!({"amount": t.amount, "currency": t.currency, "payee": t.payee}));
    let resend_at = (status == Status::Pending).then(|| recipient.next_send_at(policy, now));
    let resend_at = resend_at
        .filter(|at| params.has_time_for_a_send(*at))
        .map(|at| at.to_string());
    json!({
        "id": id,
        "status": status.name(),
        "to": recipient.address.as_ref().map(|address| address.reveal()),
        "channel": params.channel.name(),
        "purpose": params.purpose,
        "locale": params.locale,
        "created_at": params.created_at.to_string(),
        "expires_at": params.expires_at.to_string(),
        "attempts_left": found.attempts_left(),
        "resend_at": resend_at,
        "sends_left": recipient.sends_left(policy, now),
        "delivery": deliveries.last(),
        "deliveries": deliveries,
        "transaction": transaction,
        "reference": params.reference,
    })
}

fn delivery(delivery: &Delivery, found: &VerificationRef<'_>, now: Timestamp) -> Value {
    let mut shown = json!({
        "status": shown_status(delivery, found, now).name(),
        "channel": delivery.channel.name(),
        "carrier": delivery.carrier,
        "updated_at": delivery.updated_at.to_string(),
    });
    if delivery.parts > 0 {
        shown["parts"] = delivery.parts.into();
    }
    shown
}

/// A queued message that a worker has taken is being sent, which costs no write to say. It will never go once no worker can
/// take it any more; while one can, it says what became of it, also of a verification that was settled meanwhile.
fn shown_status(
    delivery: &Delivery,
    found: &VerificationRef<'_>,
    now: Timestamp,
) -> DeliveryStatus {
    match (delivery.status, found) {
        (DeliveryStatus::Queued, VerificationRef::Current(v)) if v.is_in_hand(now) => {
            DeliveryStatus::Sending
        }
        (DeliveryStatus::Queued, VerificationRef::Current(v))
            if v.canceled_at.is_some() || v.params.expires_at <= now =>
        {
            v.left_as(now)
        }
        (DeliveryStatus::Queued, VerificationRef::Current(v)) if v.is_untouched() => {
            DeliveryStatus::Queued
        }
        (DeliveryStatus::Queued, VerificationRef::Current(_)) => DeliveryStatus::Sending,
        (DeliveryStatus::Queued, VerificationRef::Past(_)) => DeliveryStatus::Failed,
        // Whoever had it in hand when another message took its place has died: it may have gone out.
        (DeliveryStatus::Sending, _)
            if now.seconds_since(delivery.updated_at) > IN_HAND_SECONDS =>
        {
            DeliveryStatus::Unknown
        }
        (status, _) => status,
    }
}
