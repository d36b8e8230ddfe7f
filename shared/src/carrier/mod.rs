//! Carriers: the `Carrier` trait, the registry of kinds, and what the kinds have in common.
//! Adding a kind takes one file beside this one and one line in `KINDS`.
//! Must never log a body, a header or a carrier's raw answer.

pub mod cm;
pub mod end_user_messaging;
pub mod exchange;
pub mod http;
pub mod labsmobile;
pub mod ses;
pub mod smsbox;
pub mod smspartner;
pub mod smspm;
pub mod sns;
pub mod sns_message;
pub mod twilio;
pub mod vonage;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::header::RETRY_AFTER;
use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use exchange::Exchange;
use serde_json::{Map, Value};

use crate::address::Address;
use crate::aws::{Aws, Service};
use crate::code::Code;
use crate::delivery::{Channel, DeliveryStatus};
use crate::json::{self, Fields};
use crate::message;
use crate::policy::Policy;
use crate::timestamp::Timestamp;
use crate::verification::Verification;

/// Most carriers that can be configured.
const CARRIERS_MAX: usize = 20;
/// Time for a carrier's answer: the default, and the most that fits into an invocation.
const TIMEOUT_MILLIS_DEFAULT: i64 = 5000;
const TIMEOUT_MILLIS_MAX: i64 = 8000;

/// A company that carries messages, as its wire format. It translates; `Carriers::hand_over` does the IO.
pub trait Carrier: Send + Sync {
    /// The request that hands `message` over. A request to AWS is signed by whoever sends it.
    fn request(&self, message: &Outgoing<'_>) -> Request<String>;

    /// What its answer means.
    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt;

    /// What a report says.
    ///
    /// # Errors
    /// [`ReportError`]; a forged report is told before anything of it is parsed.
    fn report(&self, callback: &Callback<'_>, now: Timestamp) -> Result<Report, ReportError>;

    /// The token in the path of its one callback URL, for a carrier that knows only one URL for the whole account. Its
    /// reports must name the message themselves.
    fn account_token(&self) -> Option<&str> {
        None
    }
}

/// One message on its way to a carrier.
pub struct Outgoing<'a> {
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
    /// The message, by our reference, where the report itself names it.
    pub reference: Option<String>,
    /// What became of it; `None` for a word that we do not know, which changes nothing.
    pub status: Option<DeliveryStatus>,
}

/// Why a report is not applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportError {
    /// Not from the carrier.
    Forged,
    /// From the carrier, and not readable.
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

/// The text of a verification's `code` for `channel`.
#[must_use]
pub fn compose(policy: &Policy, verification: &Verification, code: &Code, channel: Channel, now: Timestamp) -> message::Message {
    let terms = &verification.terms;
    let locale = message::locale(&terms.locale).unwrap_or_else(|| message::negotiate(None, None, &policy.locale));
    // A minute that has hardly begun counts as a whole one, or every text would say one too few.
    let minutes = (terms.expires_at.since(now) + 30) / 60;
    let wording = message::Wording {
        brand: &policy.brand,
        code: code.reveal(),
        minutes: minutes.max(1),
        transaction: terms.transaction.as_ref().map(|t| [t.amount.as_str(), t.currency.as_str(), t.payee.as_str()]),
        web_domain: policy.web_domain.as_deref(),
        android_hash: policy.android_hash.as_deref(),
        gsm7: message::Gsm7::Prefer,
    };
    message::render(channel, locale, &wording)
}

/// One kind of carrier: the only place that lists them.
pub struct Kind {
    /// `kind` in `OTP_CARRIERS`.
    pub name: &'static str,
    channels: &'static [Channel],
    adapter: fn(&mut Fields, &str) -> Adapter,
}

/// All kinds.
const KINDS: &[Kind] = &[
    Kind { name: "sns", channels: &[Channel::Sms], adapter: |_, _| Adapter::Sns },
    Kind {
        name: "end_user_messaging",
        channels: &[Channel::Sms, Channel::Voice],
        adapter: |fields, region| Adapter::Aws {
            topic_arn: wire::topic_arn(fields),
            carrier: Box::new(end_user_messaging::EndUserMessaging::read(fields, region)),
            service: end_user_messaging::SERVICE,
        },
    },
    Kind {
        name: "ses",
        channels: &[Channel::Email],
        adapter: |fields, region| Adapter::Aws {
            topic_arn: wire::topic_arn(fields),
            carrier: Box::new(ses::Ses::read(fields, region)),
            service: ses::SERVICE,
        },
    },
    Kind {
        name: "twilio",
        channels: &[Channel::Sms, Channel::Voice, Channel::Whatsapp],
        adapter: |fields, _| Adapter::Http(Box::new(twilio::Twilio::read(fields))),
    },
    Kind { name: "vonage", channels: &[Channel::Sms], adapter: |fields, _| Adapter::Http(Box::new(vonage::Vonage::read(fields))) },
    Kind { name: "smspartner", channels: &[Channel::Sms], adapter: |fields, _| Adapter::Http(Box::new(smspartner::SmsPartner::read(fields))) },
    Kind { name: "smsbox", channels: &[Channel::Sms], adapter: |fields, _| Adapter::Http(Box::new(smsbox::SmsBox::read(fields))) },
    Kind { name: "cm", channels: &[Channel::Sms], adapter: |fields, _| Adapter::Http(Box::new(cm::Cm::read(fields))) },
    Kind { name: "smspm", channels: &[Channel::Sms], adapter: |fields, _| Adapter::Http(Box::new(smspm::SmsPm::read(fields))) },
    Kind { name: "labsmobile", channels: &[Channel::Sms], adapter: |fields, _| Adapter::Http(Box::new(labsmobile::LabsMobile::read(fields))) },
    Kind { name: "http", channels: &Channel::ALL, adapter: |fields, _| Adapter::Http(Box::new(http::Http::read(fields))) },
];

/// How a carrier is called.
pub enum Adapter {
    /// Through the AWS SDK.
    Sns,
    /// Over HTTP.
    Http(Box<dyn Carrier>),
    /// Over HTTP, signed for an AWS service; its reports come through SNS.
    Aws {
        /// The kind.
        carrier: Box<dyn Carrier>,
        /// What requests are signed for.
        service: &'static str,
        /// The one topic that reports may come from; any, if the secret in the URL is to be enough.
        topic_arn: Option<String>,
    },
}

/// One entry of `OTP_CARRIERS`.
pub struct CarrierSettings {
    /// Unique; in callback URLs and in `delivery.carrier`.
    pub name: String,
    /// ISO 3166 alpha-2; empty: all.
    pub countries: Vec<String>,
    /// What it carries.
    pub channels: Vec<Channel>,
    /// Name or number that its messages come from.
    pub sender: Option<String>,
    /// What a message costs, by country, `*` for the others.
    pub price: BTreeMap<String, f64>,
    /// Time for its answer.
    pub timeout: Duration,
    kind: &'static Kind,
    /// Absent where the role has no credentials.
    adapter: Option<Adapter>,
}

impl CarrierSettings {
    /// Whether it publishes through SNS.
    #[must_use]
    pub fn is_sns(&self) -> bool {
        self.kind.name == "sns"
    }

    /// Whether it takes a message to `to` over `channel`.
    #[must_use]
    pub fn serves(&self, channel: Channel, to: &Address) -> bool {
        let country = to.country();
        let country_fits = self.countries.is_empty() || country.is_none_or(|country| self.countries.iter().any(|c| c == country));
        country_fits && self.channels.contains(&channel)
    }

    /// What a report says.
    ///
    /// # Errors
    /// [`ReportError`]; a carrier that does not report over HTTP by itself has only forged reports.
    pub fn report(&self, callback: &Callback<'_>, now: Timestamp) -> Result<Report, ReportError> {
        match &self.adapter {
            Some(Adapter::Http(carrier)) => carrier.report(callback, now),
            Some(Adapter::Aws { .. } | Adapter::Sns) | None => Err(ReportError::Forged),
        }
    }

    /// What an event says that came through SNS: inside an envelope whose signature holds, or as an event of the topic
    /// that invokes the function.
    ///
    /// # Errors
    /// [`ReportError`]; what comes through SNS for any other carrier is forged.
    pub fn event(&self, message: &str, now: Timestamp) -> Result<Report, ReportError> {
        let Some(Adapter::Aws { carrier, .. }) = &self.adapter else { return Err(ReportError::Forged) };
        let callback = Callback { method: &Method::POST, query: "", headers: &HeaderMap::new(), body: message.as_bytes(), url: "" };
        carrier.report(&callback, now)
    }

    /// Whether its reports come through SNS.
    #[must_use]
    pub fn reports_through_sns(&self) -> bool {
        matches!(self.adapter, Some(Adapter::Aws { .. }))
    }

    /// The one topic that its reports may come from.
    #[must_use]
    pub fn topic_arn(&self) -> Option<&str> {
        let Some(Adapter::Aws { topic_arn, .. }) = &self.adapter else { return None };
        topic_arn.as_deref()
    }

    /// The secret in the path of its one callback URL, where it has one for the whole account.
    #[must_use]
    pub fn account_token(&self) -> Option<&str> {
        match &self.adapter {
            Some(Adapter::Http(carrier) | Adapter::Aws { carrier, .. }) => carrier.account_token(),
            Some(Adapter::Sns) | None => None,
        }
    }

    /// The name or number that a message to `to` comes from.
    #[must_use]
    pub fn sender_for(&self, policy: &Policy, to: &Address) -> Option<String> {
        let takes_names = to.country().is_none_or(|country| !COUNTRIES_WITHOUT_SENDER_NAMES.contains(&country));
        self.sender.clone().or_else(|| policy.sender().filter(|_| takes_names))
    }
}

/// Countries whose networks take no alphanumeric sender (AWS country table of June 2023).
const COUNTRIES_WITHOUT_SENDER_NAMES: &[&str] = &[
    "AR", "BS", "BE", "BR", "CA", "KY", "CL", "CN", "CO", "CR", "DO", "EC", "SV", "GU", "GT", "HU", "LR", "MY", "MH", "MX", "FM", "MC", "MZ", "NZ",
    "NI", "PY", "PE", "PR", "CG", "KN", "LC", "ZA", "KR", "TM", "US", "UY", "VE", "VI",
];

/// Reads `OTP_CARRIERS`; with `credentials` (by carrier name) the adapters are made as well. The kinds of AWS are called
/// in `region`. Returns what could be read and a sentence for each problem.
#[must_use]
pub fn settings(value: &str, credentials: Option<&Map<String, Value>>, region: &str) -> (Vec<CarrierSettings>, Vec<String>) {
    let wrapped = format!("{{\"carriers\":{value}}}");
    let list = json::parse_object(wrapped.as_bytes()).ok().and_then(|mut object| object.remove("carriers"));
    let Some(Value::Array(list)) = list.filter(|list| list.as_array().is_some_and(|l| (1..=CARRIERS_MAX).contains(&l.len()))) else {
        return (vec![], vec![format!("must be a JSON list of 1 to {CARRIERS_MAX} carriers")]);
    };
    let (mut carriers, mut problems): (Vec<CarrierSettings>, Vec<String>) = (vec![], vec![]);
    for (at, entry) in list.into_iter().enumerate() {
        let Value::Object(entry) = entry else {
            problems.push(format!("carrier {} must be an object", at + 1));
            continue;
        };
        match carrier_settings(entry, credentials, region) {
            Ok(carrier) if carriers.iter().any(|other| other.name == carrier.name) => {
                problems.push(format!("two carriers are called {}", carrier.name))
            }
            Ok(carrier) => carriers.push(carrier),
            Err(found) => problems.extend(found.into_iter().map(|problem| format!("carrier {}: {problem}", at + 1))),
        }
    }
    (carriers, problems)
}

fn carrier_settings(mut entry: Map<String, Value>, credentials: Option<&Map<String, Value>>, region: &str) -> Result<CarrierSettings, Vec<String>> {
    let kind_name = entry.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(kind) = KINDS.iter().find(|kind| kind.name == kind_name) else {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        return Err(vec![format!("kind must be one of {}", names.join(", "))]);
    };
    let name = entry.get("name").and_then(Value::as_str).unwrap_or(kind.name).to_owned();
    if let Some(Value::Object(secret)) = credentials.and_then(|credentials| credentials.get(&name)) {
        entry.extend(secret.clone());
    }
    let mut fields = Fields::of(entry);
    fields.text("kind");
    let name_fits = |name: &str| (1..=32).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let name = fields.word("name", |n| name_fits(n).then(|| n.to_owned()), "1 to 32 lower-case letters, digits and hyphens").unwrap_or(name);
    let is_country = |c: &str| crate::phone::is_country(c).then(|| c.to_owned());
    let carrier = CarrierSettings {
        countries: fields.words("countries", 300, is_country, "ISO 3166 codes"),
        channels: fields.words("channels", Channel::ALL.len(), |c| Channel::named(c).filter(|c| kind.channels.contains(c)), "channels of this kind"),
        sender: fields.text_of("sender", 1..=32),
        price: price(&mut fields),
        timeout: Duration::from_millis(fields.whole("timeout_ms", 100..=TIMEOUT_MILLIS_MAX).unwrap_or(TIMEOUT_MILLIS_DEFAULT).unsigned_abs()),
        // A role without credentials leaves them unread, whether they are there or not.
        adapter: credentials.map(|_| (kind.adapter)(&mut fields, region)),
        name,
        kind,
    };
    match fields.finish() {
        Err(errors) if credentials.is_some() => Err(errors.into_iter().map(|error| format!("{} {}", error.field, error.detail)).collect()),
        _ if carrier.channels.is_empty() => Ok(CarrierSettings { channels: kind.channels.to_vec(), ..carrier }),
        _ => Ok(carrier),
    }
}

/// A number, or numbers by country with `*` for the others.
fn price(fields: &mut Fields) -> BTreeMap<String, f64> {
    const WRONG: &str = "Must be a number of 0 or more, or an object of such by country code or *.";
    let amount = |value: &Value| value.as_f64().filter(|amount| *amount >= 0.0 && amount.is_finite());
    let Some(value) = fields.value("price") else { return BTreeMap::new() };
    let prices = match &value {
        Value::Object(by_country) => by_country
            .iter()
            .map(|(country, value)| amount(value).filter(|_| country == "*" || crate::phone::is_country(country)).map(|a| (country.clone(), a)))
            .collect(),
        value => amount(value).map(|a| BTreeMap::from([("*".to_owned(), a)])),
    };
    prices.unwrap_or_else(|| {
        fields.refuse("price", WRONG);
        BTreeMap::new()
    })
}

/// The carriers, ready to be called.
pub struct Carriers {
    list: Vec<CarrierSettings>,
    exchange: Exchange,
    aws: Aws,
    sns: Option<sns::Sns>,
}

impl Carriers {
    /// With one connection pool for all of them.
    #[must_use]
    pub fn new(list: Vec<CarrierSettings>, aws: &Aws) -> Self {
        let sns = list.iter().any(CarrierSettings::is_sns).then(|| sns::Sns::new(&aws.config(Service::Sns)));
        Self { list, exchange: Exchange::default(), aws: aws.clone(), sns }
    }

    /// The carriers that take a message to `to` over `channel`, in order of preference.
    pub fn serving(&self, channel: Channel, to: &Address) -> impl Iterator<Item = &CarrierSettings> {
        self.list.iter().filter(move |carrier| carrier.serves(channel, to))
    }

    /// Hands `message` to `carrier` within `time_left`.
    pub async fn hand_over(&self, carrier: &CarrierSettings, message: &Outgoing<'_>, time_left: Duration, now: Timestamp) -> Receipt {
        let timeout = carrier.timeout.min(time_left);
        let (adapter, request) = match (&carrier.adapter, &self.sns) {
            (Some(Adapter::Http(adapter)), _) => (adapter, adapter.request(message)),
            (Some(Adapter::Aws { carrier: adapter, service, .. }), _) => {
                let mut request = adapter.request(message);
                if let Err(error) = self.aws.sign(&mut request, service, now) {
                    tracing::error!(error.kind = "unsigned", error.cause = error.0, "a request could not be signed");
                    return Receipt::Misconfigured;
                }
                (adapter, request)
            }
            (Some(Adapter::Sns), Some(sns)) => return tokio::time::timeout(timeout, sns.publish(message)).await.unwrap_or(Receipt::Unknown),
            (Some(Adapter::Sns), None) | (None, _) => return Receipt::Misconfigured,
        };
        match self.exchange.round_trip(request, timeout).await {
            Ok(answer) => adapter.receipt(&answer, now),
            Err(receipt) => receipt,
        }
    }
}

/// `base_url` of a carrier, or the vendor's: an http(s) URL without a slash at the end.
pub fn base_url(fields: &mut Fields, vendor: &str) -> String {
    let url = fields.text("base_url").unwrap_or_else(|| vendor.to_owned());
    let is_http = url.starts_with("https://") || url.starts_with("http://");
    if !is_http || url.parse::<::http::Uri>().is_err() {
        fields.refuse("base_url", "Must be an http(s) URL.");
    }
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
            Receipt::Transient { retry_after_seconds: retry_after_seconds(answer.headers(), now) }
        }
        status if status.is_server_error() => Receipt::Transient { retry_after_seconds: retry_after_seconds(answer.headers(), now) },
        StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN => Receipt::Misconfigured,
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
        Some(Timestamp(date.timestamp().as_second()).since(now).max(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_classed_and_retry_after_is_read_in_both_forms() {
        let class = |status: u16, retry_after: &str| {
            let answer = Response::builder().status(status).header("retry-after", retry_after).body(()).expect("an answer");
            receipt_by_status(&answer, Timestamp(784_111_700))
        };
        assert_eq!(class(204, ""), Receipt::Accepted);
        assert_eq!(class(429, "7"), Receipt::Transient { retry_after_seconds: Some(7) });
        assert_eq!(class(503, "Sun, 06 Nov 1994 08:49:37 GMT"), Receipt::Transient { retry_after_seconds: Some(77) });
        assert_eq!(class(500, "soon"), Receipt::Transient { retry_after_seconds: None });
        assert_eq!([408, 425].map(|s| class(s, "")), [408, 425].map(|_| Receipt::Transient { retry_after_seconds: None }));
        assert_eq!([401, 402, 403, 301].map(|s| class(s, "")), [401, 402, 403, 301].map(|_| Receipt::Misconfigured));
        assert_eq!([400, 404, 422].map(|s| class(s, "")), [400, 404, 422].map(|_| Receipt::Permanent));
    }

    #[test]
    fn carriers_are_read_with_credentials_from_either_place() {
        let entry = r#"[{"kind":"http","name":"a","base_url":"http://h","token":"t","secret":"whsec_AAAA","price":{"FR":0.04,"*":1}},{"kind":"sns","price":0.05}]"#;
        let (carriers, problems) = settings(entry, Some(&Map::new()), "eu-west-1");
        assert_eq!((carriers.len(), problems), (2, vec![]));
        let bare = r#"[{"kind":"http","name":"a","base_url":"http://h"}]"#;
        let secrets = json::parse_object(br#"{"a":{"token":"t","secret":"whsec_AAAA"}}"#).expect("an object");
        assert_eq!(settings(bare, Some(&secrets), "eu-west-1").1, Vec::<String>::new());
        assert!(!settings(bare, Some(&Map::new()), "eu-west-1").1.is_empty(), "a worker needs them");
        assert!(settings(bare, None, "eu-west-1").1.is_empty(), "send does not");
    }

    #[test]
    fn every_kind_is_read_with_its_credentials_and_asks_for_them() {
        let token = "for-tests-only-0123456";
        for (kind, credentials, channels) in [
            ("twilio", serde_json::json!({"account_sid": "AC1", "auth_token": "t", "from": "+15017122661"}), 3),
            ("vonage", serde_json::json!({"api_key": "k", "api_secret": "s", "signature_secret": "s"}), 1),
            ("smspartner", serde_json::json!({"api_key": "k"}), 1),
            ("smsbox", serde_json::json!({"api_key": "k", "callback_token": token}), 1),
            ("cm", serde_json::json!({"product_token": "t", "callback_token": token}), 1),
            ("smspm", serde_json::json!({"hash": "h", "token": "t"}), 1),
            ("labsmobile", serde_json::json!({"username": "u", "token": "t"}), 1),
            ("end_user_messaging", serde_json::json!({"origination_identity": "AcmeInc"}), 2),
            ("ses", serde_json::json!({"from": "otp@example.com"}), 1),
        ] {
            let entry = format!("[{{\"kind\":\"{kind}\"}}]");
            let secrets = Map::from_iter([(kind.to_owned(), credentials)]);
            let (carriers, problems) = settings(&entry, Some(&secrets), "eu-west-1");
            assert_eq!((problems, carriers.first().map(|carrier| carrier.channels.len())), (vec![], Some(channels)), "{kind}");
            assert!(!settings(&entry, Some(&Map::new()), "eu-west-1").1.is_empty(), "{kind}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_carrier_is_said() {
        for wrong in [
            "",
            "{}",
            "[]",
            "[1]",
            r#"[{"kind":"x"}]"#,
            r#"[{"kind":"sns","name":"A"}]"#,
            r#"[{"kind":"sns"},{"kind":"sns"}]"#,
            r#"[{"kind":"sns","channels":["voice"]}]"#,
            r#"[{"kind":"sns","price":-1}]"#,
            r#"[{"kind":"sns","timeout_ms":60000}]"#,
            r#"[{"kind":"sns","countries":["France"]}]"#,
            r#"[{"kind":"sns","x":1}]"#,
            r#"[{"kind":"ses"}]"#,
            r#"[{"kind":"ses","from":"a@b.example","channels":["sms"]}]"#,
            r#"[{"kind":"ses","from":"a@b.example","topic_arn":"otp-dlr"}]"#,
            r#"[{"kind":"end_user_messaging","origination_identity":"A","channels":["whatsapp"]}]"#,
        ] {
            assert!(!settings(wrong, Some(&Map::new()), "eu-west-1").1.is_empty(), "{wrong}");
        }
    }

    #[test]
    fn what_sns_brings_is_believed_only_where_somebody_has_verified_it() {
        let entry = r#"[{"kind":"http","base_url":"http://h","token":"t","secret":"whsec_AAAA"},
            {"kind":"end_user_messaging","origination_identity":"A","callback_token":"0123456789abcdefghijkl"},
            {"kind":"ses","from":"a@b.example","topic_arn":"arn:aws:sns:eu-west-1:123456789012:otp-dlr"}]"#;
        let (carriers, problems) = settings(entry, Some(&Map::new()), "eu-west-1");
        let [http, text, mail] = &carriers[..] else { panic!("{problems:?}") };
        assert_eq!([http, text, mail].map(CarrierSettings::reports_through_sns), [false, true, true]);
        assert_eq!([http, text, mail].map(CarrierSettings::account_token), [None, Some("0123456789abcdefghijkl"), None]);
        assert_eq!([http, text, mail].map(CarrierSettings::topic_arn), [None, None, Some("arn:aws:sns:eu-west-1:123456789012:otp-dlr")]);
        let event = r#"{"eventType":"TEXT_DELIVERED","context":{"m":"r"}}"#;
        let headers = HeaderMap::new();
        let posted = Callback { method: &Method::POST, query: "", headers: &headers, body: event.as_bytes(), url: "" };
        for carrier in [http, text, mail] {
            assert_eq!(carrier.report(&posted, Timestamp(0)), Err(ReportError::Forged), "{}", carrier.name);
        }
        assert_eq!(http.event(event, Timestamp(0)), Err(ReportError::Forged));
        assert_eq!(text.event(event, Timestamp(0)), Ok(Report { reference: Some("r".into()), status: Some(DeliveryStatus::Delivered) }));
        assert_eq!(mail.event(event, Timestamp(0)), Err(ReportError::Unreadable));
    }
}
