//! Reads `OTP_CARRIERS` into configured carriers.
//!
//! Every function reads all fields of an entry, so that a mistake stops all of them.
//!
//! Invariant: credentials are kept only by [`read_carriers`]. An error never contains the value of
//! a field.
//! Invariant: [`check_carriers`] uses no adapter.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::adapters::{ADAPTERS, Adapter};
use super::configured::ConfiguredCarrier;
use super::registered_template;
use super::registry::{CallbackToken, KINDS, Kind, Transport, served_by};
use super::vendor_format::config_fields;
use crate::domain::channel::Channel;
use crate::domain::money::Money;
use crate::domain::phone::is_country;
use crate::platform::json::{self, FieldError, Fields};
use crate::platform::spelling::did_you_mean;

/// Most carriers that can be configured.
const CARRIERS_MAX: usize = 20;
/// Longest list of countries of one carrier.
const COUNTRIES_MAX: usize = 300;
/// Longest name of a carrier.
const NAME_LENGTH_MAX: usize = 32;
/// Time for a carrier's response: the default, and the most that fits into an invocation.
const TIMEOUT_MILLIS_DEFAULT: i64 = 5000;
const TIMEOUT_MILLIS_MAX: i64 = 8000;

/// The fields of an entry that are not credentials. They cannot be in `OTP_SECRETS`, because every
/// function needs them.
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

/// Which entry of the list: `carrier 3 (twilio, main)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CarrierEntry {
    /// In the list, counted from 1.
    pub position: usize,
    /// Its kind, if there is one of this name.
    pub kind: Option<&'static str>,
    /// Its `name`, if it has one that is valid.
    pub name: Option<String>,
}

impl CarrierEntry {
    /// The entry at `position`.
    #[must_use]
    pub fn of(position: usize, entry: &Map<String, Value>) -> Self {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let name = text("name").filter(|name| is_carrier_name(name));
        Self {
            position,
            kind: text("kind").and_then(kind_called).map(|kind| kind.name),
            name: name.map(str::to_owned),
        }
    }
}

impl fmt::Display for CarrierEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = self.kind.into_iter().chain(self.name.as_deref()).collect();
        write!(f, "carrier {}", self.position)?;
        match known.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", known.join(", ")),
        }
    }
}

/// Why `OTP_CARRIERS`, or one of its entries, cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CarrierConfigError {
    /// The variable is not a JSON list, or the list is empty or too long.
    #[error("must be a JSON list of 1 to {CARRIERS_MAX} carriers")]
    NotAList,
    /// An entry is not a JSON object.
    #[error("carrier {position}: must be a JSON object")]
    NotAnObject {
        /// Of the entry, counted from 1.
        position: usize,
    },
    /// `kind` is missing or unknown.
    #[error("{entry}: kind must be one of {}{question}", kind_names().join(", "))]
    UnknownKind {
        /// The entry.
        entry: CarrierEntry,
        /// Which kind may be meant, as [`did_you_mean`] asks.
        question: String,
    },
    /// Fields are missing, unknown or invalid.
    #[error("{entry}: {}", sentences(.fields))]
    InvalidFields {
        /// The entry.
        entry: CarrierEntry,
        /// What is wrong with which field.
        fields: Vec<FieldError>,
    },
    /// Two entries have the same name.
    #[error("{entry}: another carrier has the name {name}; names must be unique")]
    DuplicateName {
        /// The second of them.
        entry: CarrierEntry,
        /// Their name.
        name: String,
    },
}

fn kind_called(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

fn kind_names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// `auth_token is required; from must be 1 to 32 visible characters`.
fn sentences(fields: &[FieldError]) -> String {
    let sentences: Vec<String> = fields
        .iter()
        .map(|FieldError { field, detail }| {
            let mut detail = detail.trim_end_matches('.').chars();
            let first = detail.next().map(|first| first.to_ascii_lowercase());
            format!("{field} {}{}", first.unwrap_or_default(), detail.as_str())
        })
        .collect();
    sentences.join("; ")
}

/// Whether `name` is a valid name of a carrier.
#[must_use]
pub fn is_carrier_name(name: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// What the fields of one kind say.
struct KindSettings {
    /// The channels whose settings are present.
    channels: Vec<Channel>,
    adapter: Option<Adapter>,
}

/// How the entries are read.
struct EntryReader<'a> {
    /// Those of `OTP_SECRETS` by carrier name; `None` in functions that keep no credentials.
    credentials: Option<&'a Map<String, Value>>,
    /// In which the kinds of AWS are called.
    region: &'a str,
    kind_settings: fn(&Kind, &mut Fields, &str) -> KindSettings,
}

/// Reads `OTP_CARRIERS`, for functions that call carriers or verify their reports. `credentials`
/// by carrier name are those of `OTP_SECRETS`. The kinds of AWS are called in `region`. Returns the
/// valid carriers, and all errors.
#[must_use]
pub fn read_carriers(
    value: &str,
    credentials: &Map<String, Value>,
    region: &str,
) -> (Vec<ConfiguredCarrier>, Vec<CarrierConfigError>) {
    let reader = EntryReader {
        credentials: Some(credentials),
        region,
        kind_settings: |kind, fields, region| {
            let adapter = ADAPTERS.iter().find(|(name, _)| *name == kind.name);
            match adapter.map(|(_, read)| read(fields, region)) {
                Some(adapter) => KindSettings {
                    channels: served_by(adapter.carrier.as_ref()),
                    adapter: Some(adapter),
                },
                None => check_kind(kind, fields, region),
            }
        },
    };
    reader.read(value)
}

/// Reads `OTP_CARRIERS`, for functions without credentials: everything is checked, and no adapters
/// are kept.
#[must_use]
pub fn check_carriers(
    value: &str,
    region: &str,
) -> (Vec<ConfiguredCarrier>, Vec<CarrierConfigError>) {
    let reader = EntryReader {
        credentials: None,
        region,
        kind_settings: check_kind,
    };
    reader.read(value)
}

fn check_kind(kind: &Kind, fields: &mut Fields, region: &str) -> KindSettings {
    KindSettings {
        channels: (kind.check)(fields, region),
        adapter: None,
    }
}

impl EntryReader<'_> {
    fn read(&self, value: &str) -> (Vec<ConfiguredCarrier>, Vec<CarrierConfigError>) {
        let entries = match json::parse(value.as_bytes()) {
            Ok(Value::Array(entries)) if (1..=CARRIERS_MAX).contains(&entries.len()) => entries,
            _ => return (vec![], vec![CarrierConfigError::NotAList]),
        };
        let mut carriers: Vec<ConfiguredCarrier> = vec![];
        let mut errors = vec![];
        for (position, entry) in (1..).zip(entries) {
            let Value::Object(entry) = entry else {
                errors.push(CarrierConfigError::NotAnObject { position });
                continue;
            };
            let place = CarrierEntry::of(position, &entry);
            match self.read_entry(&place, entry) {
                Ok(carrier) if carriers.iter().any(|other| other.name == carrier.name) => {
                    errors.push(CarrierConfigError::DuplicateName {
                        entry: place,
                        name: carrier.name,
                    });
                }
                Ok(carrier) => carriers.push(carrier),
                Err(error) => errors.push(error),
            }
        }
        (carriers, errors)
    }

    fn read_entry(
        &self,
        place: &CarrierEntry,
        mut entry: Map<String, Value>,
    ) -> Result<ConfiguredCarrier, CarrierConfigError> {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let kind =
            text("kind")
                .and_then(kind_called)
                .ok_or_else(|| CarrierConfigError::UnknownKind {
                    entry: place.clone(),
                    question: did_you_mean(text("kind").unwrap_or_default(), kind_names()),
                })?;
        let name = text("name").unwrap_or(kind.name).to_owned();
        if let Some(Value::Object(secrets)) = self.credentials.and_then(|all| all.get(&name)) {
            entry.extend(secrets.clone());
        }
        let present: Vec<String> = entry
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(field, _)| field.clone())
            .collect();
        let mut fields = Fields::with_suggestions(entry);
        let mut carrier = self.read_fields(&mut fields, kind);
        let mut wrong = fields.finish().err().unwrap_or_default();
        if self.credentials.is_none() {
            (carrier.callback_token, carrier.topic_arn) = (None, None);
            // A missing field may be a credential in OTP_SECRETS, which this function does not
            // read. The field `?` is present: it is an unknown field whose name is not shown.
            wrong.retain(|FieldError { field, .. }| {
                present.contains(field) || COMMON_FIELDS.contains(&field.as_str()) || field == "?"
            });
        }
        if wrong.is_empty() {
            Ok(carrier)
        } else {
            Err(CarrierConfigError::InvalidFields {
                entry: place.clone(),
                fields: wrong,
            })
        }
    }

    /// Reads the fields of an entry; what is wrong with them is noted in `fields`.
    fn read_fields(&self, fields: &mut Fields, kind: &'static Kind) -> ConfiguredCarrier {
        fields.text("kind");
        let name = fields.parsed_text(
            "name",
            |name| is_carrier_name(name).then(|| name.to_owned()),
            "1 to 32 lower-case letters, digits and hyphens",
        );
        let settings = (self.kind_settings)(kind, fields, self.region);
        let topic_arn = match kind.transport {
            Transport::SnsPublish | Transport::Http => None,
            Transport::Aws { .. } => config_fields::topic_arn(fields),
        };
        let callback_token = match kind.callback_token {
            CallbackToken::Unused => None,
            CallbackToken::Optional => config_fields::callback_token(fields),
            CallbackToken::Required => Some(config_fields::required_callback_token(fields)),
        };
        let channels = channels(fields, kind, &settings.channels);
        ConfiguredCarrier {
            name: name.unwrap_or_else(|| kind.name.to_owned()),
            countries: fields.parsed_list(
                "countries",
                COUNTRIES_MAX,
                |code| is_country(code).then(|| code.to_owned()),
                "ISO 3166 codes",
            ),
            channels,
            senders: config_fields::senders(fields, &kind.sender),
            registered_templates: match kind.has_registered_templates {
                true => registered_template::read(fields),
                false => BTreeMap::new(),
            },
            price: price(fields),
            timeout: timeout(fields),
            callback_token,
            topic_arn,
            kind,
            adapter: settings.adapter,
        }
    }
}

/// `channels`, or else all channels of the kind that the settings of the entry allow: `served`.
fn channels(fields: &mut Fields, kind: &Kind, served: &[Channel]) -> Vec<Channel> {
    let of_kind = |name: &str| {
        let channel = name.parse().ok();
        channel.filter(|channel| kind.channels.contains(channel))
    };
    let count_max = Channel::ALL.len();
    let channels = fields.parsed_list("channels", count_max, of_kind, "channels of this kind");
    let serves = |channel: &Channel| served.contains(channel);
    if channels.is_empty() {
        return kind.channels.iter().copied().filter(serves).collect();
    }
    if let Some(unserved) = channels.iter().find(|channel| !serves(channel)) {
        let problem = format!(
            "Must not have {}: its settings are missing.",
            unserved.name()
        );
        fields.reject("channels", &problem);
    }
    channels
}

fn timeout(fields: &mut Fields) -> Duration {
    let millis = fields
        .integer("timeout_ms", 100..=TIMEOUT_MILLIS_MAX)
        .unwrap_or(TIMEOUT_MILLIS_DEFAULT);
    Duration::from_millis(millis.unsigned_abs())
}

/// A number, or an object of numbers by country code, with `*` for all other countries.
fn price(fields: &mut Fields) -> BTreeMap<String, Money> {
    let amount = |value: &Value| value.as_f64().and_then(Money::of);
    config_fields::by_country(fields, "price", amount, "a number of 0 or more")
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, Method};

    use super::*;
    use crate::carrier::carrier_trait::{Callback, Report, ReportError};
    use crate::carrier::fixture::CALLBACK_TOKEN;
    use crate::domain::delivery::DeliveryStatus;
    use crate::domain::time::Timestamp;

    /// The problems with `entry`, for a function with these credentials.
    fn problems(entry: &str, credentials: Option<&Map<String, Value>>) -> Vec<String> {
        let (_, errors) = match credentials {
            Some(credentials) => read_carriers(entry, credentials, "eu-west-1"),
            None => check_carriers(entry, "eu-west-1"),
        };
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn credentials_are_read_from_the_entry_or_the_secrets() {
        let entry = r#"[
            {"kind":"http","name":"a","base_url":"http://h",
             "token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg==","price":{"FR":0.04,"*":1}},
            {"kind":"sns","price":0.05}]"#;
        let (carriers, errors) = read_carriers(entry, &Map::new(), "eu-west-1");
        assert_eq!((carriers.len(), errors), (2, vec![]));
        let bare = r#"[{"kind":"http","name":"a","base_url":"http://h"}]"#;
        let secrets =
            json::parse_object(br#"{"a":{"token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}}"#)
                .expect("an object");
        assert_eq!(problems(bare, Some(&secrets)), Vec::<String>::new());
        assert!(
            !problems(bare, Some(&Map::new())).is_empty(),
            "the worker needs the credentials"
        );
        assert!(problems(bare, None).is_empty(), "send does not need them");
    }

    #[test]
    fn every_kind_requires_its_credentials() {
        let token = CALLBACK_TOKEN;
        for (kind, credentials, channels) in [
            (
                "twilio",
                serde_json::json!({
                    "account_sid": "AC1",
                    "auth_token": "t",
                    "from": "+15017122661",
                }),
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
                serde_json::json!({"origination_identity": "+12065550152"}),
                2,
            ),
            (
                "notify",
                serde_json::json!({"notify_configuration_id": "nc-1"}),
                2,
            ),
            ("ses", serde_json::json!({"from": "otp@example.com"}), 1),
        ] {
            let entry = format!("[{{\"kind\":\"{kind}\"}}]");
            let secrets = Map::from_iter([(kind.to_owned(), credentials)]);
            let (carriers, errors) = read_carriers(&entry, &secrets, "eu-west-1");
            assert_eq!(
                (
                    errors,
                    carriers.first().map(|carrier| carrier.channels.len())
                ),
                (vec![], Some(channels)),
                "{kind}"
            );
            assert!(!problems(&entry, Some(&Map::new())).is_empty(), "{kind}");
        }
    }

    #[test]
    fn invalid_entries_are_rejected() {
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
            assert!(!problems(wrong, Some(&Map::new())).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn only_aws_kinds_accept_events_of_sns() {
        let entry = r#"[
            {"kind":"http","base_url":"http://h",
             "token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="},
            {"kind":"end_user_messaging","origination_identity":"A",
             "callback_token":"0123456789abcdefghijkl"},
            {"kind":"ses","from":"a@b.example",
             "topic_arn":"arn:aws:sns:eu-west-1:123456789012:otp-dlr"}]"#;
        let (carriers, errors) = read_carriers(entry, &Map::new(), "eu-west-1");
        let [http, text, mail] = &carriers[..] else {
            panic!("{errors:?}")
        };
        assert_eq!(
            [http, text, mail].map(ConfiguredCarrier::reports_through_sns),
            [false, true, true]
        );
        assert_eq!(
            [http, text, mail].map(|carrier| carrier.callback_token.as_deref()),
            [None, Some("0123456789abcdefghijkl"), None]
        );
        assert_eq!(
            [http, text, mail].map(|carrier| carrier.topic_arn.as_deref()),
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
            Ok(vec![Report::new(
                Some("r".into()),
                Some(DeliveryStatus::Delivered)
            )])
        );
        assert_eq!(
            mail.event(event, Timestamp(0)),
            Err(ReportError::Unreadable)
        );
    }

    #[test]
    fn callback_tokens_are_required_optional_or_unknown_by_kind() {
        let entry = |kind: &str, token: Value| {
            let mut entry = serde_json::json!({"kind": kind, "callback_token": token});
            let credentials = match kind {
                "smsbox" => serde_json::json!({"api_key": "k"}),
                "cm" => serde_json::json!({"product_token": "t"}),
                "vonage" => {
                    serde_json::json!({"api_key": "k", "api_secret": "s", "signature_secret": "s"})
                }
                "ses" => serde_json::json!({"from": "a@b.example"}),
                "end_user_messaging" => serde_json::json!({"origination_identity": "A"}),
                _ => serde_json::json!({"hash": "h", "token": "t"}),
            };
            for (name, value) in credentials.as_object().into_iter().flatten() {
                entry[name] = value.clone();
            }
            Value::Array(vec![entry]).to_string()
        };
        let token = |kind: &str, token: Value| {
            let (carriers, errors) = read_carriers(&entry(kind, token), &Map::new(), "eu-west-1");
            match carriers.into_iter().next() {
                Some(carrier) => Ok(carrier.callback_token),
                None => Err(errors[0].to_string()),
            }
        };
        let valid = Value::from(CALLBACK_TOKEN);
        for kind in ["smsbox", "cm", "vonage", "ses", "end_user_messaging"] {
            assert_eq!(
                token(kind, valid.clone()),
                Ok(Some(CALLBACK_TOKEN.to_owned())),
                "{kind}"
            );
            assert_eq!(
                token(kind, "short".into()),
                Err(format!(
                    "carrier 1 ({kind}): callback_token must be 22 to 128 letters, digits, \
                     hyphens and underscores"
                ))
            );
        }
        for kind in ["smsbox", "cm"] {
            assert_eq!(
                token(kind, Value::Null),
                Err(format!("carrier 1 ({kind}): callback_token is required"))
            );
        }
        for kind in ["vonage", "ses", "end_user_messaging"] {
            assert_eq!(token(kind, Value::Null), Ok(None), "{kind}");
        }
        assert!(token("smspm", valid).is_err());
    }

    #[test]
    fn credentials_are_dropped_where_they_are_not_needed() {
        let entry =
            format!(r#"[{{"kind":"cm","product_token":"t","callback_token":"{CALLBACK_TOKEN}"}}]"#);
        let (carriers, errors) = check_carriers(&entry, "eu-west-1");
        assert_eq!(errors, vec![]);
        assert!(
            carriers
                .iter()
                .all(|carrier| carrier.adapter.is_none() && carrier.callback_token.is_none())
        );
    }

    #[test]
    fn errors_name_position_kind_name_and_field() {
        for (wrong, expected) in [
            ("{}", "must be a JSON list of 1 to 20 carriers"),
            ("[1]", "carrier 1: must be a JSON object"),
            (
                r#"[{"kind":"x"}]"#,
                "carrier 1: kind must be one of sns, end_user_messaging, notify, ses, twilio, vonage, \
                 smspartner, smsbox, cm, smspm, labsmobile, http",
            ),
            (
                r#"[{"kind":"Twillio"}]"#,
                "carrier 1: kind must be one of sns, end_user_messaging, notify, ses, twilio, vonage, \
                 smspartner, smsbox, cm, smspm, labsmobile, http (did you mean `twilio`?)",
            ),
            (
                r#"[{"kind":"twilio","acount_sid":"AC1","auth_token":"t","from":"A","colour":1}]"#,
                "carrier 1 (twilio): account_sid is required; \
                 acount_sid unknown field (did you mean `account_sid`?); colour unknown field",
            ),
            (
                r#"[{"kind":"x","name":"second"}]"#,
                "carrier 1 (second): kind must be one of sns, end_user_messaging, notify, ses, twilio, \
                 vonage, smspartner, smsbox, cm, smspm, labsmobile, http",
            ),
            (
                r#"[{"kind":"sns"},{"kind":"twilio","account_sid":"AC1"}]"#,
                "carrier 2 (twilio): auth_token is required; \
                 from is required without messaging_service_sid",
            ),
            (
                r#"[{"kind":"sns"},{"kind":"sns"}]"#,
                "carrier 2 (sns): another carrier has the name sns; names must be unique",
            ),
            (
                r#"[{"kind":"sns"},{"kind":"twilio","name":"us-main","account_sid":"AC1","from":"A"}]"#,
                "carrier 2 (twilio, us-main): auth_token is required",
            ),
            (
                r#"[{"kind":"sns","name":"A b"}]"#,
                "carrier 1 (sns): name must be 1 to 32 lower-case letters, digits and hyphens",
            ),
            (
                r#"[{"kind":"sns","name":"a"},{"kind":"sns","name":"a"}]"#,
                "carrier 2 (sns, a): another carrier has the name a; names must be unique",
            ),
        ] {
            assert_eq!(problems(wrong, Some(&Map::new())), [expected]);
        }
    }
}
