//! `OTP_CARRIERS`: the registry of kinds, and each entry read into a carrier that can be asked.
//! A kind is listed here and nowhere else. Every role reads all of an entry; adapters, with the credentials in them, are kept
//! only where the role hands over or verifies reports.

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::{Callback, Carrier, Report, ReportError};
use super::{
    cm, end_user_messaging, http, labsmobile, ses, smsbox, smspartner, smspm, twilio,
    vendor_formats, vonage,
};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::money::Money;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::platform::json::{self, Fields};

/// Most carriers that can be configured.
const CARRIERS_MAX: usize = 20;
/// Time for a carrier's answer: the default, and the most that fits into an invocation.
const TIMEOUT_MILLIS_DEFAULT: i64 = 5000;
const TIMEOUT_MILLIS_MAX: i64 = 8000;

/// What an entry of any kind may have: the rest are its kind's credentials.
pub const COMMON_FIELDS: [&str; 8] = [
    "kind",
    "name",
    "countries",
    "channels",
    "sender",
    "price",
    "timeout_ms",
    "base_url",
];

/// Whether `name` can name a carrier.
#[must_use]
pub fn is_carrier_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
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
    Kind {
        name: "sns",
        channels: &[Channel::Sms],
        adapter: |_, _| Adapter::Sns,
    },
    Kind {
        name: "end_user_messaging",
        channels: &[Channel::Sms, Channel::Voice],
        adapter: |fields, region| Adapter::Aws {
            topic_arn: vendor_formats::topic_arn(fields),
            carrier: Box::new(end_user_messaging::EndUserMessaging::read(fields, region)),
            service: end_user_messaging::SERVICE,
        },
    },
    Kind {
        name: "ses",
        channels: &[Channel::Email],
        adapter: |fields, region| Adapter::Aws {
            topic_arn: vendor_formats::topic_arn(fields),
            carrier: Box::new(ses::Ses::read(fields, region)),
            service: ses::SERVICE,
        },
    },
    Kind {
        name: "twilio",
        channels: &[Channel::Sms, Channel::Voice, Channel::Whatsapp],
        adapter: |fields, _| Adapter::Http(Box::new(twilio::Twilio::read(fields))),
    },
    Kind {
        name: "vonage",
        channels: &[Channel::Sms],
        adapter: |fields, _| Adapter::Http(Box::new(vonage::Vonage::read(fields))),
    },
    Kind {
        name: "smspartner",
        channels: &[Channel::Sms],
        adapter: |fields, _| Adapter::Http(Box::new(smspartner::SmsPartner::read(fields))),
    },
    Kind {
        name: "smsbox",
        channels: &[Channel::Sms],
        adapter: |fields, _| Adapter::Http(Box::new(smsbox::SmsBox::read(fields))),
    },
    Kind {
        name: "cm",
        channels: &[Channel::Sms],
        adapter: |fields, _| Adapter::Http(Box::new(cm::Cm::read(fields))),
    },
    Kind {
        name: "smspm",
        channels: &[Channel::Sms],
        adapter: |fields, _| Adapter::Http(Box::new(smspm::SmsPm::read(fields))),
    },
    Kind {
        name: "labsmobile",
        channels: &[Channel::Sms],
        adapter: |fields, _| Adapter::Http(Box::new(labsmobile::LabsMobile::read(fields))),
    },
    Kind {
        name: "http",
        channels: &Channel::ALL,
        adapter: |fields, _| Adapter::Http(Box::new(http::Http::read(fields))),
    },
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
pub struct ConfiguredCarrier {
    /// Unique; in callback URLs and in `delivery.carrier`.
    pub name: String,
    /// ISO 3166 alpha-2; empty: all.
    pub countries: Vec<String>,
    /// What it carries.
    pub channels: Vec<Channel>,
    /// Name or number that its messages come from.
    pub sender: Option<String>,
    /// What a message costs, by country, `*` for the others.
    pub price: BTreeMap<String, Money>,
    /// Time for its answer.
    pub timeout: Duration,
    kind: &'static Kind,
    /// Absent where the role has no credentials.
    pub(super) adapter: Option<Adapter>,
}

impl ConfiguredCarrier {
    /// Whether it publishes through SNS.
    #[must_use]
    pub fn is_sns(&self) -> bool {
        self.kind.name == "sns"
    }

    /// Whether its reports are signed over the URL that it calls, which it must be called by then.
    #[must_use]
    pub fn signs_its_callback_url(&self) -> bool {
        self.kind.name == "twilio"
    }

    /// Whether it takes a message to `to` over `channel`.
    #[must_use]
    pub fn serves(&self, channel: Channel, to: &Address) -> bool {
        let country = to.country();
        let country_fits = self.countries.is_empty()
            || country.is_none_or(|country| self.countries.iter().any(|c| c == country));
        country_fits && self.channels.contains(&channel)
    }

    /// What a message to `to` costs; nothing, where no price is set.
    #[must_use]
    pub fn price_to(&self, to: &Address) -> Money {
        let of_country = to.country().and_then(|country| self.price.get(country));
        of_country
            .or_else(|| self.price.get("*"))
            .copied()
            .unwrap_or_default()
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

    /// What a report that [`Self::report`] found genuine says of further messages.
    #[must_use]
    pub fn further_reports(&self, callback: &Callback<'_>) -> Vec<Report> {
        match &self.adapter {
            Some(Adapter::Http(carrier)) => carrier.further_reports(callback),
            Some(Adapter::Aws { .. } | Adapter::Sns) | None => vec![],
        }
    }

    /// What an event says that came through SNS: inside an envelope whose signature holds, or as an event of the topic
    /// that invokes the function.
    ///
    /// # Errors
    /// [`ReportError`]; what comes through SNS for any other carrier is forged.
    pub fn event(&self, message: &str, now: Timestamp) -> Result<Report, ReportError> {
        let Some(Adapter::Aws { carrier, .. }) = &self.adapter else {
            return Err(ReportError::Forged);
        };
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &HeaderMap::new(),
            body: message.as_bytes(),
            url: "",
        };
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
        let Some(Adapter::Aws { topic_arn, .. }) = &self.adapter else {
            return None;
        };
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
        let takes_names = to
            .country()
            .is_none_or(|country| !COUNTRIES_WITHOUT_SENDER_NAMES.contains(&country));
        self.sender
            .clone()
            .or_else(|| policy.sender().filter(|_| takes_names))
    }
}

/// Countries whose networks take no alphanumeric sender (AWS country table of June 2023).
const COUNTRIES_WITHOUT_SENDER_NAMES: &[&str] = &[
    "AR", "BS", "BE", "BR", "CA", "KY", "CL", "CN", "CO", "CR", "DO", "EC", "SV", "GU", "GT", "HU",
    "LR", "MY", "MH", "MX", "FM", "MC", "MZ", "NZ", "NI", "PY", "PE", "PR", "CG", "KN", "LC", "ZA",
    "KR", "TM", "US", "UY", "VE", "VI",
];

/// Reads `OTP_CARRIERS`; with `credentials` (by carrier name) the adapters are kept as well. The kinds of AWS are called
/// in `region`. Returns what could be read and a sentence for each problem.
#[must_use]
pub fn settings(
    value: &str,
    credentials: Option<&Map<String, Value>>,
    region: &str,
) -> (Vec<ConfiguredCarrier>, Vec<String>) {
    let list = json::parse(value.as_bytes()).ok();
    let Some(Value::Array(list)) = list.filter(|list| {
        list.as_array()
            .is_some_and(|l| (1..=CARRIERS_MAX).contains(&l.len()))
    }) else {
        return (
            vec![],
            vec![format!(
                "must be a JSON list of 1 to {CARRIERS_MAX} carriers"
            )],
        );
    };
    let (mut carriers, mut problems): (Vec<ConfiguredCarrier>, Vec<String>) = (vec![], vec![]);
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
            Err(found) => problems.extend(
                found
                    .into_iter()
                    .map(|problem| format!("carrier {}: {problem}", at + 1)),
            ),
        }
    }
    (carriers, problems)
}

fn carrier_settings(
    mut entry: Map<String, Value>,
    credentials: Option<&Map<String, Value>>,
    region: &str,
) -> Result<ConfiguredCarrier, Vec<String>> {
    let kind_name = entry
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let Some(kind) = KINDS.iter().find(|kind| kind.name == kind_name) else {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        return Err(vec![format!("kind must be one of {}", names.join(", "))]);
    };
    let name = entry
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or(kind.name)
        .to_owned();
    if let Some(Value::Object(secret)) = credentials.and_then(|credentials| credentials.get(&name))
    {
        entry.extend(secret.clone());
    }
    let is_given: Vec<String> = entry
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(field, _)| field.clone())
        .collect();
    let mut fields = Fields::of(entry);
    fields.text("kind");
    let name = fields
        .word(
            "name",
            |n| is_carrier_name(n).then(|| n.to_owned()),
            "1 to 32 lower-case letters, digits and hyphens",
        )
        .unwrap_or(name);
    let is_country = |c: &str| crate::domain::phone::is_country(c).then(|| c.to_owned());
    let adapter = (kind.adapter)(&mut fields, region);
    let carrier = ConfiguredCarrier {
        countries: fields.words("countries", 300, is_country, "ISO 3166 codes"),
        channels: fields.words(
            "channels",
            Channel::ALL.len(),
            |c| c.parse().ok().filter(|c| kind.channels.contains(c)),
            "channels of this kind",
        ),
        sender: vendor_formats::sender(&mut fields, "sender"),
        price: price(&mut fields),
        timeout: Duration::from_millis(
            fields
                .whole("timeout_ms", 100..=TIMEOUT_MILLIS_MAX)
                .unwrap_or(TIMEOUT_MILLIS_DEFAULT)
                .unsigned_abs(),
        ),
        adapter: credentials.map(|_| adapter),
        name,
        kind,
    };
    // A role without credentials cannot tell whether one is missing. What is there has to fit for all of them.
    let is_missed = |field: &String| {
        credentials.is_some()
            || is_given.contains(field)
            || COMMON_FIELDS.contains(&field.as_str())
            || field == "?"
    };
    let errors = fields
        .finish()
        .err()
        .unwrap_or_default()
        .into_iter()
        .filter(|error| is_missed(&error.field));
    let problems: Vec<String> = errors
        .map(|error| format!("{} {}", error.field, error.detail))
        .collect();
    match problems.is_empty() {
        false => Err(problems),
        true if carrier.channels.is_empty() => Ok(ConfiguredCarrier {
            channels: kind.channels.to_vec(),
            ..carrier
        }),
        true => Ok(carrier),
    }
}

/// A number, or numbers by country with `*` for the others.
fn price(fields: &mut Fields) -> BTreeMap<String, Money> {
    const WRONG: &str = "Must be a number of 0 or more, or an object of such by country code or *.";
    let amount = |value: &Value| value.as_f64().and_then(Money::of);
    let Some(value) = fields.value("price") else {
        return BTreeMap::new();
    };
    let prices = match &value {
        Value::Object(by_country) => by_country
            .iter()
            .map(|(country, value)| {
                amount(value)
                    .filter(|_| country == "*" || crate::domain::phone::is_country(country))
                    .map(|a| (country.clone(), a))
            })
            .collect(),
        value => amount(value).map(|a| BTreeMap::from([("*".to_owned(), a)])),
    };
    prices.unwrap_or_else(|| {
        fields.refuse("price", WRONG);
        BTreeMap::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::DeliveryStatus;

    #[test]
    fn carriers_are_read_with_credentials_from_either_place() {
        let entry = r#"[{"kind":"http","name":"a","base_url":"http://h","token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg==","price":{"FR":0.04,"*":1}},{"kind":"sns","price":0.05}]"#;
        let (carriers, problems) = settings(entry, Some(&Map::new()), "eu-west-1");
        assert_eq!((carriers.len(), problems), (2, vec![]));
        let bare = r#"[{"kind":"http","name":"a","base_url":"http://h"}]"#;
        let secrets =
            json::parse_object(br#"{"a":{"token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}}"#)
                .expect("an object");
        assert_eq!(
            settings(bare, Some(&secrets), "eu-west-1").1,
            Vec::<String>::new()
        );
        assert!(
            !settings(bare, Some(&Map::new()), "eu-west-1").1.is_empty(),
            "a worker needs them"
        );
        assert!(
            settings(bare, None, "eu-west-1").1.is_empty(),
            "send does not"
        );
    }

    #[test]
    fn every_kind_is_read_with_its_credentials_and_asks_for_them() {
        let token = "for-tests-only-0123456";
        for (kind, credentials, channels) in [
            (
                "twilio",
                serde_json::json!({"account_sid": "AC1", "auth_token": "t", "from": "+15017122661"}),
                3,
            ),
            (
                "vonage",
                serde_json::json!({"api_key": "k", "api_secret": "s", "signature_secret": "s"}),
                1,
            ),
            ("smspartner", serde_json::json!({"api_key": "k"}), 1),
            (
                "smsbox",
                serde_json::json!({"api_key": "k", "callback_token": token}),
                1,
            ),
            (
                "cm",
                serde_json::json!({"product_token": "t", "callback_token": token}),
                1,
            ),
            ("smspm", serde_json::json!({"hash": "h", "token": "t"}), 1),
            (
                "labsmobile",
                serde_json::json!({"username": "u", "token": "t"}),
                1,
            ),
            (
                "end_user_messaging",
                serde_json::json!({"origination_identity": "AcmeInc"}),
                2,
            ),
            ("ses", serde_json::json!({"from": "otp@example.com"}), 1),
        ] {
            let entry = format!("[{{\"kind\":\"{kind}\"}}]");
            let secrets = Map::from_iter([(kind.to_owned(), credentials)]);
            let (carriers, problems) = settings(&entry, Some(&secrets), "eu-west-1");
            assert_eq!(
                (
                    problems,
                    carriers.first().map(|carrier| carrier.channels.len())
                ),
                (vec![], Some(channels)),
                "{kind}"
            );
            assert!(
                !settings(&entry, Some(&Map::new()), "eu-west-1")
                    .1
                    .is_empty(),
                "{kind}"
            );
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
            assert!(
                !settings(wrong, Some(&Map::new()), "eu-west-1").1.is_empty(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_sns_brings_is_believed_only_where_somebody_has_verified_it() {
        let entry = r#"[{"kind":"http","base_url":"http://h","token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="},
            {"kind":"end_user_messaging","origination_identity":"A","callback_token":"0123456789abcdefghijkl"},
            {"kind":"ses","from":"a@b.example","topic_arn":"arn:aws:sns:eu-west-1:123456789012:otp-dlr"}]"#;
        let (carriers, problems) = settings(entry, Some(&Map::new()), "eu-west-1");
        let [http, text, mail] = &carriers[..] else {
            panic!("{problems:?}")
        };
        assert_eq!(
            [http, text, mail].map(ConfiguredCarrier::reports_through_sns),
            [false, true, true]
        );
        assert_eq!(
            [http, text, mail].map(ConfiguredCarrier::account_token),
            [None, Some("0123456789abcdefghijkl"), None]
        );
        assert_eq!(
            [http, text, mail].map(ConfiguredCarrier::topic_arn),
            [
                None,
                None,
                Some("arn:aws:sns:eu-west-1:123456789012:otp-dlr")
            ]
        );
        let event = r#"{"eventType":"TEXT_DELIVERED","context":{"m":"r"}}"#;
        let headers = HeaderMap::new();
        let posted = Callback {
            method: &Method::POST,
            query: "",
            headers: &headers,
            body: event.as_bytes(),
            url: "",
        };
        for carrier in [http, text, mail] {
            assert_eq!(
                carrier.report(&posted, Timestamp(0)),
                Err(ReportError::Forged),
                "{}",
                carrier.name
            );
        }
        assert_eq!(http.event(event, Timestamp(0)), Err(ReportError::Forged));
        assert_eq!(
            text.event(event, Timestamp(0)),
            Ok(Report {
                reference: Some("r".into()),
                status: Some(DeliveryStatus::Delivered)
            })
        );
        assert_eq!(
            mail.event(event, Timestamp(0)),
            Err(ReportError::Unreadable)
        );
    }
}
