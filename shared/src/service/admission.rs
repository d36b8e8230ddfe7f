//! Admission: whether an app may send to a recipient at all, before anything is read or counted.

use super::sending::{SendContext, SendError, SendRequest, Sending};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::phone::Line;
use crate::domain::policy::Policy;

/// Checks channels, country, number range and line type of a send; of a test number the channels
/// only.
pub(super) fn admit(context: &SendContext<'_>, request: &SendRequest) -> Result<(), SendError> {
    let to = &request.to;
    admit_channel(context.sending, request.channel, to, false)?;
    for channel in &request.fallback {
        admit_channel(context.sending, *channel, to, true)?;
    }
    if is_test_number(context, to) {
        return Ok(());
    }
    admit_number(context.policy, to)?;
    let channels = std::iter::once(&request.channel).chain(&request.fallback);
    channels
        .copied()
        .try_for_each(|channel| admit_line(channel, to))
}

/// Whether a carrier serves `channel` for this recipient.
pub(super) fn is_served(sending: &Sending, channel: Channel, to: &Address) -> bool {
    let mut carriers = sending.carriers.iter();
    carriers.any(|carrier| carrier.serves(channel, to))
}

/// Checks the channel of a resend.
pub(super) fn admit_resend(
    context: &SendContext<'_>,
    channel: Channel,
    to: &Address,
) -> Result<(), SendError> {
    admit_channel(context.sending, channel, to, false)?;
    if is_test_number(context, to) {
        return Ok(());
    }
    admit_line(channel, to)
}

fn is_test_number(context: &SendContext<'_>, to: &Address) -> bool {
    let numbers = &context.sending.test_numbers;
    numbers.code_of(to, context.now).is_some()
}

fn admit_channel(
    sending: &Sending,
    channel: Channel,
    to: &Address,
    is_fallback: bool,
) -> Result<(), SendError> {
    if !to.supports(channel) {
        return Err(SendError::ChannelMismatch { is_fallback });
    }
    if is_served(sending, channel, to) {
        Ok(())
    } else {
        Err(SendError::ChannelNotConfigured(channel))
    }
}

fn admit_number(policy: &Policy, to: &Address) -> Result<(), SendError> {
    let Address::Phone(number) = to else {
        return Ok(());
    };
    let countries = &policy.allowed_countries;
    if !countries.is_empty() && !countries.iter().any(|country| country == number.country()) {
        return Err(SendError::CountryNotAllowed);
    }
    let mut blocked = policy.blocked_prefixes.iter();
    let spellings = [Some(number.reveal()), number.reveal_called()];
    let spellings = spellings.into_iter().flatten();
    if blocked.any(|prefix| spellings.clone().any(|number| number.starts_with(prefix))) {
        return Err(SendError::PrefixBlocked);
    }
    Ok(())
}

fn admit_line(channel: Channel, to: &Address) -> Result<(), SendError> {
    let is_text = matches!(channel, Channel::Sms | Channel::Whatsapp);
    match to {
        Address::Phone(number) if number.line() == Line::Fixed && is_text => {
            Err(SendError::FixedLine)
        }
        Address::Phone(_) | Address::Email(_) => Ok(()),
    }
}
