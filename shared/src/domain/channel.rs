//! Channel: how a message reaches a person.

use std::str::FromStr;

/// How a message reaches a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// Text message.
    Sms,
    /// Phone call that speaks the code.
    Voice,
    /// WhatsApp message.
    Whatsapp,
    /// E-mail.
    Email,
}

impl Channel {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 4] = [Self::Sms, Self::Voice, Self::Whatsapp, Self::Email];

    /// Name in requests and responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Voice => "voice",
            Self::Whatsapp => "whatsapp",
            Self::Email => "email",
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

/// A word that names no channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownChannel;
