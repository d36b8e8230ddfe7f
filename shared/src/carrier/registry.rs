//! The table of carrier kinds.
//!
//! Invariant: whatever differs by kind is a column of this table, a row of `adapters` or a method
//! of the kind's `Carrier`. No other file compares names of kinds.
//! Invariant: this table leads to no adapter. Every function checks the configuration of carriers,
//! but only those that call them contain the code for it.

use super::carrier_trait::Carrier;
use super::cm::Cm;
use super::end_user_messaging::EndUserMessaging;
use super::http::Http;
use super::labsmobile::LabsMobile;
use super::notify::Notify;
use super::sender::{DefaultSender, SenderRules, USUAL, WITHOUT_NAMES_AT_AWS};
use super::ses::Ses;
use super::smsbox::SmsBox;
use super::smspartner::SmsPartner;
use super::smspm::SmsPm;
use super::twilio::Twilio;
use super::vonage::Vonage;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::phone::Line;
use crate::platform::json::Fields;

/// One kind of carrier.
pub struct Kind {
    /// `kind` in `OTP_CARRIERS`.
    pub name: &'static str,
    /// The channels that carriers of this kind can have.
    pub channels: &'static [Channel],
    /// How messages are sent and how reports arrive.
    pub transport: Transport,
    /// Checks the fields that only entries of this kind have, for an AWS region. Returns the
    /// channels whose settings are present.
    pub check: fn(&mut Fields, &str) -> Vec<Channel>,
    /// Whether its messages over a channel reach this type of recipient.
    pub reaches: fn(Channel, &Address) -> bool,
    /// Whether an entry has the field `callback_token`.
    pub callback_token: CallbackToken,
    /// Whether reports are signed over the URL that the carrier called, so that checking the
    /// signature needs the public URL of the service.
    pub signs_callback_url: bool,
    /// Whether its messages can name registrations of the operator and the text.
    pub has_registered_templates: bool,
    /// What it accepts as the sender of a text message.
    pub sender: SenderRules,
}

/// How messages are sent and how reports arrive.
pub enum Transport {
    /// `Publish` of SNS. There are no reports.
    SnsPublish,
    /// HTTP requests. Reports are HTTP requests to the callback URL.
    Http,
    /// HTTP requests to an AWS service. Reports are events of an SNS topic.
    Aws {
        /// The service that requests are signed for.
        service: &'static str,
    },
}

/// The token in the callback URL of an account, for vendors that know one callback URL per account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackToken {
    /// Each message has its own callback URL.
    Unused,
    /// The vendor supports both.
    Optional,
    /// The vendor knows one callback URL per account.
    Required,
}

/// The channels whose settings `carrier` has.
pub fn served_by(carrier: &(impl Carrier + ?Sized)) -> Vec<Channel> {
    let channels = Channel::ALL.into_iter();
    channels.filter(|c| carrier.serves(*c)).collect()
}

const EVERY_RECIPIENT: fn(Channel, &Address) -> bool = |_, _| true;
/// For a vendor that finds the device of a notification by the phone number of its owner.
const DEVICES_BY_NUMBER: fn(Channel, &Address) -> bool =
    |channel, to| channel != Channel::Push || matches!(to, Address::Phone(_));
/// For a vendor that speaks to landlines of France, and sends a text to any other number.
const CALLS_TO_FRENCH_LANDLINES: fn(Channel, &Address) -> bool = |channel, to| match to {
    Address::Phone(number) if channel == Channel::Voice => {
        number.line() == Line::Fixed && number.country() == "FR"
    }
    Address::Phone(_) | Address::Email(_) => true,
};

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "sns",
        channels: &[Channel::Sms, Channel::Push],
        transport: Transport::SnsPublish,
        check: |_, _| Channel::ALL.to_vec(),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Unused,
        signs_callback_url: false,
        has_registered_templates: true,
        sender: SenderRules {
            name_length_min: 3,
            also_in_names: "-",
            countries_without_names: WITHOUT_NAMES_AT_AWS,
            ..USUAL
        },
    },
    Kind {
        name: "end_user_messaging",
        channels: &[Channel::Sms, Channel::Voice],
        transport: Transport::Aws {
            service: "sms-voice",
        },
        check: |fields, region| served_by(&EndUserMessaging::from_fields(fields, region)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Optional,
        signs_callback_url: false,
        has_registered_templates: true,
        sender: SenderRules {
            name_length_min: 3,
            also_in_names: "-",
            default: DefaultSender::OfKind,
            countries_without_names: WITHOUT_NAMES_AT_AWS,
            ..USUAL
        },
    },
    Kind {
        name: "notify",
        channels: &[Channel::Sms, Channel::Voice],
        transport: Transport::Aws {
            service: "sms-voice",
        },
        check: |fields, region| served_by(&Notify::from_fields(fields, region)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Optional,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: SenderRules {
            default: DefaultSender::OfKind,
            ..USUAL
        },
    },
    Kind {
        name: "ses",
        channels: &[Channel::Email],
        transport: Transport::Aws { service: "ses" },
        check: |fields, region| served_by(&Ses::from_fields(fields, region)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Optional,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: SenderRules {
            default: DefaultSender::OfKind,
            is_as_written: true,
            ..USUAL
        },
    },
    Kind {
        name: "twilio",
        channels: &[Channel::Sms, Channel::Voice, Channel::Whatsapp],
        transport: Transport::Http,
        check: |fields, _| served_by(&Twilio::from_fields(fields)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Unused,
        signs_callback_url: true,
        has_registered_templates: false,
        sender: SenderRules {
            also_in_names: " ",
            default: DefaultSender::OfKind,
            ..USUAL
        },
    },
    Kind {
        name: "vonage",
        channels: &[Channel::Sms, Channel::Voice, Channel::Whatsapp],
        transport: Transport::Http,
        check: |fields, _| served_by(&Vonage::from_fields(fields)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Optional,
        signs_callback_url: false,
        has_registered_templates: true,
        sender: SenderRules {
            default: DefaultSender::AppNameRequired,
            ..USUAL
        },
    },
    Kind {
        name: "smspartner",
        channels: &[Channel::Sms, Channel::Voice],
        transport: Transport::Http,
        check: |fields, _| served_by(&SmsPartner::from_fields(fields)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Unused,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: SenderRules {
            name_length_min: 3,
            ..USUAL
        },
    },
    Kind {
        name: "smsbox",
        channels: &[Channel::Sms, Channel::Voice, Channel::Whatsapp],
        transport: Transport::Http,
        check: |fields, _| served_by(&SmsBox::from_fields(fields)),
        reaches: CALLS_TO_FRENCH_LANDLINES,
        callback_token: CallbackToken::Required,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: USUAL,
    },
    Kind {
        name: "cm",
        channels: &[
            Channel::Sms,
            Channel::Voice,
            Channel::Whatsapp,
            Channel::Push,
        ],
        transport: Transport::Http,
        check: |fields, _| served_by(&Cm::from_fields(fields)),
        reaches: DEVICES_BY_NUMBER,
        callback_token: CallbackToken::Required,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: SenderRules {
            digits_max: 16,
            default: DefaultSender::AppNameRequired,
            ..USUAL
        },
    },
    Kind {
        name: "smspm",
        channels: &[Channel::Sms],
        transport: Transport::Http,
        check: |fields, _| served_by(&SmsPm::from_fields(fields)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Unused,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: USUAL,
    },
    Kind {
        name: "labsmobile",
        channels: &[Channel::Sms],
        transport: Transport::Http,
        check: |fields, _| served_by(&LabsMobile::from_fields(fields)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Unused,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: USUAL,
    },
    Kind {
        name: "http",
        channels: &Channel::ALL,
        transport: Transport::Http,
        check: |fields, _| served_by(&Http::from_fields(fields)),
        reaches: EVERY_RECIPIENT,
        callback_token: CallbackToken::Unused,
        signs_callback_url: false,
        has_registered_templates: false,
        sender: SenderRules {
            also_in_names: " ",
            countries_without_names: WITHOUT_NAMES_AT_AWS,
            is_as_written: true,
            ..USUAL
        },
    },
];
