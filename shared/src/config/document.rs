//! The configuration document: what changes in daily operation, as one JSON object. It is stored in
//! the table by `Store::write_config` and overrides variables.
//!
//! Use: [`Document::parse`] reads the text of a file or of the table. [`Document::check`] reads it
//! as the functions do, over the variables of a deployment, and returns what they would refuse.
//! [`Document::to_json`] is the form for people, [`Document::to_stored`] the compact text for the
//! table. [`CarrierCredentials`] is the second document, with the credentials of carriers.
//! `read_with` of a function's configuration reads both over the variables.
//!
//! Invariants: a member of the document replaces that of the variables as a whole: an app, the list
//! of carriers, the list of test numbers, the rules of an app. API keys are added to those of
//! `OTP_SECRETS`. No problem contains a hash or a credential.

mod api_key_entry;

use serde_json::{Map, Value, json};

use super::advice::{shown_name, unknown_name};
use super::apps::{ApiKey, ApiKeys, is_app_name};
use super::config_error::ConfigError;
use super::hidden_characters::misplaced_character;
use super::secrets;
use crate::platform::json::{JsonError, parse_object};

pub use api_key_entry::ApiKeyEntry;

/// The format that this version reads and writes.
pub const FORMAT: i64 = 1;
/// Largest stored text: an item has at most 400 KB, and sealing adds less than 100 bytes.
pub const STORED_BYTES_MAX: usize = 300 * 1024;
/// The members of the document.
const MEMBERS: [&str; 6] = [
    "format",
    "apps",
    "api_keys",
    "carriers",
    "test_numbers",
    "rules",
];

/// The document.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document {
    /// Settings by app, as in `OTP_APPS`.
    pub apps: Map<String, Value>,
    /// Keys that are valid beside those of `OTP_SECRETS`.
    pub api_keys: Vec<ApiKeyEntry>,
    /// As `OTP_CARRIERS`, which it replaces; `None`: the variable holds.
    pub carriers: Option<Value>,
    /// As `OTP_TEST_NUMBERS`, which it replaces; `None`: the variable holds.
    pub test_numbers: Option<Value>,
    /// Lists of decision rules by app; an empty list is the common one.
    pub rules: Map<String, Value>,
}

/// Credentials by carrier name, as `carriers` of `OTP_SECRETS`, whose entries it replaces.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CarrierCredentials(pub Map<String, Value>);

/// What the table holds beside the variables.
#[derive(Clone, Copy, Default)]
pub struct StoredConfig<'a> {
    /// The document, if there is one.
    pub document: Option<&'a Document>,
    /// The credentials, if there are any and the function gets them.
    pub credentials: Option<&'a CarrierCredentials>,
}

impl Document {
    /// Reads the text of a file, or of the table. Settings of apps, carriers, test numbers and
    /// rules are read by [`Self::check`], or by the configuration of a function.
    ///
    /// # Errors
    /// One line for each problem, with the member: `config.api_keys[2].sha256: must be …`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut members = Members::parse(text)?;
        let apps = members.object("apps");
        let rules = members.object("rules");
        for (member, names) in [("apps", &apps), ("rules", &rules)] {
            for app in names.keys().filter(|app| !is_app_name(app)) {
                let app = shown_name(app);
                let problem =
                    format!("{app}: names of apps must have 1 to 32 letters, digits, - and _");
                members.problem(member, &problem);
            }
        }
        let document = Self {
            apps,
            rules,
            api_keys: members.api_keys(),
            carriers: members.list("carriers"),
            test_numbers: members.list("test_numbers"),
        };
        members.finish(MEMBERS)?;
        Ok(document)
    }

    /// Every member, in the form for people.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let keys: Vec<Value> = self.api_keys.iter().map(ApiKeyEntry::to_json).collect();
        self.with_api_keys(&keys)
    }

    /// The text for the table. An API key is a row without names of fields there, so that 1,000
    /// apps and 2,000 keys fit.
    ///
    /// # Errors
    /// It has more than [`STORED_BYTES_MAX`] bytes.
    pub fn to_stored(&self) -> Result<String, ConfigError> {
        let rows: Vec<Value> = self.api_keys.iter().map(ApiKeyEntry::to_row).collect();
        let text = self.with_api_keys(&rows).to_string();
        if text.len() <= STORED_BYTES_MAX {
            return Ok(text);
        }
        Err(ConfigError(vec![format!(
            "config: takes {} bytes in the table, where it has no spaces and an API key is a list \
             without names of fields; at most {STORED_BYTES_MAX} are allowed",
            text.len()
        )]))
    }

    fn with_api_keys(&self, api_keys: &[Value]) -> Value {
        let mut object = json!({
            "format": FORMAT, "apps": self.apps, "api_keys": api_keys, "rules": self.rules,
        });
        for (name, list) in [
            ("carriers", &self.carriers),
            ("test_numbers", &self.test_numbers),
        ] {
            if let Some(list) = list {
                object[name] = list.clone();
            }
        }
        object
    }

    /// Adds its API keys to `keys`. One that both have is that of the document.
    pub(super) fn add_api_keys(&self, keys: &mut ApiKeys) {
        for entry in &self.api_keys {
            let key = ApiKey {
                app: entry.app.clone(),
                expires_at: entry.expires_at,
            };
            keys.0.insert(entry.sha256, key);
        }
    }
}

impl CarrierCredentials {
    /// Reads `{"format":1,"carriers":{"acme":{"token":"..."}}}`.
    ///
    /// # Errors
    /// One line for each problem. None contains a credential.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut members = Members::parse(text)?;
        let carriers = Value::Object(members.object("carriers"));
        let mut problems = vec![];
        let credentials = secrets::read_credentials(carriers, &mut problems);
        for problem in problems {
            members.problems.push(format!("config_secrets: {problem}"));
        }
        members.finish(["format", "carriers"])?;
        Ok(Self(credentials))
    }

    /// The text for the table.
    #[must_use]
    pub fn to_stored(&self) -> String {
        json!({"format": FORMAT, "carriers": self.0}).to_string()
    }
}

/// The members that are not read yet, and what is wrong with the others.
struct Members {
    unread: Map<String, Value>,
    problems: Vec<String>,
}

impl Members {
    /// Fails at once if the document is not an object of this format: its other members may mean
    /// something else then.
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let refused = |problem: String| ConfigError(vec![problem]);
        let mut unread = parse_object(text.as_bytes()).map_err(|error| {
            refused(match error {
                JsonError::DuplicateKey { line, column } => {
                    format!("config: duplicate key in line {line}, column {column}")
                }
                JsonError::Syntax { line, column } => {
                    let character = misplaced_character(text);
                    let character = character.map(|character| format!(": {character}"));
                    let character = character.unwrap_or_default();
                    format!("config: not valid JSON in line {line}, column {column}{character}")
                }
                JsonError::NotAnObject => "config: must be a JSON object".to_owned(),
            })
        })?;
        let format = unread.remove("format").as_ref().and_then(Value::as_i64);
        match format {
            Some(FORMAT) => Ok(Self {
                unread,
                problems: vec![],
            }),
            Some(newer) if newer > FORMAT => Err(refused(format!(
                "config.format: {newer} is newer than {FORMAT}, the format of this version"
            ))),
            _ => Err(refused(format!("config.format: must be {FORMAT}"))),
        }
    }

    fn problem(&mut self, member: &str, problem: &str) {
        self.problems.push(format!("config.{member}: {problem}"));
    }

    fn object(&mut self, member: &str) -> Map<String, Value> {
        match self.unread.remove(member) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.problem(member, "must be a JSON object");
                Map::new()
            }
        }
    }

    fn list(&mut self, member: &str) -> Option<Value> {
        let value = self.unread.remove(member)?;
        match value {
            Value::Null => None,
            Value::Array(_) => Some(value),
            _ => {
                self.problem(member, "must be a JSON list");
                None
            }
        }
    }

    fn api_keys(&mut self) -> Vec<ApiKeyEntry> {
        let list = self.list("api_keys").unwrap_or_default();
        let mut entries: Vec<ApiKeyEntry> = vec![];
        let (mut ids, mut hashes) = (
            std::collections::HashSet::new(),
            std::collections::HashSet::new(),
        );
        for (index, value) in list.as_array().into_iter().flatten().enumerate() {
            let member = format!("api_keys[{index}]");
            match ApiKeyEntry::read(value) {
                Err(problem) => self.problems.push(format!("config.{member}{problem}")),
                Ok(entry) if !ids.insert(entry.id.clone()) => {
                    let problem = format!("another key has this id, {}", entry.id);
                    self.problem(&member, &problem);
                }
                Ok(entry) if !hashes.insert(entry.sha256) => {
                    let problem = format!("another key has the sha256 of {}", entry.id);
                    self.problem(&member, &problem);
                }
                Ok(entry) => entries.push(entry),
            }
        }
        entries
    }

    fn finish<const N: usize>(mut self, allowed: [&str; N]) -> Result<(), ConfigError> {
        for unknown in self.unread.keys() {
            let unknown = unknown_name(unknown, allowed);
            let allowed = allowed.join(", ");
            let problem = format!("config: unknown member {unknown}; allowed: {allowed}");
            self.problems.push(problem);
        }
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(ConfigError(self.problems)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::VerifyConfig;
    use crate::config::{Reader, SendConfig};
    use crate::domain::time::Timestamp;

    const KEY: &str = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";

    fn variable(name: &str) -> Option<String> {
        let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let value = match name {
            "OTP_SECRETS" => {
                format!(r#"{{"seal":{{"current":"k1","keys":{{"k1":"{key}"}}}},"lookup":"{key}"}}"#)
            }
            "OTP_TABLE" => "otp".into(),
            "OTP_QUEUE_URL" => "http://queue".into(),
            "OTP_APPS" => {
                r#"{"shop":{"brand":"Old","code_length":8},"bank":{"brand":"Bank"}}"#.into()
            }
            "AWS_REGION" => "eu-west-1".into(),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "a".into(),
            _ => return None,
        };
        Some(value)
    }

    fn document(members: Value) -> Document {
        let mut members = members;
        members["format"] = FORMAT.into();
        Document::parse(&members.to_string()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn entry(number: usize) -> ApiKeyEntry {
        ApiKeyEntry {
            id: format!("ak_{number:08}"),
            app: format!("app-{:05}", number / 2),
            name: "checkout backend".into(),
            sha256: crate::crypto::hashes::sha256(&number.to_be_bytes()),
            last4: "x9Qz".into(),
            created_at: Timestamp(1_795_291_200),
            expires_at: None,
        }
    }

    #[test]
    fn documented_form_is_read_and_written() {
        let text = json!({"format": 1,
            "apps": {"shop": {"brand": "Shop", "code_length": 8, "sends_per_hour": 3}},
            "api_keys": [{"id": "ak_7f3k2m9q", "app": "shop", "name": "checkout backend",
                "sha256": KEY, "last4": "x9Qz",
                "created_at": "2026-11-28T20:00:00Z", "expires_at": null}],
            "carriers": [{"kind": "twilio", "account_sid": "AC1", "from": "+15017122661"}],
            "test_numbers": [], "rules": {"shop": []}});
        let read = Document::parse(&text.to_string()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(read.to_json(), text);
        let stored = read.to_stored().unwrap_or_else(|e| panic!("{e}"));
        let again = Document::parse(&stored).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(again, read);
        assert!(read.check(None, &variable).is_ok());
    }

    #[test]
    fn document_replaces_apps_as_a_whole() {
        let document = document(json!({"apps": {"shop": {"brand": "New"}},
            "carriers": [{"kind": "sns", "name": "a"}, {"kind": "sns", "name": "b"}]}));
        let stored = StoredConfig {
            document: Some(&document),
            credentials: None,
        };
        let config =
            SendConfig::read(Reader::new(&variable, stored)).unwrap_or_else(|e| panic!("{e}"));
        let shown = |app: &str| {
            let policy = config.apps.policy(app);
            (policy.brand.clone(), policy.code_length)
        };
        assert_eq!(shown("shop"), ("New".into(), 6));
        assert_eq!(shown("bank"), ("Bank".into(), 6));
        assert_eq!(config.carriers.len(), 2);
    }

    #[test]
    fn expired_key_is_refused_to_the_second() {
        let mut document = Document {
            api_keys: vec![entry(2)],
            ..Document::default()
        };
        let end = Timestamp(1_795_300_000);
        document.api_keys[0].sha256 = crate::crypto::hashes::sha256(b"otp_live_x");
        document.api_keys[0].expires_at = Some(end);
        let stored = StoredConfig {
            document: Some(&document),
            credentials: None,
        };
        let config =
            VerifyConfig::read(Reader::new(&variable, stored)).unwrap_or_else(|e| panic!("{e}"));
        let app_at = |now| config.api_keys.app_of("otp_live_x", now);
        assert_eq!(app_at(end - 1), Some("app-00001"));
        assert_eq!(app_at(end), None);
    }

    #[test]
    fn problems_name_the_member_once() {
        let refused = |text: &str| Document::parse(text).err().map(|e| e.0).unwrap_or_default();
        for (text, start) in [
            (
                r#"{"format":2,"hats":1}"#,
                "config.format: 2 is newer than 1",
            ),
            (r#"{"apps":{}}"#, "config.format: must be 1"),
            (
                r#"{"format":1,"hats":1}"#,
                "config: unknown member `hats`; ",
            ),
            (
                r#"{"format":1,"carrier":[]}"#,
                "config: unknown member `carrier` (did you mean `carriers`?); allowed: format, ",
            ),
            (
                r#"{"format":1,"api_keys":[{"expires":null}]}"#,
                "config.api_keys[0]: unknown field `expires` (did you mean `expires_at`?); ",
            ),
            (r#"{"format":1,"format":1}"#, "config: duplicate key"),
            (r#"{"format":1,"apps":[]}"#, "config.apps: must be"),
            (r#"{"format":1,"carriers":{}}"#, "config.carriers: must be"),
            (
                r#"{"format":1,"api_keys":[{}]}"#,
                "config.api_keys[0].id: must be",
            ),
            (
                r#"{"format":1,"apps":{"a b":{}}}"#,
                "config.apps: `a b`: names of apps",
            ),
        ] {
            let problems = refused(text);
            assert!(
                problems.len() == 1 && problems[0].starts_with(start),
                "{problems:?}"
            );
        }
        for (members, start) in [
            (
                json!({"apps": {"shop": {"code_length": 3}}}),
                "config.apps: shop.code_length must",
            ),
            (
                json!({"carriers": [{"kind": "pigeon"}]}),
                "config.carriers: carrier 1: kind must",
            ),
            (
                json!({"apps": {"shop": {"send_per_hour": 3}}}),
                "config.apps: shop.send_per_hour is not a setting of an app (did you mean \
                 `sends_per_hour`?)",
            ),
            (
                json!({"apps": {"shop": {"resend_code": "frsh"}}}),
                "config.apps: shop.resend_code must be `same` or `fresh` (did you mean `fresh`?)",
            ),
            (
                json!({"rules": {"shop": [{"name": "a", "when": {"new_counrty": true}}]}}),
                "config.rules: shop rule 1 has the unknown field or condition `new_counrty` (did \
                 you mean `new_country`?)",
            ),
            (json!({"test_numbers": [1]}), "config.test_numbers: must be"),
            (json!({"rules": {"shop": [1]}}), "config.rules: shop "),
        ] {
            let problems = document(members).check(None, &variable).err();
            let problems = problems.map(|error| error.0).unwrap_or_default();
            assert!(
                problems.iter().any(|line| line.starts_with(start)),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn carrier_without_credentials_is_named() {
        let bare = json!([{"kind": "http", "name": "acme", "base_url": "http://h"}]);
        let document = document(json!({"carriers": bare}));
        let text = r#"{"format":1,"carriers":{"acme":{"token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}}}"#;
        let credentials = CarrierCredentials::parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert!(document.check(Some(&credentials), &variable).is_ok());
        assert!(document.check(None, &variable).is_ok(), "send needs none");
        let none = CarrierCredentials::default();
        let problems = document.check(Some(&none), &variable).err();
        let problems = problems.map(|error| error.0).unwrap_or_default();
        assert!(
            problems[0].starts_with("config.carriers: carrier 1 (http, acme): "),
            "{problems:?}"
        );
    }

    #[test]
    fn thousand_apps_and_two_thousand_keys_fit() {
        let settings = json!({"brand": "Shop of Ada", "code_length": 8, "sends_per_hour": 3});
        let apps = (0..1000).map(|number| (format!("app-{number:05}"), settings.clone()));
        let mut document = Document {
            apps: apps.collect(),
            api_keys: (0..2000).map(entry).collect(),
            ..Document::default()
        };
        let stored = document.to_stored().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(Document::parse(&stored).ok().as_ref(), Some(&document));
        let brands: Vec<String> = (0..60).map(|_| "x".repeat(3000)).collect();
        document.carriers = Some(json!(brands));
        assert!(document.to_stored().is_err());
    }
}
