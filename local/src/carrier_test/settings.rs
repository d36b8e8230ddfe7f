//! The settings of the worker, from the variables of this process or from a deployment. In the
//! first case, what only the table and the queue need is filled in.

use std::net::SocketAddr;

use otp::carrier::ConfiguredCarrier;
use otp::config::{Reader, Variables, WorkerConfig};
use otp::platform::clock::Clock;
use otp::platform::environment::variable;
use otp::platform::spelling::did_you_mean;
use serde_json::Value;

use super::error::CarrierTestError;
use super::mask::Secrets;
use crate::operator::{Configuration, Deployment};
use crate::secrets;

/// Settings of a run.
pub(super) struct Settings {
    pub(super) config: WorkerConfig,
    pub(super) secrets: Secrets,
    pub(super) clock: Clock,
    /// Whether the public URL leads to this process.
    pub(super) is_reached: bool,
    /// Whether this process has a region and credentials of AWS.
    has_aws: bool,
}

/// What the kinds of AWS need.
const AWS: [&str; 3] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Where the settings of a run are.
pub(crate) enum Source<'a> {
    /// In variables.
    Variables(Variables<'a>),
    /// In a deployment.
    Deployment(&'a Deployment, &'a Configuration<'a>),
}

impl Settings {
    /// Reads the settings. Reports are expected at `address`, unless `OTP_PUBLIC_URL` is set.
    pub(super) fn read(source: Source<'_>, address: SocketAddr) -> Result<Self, CarrierTestError> {
        match source {
            Source::Variables(variables) => Self::of_variables(variables, address),
            Source::Deployment(deployment, configuration) => {
                Self::of_deployment(deployment, configuration, address)
            }
        }
    }

    fn of_variables(
        variables: Variables<'_>,
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
        let config = WorkerConfig::read(Reader::of(&value_of));
        let config = config.map_err(|error| CarrierTestError::Settings(error.0))?;
        let documents = [given("OTP_CARRIERS"), Some(secrets.clone())];
        let documents = documents.into_iter().flatten();
        let documents = documents.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
        Ok(Self {
            config,
            secrets: Secrets::of(documents),
            has_aws: AWS.iter().all(|name| given(name).is_some()),
            clock: Clock::default(),
            is_reached: true,
        })
    }

    /// A local server calls this process. A carrier of a stack does so through `OTP_PUBLIC_URL` of
    /// this process only.
    fn of_deployment(
        deployment: &Deployment,
        configuration: &Configuration<'_>,
        address: SocketAddr,
    ) -> Result<Self, CarrierTestError> {
        let tunnel = variable("OTP_PUBLIC_URL").filter(|url| !url.is_empty());
        let here = format!("http://{address}");
        let public_url = match deployment.variable("OTP_PUBLIC_URL") {
            _ if deployment.is_local() => Some(here),
            Some(_) => tunnel,
            None => Some(here),
        };
        let config = configuration.worker_config(public_url.as_deref())?;
        let texts = ["OTP_CARRIERS", "OTP_SECRETS"].map(|name| deployment.variable(name));
        let documents = texts.into_iter().flatten();
        let documents = documents.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
        let stored = Value::Object(configuration.credentials.0.clone());
        Ok(Self {
            config,
            secrets: Secrets::of(documents.chain([stored])),
            has_aws: !deployment.is_local(),
            clock: deployment.clock(),
            is_reached: public_url.is_some(),
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
        let carrier = found.ok_or_else(|| {
            let names: Vec<String> = names();
            let question = did_you_mean(name, names.iter().map(String::as_str));
            CarrierTestError::UnknownCarrier { names, question }
        })?;
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
