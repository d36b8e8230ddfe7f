//! The configuration document of a deployment: read, checked by the functions' own code, and
//! written if no other operator has written meanwhile.
//!
//! Invariants: a document that a function would refuse is not written. Credentials of carriers are
//! written to their own item only.

use std::sync::Arc;

use otp::carrier::CarrierEntry;
use otp::config::document::{CarrierCredentials, Document, StoredConfig};
use otp::config::{TableConfig, misleading_texts, texts_with_hidden};
use otp::crypto::keyring::Keyring;
use otp::platform::aws::Service;
use otp::platform::spelling::did_you_mean;
use otp::store::{ConfigReadError, ConfigVersion, ConfigWrite, Replaced, Store};
use serde_json::Value;

use super::credential_fields::is_credential;
use super::deployment::Deployment;
use super::document_changes::document_changes;
use super::error::OperatorError;
use super::known_apps::known_apps;

/// What the table holds, with what reads and writes it.
pub(crate) struct Configuration<'a> {
    pub(super) deployment: &'a Deployment,
    store: Store,
    carrier_seal: Option<Arc<Keyring>>,
    /// Version of the document; 0 if there is none.
    pub(crate) version: u64,
    replaced: Replaced,
    /// The stored version, as it is.
    pub(crate) current: Option<ConfigVersion>,
    /// Why the stored document cannot be used; its place is taken by an empty one.
    pub(crate) problems: Vec<String>,
    pub(crate) document: Document,
    /// What counts while no document is stored.
    pub(crate) first_document: Document,
    replaced_credentials: Replaced,
    /// Of the carriers, beside those of `OTP_SECRETS`.
    pub(crate) credentials: CarrierCredentials,
    /// Why the stored ones cannot be read; their place is taken by none.
    pub(crate) credentials_problem: Option<String>,
}

impl<'a> Configuration<'a> {
    /// Reads the items, also those that cannot be used.
    pub(crate) async fn read(deployment: &'a Deployment) -> Result<Self, OperatorError> {
        let config = TableConfig::read(&|name| deployment.variable(name));
        let config = config.map_err(|error| OperatorError::Settings(error.0))?;
        let dynamodb = config.aws.client(Service::DynamoDb);
        let store = Store::new(dynamodb, config.table, config.keyring);
        let carrier_seal = config.carrier_seal.map(Arc::new);
        let first_document = config.first_document.unwrap_or_default();
        let stored = StoredItem::of(store.read_config(true).await);
        let stored = stored.map_err(|error| {
            let text = |name: &str| deployment.variable(name).unwrap_or_default();
            error.about_table(&text("OTP_TABLE"), &text("AWS_REGION"))
        })?;
        let version = match &stored {
            StoredItem::None => 0,
            StoredItem::Version(current) => current.version,
            StoredItem::Malformed => {
                let history = store.config_history().await?;
                history.first().map_or(0, |last| last.version)
            }
        };
        let replaced = stored.replaced_after(version);
        let (document, problems) = match &stored {
            StoredItem::None => (first_document.clone(), vec![]),
            StoredItem::Version(current) => match parse(current) {
                Ok(document) => (document, vec![]),
                Err(problems) => (Document::default(), problems),
            },
            StoredItem::Malformed => (Document::default(), vec![malformed("config")]),
        };
        let current = stored.version();
        let stored = match &carrier_seal {
            Some(key) => StoredItem::of(store.read_config_secrets(key, true).await)?,
            None => StoredItem::None,
        };
        let (replaced_credentials, read) = match &stored {
            StoredItem::None => (Replaced::Version(0), Ok(CarrierCredentials::default())),
            StoredItem::Version(stored) => (Replaced::Version(stored.version), credentials(stored)),
            StoredItem::Malformed => (Replaced::Malformed(0), Err(malformed("config_secrets"))),
        };
        let (credentials, credentials_problem) = match read {
            Ok(credentials) => (credentials, None),
            Err(problem) => (CarrierCredentials::default(), Some(problem)),
        };
        Ok(Self {
            deployment,
            store,
            carrier_seal,
            version,
            replaced,
            current,
            problems,
            document,
            first_document,
            replaced_credentials,
            credentials,
            credentials_problem,
        })
    }

    /// The document; an error if the stored one cannot be used.
    pub(crate) fn usable(self) -> Result<Self, OperatorError> {
        match self.problems.is_empty() {
            true => Ok(self),
            false => Err(OperatorError::Document(self.problems)),
        }
    }

    /// For `read_with` of the functions' configuration.
    pub(crate) fn stored(&self) -> StoredConfig<'_> {
        StoredConfig {
            document: Some(&self.document),
            credentials: Some(&self.credentials),
        }
    }

    /// The last versions, newest first.
    pub(crate) async fn history(&self) -> Result<Vec<ConfigVersion>, OperatorError> {
        Ok(self.store.config_history().await?)
    }

    /// Checks `document` as the functions do, with `credentials`. While the stored ones cannot be
    /// read, what they were is not checked.
    pub(crate) fn check(
        &self,
        document: &Document,
        credentials: &CarrierCredentials,
    ) -> Result<(), OperatorError> {
        let mut problems = misplaced_credentials(document);
        let is_unknown = self.credentials_problem.is_some() && *credentials == self.credentials;
        let credentials = (!is_unknown).then_some(credentials);
        let checked = document.check(credentials, &|name| self.deployment.variable(name));
        problems.extend(checked.err().into_iter().flat_map(|error| error.0));
        if problems.is_empty() {
            return Ok(());
        }
        let mut causes = misleading_texts("config", &document.to_json(), &problems);
        if let Some(credentials) = credentials {
            let stored = Value::Object(credentials.0.clone());
            causes.extend(misleading_texts("config_secrets", &stored, &problems));
        }
        problems.extend(causes.iter().map(ToString::to_string));
        Err(OperatorError::Settings(problems))
    }

    /// Checks what no function refuses in `document`, and no operator means: rules of an app that
    /// does not exist, and texts with hidden characters.
    pub(crate) fn check_names(&self, document: &Document) -> Result<(), OperatorError> {
        let apps = known_apps(self.deployment, document);
        let unknown = document.rules.keys().filter(|app| !apps.contains_key(*app));
        let unknown = unknown.map(|app| {
            let question = did_you_mean(app, apps.keys().map(String::as_str));
            format!(
                "config.rules.{app}: there is no app {app}{question}; `app create {app}` defines it"
            )
        });
        let mut problems: Vec<String> = unknown.collect();
        let hidden = texts_with_hidden("config", &document.to_json());
        problems.extend(hidden.iter().map(ToString::to_string));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(OperatorError::Settings(problems)),
        }
    }

    /// Checks `document` and writes it as the next version, whose number it returns.
    pub(crate) async fn write(&self, document: &Document) -> Result<u64, OperatorError> {
        self.check(document, &self.credentials)?;
        let text = document
            .to_stored()
            .map_err(|error| OperatorError::Settings(error.0))?;
        let (author, now) = (self.deployment.author().await?, self.deployment.now());
        let written = self.store.write_config(self.replaced, &text, &author, now);
        match written.await? {
            ConfigWrite::Written(version) => Ok(version),
            ConfigWrite::Conflict(current) => Err(self.conflict(current)),
        }
    }

    /// Writes `credentials`. For a new carrier this goes before the document, for one that is
    /// removed after it, so that a crash in between leaves nothing that a function refuses.
    pub(crate) async fn write_credentials(
        &mut self,
        credentials: CarrierCredentials,
    ) -> Result<(), OperatorError> {
        if credentials == self.credentials {
            return Ok(());
        }
        self.replace_credentials(credentials).await
    }

    /// Writes `credentials`, also in place of some that cannot be read.
    pub(super) async fn replace_credentials(
        &mut self,
        credentials: CarrierCredentials,
    ) -> Result<(), OperatorError> {
        let key = self.carrier_seal.clone();
        let key = key.ok_or(OperatorError::NoCarrierSeal)?;
        let text = credentials.to_stored();
        let (author, now) = (self.deployment.author().await?, self.deployment.now());
        let replaced = self.replaced_credentials;
        let written = self
            .store
            .write_config_secrets(&key, replaced, &text, &author, now);
        match written.await? {
            ConfigWrite::Written(version) => {
                self.replaced_credentials = Replaced::Version(version);
                self.credentials = credentials;
                self.credentials_problem = None;
                Ok(())
            }
            ConfigWrite::Conflict(current) => Err(OperatorError::CredentialsChanged {
                author: current.map(|current| current.author).unwrap_or_default(),
            }),
        }
    }

    fn conflict(&self, current: Option<ConfigVersion>) -> OperatorError {
        let Some(current) = current else {
            return OperatorError::Document(vec!["the document was deleted meanwhile".to_owned()]);
        };
        let mut changes = match parse(&current) {
            Ok(document) => document_changes(&self.document, &document),
            Err(problems) => problems,
        };
        if changes.is_empty() {
            changes.push("none".to_owned());
        }
        OperatorError::Changed {
            version: current.version,
            author: current.author,
            written_at: current.written_at,
            changes,
        }
    }

    /// Seals the versions of the history again that are not under the current key. Returns how many
    /// were sealed.
    pub(crate) async fn reseal_history(&self) -> Result<usize, OperatorError> {
        let current = self.deployment.current_seal_key()?;
        let mut resealed = 0;
        for version in self.history().await? {
            if version.seal_key != current {
                let is_done = self.store.reseal_config_version(&version).await?;
                resealed += usize::from(is_done);
            }
        }
        Ok(resealed)
    }

    /// Writes the document again if it is sealed under a key that is not the current one.
    pub(crate) async fn reseal(&self) -> Result<bool, OperatorError> {
        let current = self.deployment.current_seal_key()?;
        match &self.current {
            Some(stored) if stored.seal_key != current => {
                self.write(&self.document).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// An item of the configuration as it was read.
enum StoredItem {
    None,
    Version(ConfigVersion),
    /// It is not one of the configuration.
    Malformed,
}

impl StoredItem {
    fn of(read: Result<Option<ConfigVersion>, ConfigReadError>) -> Result<Self, OperatorError> {
        match read {
            Ok(None) => Ok(Self::None),
            Ok(Some(version)) => Ok(Self::Version(version)),
            Err(ConfigReadError::Malformed(_)) => Ok(Self::Malformed),
            Err(error) => Err(error.into()),
        }
    }

    /// What a write after `version` replaces.
    fn replaced_after(&self, version: u64) -> Replaced {
        match self {
            Self::None | Self::Version(_) => Replaced::Version(version),
            Self::Malformed => Replaced::Malformed(version),
        }
    }

    fn version(self) -> Option<ConfigVersion> {
        match self {
            Self::Version(version) => Some(version),
            Self::None | Self::Malformed => None,
        }
    }
}

fn malformed(item: &str) -> String {
    format!("{item}: the item is not one of the configuration: it was damaged or placed by hand")
}

/// The document of a version.
///
/// # Errors
/// One line for each problem.
pub(crate) fn parse(version: &ConfigVersion) -> Result<Document, Vec<String>> {
    match &version.text {
        Some(text) => Document::parse(text).map_err(|error| error.0),
        None => Err(vec![format!(
            "version {} is sealed under the key {:?}, which OTP_SECRETS does not have; is this the \
             secret of this table?",
            version.version, version.seal_key
        )]),
    }
}

fn credentials(stored: &ConfigVersion) -> Result<CarrierCredentials, String> {
    let Some(text) = &stored.text else {
        let problem = "the stored credentials of carriers do not open with carrier_seal";
        return Err(problem.to_owned());
    };
    CarrierCredentials::parse(text).map_err(|error| error.0.join("; "))
}

/// Credentials in the list of carriers, which every function reads.
fn misplaced_credentials(document: &Document) -> Vec<String> {
    let carriers = document.carriers.as_ref().and_then(Value::as_array);
    let entries = carriers.into_iter().flatten().zip(1..);
    let entries = entries.filter_map(|(entry, position)| Some((entry.as_object()?, position)));
    let found = entries.flat_map(|(entry, position)| {
        let fields = entry.keys().filter(|field| is_credential(field));
        fields.map(move |field| {
            let carrier = CarrierEntry::of(position, entry);
            format!(
                "config.carriers: {carrier}: {field} is a credential; set it with \
                 `lambda-otp carrier set`"
            )
        })
    });
    found.collect()
}
