//! The documents of the configuration as the table holds them, read for a configuration.

use super::config_error::ConfigError;
use super::document::{CarrierCredentials, Document, StoredConfig};
use crate::store::{ConfigVersion, StoredVersions};

/// Both documents.
pub struct StoredDocuments {
    document: Option<Document>,
    credentials: Option<CarrierCredentials>,
}

impl StoredDocuments {
    /// Reads the texts of `versions`.
    ///
    /// # Errors
    /// One line for each problem, with the item and the member.
    pub fn parse(versions: &StoredVersions) -> Result<Self, ConfigError> {
        let document = versions.document.as_ref();
        let document = document
            .map(|version| Document::parse(text_of("config", version)?))
            .transpose()?;
        let credentials = versions.credentials.as_ref();
        let credentials = credentials
            .map(|version| CarrierCredentials::parse(text_of("config_secrets", version)?))
            .transpose()?;
        Ok(Self {
            document,
            credentials,
        })
    }

    /// For the reader of a function's configuration.
    #[must_use]
    pub fn stored(&self) -> StoredConfig<'_> {
        StoredConfig {
            document: self.document.as_ref(),
            credentials: self.credentials.as_ref(),
        }
    }
}

fn text_of<'v>(item: &str, version: &'v ConfigVersion) -> Result<&'v str, ConfigError> {
    version.text.as_deref().ok_or_else(|| {
        let key = version.seal_key.escape_debug();
        let problem = "which OTP_SECRETS does not have, or it was altered";
        ConfigError(vec![format!(
            "{item}: sealed under the key `{key}`, {problem}"
        )])
    })
}
