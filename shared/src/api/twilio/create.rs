//! Create: the request for a verification, or for one more message of the pending one.

use lambda_http::Request;

use super::error_table::When;
use super::parameters::Parameters;
use super::rejection::Rejection;
use crate::api::problem::{ErrorCode, Problem};
use crate::config;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::code::{Alphabet, CODE_LENGTH_MAX, CODE_LENGTH_MIN, Code};
use crate::domain::custom_text::CustomText;
use crate::domain::email::EmailAddress;
use crate::domain::pasted_text;
use crate::domain::phone::{PhoneError, PhoneNumber};
use crate::domain::policy::Policy;
use crate::domain::verification_params::DEFAULT_PURPOSE;
use crate::message::parse_language_tag;
use crate::service::sending::SendRequest;

/// Parameters that have an effect. Twilio's other ones are ignored: they change a wording, or data
/// that only Twilio keeps.
const PARAMETERS: [&str; 11] = [
    "To",
    "Channel",
    "Locale",
    "Amount",
    "Payee",
    "CustomCode",
    "CustomFriendlyName",
    "AppHash",
    "DeviceIp",
    "RateLimits",
    "SendDigits",
];

/// A create, as requested.
pub struct CreateRequest {
    /// What is sent.
    pub send: SendRequest,
    /// Whether a new verification falls back to voice where a carrier serves that.
    pub voice_fallback: bool,
}

/// The value of `Channel`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ChannelWord {
    One(Channel),
    Auto,
    /// Silent network authentication, which sends nothing.
    Sna,
}

impl ChannelWord {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "sms" => Self::One(Channel::Sms),
            "call" => Self::One(Channel::Voice),
            "whatsapp" => Self::One(Channel::Whatsapp),
            "email" => Self::One(Channel::Email),
            "auto" => Self::Auto,
            "sna" => Self::Sna,
            _ => return None,
        })
    }
}

/// Reads a create.
///
/// # Errors
/// 400, 403, 413, 415.
pub fn read_create(request: &Request, policy: &Policy) -> Result<CreateRequest, Rejection> {
    let mut parameters = Parameters::read(request, &PARAMETERS)?;
    let to = parameters.required("To");
    let word = read_channel(&mut parameters);
    let is_email = word == Some(ChannelWord::One(Channel::Email));
    let to = to.and_then(|to| read_recipient(&mut parameters, &to, is_email));
    let locale = parameters.parsed(
        "Locale",
        parse_language_tag,
        "Must be a BCP 47 language tag such as fr or pt-BR.",
    );
    let transaction = parameters.transaction();
    let code = read_custom_code(&mut parameters, policy);
    let custom_text = read_custom_text(&mut parameters);
    let client_ip = parameters.client_ip();
    if parameters.text("SendDigits").is_some() {
        parameters.refuse("SendDigits");
    }
    parameters.finish()?;
    // Each of them is present: otherwise the reading has ended with an error.
    let (to, word) = to.zip(word).ok_or_else(|| Rejection::malformed(None))?;
    let channel = match word {
        ChannelWord::One(channel) => channel,
        ChannelWord::Auto | ChannelWord::Sna => Channel::Sms,
    };
    let send = SendRequest {
        push_to: None,
        to,
        channel,
        fallback: vec![],
        locale,
        purpose: DEFAULT_PURPOSE.into(),
        transaction,
        subject: None,
        code_length: None,
        ttl_seconds: None,
        reference: None,
        client_ip,
        idempotency: None,
        code,
        custom_text,
    };
    Ok(CreateRequest {
        send,
        voice_fallback: word == ChannelWord::Auto,
    })
}

/// The channel. Silent network authentication is refused.
fn read_channel(parameters: &mut Parameters) -> Option<ChannelWord> {
    parameters.required("Channel")?;
    let detail = "Must be sms, call, whatsapp, email or auto.";
    let word = parameters.parsed("Channel", ChannelWord::parse, detail);
    if word == Some(ChannelWord::Sna) {
        let detail = "No carrier serves channel `sna`.";
        let problem = Problem::new(ErrorCode::ChannelNotConfigured, detail);
        parameters.refuse_by(Rejection::of(problem));
    }
    word
}

/// What the texts say in place of the app's settings.
fn read_custom_text(parameters: &mut Parameters) -> CustomText {
    CustomText {
        brand: parameters.parsed(
            "CustomFriendlyName",
            |text| config::brand(text).ok(),
            "Must be a text of 1 to 64 characters that can be seen.",
        ),
        android_hash: parameters.parsed(
            "AppHash",
            |text| config::android_hash(text).ok(),
            "Must be the 11 characters of an SMS Retriever hash.",
        ),
    }
}

/// The recipient: a number in E.164, or with channel `email` an address in ASCII.
fn read_recipient(parameters: &mut Parameters, to: &str, is_email: bool) -> Option<Address> {
    if is_email {
        let email = Some(to.trim()).filter(|to| to.is_ascii());
        let email = email.and_then(EmailAddress::parse).map(Address::Email);
        if email.is_none() {
            let detail = "Must be one plain e-mail address in ASCII.";
            parameters.reject("To", ErrorCode::InvalidEmail, When::Wrong, detail);
        }
        return email;
    }
    let number = pasted_text::e164(to).ok_or(PhoneError::Invalid);
    match number.and_then(|number| PhoneNumber::parse_e164(&number)) {
        Ok(number) => Some(Address::Phone(number)),
        Err(PhoneError::Invalid) => {
            let detail = "Must be one valid phone number in E.164.";
            parameters.reject("To", ErrorCode::InvalidNumber, When::Wrong, detail);
            None
        }
        Err(PhoneError::NotAllowed) => {
            let detail = "Messages cannot be sent to this type of number.";
            let problem = Problem::new(ErrorCode::NumberNotAllowed, detail);
            parameters.refuse_by(Rejection::when(problem, When::Blocked));
            None
        }
    }
}

/// The code that the app chose.
fn read_custom_code(parameters: &mut Parameters, policy: &Policy) -> Option<Code> {
    let text = parameters.text("CustomCode")?;
    let code = parse_custom_code(&text, policy.code_alphabet);
    if code.is_none() {
        let detail = "Must be 4 to 10 characters of this app's code alphabet.";
        parameters.reject("CustomCode", ErrorCode::InvalidCode, When::Wrong, detail);
    } else if !policy.caller_codes {
        parameters.refuse("CustomCode");
    }
    code
}

/// A code in canonical form: nothing in it is ignored.
fn parse_custom_code(text: &str, alphabet: Alphabet) -> Option<Code> {
    let lengths = usize::from(CODE_LENGTH_MIN)..=usize::from(CODE_LENGTH_MAX);
    let is_code = lengths.contains(&text.len())
        && text
            .bytes()
            .all(|byte| alphabet.characters().contains(&byte));
    is_code.then(|| Code::from_stored(text.to_owned()))
}
