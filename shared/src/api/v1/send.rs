//! Requests for a send and a resend, and the response of both.

use lambda_http::Request;
use serde_json::Value;

use super::fields;
use super::recipient::read_address;
use super::verification::render;
use crate::api::problem::{ErrorCode, Problem};
use crate::api::request::{idempotency_key, json_body, optional_json_body};
use crate::crypto::keyring::Keyring;
use crate::domain::channel::Channel;
use crate::domain::code::CODE_LENGTH_MAX;
use crate::domain::custom_text::CustomText;
use crate::domain::policy::{Policy, TTL_SECONDS};
use crate::domain::time::Timestamp;
use crate::domain::verification_params::{DEFAULT_PURPOSE, Idempotency};
use crate::message::parse_language_tag;
use crate::platform::json::{self, Fields};
use crate::service::sending::{ResendRequest, SendRequest, Sent};

/// Most fallback channels of a send.
const FALLBACK_MAX: usize = 3;
const REFERENCE_LENGTH_MAX: usize = 64;
const CHANNEL_WORDS: &str = "sms, voice, whatsapp, email or push";

/// Reads a send: all invalid fields at once, then the recipient.
///
/// # Errors
/// 400, 413, 415, 422, 403.
pub fn read_send(
    request: &Request,
    keyring: &Keyring,
    app: &str,
    policy: &Policy,
) -> Result<SendRequest, Problem> {
    let body = json_body(request)?;
    let idempotency = idempotency_key(request)?.map(|key| Idempotency {
        key: keyring.idempotency_key_hash(app, &key),
        body: keyring.body_hash(app, &json::canonical(&body)),
    });
    let has_device = body.get("push_to").is_some_and(|device| !device.is_null());
    let mut fields = Fields::new(body);
    let to = fields.required_text("to");
    let channel = fields.parsed_text("channel", |word| word.parse().ok(), CHANNEL_WORDS);
    let channel = channel.unwrap_or(Channel::Sms);
    let country = fields::country(&mut fields);
    let lengths = i64::from(policy.code_length)..=i64::from(CODE_LENGTH_MAX);
    let code_length = fields.integer("code_length", lengths);
    let fallback = |word: &str| word.parse().ok();
    let fallback = fields.parsed_list("fallback", FALLBACK_MAX, fallback, CHANNEL_WORDS);
    let push_to = fields::push_to(&mut fields);
    let locale = fields.parsed_text(
        "locale",
        parse_language_tag,
        "a BCP 47 language tag such as fr or pt-BR",
    );
    let purpose = fields::purpose(&mut fields);
    let transaction = fields::transaction(&mut fields);
    let subject = fields::subject(&mut fields);
    let ttl_seconds = fields.integer("ttl_seconds", TTL_SECONDS);
    let reference = fields.bounded_text("reference", 0..=REFERENCE_LENGTH_MAX);
    let client_ip = fields::client_ip(&mut fields);
    let is_push = channel == Channel::Push || fallback.contains(&Channel::Push);
    if is_push && !has_device {
        fields.reject("push_to", "Is required for channel `push`.");
    }
    fields.finish().map_err(Problem::invalid)?;
    Ok(SendRequest {
        to: read_address(&to, is_email(channel, &to), country.as_deref())?,
        channel,
        fallback,
        push_to,
        locale,
        purpose: purpose.unwrap_or_else(|| DEFAULT_PURPOSE.into()),
        transaction,
        subject,
        code_length: code_length.and_then(|length| u8::try_from(length).ok()),
        ttl_seconds,
        reference,
        client_ip,
        idempotency,
        code: None,
        custom_text: CustomText::default(),
    })
}

/// Whether `to` is an e-mail address. The owner of a device has either.
fn is_email(channel: Channel, to: &str) -> bool {
    match channel {
        Channel::Email => true,
        Channel::Push => to.contains('@'),
        Channel::Sms | Channel::Voice | Channel::Whatsapp => false,
    }
}

/// Reads a resend.
///
/// # Errors
/// 400, 413, 415, 422.
pub fn read_resend(request: &Request) -> Result<ResendRequest, Problem> {
    let mut fields = Fields::new(optional_json_body(request)?);
    let channel = fields.parsed_text("channel", |word| word.parse().ok(), CHANNEL_WORDS);
    let push_to = fields::push_to(&mut fields);
    let client_ip = fields::client_ip(&mut fields);
    fields.finish().map_err(Problem::invalid)?;
    Ok(ResendRequest {
        channel,
        push_to,
        client_ip,
    })
}

/// The verification object after a send or resend.
///
/// # Errors
/// 404 if the verification was forgotten in between.
pub fn render_sent(sent: &Sent, policy: &Policy, now: Timestamp) -> Result<Value, Problem> {
    // A replayed verification is remembered for longer than it can be read by its id.
    let mut all = sent.recipient.verifications();
    let verification = all.find(|verification| verification.params().nonce == sent.nonce);
    let missing = || {
        Problem::new(
            ErrorCode::NotFound,
            "There is no verification with this id.",
        )
    };
    let verification = verification.ok_or_else(missing)?;
    Ok(render(sent.id, &sent.recipient, verification, policy, now))
}
