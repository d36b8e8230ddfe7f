//! Address: where a recipient is reached, a phone number or an e-mail address.

use crate::domain::channel::Channel;
use crate::domain::email::EmailAddress;
use crate::domain::phone::PhoneNumber;

/// Where a recipient is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// sms, voice, whatsapp.
    Phone(PhoneNumber),
    /// email.
    Email(EmailAddress),
}

impl Address {
    /// The address as callers and carriers write it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Phone(number) => number.reveal(),
            Self::Email(email) => email.reveal(),
        }
    }

    /// What every limit and key is made from: E.164, or the whole e-mail address in lower case.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.reveal().to_lowercase()
    }

    /// ISO 3166 alpha-2 of the number; an e-mail address has none.
    #[must_use]
    pub fn country(&self) -> Option<&str> {
        match self {
            Self::Phone(number) => Some(number.country()),
            Self::Email(_) => None,
        }
    }

    /// Whether a message over `channel` can reach it.
    #[must_use]
    pub fn supports(&self, channel: Channel) -> bool {
        match (self, channel) {
            (Self::Email(_), Channel::Email) => true,
            (Self::Phone(_), Channel::Sms | Channel::Voice | Channel::Whatsapp) => true,
            (Self::Email(_), Channel::Sms | Channel::Voice | Channel::Whatsapp)
            | (Self::Phone(_), Channel::Email) => false,
        }
    }
}
