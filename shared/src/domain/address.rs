//! The address of a recipient: a phone number or an e-mail address.

use crate::domain::channel::Channel;
use crate::domain::email::EmailAddress;
use crate::domain::phone::PhoneNumber;

/// The address of a recipient.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// For the channels sms, voice, whatsapp and push.
    Phone(PhoneNumber),
    /// For the channels email and push.
    Email(EmailAddress),
}

impl Address {
    /// The address to which messages over `channel` go. A numbering plan may have another number
    /// for calls to a line than for texts.
    #[must_use]
    pub fn over(&self, channel: Channel) -> Self {
        match self {
            Self::Phone(number) if channel == Channel::Voice => Self::Phone(number.as_called()),
            Self::Phone(_) | Self::Email(_) => self.clone(),
        }
    }

    /// The address as it appears in responses and requests to carriers.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Phone(number) => number.reveal(),
            Self::Email(email) => email.reveal(),
        }
    }

    /// The form from which limits and record keys are computed: E.164, or the whole e-mail address
    /// in lower case.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.reveal().to_lowercase()
    }

    /// The country of the phone number, ISO 3166 alpha-2. An e-mail address has none.
    #[must_use]
    pub fn country(&self) -> Option<&str> {
        match self {
            Self::Phone(number) => Some(number.country()),
            Self::Email(_) => None,
        }
    }

    /// Whether a message can be sent to the address over `channel`.
    #[must_use]
    pub fn supports(&self, channel: Channel) -> bool {
        match (self, channel) {
            (Self::Email(_), Channel::Email) => true,
            (Self::Phone(_), Channel::Sms | Channel::Voice | Channel::Whatsapp) => true,
            // The app names the device; the address is that of its owner.
            (Self::Phone(_) | Self::Email(_), Channel::Push) => true,
            (Self::Email(_), Channel::Sms | Channel::Voice | Channel::Whatsapp)
            | (Self::Phone(_), Channel::Email) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::Line;

    fn phone() -> Address {
        let number = PhoneNumber::from_stored("+33612345678", "FR", Line::Mobile);
        Address::Phone(number.with_called(Some("+33112345678".into())))
    }

    fn email() -> Address {
        Address::Email(EmailAddress::from_stored("Ada@Example.com".into()))
    }

    #[test]
    fn address_supports_the_channels_of_its_kind() {
        let supported = |address: &Address| Channel::ALL.map(|channel| address.supports(channel));
        assert_eq!(supported(&phone()), [true, true, true, false, true]);
        assert_eq!(supported(&email()), [false, false, false, true, true]);
    }

    #[test]
    fn only_a_call_goes_to_the_called_number() {
        let over = |address: Address, channel| address.over(channel).reveal().to_owned();
        assert_eq!(over(phone(), Channel::Voice), "+33112345678");
        assert_eq!(over(phone(), Channel::Sms), "+33612345678");
        assert_eq!(over(email(), Channel::Voice), "Ada@Example.com");
    }

    #[test]
    fn case_of_an_address_does_not_matter() {
        assert_eq!(email().canonical(), "ada@example.com");
        assert_eq!(phone().canonical(), "+33612345678");
        assert_eq!((phone().country(), email().country()), (Some("FR"), None));
    }
}
