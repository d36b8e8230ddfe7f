//! Composing: from a verification and its code to the message for a channel.

use super::locale_negotiation::negotiate;
use super::locales::Locale;
use super::render::render;
use super::rendered::Message;
use super::template::{Template, from_template};
use super::values::Wording;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_params::VerificationParams;

/// The message that carries `code` over `channel` in the verification's locale.
#[must_use]
pub fn compose(
    policy: &Policy,
    verification: &Verification,
    code: &Code,
    channel: Channel,
    now: Timestamp,
) -> Message {
    let params = &verification.params;
    let locale =
        Locale::from_tag(&params.locale).unwrap_or_else(|| negotiate(None, None, &policy.locale));
    render(channel, locale, &wording(policy, params, code, now))
}

/// The SMS that carries `code` in a text that the operator has registered; `None` for a payment
/// that this text does not state.
#[must_use]
pub fn compose_registered(
    template: &Template,
    policy: &Policy,
    params: &VerificationParams,
    code: &Code,
    now: Timestamp,
) -> Option<Message> {
    from_template(template, &wording(policy, params, code, now))
}

fn wording<'a>(
    policy: &'a Policy,
    params: &'a VerificationParams,
    code: &'a Code,
    now: Timestamp,
) -> Wording<'a> {
    // Rounded to the nearest minute, so that a text that is sent a second after the start states
    // the full time.
    let minutes = (params.expires_at.seconds_since(now) + 30) / 60;
    Wording {
        brand: &policy.brand,
        code: code.reveal(),
        minutes: minutes.max(1),
        transaction: params
            .transaction
            .as_ref()
            .map(|t| [t.amount.as_str(), t.currency.as_str(), t.payee.as_str()]),
        web_domain: policy.web_domain.as_deref(),
        android_hash: policy.android_hash.as_deref(),
        gsm7: policy.gsm7,
    }
}
