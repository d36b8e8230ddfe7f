//! `OTP_DISPATCH=sns`: the message goes to SNS from here, without queue and worker.

use otp::carrier::{self, Outgoing, Receipt, sns::Sns};
use otp::delivery::DeliveryStatus;
use otp::metrics::Metric;
use otp::recipient::Recipient;
use otp::seal::RecipientKey;
use otp::store::{Claim, Handover, StepResult, Written};
use otp::timestamp::Timestamp;

use crate::{App, SendError};

/// What came of it.
pub(crate) enum Published {
    Recorded(Box<Recipient>),
    Refused,
}

/// Hands the latest message over from here and records what became of it.
pub(crate) async fn publish(app: &App, sns: &Sns, caller: &str, key: &RecipientKey, id: &str, now: Timestamp) -> Result<Published, SendError> {
    let (policy, recipient) = (app.apps.policy(caller), app.store.read(key, now).await?.unwrap_or_default());
    let (Some(verification), Some(to)) = (&recipient.verification, &recipient.address) else { return Err(SendError::NotFound) };
    let Some(delivery) = verification.deliveries.last() else { return Err(SendError::NotFound) };
    let carrier = app.carriers.iter().find(|carrier| carrier.serves(delivery.channel, to));
    let (Some(carrier), Some(code)) = (carrier, app.store.open_code(key, verification)) else { return Ok(Published::Refused) };
    let text = carrier::compose(policy, verification, &code, delivery.channel, now);
    let sender = carrier.sender_for(policy, to);
    let message = Outgoing {
        to,
        sender: sender.as_deref(),
        channel: delivery.channel,
        message: &text,
        code: code.reveal(),
        locale: &verification.terms.locale,
        reference: &app.seal.reference(key, &delivery.tag),
        validity_seconds: verification.terms.expires_at.since(now),
        callback_url: "",
    };
    let status = match tokio::time::timeout(carrier.timeout, sns.publish(&message)).await.unwrap_or(Receipt::Unknown) {
        Receipt::Accepted => DeliveryStatus::Sent,
        Receipt::Permanent => DeliveryStatus::Rejected,
        Receipt::Unknown => DeliveryStatus::Unknown,
        receipt @ (Receipt::Transient { .. } | Receipt::Misconfigured) => {
            tracing::error!(verification.id = &id[..8], error.kind = ?receipt, "SNS did not take a message");
            return Ok(Published::Refused);
        }
    };
    let step = verification.step;
    let claim = Claim { key: *key, nonce: verification.terms.nonce, sequence: step.sequence, held_until: step.held_until, holder: step.holder };
    let handover = Some(Handover { tag: delivery.tag, parts: text.parts, vendor_id: None });
    let result = StepResult { delivery: Some((delivery.tag, status, Some(carrier.name.clone()))), handover, due: None, rounds: 0 };
    Ok(match app.store.end_step(&claim, &result, now).await? {
        Written::Done(recipient) => {
            app.metrics.count(&Metric::Delivery { carrier: Some(&carrier.name), country: to.country(), status: status.name() }, now);
            Published::Recorded(Box::new(recipient))
        }
        Written::Refused(Some(recipient)) => Published::Recorded(Box::new(recipient)),
        Written::Refused(None) => Published::Recorded(Box::new(recipient)),
    })
}
