//! The `Carrier` trait and its types: a message, a receipt, a callback, a report.
//!
//! Invariant: a `Carrier` only translates between these types and the HTTP format of its vendor. It
//! does no IO, reads no clock and keeps no state. `Carriers` sends its requests.

use ::http::{HeaderMap, Method, Request, Response};

use super::registered_template::RegisteredTemplate;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::{DeliveryStatus, ReportedStatus};
use crate::domain::time::Timestamp;
use crate::message;

/// The HTTP format of a company that delivers messages.
pub trait Carrier: Send + Sync {
    /// Whether the settings of the entry allow messages over `channel`, one of its kind's. It
    /// depends on no credential, because functions without credentials ask as well.
    fn serves(&self, _channel: Channel) -> bool {
        true
    }

    /// Its conversion feedback; `None` if the vendor takes none, or the entry has no `feedback`.
    fn feedback(&self) -> Option<&dyn ConversionFeedback> {
        None
    }

    /// The request that hands `message` over. A request to AWS is not signed yet.
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String>;

    /// What the response to [`Self::request`] means.
    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt;

    /// The reports in `callback`, usually one.
    ///
    /// # Errors
    /// [`ReportError`]. A signature is checked before anything in the report is parsed.
    fn report(&self, callback: &Callback<'_>, now: Timestamp) -> Result<Vec<Report>, ReportError>;
}

/// Conversion feedback: the vendor is informed that a code came back, so that it can judge its
/// routes, and see messages that are not read.
pub trait ConversionFeedback {
    /// The id by which the vendor knows the message `reference` that `response` accepts; `None` if
    /// it takes no feedback about it.
    fn message_id(&self, response: &Response<Vec<u8>>, reference: &str) -> Option<String>;

    /// The request that says that the code of a message came back. A request to AWS is not signed
    /// yet.
    fn feedback_request(&self, conversion: &Conversion<'_>) -> Request<String>;
}

/// A code that came back.
#[derive(Clone, Copy)]
pub struct Conversion<'a> {
    /// The vendor's id of its message.
    pub message_id: &'a str,
    /// The recipient; `None` if it was forgotten.
    pub to: Option<&'a Address>,
    /// When it came back.
    pub at: Timestamp,
}

/// A status API, for a carrier whose reports do not arrive reliably.
pub trait StatusPolling: Send + Sync {
    /// The vendor's id of the message that `response` accepts.
    fn vendor_id(&self, response: &Response<Vec<u8>>) -> Option<String>;

    /// The request for the status of the message `vendor_id` to `to`.
    fn status_request(&self, vendor_id: &str, to: &Address) -> Request<String>;

    /// The status in the response to [`Self::status_request`]; `None` if it contains none.
    fn parse_status(&self, response: &Response<Vec<u8>>) -> Option<DeliveryStatus>;
}

/// A message on its way to a carrier.
pub struct OutgoingMessage<'a> {
    /// The recipient.
    pub to: &'a Address,
    /// The name or number that the message comes from, if one is configured.
    pub sender: Option<&'a str>,
    /// Present for channel push.
    pub notification: Option<Notification<'a>>,
    /// What the operator registered for the country of the recipient.
    pub registered: Option<&'a RegisteredTemplate>,
    /// The channel.
    pub channel: Channel,
    /// The text, and subject and HTML of an e-mail.
    pub message: &'a message::Message,
    /// The code alone, for carriers that fill in a template of their own.
    pub code: &'a str,
    /// Language tag of the text.
    pub locale: &'a str,
    /// Our id of the message. It stays the same when the message is handed over again after a
    /// crash.
    pub reference: &'a str,
    /// Seconds until the code expires.
    pub validity_seconds: i64,
    /// When it is handed over.
    pub now: Timestamp,
    /// The URL for the carrier's reports.
    pub callback_url: &'a str,
}

/// What a notification has beside its text. The app on the device gets the code and the id of the
/// verification as data.
#[derive(Clone, Copy)]
pub struct Notification<'a> {
    /// What the app names as the device: an SNS platform endpoint ARN, or a vendor's device token.
    pub device: &'a str,
    /// The brand.
    pub title: &'a str,
    /// The id of the verification.
    pub verification_id: &'a str,
}

/// What a carrier's response to a handover means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// The carrier has the message.
    Accepted,
    /// The carrier will never accept a message to this recipient: invalid number, opted out.
    Permanent,
    /// The operator's own settings at the carrier block this recipient. It ends the message as
    /// `Permanent` does, and the log has a warning.
    Blocked,
    /// The carrier cannot accept the message now.
    Transient {
        /// Seconds until the next try, if the carrier gave them.
        retry_after_seconds: Option<i64>,
    },
    /// The carrier accepts no such message from this account: sender, template, country, settings.
    /// The operator has to act.
    Misconfigured,
    /// The carrier accepts nothing from this account: credentials or balance. The operator has to
    /// act.
    AccountRejected,
    /// There was no readable response. The carrier may or may not have the message.
    Unknown,
}

/// What a carrier reports about one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Our reference, if the report contains it. Without a reference, a report to the callback URL
    /// of a message is about that message, and a report to the callback URL of an account is
    /// ignored.
    pub reference: Option<String>,
    /// The reported status; `None` for a status that the vendor does not document, which changes
    /// nothing.
    pub status: Option<DeliveryStatus>,
    /// Whether the message failed because of the operator's account: its sender, its registration,
    /// its template, its settings. The operator has to act, and another carrier may deliver it.
    pub is_account_fault: bool,
}

impl Report {
    /// A report that does not blame the operator's account.
    #[must_use]
    pub fn new(reference: Option<String>, status: Option<DeliveryStatus>) -> Self {
        Self {
            reference,
            status,
            is_account_fault: false,
        }
    }

    /// The status with its cause. Only a failure can be a fault of the account.
    #[must_use]
    pub fn reported(&self) -> Option<ReportedStatus> {
        self.status.map(|status| ReportedStatus {
            status,
            is_account_fault: self.is_account_fault && status.is_failure(),
        })
    }
}

/// Why a report is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReportError {
    /// The report does not come from the carrier.
    #[error("the report is not authentic")]
    Forged,
    /// The report has no signature. The vendor sends it again with one after a 5xx.
    #[error("the report is not signed")]
    Unsigned,
    /// The report comes from the carrier, but it is not in the vendor's format. A report in that
    /// format that lacks a field is not an error.
    #[error("the report cannot be read")]
    Unreadable,
}

/// An HTTP request with a report, as it arrived.
pub struct Callback<'a> {
    /// POST or GET.
    pub method: &'a Method,
    /// The query string, without the `?`.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The raw body, which signatures cover.
    pub body: &'a [u8],
    /// The whole URL that the carrier called.
    pub url: &'a str,
}
