//! A vendor of messages as its documentation describes it.

use serde_json::Value;

use crate::support::{Service, TestResponse};

pub const RECIPIENT: &str = "+33612345678";
pub const EMAIL: &str = "user@example.net";
/// For notifications: an SNS platform endpoint.
pub const DEVICE: &str =
    "arn:aws:sns:eu-west-1:123456789012:endpoint/GCM/shop/5e3e9847-3183-3f18-a7e8-671c3a57d4b3";
/// In the callback URL of an account, for vendors that have one URL for all messages.
pub const CALLBACK_TOKEN: &str = "callback-token-for-tests-0001";

/// A response of a vendor: status and body.
pub type VendorResponse = (u16, &'static str);

/// A vendor as its documentation describes it.
pub struct Vendor {
    pub kind: &'static str,
    pub channel: &'static str,
    /// Its entry in `OTP_CARRIERS`, but for `kind` and `base_url`.
    pub settings: Value,
    /// Its credentials in `OTP_SECRETS`.
    pub secrets: Value,
    pub path: &'static str,
    /// Headers of the request for a message, with the start of their values.
    pub headers: Vec<(&'static str, String)>,
    /// JSON pointers into the body, and the values there.
    pub fields: Vec<(&'static str, Value)>,
    /// JSON pointer to the text or the code.
    pub text: &'static str,
    /// JSON pointer to the callback URL; `None` if the URL belongs to the account.
    pub url: Option<&'static str>,
    /// JSON pointer to the reference.
    pub reference: Option<&'static str>,
    pub accepted: VendorResponse,
    pub permanent: VendorResponse,
    pub transient: VendorResponse,
    pub misconfigured: VendorResponse,
    pub unreadable: VendorResponse,
    /// Its report that the message was delivered.
    pub report: fn(&VendorMessage) -> VendorReport,
    /// A part of the report that a signature covers, and a forgery of it.
    pub altered: Option<(&'static str, &'static str)>,
}

impl Vendor {
    /// Kind and channel, for the messages of assertions.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, self.channel)
    }

    /// Its name in `OTP_CARRIERS`, which cannot contain `_`.
    pub fn name(&self) -> String {
        self.kind.replace('_', "-")
    }
}

/// What a vendor knows of a message.
pub struct VendorMessage {
    pub url: String,
    pub reference: String,
    /// The service's time in seconds since 1970.
    pub now: i64,
}

/// A report of a vendor.
#[derive(Clone)]
pub struct VendorReport {
    pub method: &'static str,
    /// With scheme and host.
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl VendorReport {
    pub async fn send(&self, service: &Service) -> TestResponse {
        let path = self
            .url
            .strip_prefix(&service.base)
            .unwrap_or_else(|| panic!("{} is not at {}", self.url, service.base));
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        service
            .raw(self.method, path, &headers, self.body.clone())
            .await
    }
}
