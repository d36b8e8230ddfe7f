//! Carriers: the `Carrier` trait, how a message is handed over, and what the kinds have in common.
//! Adding a kind takes one file beside this one and one line in `settings::KINDS`.
//! Must never log a body, a header or a carrier's raw answer.

pub mod cm;
pub mod end_user_messaging;
pub mod client;
pub mod http;
pub mod labsmobile;
pub mod ses;
pub mod smsbox;
pub mod smspartner;
pub mod smspm;
pub mod sns;
pub mod sns_envelope;
pub mod twilio;
pub mod vonage;
pub mod registry;
mod vendor_formats;

use std::time::Duration;

use ::http::header::RETRY_AFTER;
use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use client::CarrierClient;
use registry::Adapter;
pub use registry::{COMMON_FIELDS, ConfiguredCarrier, is_carrier_name, settings};

use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message;
use crate::platform::aws::{Aws, Service};
use crate::platform::json::Fields;
use crate::platform::url::is_base_url;

/// Longest name of a message by its vendor that is kept.
const VENDOR_ID_CHARS_MAX: usize = 64;

/// A company that carries messages, as its wire format. It translates; `Carriers::hand_over` does the IO.
pub trait Carrier: Send + Sync {
    /// The request that hands `message` over. A request to AWS is signed by whoever sends it.
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String>;

    /// What its answer means.
    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt;

    /// What a report says.
    ///
    /// # Errors
    /// [`ReportError`]; a forged report is told before anything of it is parsed.
    fn report(&self, callback: &Callback<'_>, now: Timestamp) -> Result<Report, ReportError>;

    /// What a report that was found genuine says of further messages, for a carrier that tells of several at once.
    fn further_reports(&self, _callback: &Callback<'_>) -> Vec<Report> {
        vec![]
    }

    /// The vendor's own name for a message that `answer` accepts, for a carrier that loses its reports and is asked instead.
    fn vendor_id(&self, _answer: &Response<Vec<u8>>) -> Option<String> {
        None
    }

    /// The request that asks what became of the message `vendor_id` to `to`.
    fn question(&self, _vendor_id: &str, _to: &Address) -> Option<Request<String>> {
        None
    }

    /// What the answer to it says; `None` for nothing that can be read.
    fn told(&self, _answer: &Response<Vec<u8>>) -> Option<DeliveryStatus> {
        None
    }

    /// The token in the path of its one callback URL, for a carrier that knows only one URL for the whole account. Its
    /// reports must name the message themselves.
    fn account_token(&self) -> Option<&str> {
        None
    }
}

/// One message on its way to a carrier.
pub struct OutgoingMessage<'a> {
    /// Who gets it.
    pub to: &'a Address,
    /// Name or number that it comes from, where there is one.
    pub sender: Option<&'a str>,
    /// How it goes.
    pub channel: Channel,
    /// What it says.
    pub message: &'a message::Message,
    /// The code alone, for carriers that fill in a template of theirs.
    pub code: &'a str,
    /// Tag of its language.
    pub locale: &'a str,
    /// Our name for it; the same when it is handed over again after a crash.
    pub reference: &'a str,
    /// After these seconds it is worth nothing.
    pub validity_seconds: i64,
    /// Where the carrier reports what became of it.
    pub callback_url: &'a str,
}

/// What a carrier's answer means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// It has the message.
    Accepted,
    /// It will never take it: bad number, opted out, blocked.
    Permanent,
    /// Not now.
    Transient {
        /// If it said when.
        retry_after_seconds: Option<i64>,
    },
    /// It does not take anything from us: key, balance, settings. A person must look at it.
    Misconfigured,
    /// No answer that can be read: it may or may not have the message.
    Unknown,
}

/// A carrier's word about a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The message, by our reference, where the report itself names it. Without one it is the message of the URL that the
    /// report came to; at an account's URL it is none of ours.
    pub reference: Option<String>,
    /// What became of it; `None` for a word that we do not know, which changes nothing.
    pub status: Option<DeliveryStatus>,
}

/// Why a report is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReportError {
    /// The report does not come from the carrier.
    #[error("the report is not authentic")]
    Forged,
    /// The report comes from the carrier, but it is not in the vendor's format. A report in that
    /// format that lacks a field is not an error.
    #[error("the report cannot be read")]
    Unreadable,
}

/// A report as it arrived.
pub struct Callback<'a> {
    /// POST or GET.
    pub method: &'a Method,
    /// After the `?`.
    pub query: &'a str,
    /// As they came.
    pub headers: &'a HeaderMap,
    /// Raw bytes, which signatures are made of.
    pub body: &'a [u8],
    /// The whole URL that the carrier called.
    pub url: &'a str,
}

/// The carriers, ready to be called.
pub struct Carriers {
    list: Vec<ConfiguredCarrier>,
    client: CarrierClient,
    aws: Aws,
    sns: Option<sns::Sns>,
}

impl Carriers {
    /// With one connection pool for all of them.
    #[must_use]
    pub fn new(list: Vec<ConfiguredCarrier>, aws: &Aws) -> Self {
        let sns = list
            .iter()
            .any(ConfiguredCarrier::is_sns)
            .then(|| sns::Sns::new(&aws.config(Service::Sns)));
        Self {
            list,
            client: CarrierClient::default(),
            aws: aws.clone(),
            sns,
        }
    }

    /// The carriers that take a message to `to` over `channel`, in order of preference.
    pub fn serving(
        &self,
        channel: Channel,
        to: &Address,
    ) -> impl Iterator<Item = &ConfiguredCarrier> {
        self.list
            .iter()
            .filter(move |carrier| carrier.serves(channel, to))
    }

    /// Hands `message` to `carrier` within `time_left`: what came of it, and the vendor's own name for the message where
    /// the carrier is asked about it later.
    pub async fn hand_over(
        &self,
        carrier: &ConfiguredCarrier,
        message: &OutgoingMessage<'_>,
        time_left: Duration,
        now: Timestamp,
    ) -> (Receipt, Option<String>) {
        let timeout = carrier.timeout.min(time_left);
        let (adapter, request) = match (&carrier.adapter, &self.sns) {
            (Some(Adapter::Http(adapter)), _) => (adapter, adapter.request(message)),
            (
                Some(Adapter::Aws {
                    carrier: adapter,
                    service,
                    ..
                }),
                _,
            ) => {
                let mut request = adapter.request(message);
                if let Err(error) = self.aws.sign(&mut request, service, now) {
                    tracing::error!(
                        error.kind = "unsigned",
                        error.cause = error.0,
                        "a request could not be signed"
                    );
                    return (Receipt::Misconfigured, None);
                }
                (adapter, request)
            }
            (Some(Adapter::Sns), Some(sns)) => {
                return (
                    tokio::time::timeout(timeout, sns.publish(message))
                        .await
                        .unwrap_or(Receipt::Unknown),
                    None,
                );
            }
            (Some(Adapter::Sns), None) | (None, _) => return (Receipt::Misconfigured, None),
        };
        match self.client.send(request, timeout).await {
            Ok(answer) => match adapter.receipt(&answer, now) {
                Receipt::Accepted => (
                    Receipt::Accepted,
                    adapter.vendor_id(&answer).filter(|id| is_vendor_id(id)),
                ),
                receipt => (receipt, None),
            },
            Err(error) => (error.receipt(), None),
        }
    }

    /// Asks `carrier` what became of the message `vendor_id` to `to`; `None` if it does not say.
    pub async fn ask(
        &self,
        carrier: &ConfiguredCarrier,
        vendor_id: &str,
        to: &Address,
    ) -> Option<DeliveryStatus> {
        let Some(Adapter::Http(adapter)) = &carrier.adapter else {
            return None;
        };
        let answer = self
            .client
            .send(adapter.question(vendor_id, to)?, carrier.timeout)
            .await
            .ok()?;
        adapter.told(&answer)
    }
}

/// Whether a vendor's name for a message may rest beside ours.
fn is_vendor_id(id: &str) -> bool {
    (1..=VENDOR_ID_CHARS_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// `base_url` of a carrier, or the vendor's, without a slash at the end. A kind without a vendor has to be told.
pub fn base_url(fields: &mut Fields, vendor: &str) -> String {
    let url = match fields.text("base_url") {
        Some(url) if is_base_url(&url) => url,
        Some(_) => {
            fields.refuse(
                "base_url",
                "Must be an http(s) URL with a host, and without user, query and fragment.",
            );
            String::new()
        }
        None if vendor.is_empty() => {
            fields.refuse("base_url", "Is required, an http(s) URL.");
            String::new()
        }
        None => vendor.to_owned(),
    };
    url.trim_end_matches('/').to_owned()
}

/// A POST. What cannot be a URL or a header value was refused when the carrier was configured.
#[must_use]
pub fn post(url: &str, headers: &[(&'static str, String)], body: String) -> Request<String> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.parse().unwrap_or_default();
    for (name, value) in headers {
        if let Ok(value) = ::http::HeaderValue::from_str(value) {
            request.headers_mut().insert(*name, value);
        }
    }
    request
}

/// What an HTTP status means where a carrier says no more: 2xx took it; 408, 425, 429 and 5xx not now; 401, 402, 403
/// and anything odd is for a person to look at; other 4xx never.
#[must_use]
pub fn receipt_by_status<B>(answer: &Response<B>, now: Timestamp) -> Receipt {
    match answer.status() {
        status if status.is_success() => Receipt::Accepted,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Receipt::Transient {
                retry_after_seconds: retry_after_seconds(answer.headers(), now),
            }
        }
        status if status.is_server_error() => Receipt::Transient {
            retry_after_seconds: retry_after_seconds(answer.headers(), now),
        },
        StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN => {
            Receipt::Misconfigured
        }
        status if status.is_client_error() => Receipt::Permanent,
        _ => Receipt::Misconfigured,
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after_seconds(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse::<u32>().ok().map(i64::from);
    seconds.or_else(|| {
        let date = jiff::fmt::rfc2822::parse(value).ok()?;
        Some(
            Timestamp(date.timestamp().as_second())
                .seconds_since(now)
                .max(0),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_classed_and_retry_after_is_read_in_both_forms() {
        let class = |status: u16, retry_after: &str| {
            let answer = Response::builder()
                .status(status)
                .header("retry-after", retry_after)
                .body(())
                .expect("an answer");
            receipt_by_status(&answer, Timestamp(784_111_700))
        };
        assert_eq!(class(204, ""), Receipt::Accepted);
        assert_eq!(
            class(429, "7"),
            Receipt::Transient {
                retry_after_seconds: Some(7)
            }
        );
        assert_eq!(
            class(503, "Sun, 06 Nov 1994 08:49:37 GMT"),
            Receipt::Transient {
                retry_after_seconds: Some(77)
            }
        );
        assert_eq!(
            class(500, "soon"),
            Receipt::Transient {
                retry_after_seconds: None
            }
        );
        assert_eq!(
            [408, 425].map(|s| class(s, "")),
            [408, 425].map(|_| Receipt::Transient {
                retry_after_seconds: None
            })
        );
        assert_eq!(
            [401, 402, 403, 301].map(|s| class(s, "")),
            [401, 402, 403, 301].map(|_| Receipt::Misconfigured)
        );
        assert_eq!(
            [400, 404, 422].map(|s| class(s, "")),
            [400, 404, 422].map(|_| Receipt::Permanent)
        );
    }
}
