//! One real message through a carrier of `OTP_CARRIERS`, as the worker hands it over: the same
//! settings, texts and adapters. It needs no table, no queue and, but for the kinds of AWS, no AWS.
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
use otp::platform::clock::Clock;

use self::error::CarrierTestError;
pub(crate) use self::message::Message;
use self::reports::Reports;
use self::settings::Settings;

/// Sends `message`, prints what goes over the wire, and follows its reports for `wait`. Returns
/// whether the carrier accepted it.
///
/// # Errors
/// [`CarrierTestError`]: nothing was sent.
pub(crate) async fn run(
    message: &Message,
    port: u16,
    wait: Duration,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<bool, CarrierTestError> {
    let listener = reports::listen(port).await?;
    let address = listener.local_addr().map_err(CarrierTestError::Port)?;
    let settings = Settings::read(variables, address)?;
    let carrier = settings.carrier(&message.carrier)?;
    let composed = text::compose(&settings, carrier, message)?;
    let clock = Clock::default();
    let now = clock.now();
    let policy = settings.config.apps.policy(&message.app);
    let notification = match (message.channel, &message.device) {
        (Channel::Push, None) => return Err(CarrierTestError::NoDevice),
        (Channel::Push, Some(device)) => Some(Notification {
            device: device.reveal(),
            title: &policy.brand,
            verification_id: &composed.verification_id,
        }),
        (_, _) => None,
    };
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
    let reports = Reports {
        carrier,
        carriers: &carriers,
        to: &composed.to,
        vendor_id: trial.vendor_id,
        path,
        callback_url: callback_url.clone(),
        clock,
    };
    reports.follow(listener, wait).await;
    Ok(trial.receipt == Receipt::Accepted)
}
