//! What opens the table: keys, name and AWS clients, without what the table itself defines, and
//! what counts while it defines nothing.

use std::sync::Arc;

use super::document::Document;
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
    /// What counts while the table holds no document; `None`: the variables count alone.
    pub first_document: Option<Document>,
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
            first_document,
            ..
        } = reader.secrets();
        let first_document = reader.first_document(first_document);
        let (table, aws) = (reader.table(), reader.aws());
        reader.finish(Self {
            keyring: Arc::new(keyring),
            carrier_seal,
            first_document,
            table,
            aws,
        })
    }
}
