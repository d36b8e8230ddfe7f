//! Channel: how a message reaches a person.

use std::str::FromStr;

use thiserror::Error;

/// How a message reaches a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// Text message.
    Sms,
    /// Phone call in which a voice reads the code.
    Voice,
    /// WhatsApp message.
    Whatsapp,
    /// E-mail.
    Email,
    /// Notification on a device that the app names.
    Push,
}

impl Channel {
    /// All channels, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Sms,
        Self::Voice,
        Self::Whatsapp,
        Self::Email,
        Self::Push,
    ];

    /// The name in requests and responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Voice => "voice",
            Self::Whatsapp => "whatsapp",
            Self::Email => "email",
            Self::Push => "push",
        }
    }
}

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(name: &str) -> Result<Self, UnknownChannel> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.name() == name)
            .ok_or(UnknownChannel)
    }
}

/// No channel has this name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("unknown channel")]
pub struct UnknownChannel;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_have_the_names_of_requests() {
        let names = Channel::ALL.map(Channel::name);
        assert_eq!(names, ["sms", "voice", "whatsapp", "email", "push"]);
        assert_eq!(names.map(str::parse), Channel::ALL.map(Ok));
        assert_eq!("SMS".parse::<Channel>(), Err(UnknownChannel));
    }
}
