//! The configuration in force: the variables, and over them the documents that the table holds. It
//! is read anew each time, beside the functions, which keep a copy.

use otp::config::document::StoredConfig;
use otp::config::{OwnedVariables, StoredDocuments, TableConfig};
use otp::crypto::keyring::Keyring;
use otp::platform::logging::causes;
use otp::store::Store;
use serde_json::Value;

use crate::settings::Settings;

/// Reads the configuration.
pub(crate) struct StoredConfiguration {
    variables: OwnedVariables,
    store: Store,
    carrier_seal: Option<Keyring>,
}

/// What is in force.
pub(crate) struct InForce {
    pub(crate) settings: Settings,
    /// The list of carriers, in the order of those in the settings.
    pub(crate) carriers: Vec<Value>,
}

impl StoredConfiguration {
    /// `store` is that of the functions.
    pub(crate) fn new(variables: OwnedVariables, store: Store) -> Self {
        let table = TableConfig::read(&*variables).ok();
        Self {
            carrier_seal: table.and_then(|table| table.carrier_seal),
            variables,
            store,
        }
    }

    /// Reads the table.
    ///
    /// # Errors
    /// One line for each problem of the documents.
    pub(crate) async fn read(&self) -> Result<InForce, Vec<String>> {
        let read = self
            .store
            .read_config_and_secrets(self.carrier_seal.as_ref(), true);
        let versions = read.await.map_err(|error| vec![causes(&error)])?;
        let documents = StoredDocuments::parse(&versions).map_err(|error| error.0)?;
        self.over_variables(documents.stored())
    }

    /// What the variables say alone.
    ///
    /// # Errors
    /// One line for each problem.
    pub(crate) fn of_variables(&self) -> Result<InForce, Vec<String>> {
        self.over_variables(StoredConfig::default())
    }

    fn over_variables(&self, stored: StoredConfig<'_>) -> Result<InForce, Vec<String>> {
        let settings = Settings::read_with(&*self.variables, stored)?;
        let list = stored
            .document
            .and_then(|document| document.carriers.clone());
        let list = list.or_else(|| {
            let variable = (self.variables)("OTP_CARRIERS")?;
            serde_json::from_str(&variable).ok()
        });
        let carriers = list.and_then(|list| list.as_array().cloned());
        Ok(InForce {
            settings,
            carriers: carriers.unwrap_or_default(),
        })
    }
}
