//! Configuration: typed sections read from a lookup, all problems reported at once, each naming its variable.
//! The only file that reads the process environment. Values are parsed here once; after the start nothing is a bare string.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value};

use crate::aws::{Aws, AwsSettings};
use crate::carrier::{self, CarrierSettings};
use crate::delivery::{HANDOVER_MARGIN_SECONDS, Waits};
use crate::json;
use crate::policy::{GUESS_PROBABILITY_MAX, Policy, ROWS, TTL_SECONDS_NIST_MAX};
use crate::seal::{Seal, sha256};

/// The function that is starting: it reads what it needs and no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Opens verifications, resends, unlocks, forgets.
    Send,
    /// Checks, shows, cancels.
    Verify,
    /// Takes the carriers' reports.
    DeliveryCallback,
    /// Hands messages to carriers.
    CarrierWorker,
}

/// Who hands the messages over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DispatchMode {
    /// `queue`: the carrier worker, through SQS.
    Queue,
    /// `sns`: the send function itself publishes.
    Sns,
}

/// Everything that a function was told.
pub struct Config {
    /// Policies of the apps.
    pub apps: Apps,
    /// The keys.
    pub seal: Arc<Seal>,
    /// Who may call.
    pub api_keys: ApiKeys,
    /// The carriers, in order of preference; credentials only where the role hands over or verifies reports.
    pub carriers: Vec<CarrierSettings>,
    /// Who hands over.
    pub dispatch: DispatchMode,
    /// Waits between deliveries.
    pub waits: Waits,
    /// Where carriers reach the callbacks, without a slash at the end.
    pub public_url: String,
    /// Name of the table.
    pub table: String,
    /// URL of the queue.
    pub queue_url: String,
    /// The AWS clients' configuration.
    pub aws: Aws,
}

/// Why a function does not start: a line for each wrong variable.
#[derive(Debug)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl ConfigError {
    /// Ends the process: a line for each wrong variable on standard error.
    pub fn exit(self) -> ! {
        eprintln!("{self}");
        std::process::exit(1);
    }
}

impl Config {
    /// From the process environment.
    ///
    /// # Errors
    /// All wrong variables.
    pub fn from_env(role: Role) -> Result<Self, ConfigError> {
        Self::read(role, &environment)
    }

    /// From any lookup of variables. Empty means unset.
    ///
    /// # Errors
    /// All wrong variables.
    pub fn read(role: Role, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, problems: vec![] };
        let apps = reader.apps();
        let (seal, api_keys, credentials) = reader.secrets();
        let with_credentials = matches!(role, Role::CarrierWorker | Role::DeliveryCallback);
        let carriers = reader.carriers(with_credentials.then_some(&credentials));
        let dispatch = reader.dispatch(&carriers);
        let waits = Waits {
            unknown_seconds: reader.whole("OTP_UNKNOWN_WAIT_SECONDS", 1..=600, 15),
            fallback_seconds: reader.whole("OTP_FALLBACK_SECONDS", 1..=900, 60),
        };
        let needs_queue = role != Role::Verify && dispatch == DispatchMode::Queue;
        let config = Self {
            public_url: reader.public_url(role == Role::CarrierWorker),
            table: reader.required("OTP_TABLE"),
            queue_url: if needs_queue { reader.required("OTP_QUEUE_URL") } else { String::new() },
            aws: reader.aws(),
            apps,
            seal: Arc::new(seal),
            api_keys,
            carriers,
            dispatch,
            waits,
        };
        if reader.problems.is_empty() { Ok(config) } else { Err(ConfigError(reader.problems)) }
    }
}

/// A variable of the process.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one sanctioned reading of the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Policies by app.
#[derive(Clone, Debug)]
pub struct Apps {
    default: Policy,
    apps: BTreeMap<String, Policy>,
}

impl Apps {
    /// The policy of `app`; one without an entry of its own has the common one.
    #[must_use]
    pub fn policy(&self, app: &str) -> &Policy {
        self.apps.get(app).unwrap_or(&self.default)
    }
}

/// API keys, as hashes, and their apps.
#[derive(Clone, Default)]
pub struct ApiKeys(HashMap<[u8; 32], String>);

impl ApiKeys {
    /// The app that `key` belongs to. What is looked up is a hash: its timing tells nothing of the key.
    #[must_use]
    pub fn app_of(&self, key: &str) -> Option<&str> {
        self.0.get(&sha256(key.as_bytes())).map(String::as_str)
    }
}

/// Whether `name` can name an app.
#[must_use]
pub fn is_app_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn var(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str) -> String {
        self.var(name).unwrap_or_else(|| {
            self.problem(name, "must be set");
            String::new()
        })
    }

    fn problem(&mut self, name: &str, problem: &str) {
        self.problems.push(format!("{name}: {problem}"));
    }

    fn whole(&mut self, name: &str, range: std::ops::RangeInclusive<i64>, default: i64) -> i64 {
        let Some(value) = self.var(name) else { return default };
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| value.parse().ok()).flatten().filter(|n| range.contains(n)).unwrap_or_else(|| {
            self.problem(name, &format!("must be a whole number from {} to {}", range.start(), range.end()));
            default
        })
    }

    fn object(&mut self, name: &str) -> Map<String, Value> {
        let Some(value) = self.var(name) else { return Map::new() };
        json::parse_object(value.as_bytes()).unwrap_or_else(|problem| {
            self.problem(name, &problem);
            Map::new()
        })
    }

    fn apps(&mut self) -> Apps {
        let mut default = Policy::default();
        for row in ROWS {
            let name = format!("OTP_{}", row.name.to_uppercase());
            if let Some(problem) = self.var(&name).and_then(|value| row.set(&mut default, &value).err()) {
                self.problem(&name, &problem);
            }
        }
        self.check_policy("OTP_GUESS_BUDGET, OTP_CODE_LENGTH", &default);
        let mut apps = BTreeMap::new();
        for (app, settings) in self.object("OTP_APPS") {
            let mut policy = default.clone();
            let Some(settings) = settings.as_object().filter(|_| is_app_name(&app)) else {
                self.problem("OTP_APPS", "must map names of apps to objects of settings");
                continue;
            };
            for (name, value) in settings {
                if let Err(problem) = set_row(&mut policy, name, value) {
                    self.problem("OTP_APPS", &format!("{app}.{name} {problem}"));
                }
            }
            self.check_policy(&format!("OTP_APPS: {app}"), &policy);
            apps.insert(app, policy);
        }
        Apps { default, apps }
    }

    /// What no single row can see.
    fn check_policy(&mut self, name: &str, policy: &Policy) {
        let probability = policy.guess_probability();
        if probability > GUESS_PROBABILITY_MAX {
            self.problem(
                name,
                &format!("a code would be guessed with probability {probability:.1e} in a day; at most {GUESS_PROBABILITY_MAX:.0e} is allowed"),
            );
        }
        if policy.code_ttl_seconds > TTL_SECONDS_NIST_MAX {
            tracing::warn!(policy.code_ttl_seconds, "codes live longer than the ten minutes that NIST SP 800-63B-4 allows");
        }
    }

    fn secrets(&mut self) -> (Seal, ApiKeys, Map<String, Value>) {
        const NAME: &str = "OTP_SECRETS";
        self.required(NAME);
        let mut secrets = self.object(NAME);
        let seal = secrets.remove("seal").unwrap_or_default();
        let current = seal["current"].as_str().unwrap_or_default().to_owned();
        let mut keys = BTreeMap::new();
        for (id, key) in seal["keys"].as_object().into_iter().flatten() {
            match key_of_32(key) {
                Some(key) if (1..=32).contains(&id.len()) => drop(keys.insert(id.clone(), key)),
                _ => self.problem(NAME, "each of seal.keys must be the base64 of 32 bytes under an id of 1 to 32 characters"),
            }
        }
        if !keys.contains_key(&current) {
            self.problem(NAME, "seal.current must name one of seal.keys");
        }
        let lookup = secrets.remove("lookup").as_ref().and_then(key_of_32).unwrap_or_else(|| {
            self.problem(NAME, "lookup must be the base64 of 32 bytes");
            [0; 32]
        });
        let mut api_keys = HashMap::new();
        for entry in secrets.remove("api_keys").unwrap_or_default().as_array().into_iter().flatten() {
            let app = entry["app"].as_str().filter(|app| is_app_name(app));
            let hash = entry["sha256"].as_str().and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
            match (app, hash.and_then(|hash| <[u8; 32]>::try_from(hash).ok())) {
                (Some(app), Some(hash)) => drop(api_keys.insert(hash, app.to_owned())),
                _ => self.problem(NAME, "each of api_keys must have an app (letters, digits, - and _) and a sha256 in hexadecimal"),
            }
        }
        let carriers = match secrets.remove("carriers").unwrap_or_default() {
            Value::Object(carriers) => carriers,
            Value::Null => Map::new(),
            _ => {
                self.problem(NAME, "carriers must be an object of credentials by carrier name");
                Map::new()
            }
        };
        if secrets.keys().next().is_some() {
            self.problem(NAME, "knows seal, lookup, api_keys and carriers only");
        }
        (Seal::new(current, &keys, &lookup), ApiKeys(api_keys), carriers)
    }

    fn carriers(&mut self, credentials: Option<&Map<String, Value>>) -> Vec<CarrierSettings> {
        const NAME: &str = "OTP_CARRIERS";
        let value = self.var(NAME).unwrap_or_else(|| r#"[{"kind":"sns"}]"#.to_owned());
        let region = self.var("AWS_REGION").unwrap_or_default();
        let (carriers, problems) = carrier::settings(&value, credentials, &region);
        problems.iter().for_each(|problem| self.problem(NAME, problem));
        carriers
    }

    fn dispatch(&mut self, carriers: &[CarrierSettings]) -> DispatchMode {
        const NAME: &str = "OTP_DISPATCH";
        match self.var(NAME).as_deref() {
            None | Some("queue") => DispatchMode::Queue,
            Some("sns") => {
                if !carriers.iter().all(CarrierSettings::is_sns) {
                    self.problem(NAME, "`sns` publishes from the send function, so every carrier in OTP_CARRIERS must be of kind `sns`");
                }
                DispatchMode::Sns
            }
            Some(_) => {
                self.problem(NAME, "must be `queue` or `sns`");
                DispatchMode::Queue
            }
        }
    }

    fn public_url(&mut self, is_used: bool) -> String {
        const NAME: &str = "OTP_PUBLIC_URL";
        let url = if is_used { self.required(NAME) } else { self.var(NAME).unwrap_or_default() };
        if !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") {
            self.problem(NAME, "must be an http(s) URL");
        }
        url.trim_end_matches('/').to_owned()
    }

    fn aws(&mut self) -> Aws {
        let common = self.var("AWS_ENDPOINT_URL");
        let endpoint = |service: &str| self.var(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| common.clone());
        let endpoint_urls = [endpoint("DYNAMODB"), endpoint("SQS"), endpoint("SNS")];
        Aws::new(AwsSettings {
            endpoint_urls,
            region: self.required("AWS_REGION"),
            access_key_id: self.required("AWS_ACCESS_KEY_ID"),
            secret_access_key: self.required("AWS_SECRET_ACCESS_KEY"),
            session_token: self.var("AWS_SESSION_TOKEN"),
        })
    }
}

/// A JSON number or text is read as the environment would have spelled it.
fn set_row(policy: &mut Policy, name: &str, value: &Value) -> Result<(), String> {
    let row = ROWS.iter().find(|row| row.name == name).ok_or("is not a setting of an app")?;
    match value {
        Value::String(text) => row.set(policy, text),
        Value::Number(number) => row.set(policy, &number.to_string()),
        _ => Err("must be a text or a number".into()),
    }
}

fn key_of_32(value: &Value) -> Option<[u8; 32]> {
    BASE64.decode(value.as_str()?.as_bytes()).ok()?.try_into().ok()
}

// A fallback or second carrier is only worth waiting for while the shortest code is still alive.
const _: () = assert!(HANDOVER_MARGIN_SECONDS < 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(role: Role, changes: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let key = BASE64.encode(&[7; 32]);
        let secrets = format!(
            r#"{{"seal":{{"current":"k1","keys":{{"k1":"{key}"}}}},"lookup":"{key}","api_keys":[{{"app":"shop","sha256":"{}"}}]}}"#,
            "ab".repeat(32)
        );
        let mut values: HashMap<String, String> = [
            ("OTP_SECRETS", secrets.as_str()),
            ("OTP_TABLE", "otp"),
            ("OTP_QUEUE_URL", "http://queue"),
            ("OTP_PUBLIC_URL", "https://otp.example/"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
        values.extend(changes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        Config::read(role, &|name| values.get(name).cloned()).map_err(|error| error.0)
    }

    #[test]
    fn empty_means_unset_and_defaults_start() {
        let config = read(Role::Send, &[("OTP_CODE_LENGTH", ""), ("OTP_CARRIERS", "")]).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!((config.apps.policy("any").code_length, config.carriers.len()), (6, 1));
        assert_eq!(config.public_url, "https://otp.example");
    }

    #[test]
    fn all_wrong_variables_are_named_at_once() {
        let problems = read(
            Role::Send,
            &[
                ("OTP_CODE_LENGTH", "3"),
                ("OTP_MAX_ATTEMPTS", "eleven"),
                ("OTP_TABLE", ""),
                ("OTP_SECRETS", "{}"),
                ("OTP_DISPATCH", "carrier pigeon"),
                ("OTP_APPS", r#"{"shop":{"colour":"red"}}"#),
                ("OTP_CARRIERS", r#"[{"kind":"pigeon"}]"#),
            ],
        )
        .err()
        .unwrap_or_default();
        for name in ["OTP_CODE_LENGTH", "OTP_MAX_ATTEMPTS", "OTP_TABLE", "OTP_SECRETS", "OTP_DISPATCH", "OTP_APPS", "OTP_CARRIERS"] {
            assert!(problems.iter().any(|p| p.starts_with(&format!("{name}: "))), "{name} in {problems:?}");
        }
    }

    #[test]
    fn a_policy_that_is_guessed_too_easily_does_not_start() {
        assert!(read(Role::Verify, &[("OTP_CODE_LENGTH", "4")]).is_err());
        assert!(read(Role::Verify, &[("OTP_CODE_LENGTH", "4"), ("OTP_GUESS_BUDGET", "10")]).is_ok(), "1e-3 is just allowed");
        assert!(read(Role::Verify, &[("OTP_APPS", r#"{"shop":{"code_length":4}}"#)]).is_err());
    }

    #[test]
    fn an_app_has_the_common_values_but_for_its_own() {
        let config = read(Role::Send, &[("OTP_BRAND", "Common"), ("OTP_APPS", r#"{"shop":{"brand":"Shop","code_length":8}}"#)]);
        let apps = config.map(|c| c.apps).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!((apps.policy("shop").brand.as_str(), apps.policy("shop").code_length), ("Shop", 8));
        assert_eq!((apps.policy("other").brand.as_str(), apps.policy("other").code_length), ("Common", 6));
    }
}
