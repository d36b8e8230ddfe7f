//! Composing: from a verification and its code to the message for a channel.

use super::locale_negotiation::negotiate;
use super::locales::Locale;
use super::render::{render, sms_has_room_for_marks};
use super::rendered::Message;
use super::template::{Template, from_template};
use super::time_zones::local_time;
use super::values::Wording;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::policy::Policy;
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_params::VerificationParams;

/// What a text shows to tell it from other texts of the same person.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TextMarks {
    /// Two letters.
    pub reference: Option<String>,
    /// Time of sending.
    pub sent_at: Option<String>,
}

/// The marks of a text that is sent at `now` to a number of `country`. If the policy asks for
/// references, a text without one had no room for marks, and has no time either.
#[must_use]
pub fn text_marks(
    policy: &Policy,
    reference: Option<TextReference>,
    country: Option<&str>,
    now: Timestamp,
) -> TextMarks {
    let has_time = policy.text_time && (reference.is_some() || !policy.text_reference);
    TextMarks {
        reference: reference.map(|reference| reference.to_string()),
        sent_at: has_time.then(|| local_time(country, now)),
    }
}

/// The message that carries `code` over `channel` in the verification's locale. `country`: that of
/// the recipient's number.
#[must_use]
pub fn compose(
    policy: &Policy,
    verification: &Verification,
    code: &Code,
    country: Option<&str>,
    channel: Channel,
    now: Timestamp,
) -> Message {
    let marks = text_marks(policy, verification.text_reference, country, now);
    let wording = wording(policy, verification, code, &marks, now);
    render(channel, locale_of(policy, &verification.params), &wording)
}

/// The SMS that carries `code` in a text that the operator has registered; `None` for a payment
/// that this text does not state.
#[must_use]
pub fn compose_registered(
    template: &Template,
    policy: &Policy,
    verification: &Verification,
    code: &Code,
    marks: &TextMarks,
    now: Timestamp,
) -> Option<Message> {
    from_template(template, &wording(policy, verification, code, marks, now))
}

/// Whether a text message of `verification` can show a reference, and the time if the policy asks
/// for it, without another part.
#[must_use]
pub fn has_room_for_reference(
    policy: &Policy,
    verification: &Verification,
    code: &Code,
    country: Option<&str>,
    now: Timestamp,
) -> bool {
    let marks = TextMarks {
        reference: Some("XX".into()),
        sent_at: policy.text_time.then(|| local_time(country, now)),
    };
    let wording = wording(policy, verification, code, &marks, now);
    sms_has_room_for_marks(locale_of(policy, &verification.params), &wording)
}

fn locale_of(policy: &Policy, params: &VerificationParams) -> Locale {
    let locale = Locale::from_tag(&params.locale);
    locale.unwrap_or_else(|| negotiate(None, None, &policy.locale))
}

fn wording<'a>(
    policy: &'a Policy,
    verification: &'a Verification,
    code: &'a Code,
    marks: &'a TextMarks,
    now: Timestamp,
) -> Wording<'a> {
    let (params, custom) = (&verification.params, &verification.custom_text);
    // Rounded to the nearest minute, so that a text that is sent a second after the start states
    // the full time.
    let minutes = (params.expires_at.seconds_since(now) + 30) / 60;
    Wording {
        brand: custom.brand.as_ref().unwrap_or(&policy.brand),
        code: code.reveal(),
        minutes: minutes.max(1),
        transaction: params
            .transaction
            .as_ref()
            .map(|t| [t.amount.as_str(), t.currency.as_str(), t.payee.as_str()]),
        reference: marks.reference.as_deref(),
        sent_at: marks.sent_at.as_deref(),
        web_domain: policy.web_domain.as_deref(),
        android_hash: custom
            .android_hash
            .as_ref()
            .or(policy.android_hash.as_ref())
            .map(String::as_str),
        gsm7: policy.gsm7,
    }
}
