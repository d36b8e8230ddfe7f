//! The carriers of a deployment as a list that commands change, with the credentials apart.
//!
//! Invariant: no entry contains a credential.

use otp::carrier::{CarrierConfigError, check_carriers, read_carriers};
use otp::config::document::{CarrierCredentials, Document};
use otp::platform::json::FieldError;
use otp::platform::spelling::did_you_mean;
use serde_json::{Map, Value, json};

use super::credential_fields::take_credentials;
use super::error::OperatorError;
use super::{Configuration, Deployment};

/// The carriers, in order of preference.
pub(crate) struct CarrierList {
    pub(crate) entries: Vec<Map<String, Value>>,
    /// By carrier name, for the table.
    pub(crate) credentials: CarrierCredentials,
    /// Carriers whose credentials are in `OTP_CARRIERS`, as those of the simulated ones are.
    in_variable: Vec<String>,
    /// Of `OTP_SECRETS`, by carrier name.
    of_secret: Map<String, Value>,
    /// Whether the list is in the document, and not in a variable.
    pub(crate) is_stored: bool,
    region: String,
}

impl CarrierList {
    /// The list of the document, or else that of the variables.
    pub(crate) fn read(
        deployment: &Deployment,
        configuration: &Configuration<'_>,
    ) -> Result<Self, OperatorError> {
        let stored = configuration.document.carriers.clone();
        let is_stored = stored.is_some();
        let list = match stored {
            Some(list) => list,
            None => {
                let variable = deployment.variable("OTP_CARRIERS").unwrap_or_default();
                serde_json::from_str(&variable).unwrap_or_default()
            }
        };
        let of_secret = deployment.secret("carriers");
        let mut carriers = Self {
            entries: vec![],
            credentials: configuration.credentials.clone(),
            in_variable: vec![],
            of_secret: of_secret.as_object().cloned().unwrap_or_default(),
            is_stored,
            region: deployment.variable("AWS_REGION").unwrap_or_default(),
        };
        let entries = list.as_array().ok_or_else(|| {
            OperatorError::Settings(vec!["OTP_CARRIERS: must be a JSON list".into()])
        })?;
        for entry in entries {
            let mut entry = entry.as_object().cloned().unwrap_or_default();
            let taken = take_credentials(&mut entry);
            if !taken.is_empty() {
                carriers.add_credentials(&name_of(&entry), taken);
                carriers.in_variable.push(name_of(&entry));
            }
            carriers.entries.push(entry);
        }
        Ok(carriers)
    }

    /// Where the carrier called `name` is.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| name_of(entry) == name)
    }

    /// The position of `name`; the error names the carriers that there are.
    pub(crate) fn existing(&self, name: &str) -> Result<usize, OperatorError> {
        self.position(name).ok_or_else(|| {
            let names: Vec<String> = self.entries.iter().map(name_of).collect();
            let question = did_you_mean(name, names.iter().map(String::as_str));
            let names = names.join(", ");
            OperatorError::Refused(format!("there is no carrier {name}, but {names}{question}"))
        })
    }

    /// Adds to the credentials of a carrier; its fields of these names are replaced.
    pub(crate) fn add_credentials(&mut self, name: &str, fields: Map<String, Value>) {
        let all = self.credentials.0.entry(name).or_insert_with(|| json!({}));
        if let Some(all) = all.as_object_mut() {
            all.extend(fields);
        }
    }

    /// What is wrong with an entry and its credentials, as the functions that call carriers read
    /// it.
    pub(crate) fn problems(
        &self,
        entry: &Map<String, Value>,
    ) -> Result<Vec<FieldError>, OperatorError> {
        let mut credentials = self.of_secret.clone();
        credentials.extend(self.credentials.0.clone());
        let list = json!([entry]).to_string();
        let (_, errors) = read_carriers(&list, &credentials, &self.region);
        match errors.into_iter().next() {
            None => Ok(vec![]),
            Some(CarrierConfigError::InvalidFields { fields, .. }) => Ok(fields),
            // Its position in this list of one says nothing.
            Some(error) => {
                let sentence = error.to_string();
                let problem = sentence
                    .split_once(": ")
                    .map(|(_, problem)| problem.to_owned());
                Err(OperatorError::Refused(problem.unwrap_or(sentence)))
            }
        }
    }

    /// One row for each carrier, in order.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let from = match self.is_stored {
            true => "document",
            false => "OTP_CARRIERS",
        };
        let row = |entry: &Map<String, Value>| {
            let name = name_of(entry);
            let credentials = match &name {
                name if self.in_variable.contains(name) => "OTP_CARRIERS",
                name if self.credentials.0.contains_key(name) => "table",
                name if self.of_secret.contains_key(name) => "secret",
                _ => "-",
            };
            let list = json!([entry]).to_string();
            let (read, _) = check_carriers(&list, &self.region);
            let channels = read.iter().flat_map(|carrier| &carrier.channels);
            let channels: Vec<&str> = channels.map(|channel| channel.name()).collect();
            json!({
                "name": name, "kind": entry.get("kind"), "channels": channels,
                "countries": entry.get("countries"), "price": entry.get("price"),
                "credentials": credentials, "from": from,
            })
        };
        self.entries.iter().map(row).collect()
    }

    /// The list for the document.
    pub(crate) fn to_json(&self) -> Value {
        Value::from_iter(self.entries.clone())
    }
}

impl Configuration<'_> {
    /// The credentials without those of carriers that are not in the list of `document`.
    pub(crate) fn credentials_of(&self, document: &Document) -> CarrierCredentials {
        let listed = document.carriers.as_ref().and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_object);
        let names: Vec<String> = listed.map(name_of).collect();
        let mut left = self.credentials.clone();
        left.0.retain(|name, _| names.contains(name));
        left
    }

    /// Removes the credentials of carriers that are not in the list of `document`; also those that
    /// cannot be read, if it has no list.
    pub(crate) async fn remove_credentials_beside(
        &mut self,
        document: &Document,
    ) -> Result<(), OperatorError> {
        let left = self.credentials_of(document);
        match self.credentials_problem.is_some() && document.carriers.is_none() {
            true => self.replace_credentials(left).await,
            false => self.write_credentials(left).await,
        }
    }
}

/// The name of an entry: that of its kind, unless it has one.
pub(crate) fn name_of(entry: &Map<String, Value>) -> String {
    let name = entry.get("name").or_else(|| entry.get("kind"));
    name.and_then(Value::as_str).unwrap_or_default().to_owned()
}
