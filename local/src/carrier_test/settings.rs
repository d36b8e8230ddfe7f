//! The settings of the worker, from the variables of this process. What only the table and the
//! queue need is filled in.

use std::net::SocketAddr;

use otp::carrier::ConfiguredCarrier;
use otp::config::WorkerConfig;
use serde_json::Value;

use super::error::CarrierTestError;
use super::mask::Secrets;
use crate::secrets;

/// Settings of a run.
pub(super) struct Settings {
    pub(super) config: WorkerConfig,
    pub(super) secrets: Secrets,
    /// Whether this process has a region and credentials of AWS.
    has_aws: bool,
}

/// What the kinds of AWS need.
const AWS: [&str; 3] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

impl Settings {
    /// Reads `variables`. Without `OTP_PUBLIC_URL` reports are expected at `address`.
    pub(super) fn read(
        variables: &dyn Fn(&str) -> Option<String>,
        address: SocketAddr,
    ) -> Result<Self, CarrierTestError> {
        let given = |name: &str| variables(name).filter(|value| !value.is_empty());
        let secrets = secrets::completed(given("OTP_SECRETS").as_deref().unwrap_or("{}"));
        let value_of = |name: &str| match name {
            "OTP_SECRETS" => Some(secrets.clone()),
            "OTP_TABLE" => Some("unused".to_owned()),
            "OTP_QUEUE_URL" => Some("http://127.0.0.1".to_owned()),
            "OTP_PUBLIC_URL" => given(name).or_else(|| Some(format!("http://{address}"))),
            name if AWS.contains(&name) => given(name).or_else(|| Some("none".to_owned())),
            name => given(name),
        };
        let config = WorkerConfig::read(&value_of);
        let config = config.map_err(|error| CarrierTestError::Settings(error.0))?;
        let documents = [given("OTP_CARRIERS"), Some(secrets.clone())];
        let documents = documents.into_iter().flatten();
        let documents = documents.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
        Ok(Self {
            config,
            secrets: Secrets::of(documents),
            has_aws: AWS.iter().all(|name| given(name).is_some()),
        })
    }

    /// The carrier called `name`.
    pub(super) fn carrier(&self, name: &str) -> Result<&ConfiguredCarrier, CarrierTestError> {
        let carriers = &self.config.carriers;
        let names = || {
            carriers
                .iter()
                .map(|carrier| carrier.name.clone())
                .collect()
        };
        let mut found = carriers.iter().filter(|carrier| carrier.name == name);
        let found = found.next();
        let carrier = found.ok_or_else(|| CarrierTestError::UnknownCarrier(names()))?;
        let is_of_aws = carrier.is_sns() || carrier.reports_through_sns();
        if is_of_aws && !self.has_aws {
            return Err(CarrierTestError::NoAws);
        }
        Ok(carrier)
    }

    /// Path and URL of the reports about the message `reference`.
    pub(super) fn callback(
        &self,
        carrier: &ConfiguredCarrier,
        reference: &str,
    ) -> (String, String) {
        let own = || self.config.keyring.callback_token(&carrier.name, reference);
        let token = carrier.callback_token.clone().unwrap_or_else(own);
        let path = format!("/v1/callbacks/{}/{token}", carrier.name);
        let url = format!("{}{path}", self.config.public_url);
        (path, url)
    }
}
