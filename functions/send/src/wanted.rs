//! What a send or resend asks for: the body, parsed once into values that hold.

use std::net::IpAddr;

use otp::api::problem::{ErrorCode, Problem};
use otp::api::v1::fields;
use otp::domain::address::Address;
use otp::domain::channel::Channel;
use otp::domain::code::CODE_LENGTH_MAX;
use otp::domain::email::EmailAddress;
use otp::domain::phone::{Line, PhoneError, PhoneNumber, is_country};
use otp::domain::policy::{Policy, TTL_SECONDS};
use otp::domain::verification::Transaction;
use otp::message::is_language_tag;
use otp::platform::json::Fields;
use otp::store::DEFAULT_PURPOSE;
use serde_json::{Map, Value};

use crate::App;

/// Channels that a send may fall back to.
const FALLBACK_MAX: usize = 3;
const REFERENCE_LENGTH_MAX: usize = 64;
const CHANNEL_WORDS: &str = "sms, voice, whatsapp or email";

/// A send.
pub(crate) struct Wanted {
    pub(crate) to: Address,
    pub(crate) channel: Channel,
    pub(crate) fallback: Vec<Channel>,
    pub(crate) locale: Option<String>,
    pub(crate) purpose: String,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) code_length: Option<u8>,
    pub(crate) ttl_seconds: Option<i64>,
    pub(crate) reference: Option<String>,
    pub(crate) client_ip: Option<IpAddr>,
}

/// A resend.
pub(crate) struct WantedResend {
    pub(crate) channel: Option<Channel>,
    pub(crate) client_ip: Option<IpAddr>,
}

/// Reads a send: all wrong fields at once, then the recipient, then whether it may be served.
pub(crate) fn read(
    app: &App,
    policy: &Policy,
    body: Map<String, Value>,
) -> Result<Wanted, Problem> {
    let mut fields = Fields::of(body);
    let to = fields.required_text("to");
    let channel = fields
        .word("channel", |word| word.parse().ok(), CHANNEL_WORDS)
        .unwrap_or(Channel::Sms);
    let country = fields.word(
        "country",
        |c| is_country(c).then(|| c.to_owned()),
        "an ISO 3166 code such as FR",
    );
    let code_length = fields.whole(
        "code_length",
        i64::from(policy.code_length)..=i64::from(CODE_LENGTH_MAX),
    );
    let wanted = Wanted {
        channel,
        fallback: fields.words(
            "fallback",
            FALLBACK_MAX,
            |word| word.parse().ok(),
            CHANNEL_WORDS,
        ),
        locale: fields.word(
            "locale",
            |t| is_language_tag(t).then(|| t.to_owned()),
            "a BCP 47 language tag such as fr or pt-BR",
        ),
        purpose: fields
            .word("purpose", fields::purpose, fields::PURPOSE_WORDS)
            .unwrap_or_else(|| DEFAULT_PURPOSE.into()),
        transaction: fields::transaction(&mut fields),
        code_length: code_length.and_then(|length| u8::try_from(length).ok()),
        ttl_seconds: fields.whole("ttl_seconds", TTL_SECONDS),
        reference: fields.text_of("reference", 0..=REFERENCE_LENGTH_MAX),
        client_ip: client_ip(&mut fields),
        to: Address::Email(EmailAddress::unsealed(String::new())),
    };
    fields.finish().map_err(Problem::invalid)?;
    let to = address(&to, channel == Channel::Email, country.as_deref())?;
    for (channel, field) in std::iter::once((channel, "channel"))
        .chain(wanted.fallback.iter().map(|channel| (*channel, "fallback")))
    {
        check_channel(app, channel, &to, field)?;
    }
    may_be_served(policy, &to)?;
    for channel in std::iter::once(channel).chain(wanted.fallback.iter().copied()) {
        check_line(channel, &to)?;
    }
    Ok(Wanted { to, ..wanted })
}

/// Reads a resend.
pub(crate) fn read_resend(body: Map<String, Value>) -> Result<WantedResend, Problem> {
    let mut fields = Fields::of(body);
    let channel = fields.word("channel", |word| word.parse().ok(), CHANNEL_WORDS);
    let client_ip = client_ip(&mut fields);
    fields.finish().map_err(Problem::invalid)?;
    Ok(WantedResend { channel, client_ip })
}

/// Reads a recipient.
pub(crate) fn address(to: &str, is_email: bool, country: Option<&str>) -> Result<Address, Problem> {
    if is_email {
        let invalid = || {
            Problem::field(
                ErrorCode::InvalidEmail,
                "to",
                "Must be one plain e-mail address.",
            )
        };
        return EmailAddress::parse(to)
            .map(Address::Email)
            .ok_or_else(invalid);
    }
    match PhoneNumber::parse(to, country) {
        Ok(number) => Ok(Address::Phone(number)),
        Err(PhoneError::Invalid) => Err(Problem::field(
            ErrorCode::InvalidNumber,
            "to",
            "Must be one valid phone number, international or with its country.",
        )),
        Err(PhoneError::NotAllowed) => Err(Problem::new(
            ErrorCode::NumberNotAllowed,
            "Numbers of this kind are never sent to.",
        )),
    }
}

/// The channel reaches this kind of recipient, and a carrier serves it.
pub(crate) fn check_channel(
    app: &App,
    channel: Channel,
    to: &Address,
    field: &str,
) -> Result<(), Problem> {
    if !to.supports(channel) {
        return Err(Problem::field(
            ErrorCode::InvalidRequest,
            field,
            "Must be a channel that reaches this kind of recipient.",
        ));
    }
    app.serve(channel, to)
}

/// A fixed line takes no texts.
pub(crate) fn check_line(channel: Channel, to: &Address) -> Result<(), Problem> {
    match to {
        Address::Phone(number) if number.line() == Line::Fixed && channel != Channel::Voice => {
            Err(Problem::new(
                ErrorCode::NumberNotAllowed,
                "This is a fixed line, which takes no texts; channel `voice` reaches it.",
            ))
        }
        Address::Phone(_) | Address::Email(_) => Ok(()),
    }
}

fn may_be_served(policy: &Policy, to: &Address) -> Result<(), Problem> {
    let Address::Phone(number) = to else {
        return Ok(());
    };
    if !policy.allowed_countries.is_empty()
        && !policy
            .allowed_countries
            .iter()
            .any(|country| country == number.country())
    {
        return Err(Problem::new(
            ErrorCode::CountryNotAllowed,
            "This app does not send to this country.",
        ));
    }
    if policy
        .blocked_prefixes
        .iter()
        .any(|prefix| number.reveal().starts_with(prefix))
    {
        return Err(Problem::new(
            ErrorCode::NumberNotAllowed,
            "This app does not send to this range of numbers.",
        ));
    }
    Ok(())
}

/// The address of the end user's client.
fn client_ip(fields: &mut Fields) -> Option<IpAddr> {
    fields.word("client_ip", |ip| ip.parse().ok(), "an IPv4 or IPv6 address")
}
