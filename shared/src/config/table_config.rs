//! What opens the table: keys, name and AWS clients, without what the table itself defines.

use std::sync::Arc;

use super::reader::{Reader, Variables};
use super::{ConfigError, secrets::Secrets};
use crate::crypto::keyring::Keyring;
use crate::platform::aws::Aws;

/// What opens the table.
pub struct TableConfig {
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Opens the credentials of carriers that the table holds; `None`: `OTP_SECRETS` has no
    /// `carrier_seal`.
    pub carrier_seal: Option<Keyring>,
    /// Name or ARN of the table.
    pub table: String,
    /// Configuration of the AWS clients.
    pub aws: Aws,
}

impl TableConfig {
    /// Reads `variables`.
    ///
    /// # Errors
    /// All invalid variables of those that it needs.
    pub fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::of(variables);
        let Secrets {
            keyring,
            carrier_seal,
            ..
        } = reader.secrets();
        let (table, aws) = (reader.table(), reader.aws());
        reader.finish(Self {
            keyring: Arc::new(keyring),
            carrier_seal,
            table,
            aws,
        })
    }
}
