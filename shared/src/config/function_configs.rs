//! The configuration of each function: variables, and what the table holds over them.

use std::sync::Arc;

use super::apps::{ApiKeys, AppRules, Apps};
use super::config_error::ConfigError;
use super::dispatch::Dispatch;
use super::reader::{DispatchMode, Reader, WITH_CREDENTIALS, WITHOUT_CREDENTIALS};
use crate::carrier::ConfiguredCarrier;
use crate::crypto::keyring::Keyring;
use crate::domain::delivery_plan::ReportWaits;
use crate::domain::test_number::TestNumbers;
use crate::platform::aws::Aws;

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
    /// Opens the credentials of carriers that the table holds; `None`: `OTP_SECRETS` has no
    /// `carrier_seal`.
    pub carrier_seal: Option<Keyring>,
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
    /// Opens the credentials of carriers that the table holds; `None`: `OTP_SECRETS` has no
    /// `carrier_seal`.
    pub carrier_seal: Option<Keyring>,
    /// Name or ARN of the table.
    pub table: String,
    /// Configuration of the AWS clients.
    pub aws: Aws,
    /// Settings that are allowed, but that the operator should look at; one line each, for the log.
    pub warnings: Vec<String>,
}

impl SendConfig {
    /// Takes what the function needs from `reader`.
    ///
    /// # Errors
    /// All invalid variables and members.
    pub fn read(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let common = reader.common(WITHOUT_CREDENTIALS);
        let dispatch = match common.dispatch {
            DispatchMode::Queue => Dispatch::Worker {
                queue_url: reader.required_url("OTP_QUEUE_URL"),
                worker_url: common.worker_url,
            },
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
}

impl VerifyConfig {
    /// Takes what the function needs from `reader`.
    ///
    /// # Errors
    /// All invalid variables and members.
    pub fn read(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
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
}

impl FactorsConfig {
    /// Takes what the function needs from `reader`.
    ///
    /// # Errors
    /// All invalid variables and members.
    pub fn read(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
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
}

impl CallbackConfig {
    /// Takes what the function needs from `reader`.
    ///
    /// # Errors
    /// All invalid variables and members.
    pub fn read(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
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
            carrier_seal: common.carrier_seal,
            table: common.table,
            aws: common.aws,
            warnings: common.warnings,
        })
    }
}

impl WorkerConfig {
    /// Takes what the function needs from `reader`.
    ///
    /// # Errors
    /// All invalid variables and members.
    pub fn read(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
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
            carrier_seal: common.carrier_seal,
            table: common.table,
            aws: common.aws,
            warnings: common.warnings,
        })
    }
}
