//! The verification object: how the native API shows a verification.
//!
//! Invariant: no code, no text and no vendor's id of a message is shown.

use serde_json::{Value, json};

use crate::domain::address::Address;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::ids::VerificationId;
use crate::domain::policy::Policy;
use crate::domain::recipient::Recipient;
use crate::domain::step::{CLAIM_SECONDS, StepState};
use crate::domain::subject_id::SubjectId;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_ref::VerificationRef;
use crate::domain::verification_status::Status;

/// The verification object of `verification`, one of `recipient`'s.
#[must_use]
pub fn render(
    id: VerificationId,
    recipient: &Recipient,
    verification: VerificationRef<'_>,
    policy: &Policy,
    now: Timestamp,
) -> Value {
    let params = verification.params();
    let to = recipient.address.as_ref();
    let to = to.map(|address| address.over(params.channel));
    let status = verification.status(now);
    let deliveries = verification.deliveries().iter();
    let deliveries: Vec<Value> = deliveries
        .map(|delivery| render_delivery(delivery, verification, now))
        .collect();
    let transaction = params.transaction.as_ref().map(|transaction| {
        json!({
            "amount": transaction.amount,
            "currency": transaction.currency,
            "payee": transaction.payee,
        })
    });
    let resend_at = (status == Status::Pending)
        .then(|| recipient.next_send_at(policy, now))
        .filter(|at| params.has_time_for_a_send(*at));
    let mut rendered = json!({
        "id": id.to_string(),
        "status": status.name(),
        "to": to.as_ref().map(Address::reveal),
        "channel": params.channel.name(),
        "purpose": params.purpose,
        "locale": params.locale,
        "created_at": params.created_at.to_string(),
        "expires_at": params.expires_at.to_string(),
        "attempts_left": verification.attempts_left(),
        "resend_at": resend_at.map(|at| at.to_string()),
        "sends_left": recipient.sends_left(policy, now),
        "delivery": deliveries.last(),
        "deliveries": deliveries,
        "transaction": transaction,
        "reference": params.reference,
    });
    if let Some(subject) = &params.subject {
        rendered["subject"] = subject.id.as_ref().map(SubjectId::reveal).into();
    }
    if policy.text_reference {
        let reference = verification.text_reference();
        rendered["text_reference"] = reference.map(|reference| reference.to_string()).into();
    }
    rendered
}

fn render_delivery(
    delivery: &Delivery,
    verification: VerificationRef<'_>,
    now: Timestamp,
) -> Value {
    let status = match verification {
        VerificationRef::Current(current) => status_in_current(delivery, current, now),
        VerificationRef::Past(_) => status_in_past(delivery, now),
    };
    let mut rendered = json!({
        "status": status.name(),
        "channel": delivery.channel.name(),
        "carrier": delivery.carrier,
        "updated_at": delivery.updated_at.to_string(),
    });
    if let Some(parts) = delivery.parts {
        rendered["parts"] = parts.into();
    }
    rendered
}

/// A queued message whose step is claimed is shown as `sending`, which costs no write. One that no
/// worker can claim any more is shown with its final status.
fn status_in_current(
    delivery: &Delivery,
    verification: &Verification,
    now: Timestamp,
) -> DeliveryStatus {
    if delivery.status != DeliveryStatus::Queued {
        return status_in_past(delivery, now);
    }
    let has_ended = verification.canceled_at.is_some() || verification.params.expires_at <= now;
    match verification.step.state(now) {
        StepState::Held { .. } => DeliveryStatus::Sending,
        _ if has_ended => verification.final_status_of_queued(now),
        _ if verification.is_untouched() => DeliveryStatus::Queued,
        StepState::Queued | StepState::Abandoned | StepState::Done => DeliveryStatus::Sending,
    }
}

/// A message that was left as `sending` is shown as `unknown` once its worker must have crashed.
fn status_in_past(delivery: &Delivery, now: Timestamp) -> DeliveryStatus {
    let is_lapsed = now.seconds_since(delivery.updated_at) > CLAIM_SECONDS;
    match delivery.status {
        DeliveryStatus::Queued => DeliveryStatus::Failed,
        DeliveryStatus::Sending if is_lapsed => DeliveryStatus::Unknown,
        status => status,
    }
}
