//! The keys in the secret of a stack, which commands change.
//!
//! Invariants: a secret that a function would refuse is not written. A change is made only if no
//! other one was made since the secret was read. No key is printed but the first API key, once.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use data_encoding::BASE64;
use otp::config::TableConfig;
use otp::domain::time::Timestamp;
use otp::platform::random::random_bytes;
use serde_json::{Map, Value, json};

use super::Deployment;
use super::error::OperatorError;

/// The entries of the secret: `OTP_SECRETS` of the functions that do not call carriers, and of
/// those that do.
const DOCUMENTS: [&str; 2] = ["otp_secrets", "otp_secrets_with_carriers"];
/// The entry with the first API key.
const FIRST_KEY: &str = "first_api_key";
/// Stage of a version that is not current yet.
const PENDING: &str = "lambda-otp-pending";
const CURRENT: &str = "AWSCURRENT";

/// The secret as it was read.
pub(crate) struct SecretDocument<'a> {
    deployment: &'a Deployment,
    client: Client,
    id: String,
    version: String,
    entries: Map<String, Value>,
    documents: [Map<String, Value>; 2],
}

impl<'a> SecretDocument<'a> {
    /// Reads the secret of a stack.
    pub(crate) async fn read(deployment: &'a Deployment) -> Result<Self, OperatorError> {
        let (client, id) = deployment.secret_client().ok_or(OperatorError::NoSecret)?;
        let secret = client.get_secret_value().secret_id(&id).send().await;
        let secret = secret.map_err(|e| OperatorError::aws("GetSecretValue", e))?;
        let parsed = |text: &str| serde_json::from_str(text).map_err(|_| OperatorError::Secret);
        let entries: Map<String, Value> = parsed(secret.secret_string().unwrap_or_default())?;
        let document = |name: &str| {
            let text = entries.get(name).and_then(Value::as_str);
            parsed(text.unwrap_or_default())
        };
        let documents = [document(DOCUMENTS[0])?, document(DOCUMENTS[1])?];
        Ok(Self {
            deployment,
            client,
            id,
            version: secret.version_id().unwrap_or_default().to_owned(),
            entries,
            documents,
        })
    }

    /// When the secret was last changed; `None`: a local server has none.
    pub(crate) async fn changed_at(
        deployment: &Deployment,
    ) -> Result<Option<Timestamp>, OperatorError> {
        let Some((client, id)) = deployment.secret_client() else {
            return Ok(None);
        };
        let secret = client.get_secret_value().secret_id(&id).send().await;
        let secret = secret.map_err(|e| OperatorError::aws("GetSecretValue", e))?;
        Ok(secret.created_date.map(|date| Timestamp(date.secs())))
    }

    /// Ids of the seal keys, and which is current.
    pub(crate) fn seal_keys(&self) -> (Vec<String>, String) {
        let seal = &self.documents[0]["seal"];
        let keys = seal["keys"].as_object();
        let ids = keys.into_iter().flat_map(Map::keys).cloned().collect();
        (ids, seal["current"].as_str().unwrap_or_default().to_owned())
    }

    /// Adds a new key, which seals nothing yet; returns its id.
    pub(crate) fn add_seal_key(&mut self) -> String {
        let (ids, _) = self.seal_keys();
        let id = (1..).map(|number| format!("k{number}"));
        let id = id.into_iter().find(|id| !ids.contains(id));
        let id = id.unwrap_or_default();
        let key = random_key();
        self.edit(|document| document["seal"]["keys"][&id] = key.clone());
        id
    }

    /// Adds the key for credentials of carriers; returns whether it was missing.
    pub(crate) fn add_carrier_seal(&mut self) -> bool {
        let with_carriers = &mut self.documents[1];
        let is_missing = !with_carriers.contains_key("carrier_seal");
        if is_missing {
            with_carriers.insert("carrier_seal".into(), random_key());
        }
        is_missing
    }

    /// Lets the key called `id` seal.
    pub(crate) fn use_seal_key(&mut self, id: &str) {
        self.edit(|document| document["seal"]["current"] = id.into());
    }

    /// Removes the key called `id`.
    pub(crate) fn remove_seal_key(&mut self, id: &str) {
        self.edit(|document| {
            if let Some(keys) = document["seal"]["keys"].as_object_mut() {
                keys.remove(id);
            }
        });
    }

    /// Takes the first API key out, which no function reads; `None`: it was taken before.
    pub(crate) fn take_first_key(&mut self) -> Option<String> {
        let key = self.entries.remove(FIRST_KEY)?;
        key.as_str().map(str::to_owned)
    }

    fn edit(&mut self, change: impl Fn(&mut Map<String, Value>)) {
        self.documents.iter_mut().for_each(change);
    }

    /// Checks the secret as the functions do, and writes it.
    pub(crate) async fn write(mut self) -> Result<(), OperatorError> {
        for (name, document) in DOCUMENTS.iter().zip(&self.documents) {
            let text = json!(document).to_string();
            let variable = |name: &str| match name {
                "OTP_SECRETS" => Some(text.clone()),
                name => self.deployment.variable(name),
            };
            let checked = TableConfig::read(&variable);
            checked.map_err(|error| OperatorError::Settings(error.0))?;
            self.entries.insert((*name).to_owned(), text.into());
        }
        let text = json!(self.entries).to_string();
        let put = self.client.put_secret_value().secret_id(&self.id);
        let put = put.secret_string(text).version_stages(PENDING).send().await;
        let put = put.map_err(|e| OperatorError::aws("PutSecretValue", e))?;
        let moved = self.client.update_secret_version_stage();
        let moved = moved
            .secret_id(&self.id)
            .version_stage(CURRENT)
            .remove_from_version_id(&self.version)
            .set_move_to_version_id(put.version_id);
        // It fails if another version has become current.
        let moved = moved.send().await;
        moved.map(drop).map_err(|error| match error.code() {
            Some("InvalidParameterException" | "InvalidRequestException") => {
                OperatorError::SecretChanged
            }
            _ => OperatorError::aws("UpdateSecretVersionStage", error),
        })
    }
}

fn random_key() -> Value {
    BASE64.encode(&random_bytes::<32>()).into()
}
