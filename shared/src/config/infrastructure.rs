//! What only variables define: the table and how it is reached, the keys that open its values, the
//! URLs. A function needs it to read the configuration document.

use std::sync::Arc;

use serde_json::Value;

use super::config_error::ConfigError;
use super::document::{Document, StoredConfig};
use super::infrastructure_values::InfrastructureValues;
use super::reader::{DispatchMode, Reader};
use super::secrets::{self, Secrets};
use crate::crypto::keyring::Keyring;
use crate::platform::aws::{Aws, AwsSettings, Service};
use crate::platform::in_process::InProcessServers;
use crate::platform::json;
use crate::store::Store;

/// A lookup of variables that a function keeps.
pub type OwnedVariables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a function runs in.
#[derive(Clone)]
pub struct Environment {
    /// Its variables.
    pub variables: OwnedVariables,
    /// Servers that it calls in the place of AWS; none on Lambda.
    pub servers: InProcessServers,
}

impl<V: Fn(&str) -> Option<String> + Send + Sync + 'static> From<Arc<V>> for Environment {
    fn from(variables: Arc<V>) -> Self {
        let variables: OwnedVariables = variables;
        variables.into()
    }
}

impl From<OwnedVariables> for Environment {
    fn from(variables: OwnedVariables) -> Self {
        Self {
            variables,
            servers: InProcessServers::default(),
        }
    }
}

/// What only variables define.
pub struct Infrastructure {
    variables: OwnedVariables,
    values: InfrastructureValues,
    /// The table. Clones share its connections.
    pub store: Store,
    /// URL at which the API is reached, without a slash at the end, if it is set.
    pub public_url: Option<String>,
    /// URL of the queue, if messages go through it.
    pub queue_url: Option<String>,
    /// URL at which the carrier worker is invoked, if messages go to it directly.
    pub worker_url: Option<String>,
    /// Age at which a copy of the configuration document is read again.
    pub config_max_age_seconds: i64,
}

impl Infrastructure {
    /// Reads the variables. `all` reads all that the function needs.
    ///
    /// # Errors
    /// All invalid variables, if one of the infrastructure is invalid.
    pub fn read<C>(
        environment: impl Into<Environment>,
        all: impl FnOnce(Reader<'_>) -> Result<C, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let Environment { variables, servers } = environment.into();
        let mut reader = Reader::of(&*variables);
        let mut values = reader.infrastructure();
        values.aws = values.aws.with_servers(servers);
        let public_url = reader.optional_url("OTP_PUBLIC_URL");
        let (queue_url, worker_url) = match reader.dispatch_mode() {
            DispatchMode::Queue => (
                reader.optional_url("OTP_QUEUE_URL"),
                reader.optional_url("OTP_WORKER_URL"),
            ),
            DispatchMode::Sns => (None, None),
        };
        let config_max_age_seconds = reader.config_max_age_seconds();
        if let Err(error) = reader.finish(()) {
            return Err(all(Reader::of(&*variables)).err().unwrap_or(error));
        }
        let dynamodb = values.aws.client(Service::DynamoDb);
        Ok(Self {
            store: Store::new(dynamodb, values.table.clone(), values.keyring.clone()),
            variables,
            values,
            public_url,
            queue_url,
            worker_url,
            config_max_age_seconds,
        })
    }

    /// Reads the variables again, and `stored` over them.
    #[must_use]
    pub fn reader<'a>(&'a self, stored: StoredConfig<'a>) -> Reader<'a> {
        Reader::over(&*self.variables, stored, &self.values)
    }

    /// Configuration of the AWS clients. Clones share its connections.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.values.aws
    }

    /// Seal keys and lookup key.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.values.keyring
    }

    /// Opens the credentials of carriers that the table holds; `None`: `OTP_SECRETS` has no
    /// `carrier_seal`.
    #[must_use]
    pub fn carrier_seal(&self) -> Option<&Keyring> {
        self.values.carrier_seal.as_ref()
    }
}

impl Reader<'_> {
    pub(super) fn infrastructure(&mut self) -> InfrastructureValues {
        let secrets = self.secrets();
        InfrastructureValues {
            first_document: self.first_document(secrets.first_document),
            table: self.table(),
            aws: self.aws(),
            keyring: Arc::new(secrets.keyring),
            carrier_seal: secrets.carrier_seal,
            api_keys: secrets.api_keys,
            credentials: secrets.credentials,
        }
    }

    /// The document of the first deployment, without the apps that `OTP_APPS` defines: it has no
    /// settings, and a member of a document would replace theirs.
    pub(super) fn first_document(&mut self, document: Option<Value>) -> Option<Document> {
        let document = Document::parse(&document?.to_string());
        let mut document = document
            .map_err(|error| {
                for problem in error.0 {
                    self.problem("OTP_SECRETS", &format!("first_document: {problem}"));
                }
            })
            .ok()?;
        let apps = self.variable("OTP_APPS").unwrap_or_default();
        // Where the apps are read, an invalid value is a problem.
        let apps = json::parse_object(apps.as_bytes()).unwrap_or_default();
        document.apps.retain(|app, _| !apps.contains_key(app));
        Some(document)
    }

    pub(super) fn config_max_age_seconds(&mut self) -> i64 {
        self.integer("OTP_CONFIG_MAX_AGE_SECONDS", 10..=300, 60)
    }

    pub(super) fn secrets(&mut self) -> Secrets {
        const NAME: &str = "OTP_SECRETS";
        let problems_before = self.problems.len();
        self.required(NAME);
        let document = self.object(NAME);
        let is_readable = self.problems.len() == problems_before;
        let (secrets, problems) = secrets::read(document);
        // Without a readable document its missing fields are not worth a line each.
        if is_readable {
            problems
                .iter()
                .for_each(|problem| self.problem(NAME, &problem.to_string()));
        }
        secrets
    }

    /// A name or an ARN:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html>
    pub(super) fn table(&mut self) -> String {
        const NAME: &str = "OTP_TABLE";
        let table = self.required(NAME);
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let is_plain = |name: &str| name.bytes().all(is_allowed);
        let is_name = (3..=255).contains(&table.len()) && is_plain(&table);
        let is_arn = (1..=1024).contains(&table.len())
            && table.starts_with("arn:")
            && table.split([':', '/']).all(is_plain);
        if !table.is_empty() && !is_name && !is_arn {
            let problem = "must be the name of a table (3 to 255 letters, digits, hyphens, \
                           underscores and dots) or its ARN";
            self.problem(NAME, problem);
        }
        table
    }

    pub(super) fn aws(&mut self) -> Aws {
        let endpoint_urls = ["DYNAMODB", "SQS", "SNS"].map(|service| {
            let own = format!("AWS_ENDPOINT_URL_{service}");
            let has_own = self.variable(&own).is_some();
            self.optional_url(if has_own { &own } else { "AWS_ENDPOINT_URL" })
        });
        let region = self.required("AWS_REGION");
        // The region is part of AWS's host names.
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
            session_token: self.variable("AWS_SESSION_TOKEN"),
        })
    }
}
