//! `OTP_DISPATCH=sns`: the message goes to SNS from here, without queue and worker. The write that made it holds it for this call,
//! as a claim does for a worker.

use otp::carrier::{OutgoingMessage, Receipt, sns::Sns};
use otp::domain::delivery::DeliveryStatus;
use otp::domain::recipient::Recipient;
use otp::domain::verification::Status;
use otp::message::compose;
use otp::platform::metrics::Metric;
use otp::store::{Claim, Handover, StepResult, Written as WrittenStep};

use crate::unsettled::settle;
use crate::{Call, Written};

/// Hands the message over and records what became of it; the recipient as it is then. A message whose verification has ended, or
/// was overtaken by another send, goes nowhere.
///
/// # Errors
/// For the log: SNS does not have it.
pub(crate) async fn publish(
    call: &Call<'_>,
    sns: &Sns,
    written: &Written,
) -> Result<Recipient, String> {
    let Call {
        app,
        policy,
        key,
        now,
        ..
    } = *call;
    let (id, step) = (&written.sent.id, written.step);
    let recipient = app
        .store
        .read(&key, now)
        .await
        .map_err(|error| error.0)?
        .unwrap_or_default();
    let claim = Claim {
        key,
        nonce: written.nonce,
        sequence: step.sequence,
        held_until: step.held_until,
        holder: step.holder,
    };
    let held = recipient
        .verification
        .as_ref()
        .filter(|v| claim.is_held_by(v) && v.status(now) == Status::Pending);
    let (Some(verification), Some(to)) = (held, &recipient.address) else {
        return Ok(settle(call, written, DeliveryStatus::Failed, None)
            .await
            .unwrap_or(recipient));
    };
    let latest = verification
        .deliveries
        .last()
        .filter(|delivery| delivery.tag == written.tag)
        .ok_or("its message is gone")?;
    let carrier = app
        .carriers
        .iter()
        .find(|carrier| carrier.serves(latest.channel, to))
        .ok_or("no carrier serves it")?;
    let code = app
        .store
        .open_code(&key, verification)
        .ok_or("the key of its code is gone")?;
    let text = compose(policy, verification, &code, latest.channel, now);
    let sender = carrier.sender_for(policy, to);
    let message = OutgoingMessage {
        to,
        sender: sender.as_deref(),
        channel: latest.channel,
        message: &text,
        code: code.reveal(),
        locale: &verification.params.locale,
        reference: &app.seal.reference(&key, &latest.tag),
        validity_seconds: verification.params.expires_at.seconds_since(now),
        callback_url: "",
    };
    let status = match tokio::time::timeout(carrier.timeout, sns.publish(&message))
        .await
        .unwrap_or(Receipt::Unknown)
    {
        Receipt::Accepted => DeliveryStatus::Sent,
        Receipt::Permanent => DeliveryStatus::Rejected,
        Receipt::Unknown => DeliveryStatus::Unknown,
        receipt @ (Receipt::Transient { .. } | Receipt::Misconfigured) => {
            tracing::error!(verification.id = &id[..8], error.kind = ?receipt, "SNS did not take a message");
            return Err("SNS did not take the message".into());
        }
    };
    app.metrics.count(
        &Metric::Delivery {
            carrier: Some(&carrier.name),
            country: to.country(),
            status: status.name(),
        },
        now,
    );
    let handover = Some(Handover {
        tag: latest.tag,
        parts: text.parts,
        vendor_id: None,
    });
    let result = StepResult {
        delivery: Some((latest.tag, status, Some(carrier.name.clone()))),
        handover,
        due: None,
        rounds: 0,
    };
    let told = match app.store.end_step(&claim, &result, now).await {
        Ok(WrittenStep::Done(recipient)) => Some(recipient),
        // Our own write, its answer lost, was repeated by the SDK.
        Ok(WrittenStep::Refused(Some(there)))
            if there
                .verification
                .as_ref()
                .is_some_and(|v| claim.is_ended_on(v)) =>
        {
            Some(there)
        }
        // Another send came in between.
        Ok(WrittenStep::Refused(_)) => settle(call, written, status, Some(&carrier.name)).await,
        Err(error) => {
            tracing::error!(
                verification.id = &id[..8],
                error.kind = "untold",
                error.cause = error.0,
                "what became of a message is not told"
            );
            None
        }
    };
    Ok(told.unwrap_or_else(|| as_told(&recipient, status, &carrier.name)))
}

/// The message is with SNS, whatever the table says of it.
fn as_told(recipient: &Recipient, status: DeliveryStatus, carrier: &str) -> Recipient {
    let mut told = recipient.clone();
    if let Some(latest) = told
        .verification
        .as_mut()
        .and_then(|verification| verification.deliveries.last_mut())
    {
        (latest.status, latest.carrier) = (status, Some(carrier.to_owned()));
    }
    told
}
