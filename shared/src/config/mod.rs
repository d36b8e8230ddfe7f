//! Configuration: one struct per function, read from environment variables. All problems are
//! reported at once, each with the name of its variable.
//!
//! Invariant: values are parsed here once; later nothing is an unchecked string.

mod app_decision_rules;
mod apps;
mod carrier_checks;
mod config_error;
mod advice;
mod policy;
mod policy_checks;
mod reader;
mod decision_rules;
mod secrets;
mod test_numbers;

use std::sync::Arc;

pub use apps::{ApiKeys, AppRules, Apps, is_app_name};
pub use config_error::ConfigError;
pub use decision_rules::{RulesError, read as read_rules};
pub use policy::{android_hash, brand};
pub use reader::Variables;

use crate::carrier::ConfiguredCarrier;
use crate::crypto::keyring::Keyring;
use crate::domain::delivery_plan::ReportWaits;
use crate::domain::test_number::TestNumbers;
use crate::platform::aws::Aws;
use crate::platform::environment::{LAMBDA_BYTES_MAX, own_lambda_bytes, variable};
use reader::{DispatchMode, Reader, WITH_CREDENTIALS, WITHOUT_CREDENTIALS};

/// What `send` needs.
pub struct SendConfig {
    /// Policies of the apps.
    pub apps: Apps,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// API keys and their apps.
    pub api_keys: ApiKeys,
    /// Carriers in order of preference, without credentials.
    pub carriers: Vec<ConfiguredCarrier>,
    /// How messages are handed over.
    pub dispatch: Dispatch,
    /// Numbers that get a known code and no message.
    pub test_numbers: TestNumbers,
    /// Waits for reports.
    pub waits: ReportWaits,
    /// URL at which the API is reached, without a slash at the end, if it is set.
    pub public_url: Option<String>,
    /// Name or ARN of the table.
    pub table: String,
    /// Configuration of the AWS clients.
    pub aws: Aws,
    /// Settings that are allowed, but that the operator should look at; one line each, for the log.
    pub warnings: Vec<String>,
}

/// How `send` hands messages over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dispatch {
    /// `queue`: through the SQS queue at this URL, to the carrier worker.
    Queue(String),
    /// `sns`: to SNS, within the request.
    Sns,
}

/// What `verify` needs.
pub struct VerifyConfig {
    /// Policies of the apps.
    pub apps: Apps,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// API keys and their apps.
    pub api_keys: ApiKeys,
    /// URL at which the API is reached, without a slash at the end, if it is set.
    pub public_url: Option<String>,
    /// Name or ARN of the table.
    pub table: String,
    /// Configuration of the AWS clients.
    pub aws: Aws,
    /// Settings that are allowed, but that the operator should look at; one line each, for the log.
    pub warnings: Vec<String>,
}

/// What `factors` needs.
pub struct FactorsConfig {
    /// Policies of the apps.
    pub apps: Apps,
    /// Decision rules of the apps.
    pub rules: AppRules,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// API keys and their apps.
    pub api_keys: ApiKeys,
    /// URL at which the API is reached, without a slash at the end, if it is set.
    pub public_url: Option<String>,
    /// Name or ARN of the table.
    pub table: String,
    /// Configuration of the AWS clients.
    pub aws: Aws,
    /// Settings that are allowed, but that the operator should look at; one line each, for the log.
    pub warnings: Vec<String>,
}

/// What `delivery-callback` needs.
pub struct CallbackConfig {
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Carriers with their credentials.
    pub carriers: Vec<ConfiguredCarrier>,
    /// URL of the queue for follow-up steps; `None` with `OTP_DISPATCH=sns`.
    pub queue_url: Option<String>,
    /// Waits for reports.
    pub waits: ReportWaits,
    /// URL at which carriers reach the callbacks, without a slash at the end, if it is set.
    pub public_url: Option<String>,
    /// Name or ARN of the table.
    pub table: String,
    /// Configuration of the AWS clients.
    pub aws: Aws,
    /// Settings that are allowed, but that the operator should look at; one line each, for the log.
    pub warnings: Vec<String>,
}

/// What `carrier-worker` needs.
pub struct WorkerConfig {
    /// Policies of the apps.
    pub apps: Apps,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Carriers in order of preference, with their credentials.
    pub carriers: Vec<ConfiguredCarrier>,
    /// URL of the queue.
    pub queue_url: String,
    /// Waits for reports.
    pub waits: ReportWaits,
    /// URL at which carriers reach the callbacks, without a slash at the end.
    pub public_url: String,
    /// Name or ARN of the table.
    pub table: String,
    /// Configuration of the AWS clients.
    pub aws: Aws,
    /// Settings that are allowed, but that the operator should look at; one line each, for the log.
    pub warnings: Vec<String>,
}

impl SendConfig {
    /// Reads `variables`.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let common = reader.common(WITHOUT_CREDENTIALS);
        let dispatch = match common.dispatch {
            DispatchMode::Queue => Dispatch::Queue(reader.required_url("OTP_QUEUE_URL")),
            DispatchMode::Sns => {
                reader.warn_about_senders(&common.apps, &common.carriers);
                Dispatch::Sns
            }
        };
        let public_url = reader.optional_url("OTP_PUBLIC_URL");
        let test_numbers = reader.canonical_test_numbers(common.test_numbers);
        reader.finish(Self {
            apps: common.apps,
            keyring: common.keyring,
            api_keys: common.api_keys,
            carriers: common.carriers,
            dispatch,
            test_numbers,
            waits: common.waits,
            public_url,
            table: common.table,
            aws: common.aws,
            warnings: common.warnings,
        })
    }

    /// Reads the process environment, and logs the start.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let config = Self::read(&variable)?;
        log_start("send", &config.warnings);
        Ok(config)
    }
}

impl VerifyConfig {
    /// Reads `variables`.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let common = reader.common(WITHOUT_CREDENTIALS);
        reader.optional_url("OTP_QUEUE_URL");
        let public_url = reader.optional_url("OTP_PUBLIC_URL");
        reader.finish(Self {
            apps: common.apps,
            keyring: common.keyring,
            api_keys: common.api_keys,
            public_url,
            table: common.table,
            aws: common.aws,
            warnings: common.warnings,
        })
    }

    /// Reads the process environment, and logs the start.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let config = Self::read(&variable)?;
        log_start("verify", &config.warnings);
        Ok(config)
    }
}

impl FactorsConfig {
    /// Reads `variables`.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let common = reader.common(WITHOUT_CREDENTIALS);
        reader.optional_url("OTP_QUEUE_URL");
        let public_url = reader.optional_url("OTP_PUBLIC_URL");
        let rules = reader.rules();
        reader.finish(Self {
            apps: common.apps,
            rules,
            keyring: common.keyring,
            api_keys: common.api_keys,
            public_url,
            table: common.table,
            aws: common.aws,
            warnings: common.warnings,
        })
    }

    /// Reads the process environment, and logs the start.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let config = Self::read(&variable)?;
        log_start("factors", &config.warnings);
        Ok(config)
    }
}

impl CallbackConfig {
    /// Reads `variables`.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let common = reader.common(WITH_CREDENTIALS);
        let queue_url = match common.dispatch {
            DispatchMode::Queue => Some(reader.required_url("OTP_QUEUE_URL")),
            DispatchMode::Sns => None,
        };
        // Some vendors sign the URL that they call.
        let signs_url = common
            .carriers
            .iter()
            .any(ConfiguredCarrier::signs_callback_url);
        let public_url = match signs_url {
            true => Some(reader.required_url("OTP_PUBLIC_URL")),
            false => reader.optional_url("OTP_PUBLIC_URL"),
        };
        reader.finish(Self {
            keyring: common.keyring,
            carriers: common.carriers,
            queue_url,
            waits: common.waits,
            public_url,
            table: common.table,
            aws: common.aws,
            warnings: common.warnings,
        })
    }

    /// Reads the process environment, and logs the start.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let config = Self::read(&variable)?;
        log_start("delivery-callback", &config.warnings);
        Ok(config)
    }
}

impl WorkerConfig {
    /// Reads `variables`.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let common = reader.common(WITH_CREDENTIALS);
        let queue_url = reader.required_url("OTP_QUEUE_URL");
        let public_url = reader.required_url("OTP_PUBLIC_URL");
        reader.warn_about_senders(&common.apps, &common.carriers);
        reader.finish(Self {
            apps: common.apps,
            keyring: common.keyring,
            carriers: common.carriers,
            queue_url,
            waits: common.waits,
            public_url,
            table: common.table,
            aws: common.aws,
            warnings: common.warnings,
        })
    }

    /// Reads the process environment, and logs the start.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let config = Self::read(&variable)?;
        log_start("carrier-worker", &config.warnings);
        Ok(config)
    }
}

/// Logs the warnings, and how much of Lambda's space for variables is used.
fn log_start(function: &str, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(function, "{warning}");
    }
    tracing::info!(
        function,
        variables.bytes = own_lambda_bytes(),
        variables.bytes_max = LAMBDA_BYTES_MAX,
        "starting"
    );
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use data_encoding::BASE64;

    use super::*;

    /// Reads one function's configuration with `changes` to a valid environment.
    fn read<C>(
        config: impl Fn(Variables<'_>) -> Result<C, ConfigError>,
        changes: &[(&str, &str)],
    ) -> Result<C, Vec<String>> {
        let key = BASE64.encode(&[7; 32]);
        let api_key = format!(r#"{{"app":"shop","sha256":"{}"}}"#, "ab".repeat(32));
        let secrets = format!(
            r#"{{"seal":{{"current":"k1","keys":{{"k1":"{key}"}}}},"lookup":"{key}","api_keys":[{api_key}]}}"#
        );
        let mut values = HashMap::from([
            ("OTP_SECRETS", secrets.as_str()),
            ("OTP_TABLE", "otp"),
            ("OTP_QUEUE_URL", "http://queue"),
            ("OTP_PUBLIC_URL", "https://otp.example/"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ]);
        values.extend(changes.iter().copied());
        config(&|name| values.get(name).map(|value| (*value).to_owned())).map_err(|error| error.0)
    }

    #[test]
    fn empty_variable_has_its_default() {
        let changes = [("OTP_CODE_LENGTH", ""), ("OTP_CARRIERS", "")];
        let config = read(SendConfig::read, &changes).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(
            (config.apps.policy("any").code_length, config.carriers.len()),
            (6, 1)
        );
        let config = read(CallbackConfig::read, &[]).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(config.public_url.as_deref(), Some("https://otp.example"));
    }

    #[test]
    fn all_invalid_variables_are_reported_at_once() {
        let changes = [
            ("OTP_CODE_LENGTH", "3"),
            ("OTP_MAX_ATTEMPTS", "eleven"),
            ("OTP_TABLE", ""),
            ("OTP_SECRETS", "{}"),
            ("OTP_DISPATCH", "carrier pigeon"),
            ("OTP_APPS", r#"{"shop":{"colour":"red"}}"#),
            ("OTP_CARRIERS", r#"[{"kind":"pigeon"}]"#),
        ];
        let problems = read(SendConfig::read, &changes).err().unwrap_or_default();
        for (name, _) in changes {
            let prefix = format!("{name}: ");
            assert!(
                problems.iter().any(|line| line.starts_with(&prefix)),
                "{name}: {problems:?}"
            );
        }
    }

    #[test]
    fn policy_with_guessable_codes_is_rejected() {
        let short = ("OTP_CODE_LENGTH", "4");
        assert!(read(VerifyConfig::read, &[short]).is_err());
        assert!(read(VerifyConfig::read, &[short, ("OTP_GUESS_BUDGET", "10")]).is_ok());
        let app = ("OTP_APPS", r#"{"shop":{"code_length":4}}"#);
        assert!(read(VerifyConfig::read, &[app]).is_err());
    }

    #[test]
    fn policy_with_guessable_factor_codes_is_rejected() {
        let budget = ("OTP_FACTOR_GUESS_BUDGET", "100");
        assert!(read(FactorsConfig::read, &[budget]).is_ok());
        let problems = read(VerifyConfig::read, &[budget, ("OTP_HOTP_LOOK_AHEAD", "11")]);
        let problems = problems.err().unwrap_or_default();
        assert!(
            problems[0].starts_with("OTP_FACTOR_GUESS_BUDGET, "),
            "{problems:?}"
        );
    }

    #[test]
    fn rules_are_read_by_one_function_only() {
        let rule = r#"{"name":"rest","decision":"deny"}"#;
        let apps = format!(r#"{{"shop":{{"rules":[{rule}]}}}}"#);
        let config = read(FactorsConfig::read, &[("OTP_APPS", &apps)]);
        let rules = config
            .map(|config| config.rules)
            .unwrap_or_else(|e| panic!("{e:?}"));
        assert_ne!(rules.of("shop"), rules.of("other"));
        for invalid in [
            ("OTP_RULES", "[]"),
            ("OTP_APPS", r#"{"shop":{"rules":[]}}"#),
        ] {
            let problems = read(FactorsConfig::read, &[invalid])
                .err()
                .unwrap_or_default();
            assert!(problems[0].starts_with(invalid.0), "{problems:?}");
            assert!(read(VerifyConfig::read, &[invalid]).is_ok());
        }
    }

    #[test]
    fn app_overrides_the_common_policy() {
        let app = ("OTP_APPS", r#"{"shop":{"brand":"Shop","code_length":8}}"#);
        let config = read(SendConfig::read, &[("OTP_BRAND", "Common"), app]);
        let apps = config
            .map(|config| config.apps)
            .unwrap_or_else(|e| panic!("{e:?}"));
        let shown = |app: &str| (apps.policy(app).brand.clone(), apps.policy(app).code_length);
        assert_eq!(shown("shop"), ("Shop".into(), 8));
        assert_eq!(shown("other"), ("Common".into(), 6));
    }
}
