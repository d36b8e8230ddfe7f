//! Composing: from a verification and its code to the text for a channel.

use super::{Message, Wording, locale, negotiate, render};
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;

/// The text of a verification's `code` for `channel`.
#[must_use]
pub fn compose(
    policy: &Policy,
    verification: &Verification,
    code: &Code,
    channel: Channel,
    now: Timestamp,
) -> Message {
    let params = &verification.params;
    let locale = locale(&params.locale).unwrap_or_else(|| negotiate(None, None, &policy.locale));
    // Rounds to the nearest minute: a text sent a second after the start states the full time.
    let minutes = (params.expires_at.seconds_since(now) + 30) / 60;
    let wording = Wording {
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
    };
    render(channel, locale, &wording)
}
