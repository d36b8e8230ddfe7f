//! The variables that the functions read: those that the local server sets, then those of this
//! process, then those of the preset, then the defaults of the template.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::listen::local_url;
use crate::local_aws;
use crate::preset::Preset;
use crate::secrets::Secrets;
use crate::simulated_carriers::ReservedCarriers;
use crate::template::Template;

/// A lookup of variables by name.
pub type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The variables of this process. An empty value means unset.
pub(crate) struct ProcessVariables(Variables);

impl ProcessVariables {
    pub(crate) fn new(variables: Variables) -> Self {
        Self(variables)
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

/// The endpoints that the functions use.
pub(crate) struct Endpoints {
    pub(crate) dynamodb_url: String,
    pub(crate) sqs_url: String,
    pub(crate) sns_url: String,
    pub(crate) queue_url: String,
}

/// The variables of the functions.
pub(crate) struct FunctionVariables {
    set_here: HashMap<&'static str, String>,
    /// Whether `OTP_CARRIERS` is set here.
    has_simulated_carriers: bool,
    process: Arc<ProcessVariables>,
    preset: Option<Preset>,
    template: Arc<Template>,
}

impl FunctionVariables {
    /// Simulated carriers and the server's own URL are set unless this process has other ones.
    pub(crate) fn new(
        process: &Arc<ProcessVariables>,
        template: &Arc<Template>,
        address: SocketAddr,
        table: &str,
        endpoints: Endpoints,
        secrets: &Secrets,
        carriers: &ReservedCarriers,
    ) -> Self {
        let mut set_here: HashMap<_, _> = local_aws::VARIABLES
            .map(|(name, value)| (name, value.to_owned()))
            .into();
        set_here.extend([
            ("AWS_ENDPOINT_URL_DYNAMODB", endpoints.dynamodb_url),
            ("AWS_ENDPOINT_URL_SQS", endpoints.sqs_url),
            ("AWS_ENDPOINT_URL_SNS", endpoints.sns_url),
            ("OTP_QUEUE_URL", endpoints.queue_url),
            ("OTP_TABLE", table.to_owned()),
            ("OTP_SECRETS", secrets.document.clone()),
        ]);
        if process.get("OTP_PUBLIC_URL").is_none() {
            set_here.insert("OTP_PUBLIC_URL", local_url(address));
        }
        let dispatches_to_sns = process
            .get("OTP_DISPATCH")
            .is_some_and(|mode| mode == "sns");
        let has_simulated_carriers = process.get("OTP_CARRIERS").is_none() && !dispatches_to_sns;
        if has_simulated_carriers {
            set_here.insert("OTP_CARRIERS", carriers.settings().to_string());
        }
        Self {
            set_here,
            has_simulated_carriers,
            process: process.clone(),
            preset: None,
            template: template.clone(),
        }
    }

    /// With the variables of a preset between those of the process and the defaults.
    pub(crate) fn with_preset(self, preset: Option<Preset>) -> Self {
        Self { preset, ..self }
    }

    /// `OTP_CARRIERS` with the simulated carriers, if they are used.
    pub(crate) fn simulated_carriers(&self) -> Option<String> {
        self.has_simulated_carriers
            .then(|| self.get("OTP_CARRIERS"))
            .flatten()
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.set_here
            .get(name)
            .cloned()
            .or_else(|| self.process.get(name))
            .or_else(|| self.preset?.value(name))
            .or_else(|| self.template.default_value(name))
    }
}
