//! One real message through a carrier, as the worker hands it over: the same settings, texts and
//! adapters. With the carriers of `OTP_CARRIERS` it needs no table, no queue and, but for the kinds
//! of AWS, no AWS.
//!
//! Invariant: no credential is printed.

mod error;
mod mask;
mod message;
mod printed;
mod reports;
mod settings;
mod text;

use std::time::Duration;

use otp::carrier::{Carriers, Notification, OutgoingMessage, Receipt};
use otp::domain::channel::Channel;

pub(crate) use self::error::CarrierTestError;
pub(crate) use self::message::Message;
use self::reports::Reports;
use self::settings::Settings;
pub(crate) use self::settings::Source;

/// Sends `message`, prints what goes over the wire, and follows its reports for `wait`. Returns
/// whether the carrier accepted it.
///
/// # Errors
/// [`CarrierTestError`]: nothing was sent.
pub(crate) async fn run(
    message: &Message,
    port: u16,
    wait: Duration,
    source: Source<'_>,
) -> Result<bool, CarrierTestError> {
    let listener = reports::listen(port).await?;
    let address = listener.local_addr().map_err(CarrierTestError::Port)?;
    let settings = Settings::read(source, address)?;
    let carrier = settings.carrier(&message.carrier)?;
    let composed = text::compose(&settings, carrier, message)?;
    let clock = settings.clock.clone();
    let now = clock.now();
    let policy = settings.config.apps.policy(&message.app);
    let verification_id = &composed.verification_id;
    let notification = notification(message, &policy.brand, verification_id)?;
    let (path, callback_url) = settings.callback(carrier, &composed.reference);
    let sender = carrier.sender_for(policy, &composed.to);
    let outgoing = OutgoingMessage {
        to: &composed.to,
        sender: sender.as_deref(),
        notification,
        registered: carrier.registered_template(&composed.to),
        channel: message.channel,
        message: &composed.message,
        code: composed.code.reveal(),
        locale: &composed.locale,
        reference: &composed.reference,
        validity_seconds: policy.code_ttl_seconds,
        now,
        callback_url: &callback_url,
    };
    let carriers = Carriers::for_one(carrier, &settings.config.aws);
    let trial = carriers.try_out(carrier, &outgoing, now).await;
    printed::trial(&trial, &settings.secrets);
    if !matches!(trial.receipt, Receipt::Accepted | Receipt::Unknown) {
        return Ok(false);
    }
    if !settings.is_reached {
        printed::line(
            "report    goes to the deployment; to follow it here, set OTP_PUBLIC_URL to a tunnel \
             that leads to --port",
        );
        if trial.vendor_id.is_none() {
            return Ok(trial.receipt == Receipt::Accepted);
        }
    }
    let reports = Reports {
        carrier,
        carriers: &carriers,
        to: &composed.to,
        vendor_id: trial.vendor_id,
        path,
        callback_url: callback_url.clone(),
        clock,
        secrets: &settings.secrets,
    };
    reports.follow(listener, wait).await;
    Ok(trial.receipt == Receipt::Accepted)
}

/// The notification of a message on channel push.
fn notification<'a>(
    message: &'a Message,
    title: &'a str,
    verification_id: &'a str,
) -> Result<Option<Notification<'a>>, CarrierTestError> {
    match (message.channel, &message.device) {
        (Channel::Push, None) => Err(CarrierTestError::NoDevice),
        (Channel::Push, Some(device)) => Ok(Some(Notification {
            device: device.reveal(),
            title,
            verification_id,
        })),
        (_, _) => Ok(None),
    }
}
