//! Configuration: typed sections read from a lookup, all problems reported at once, each naming its variable.
//! The only file that reads the process environment. Values are parsed here once; after the start nothing is a bare string.

mod policy;
mod secrets;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::carrier::{self, ConfiguredCarrier};
use crate::crypto::seal::{Keyring, sha256};
use crate::domain::delivery::{HANDOVER_MARGIN_SECONDS, Waits};
use crate::domain::policy::{GUESS_PROBABILITY_MAX, Policy, TTL_SECONDS_NIST_MAX};
use crate::platform::aws::{Aws, AwsSettings};
use crate::platform::environment::environment;
use crate::platform::json;
use crate::platform::url::is_base_url;
use policy::SETTINGS;
use secrets::Secrets;

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
    pub seal: Arc<Keyring>,
    /// Who may call.
    pub api_keys: ApiKeys,
    /// The carriers, in order of preference; credentials only where the role hands over or verifies reports.
    pub carriers: Vec<ConfiguredCarrier>,
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
        let mut reader = Reader {
            lookup,
            problems: vec![],
        };
        let apps = reader.apps();
        let Secrets {
            seal,
            api_keys,
            credentials,
        } = reader.secrets();
        let with_credentials = matches!(role, Role::CarrierWorker | Role::DeliveryCallback);
        let carriers = reader.carriers(with_credentials.then_some(&credentials));
        let dispatch = reader.dispatch(&carriers);
        let waits = Waits {
            unknown_seconds: reader.whole("OTP_UNKNOWN_WAIT_SECONDS", 1..=600, 15),
            fallback_seconds: reader.whole("OTP_FALLBACK_SECONDS", 1..=900, 60),
        };
        let needs_queue = role != Role::Verify && dispatch == DispatchMode::Queue;
        // The worker tells carriers where to report; some of them sign what they then call.
        let needs_public_url = role == Role::CarrierWorker
            || (role == Role::DeliveryCallback
                && carriers
                    .iter()
                    .any(ConfiguredCarrier::signs_its_callback_url));
        let config = Self {
            public_url: reader
                .url("OTP_PUBLIC_URL", needs_public_url)
                .trim_end_matches('/')
                .to_owned(),
            table: reader.table(),
            queue_url: reader.url("OTP_QUEUE_URL", needs_queue),
            aws: reader.aws(),
            apps,
            seal: Arc::new(seal),
            api_keys,
            carriers,
            dispatch,
            waits,
        };
        if reader.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(reader.problems))
        }
    }
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
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
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
        let line = format!("{name}: {problem}");
        if !self.problems.contains(&line) {
            self.problems.push(line);
        }
    }

    fn whole(&mut self, name: &str, range: std::ops::RangeInclusive<i64>, default: i64) -> i64 {
        let Some(value) = self.var(name) else {
            return default;
        };
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| value.parse().ok())
            .flatten()
            .filter(|n| range.contains(n))
            .unwrap_or_else(|| {
                self.problem(
                    name,
                    &format!(
                        "must be a whole number from {} to {}",
                        range.start(),
                        range.end()
                    ),
                );
                default
            })
    }

    fn object(&mut self, name: &str) -> Map<String, Value> {
        let Some(value) = self.var(name) else {
            return Map::new();
        };
        json::parse_object(value.as_bytes()).unwrap_or_else(|problem| {
            self.problem(name, &problem);
            Map::new()
        })
    }

    fn apps(&mut self) -> Apps {
        let mut default = Policy::default();
        for row in SETTINGS {
            let name = format!("OTP_{}", row.name.to_uppercase());
            if let Some(problem) = self
                .var(&name)
                .and_then(|value| row.set(&mut default, &value).err())
            {
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
            tracing::warn!(
                policy.code_ttl_seconds,
                "codes live longer than the ten minutes that NIST SP 800-63B-4 allows"
            );
        }
    }

    fn carriers(&mut self, credentials: Option<&Map<String, Value>>) -> Vec<ConfiguredCarrier> {
        const NAME: &str = "OTP_CARRIERS";
        let value = self
            .var(NAME)
            .unwrap_or_else(|| r#"[{"kind":"sns"}]"#.to_owned());
        let region = self.var("AWS_REGION").unwrap_or_default();
        let (carriers, problems) = carrier::settings(&value, credentials, &region);
        problems
            .iter()
            .for_each(|problem| self.problem(NAME, problem));
        carriers
    }

    fn dispatch(&mut self, carriers: &[ConfiguredCarrier]) -> DispatchMode {
        const NAME: &str = "OTP_DISPATCH";
        match self.var(NAME).as_deref() {
            None | Some("queue") => DispatchMode::Queue,
            Some("sns") => {
                if !carriers.iter().all(ConfiguredCarrier::is_sns) {
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

    /// An http(s) URL that paths are put behind; empty where it is neither set nor needed.
    fn url(&mut self, name: &str, is_needed: bool) -> String {
        let url = if is_needed {
            self.required(name)
        } else {
            self.var(name).unwrap_or_default()
        };
        if !url.is_empty() && !is_base_url(&url) {
            self.problem(
                name,
                "must be an http(s) URL with a host, and without user, query and fragment",
            );
        }
        url
    }

    /// A name or an ARN: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html>
    fn table(&mut self) -> String {
        const NAME: &str = "OTP_TABLE";
        let table = self.required(NAME);
        let is_plain = |name: &str| {
            name.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let is_name = (3..=255).contains(&table.len()) && is_plain(&table);
        let is_arn = table.len() <= 1024
            && table.starts_with("arn:")
            && table
                .split(':')
                .flat_map(|part| part.split('/'))
                .all(is_plain);
        if !table.is_empty() && !is_name && !is_arn {
            self.problem(NAME, "must be the name of a table, 3 to 255 letters, digits, hyphens, underscores and dots, or its ARN");
        }
        table
    }

    fn aws(&mut self) -> Aws {
        let endpoint_urls = ["DYNAMODB", "SQS", "SNS"].map(|service| {
            let own = format!("AWS_ENDPOINT_URL_{service}");
            let name = if self.var(&own).is_some() {
                own.as_str()
            } else {
                "AWS_ENDPOINT_URL"
            };
            Some(self.url(name, false)).filter(|url| !url.is_empty())
        });
        let region = self.required("AWS_REGION");
        // It stands in the names of AWS's hosts.
        if !region
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            self.problem(
                "AWS_REGION",
                "must be the name of a region such as `eu-west-1`",
            );
        }
        Aws::new(AwsSettings {
            endpoint_urls,
            region,
            access_key_id: self.required("AWS_ACCESS_KEY_ID"),
            secret_access_key: self.required("AWS_SECRET_ACCESS_KEY"),
            session_token: self.var("AWS_SESSION_TOKEN"),
        })
    }
}

/// A JSON number or text is read as the environment would have spelled it.
fn set_row(policy: &mut Policy, name: &str, value: &Value) -> Result<(), String> {
    let row = SETTINGS
        .iter()
        .find(|row| row.name == name)
        .ok_or("is not a setting of an app")?;
    match value {
        Value::String(text) => row.set(policy, text),
        Value::Number(number) => row.set(policy, &number.to_string()),
        _ => Err("must be a text or a number".into()),
    }
}

// A fallback or second carrier is only worth waiting for while the shortest code is still alive.
const _: () = assert!(HANDOVER_MARGIN_SECONDS < 60);

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

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
        values.extend(
            changes
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        Config::read(role, &|name| values.get(name).cloned()).map_err(|error| error.0)
    }

    #[test]
    fn empty_means_unset_and_defaults_start() {
        let config = read(Role::Send, &[("OTP_CODE_LENGTH", ""), ("OTP_CARRIERS", "")])
            .unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(
            (config.apps.policy("any").code_length, config.carriers.len()),
            (6, 1)
        );
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
        for name in [
            "OTP_CODE_LENGTH",
            "OTP_MAX_ATTEMPTS",
            "OTP_TABLE",
            "OTP_SECRETS",
            "OTP_DISPATCH",
            "OTP_APPS",
            "OTP_CARRIERS",
        ] {
            assert!(
                problems.iter().any(|p| p.starts_with(&format!("{name}: "))),
                "{name} in {problems:?}"
            );
        }
    }

    #[test]
    fn a_policy_that_is_guessed_too_easily_does_not_start() {
        assert!(read(Role::Verify, &[("OTP_CODE_LENGTH", "4")]).is_err());
        assert!(
            read(
                Role::Verify,
                &[("OTP_CODE_LENGTH", "4"), ("OTP_GUESS_BUDGET", "10")]
            )
            .is_ok(),
            "1e-3 is just allowed"
        );
        assert!(
            read(
                Role::Verify,
                &[("OTP_APPS", r#"{"shop":{"code_length":4}}"#)]
            )
            .is_err()
        );
    }

    #[test]
    fn an_app_has_the_common_values_but_for_its_own() {
        let config = read(
            Role::Send,
            &[
                ("OTP_BRAND", "Common"),
                ("OTP_APPS", r#"{"shop":{"brand":"Shop","code_length":8}}"#),
            ],
        );
        let apps = config.map(|c| c.apps).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(
            (
                apps.policy("shop").brand.as_str(),
                apps.policy("shop").code_length
            ),
            ("Shop", 8)
        );
        assert_eq!(
            (
                apps.policy("other").brand.as_str(),
                apps.policy("other").code_length
            ),
            ("Common", 6)
        );
    }
}
