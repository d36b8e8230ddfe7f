//! The text of a trial: a new code in the words of the app.

use otp::carrier::ConfiguredCarrier;
use otp::domain::address::Address;
use otp::domain::channel::Channel;
use otp::domain::code::Code;
use otp::domain::email::EmailAddress;
use otp::domain::ids::{DeliveryTag, RecordKey, VerificationNonce};
use otp::domain::phone::PhoneNumber;
use otp::domain::verification::Verification;
use otp::domain::verification_params::{DEFAULT_PURPOSE, VerificationParams};
use otp::message::{compose as compose_text, compose_registered, negotiate, text_marks};
use otp::platform::clock::Clock;
use otp::platform::random::{entropy, random_bytes};

use super::error::CarrierTestError;
use super::message::Message;
use super::settings::Settings;

/// A message, ready for the carrier.
pub(super) struct Composed {
    pub(super) to: Address,
    pub(super) message: otp::message::Message,
    pub(super) code: Code,
    pub(super) locale: String,
    pub(super) reference: String,
    pub(super) verification_id: String,
}

/// Composes the text of `message` as the worker does.
pub(super) fn compose(
    settings: &Settings,
    carrier: &ConfiguredCarrier,
    message: &Message,
) -> Result<Composed, CarrierTestError> {
    let to = address(&message.to)?;
    if !to.supports(message.channel) || !carrier.serves(message.channel, &to) {
        return Err(CarrierTestError::NotServed(message.channel.name()));
    }
    let (keyring, now) = (&settings.config.keyring, Clock::default().now());
    let policy = settings.config.apps.policy(&message.app);
    let locale = negotiate(message.locale.as_deref(), to.country(), &policy.locale);
    let (key, nonce) = (RecordKey(random_bytes()), VerificationNonce(random_bytes()));
    let params = VerificationParams {
        nonce,
        channel: message.channel,
        fallback: vec![],
        locale: locale.tag().to_owned(),
        purpose: DEFAULT_PURPOSE.to_owned(),
        transaction: None,
        subject: None,
        reference: None,
        idempotency: None,
        created_at: now,
        expires_at: now + policy.code_ttl_seconds,
        attempts_max: policy.max_attempts,
    };
    let code = Code::generate(policy.code_alphabet, policy.code_length, &mut entropy());
    let sealed = keyring.seal_code(key, &params, &code);
    let verification = Verification::new(params, sealed);
    let registered = carrier.registered_template(&to);
    let template = registered.and_then(|registered| registered.text.as_ref());
    let text = template
        .filter(|_| message.channel == Channel::Sms)
        .and_then(|t| {
            let marks = text_marks(policy, None, to.country(), now);
            compose_registered(t, policy, &verification, &code, &marks, now)
        })
        .unwrap_or_else(|| {
            let channel = message.channel;
            compose_text(policy, &verification, &code, to.country(), channel, now)
        });
    Ok(Composed {
        to: to.over(message.channel),
        message: text,
        locale: verification.params.locale,
        reference: keyring.reference(key, DeliveryTag(random_bytes())),
        verification_id: keyring
            .verification_id(&message.app, key, nonce)
            .to_string(),
        code,
    })
}

fn address(to: &str) -> Result<Address, CarrierTestError> {
    let address = if to.contains('@') {
        EmailAddress::parse(to).map(Address::Email)
    } else {
        PhoneNumber::parse(to, None).ok().map(Address::Phone)
    };
    address.ok_or(CarrierTestError::To)
}
