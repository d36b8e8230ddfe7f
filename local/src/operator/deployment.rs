//! A deployment: the functions' own code with the settings of a target.
//!
//! Invariant: nothing is written while it is opened.

use std::collections::HashMap;

use aws_config::SdkConfig;
use otp::domain::time::Timestamp;
use otp::platform::clock::Clock;
use otp::platform::environment::variable;
use serde_json::Value;

use super::Target;
use super::aws_session::AwsSession;
use super::dead_letter_queue::DeadLetterQueue;
use super::error::OperatorError;
use super::local_server::LocalServer;
use super::stack::{self, Stack};
use super::user_name::user_name;
use crate::mistyped_variables::mistyped_variables;
use crate::template::Template;
use crate::{local_aws, proxy_urls, secrets};

/// A queue that commands about recipients name and never use.
const NO_QUEUE: &str = "http://127.0.0.1/no-queue";
/// Variables of this process that name endpoints other than those of AWS.
const ENDPOINTS: [&str; 3] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SQS",
];
/// Variable of the public URL.
pub(super) const PUBLIC_URL: &str = "OTP_PUBLIC_URL";

/// The functions' own code with the settings of a target.
pub(crate) struct Deployment {
    variables: HashMap<String, String>,
    /// Of a stack, by name; without a stack, the variables of this process count.
    parameters: Option<HashMap<String, String>>,
    pub(crate) template: Template,
    queue: Option<DeadLetterQueue>,
    clock: Clock,
    /// `None`: a local server.
    session: Option<AwsSession>,
    /// Name or ARN of the secret.
    secret_id: Option<String>,
    /// ARN of the topic for alarms.
    alarm_topic: Option<String>,
}

impl Deployment {
    /// Reads what `target` names. `announce` gets one line before: where, and with which
    /// credentials, so that an error is read with it.
    pub(crate) async fn open(
        target: Target,
        announce: impl FnOnce(&str),
    ) -> Result<Self, OperatorError> {
        match target {
            Target::Stack(name) => {
                let session = AwsSession::open().await?;
                announce(&session.description(&format!("stack {name}")));
                Self::of_stack(session, &name).await
            }
            Target::Table { table, secret } => {
                let session = AwsSession::open().await?;
                announce(&session.description(&format!("table {table}")));
                let secrets = stack::secrets(&session, &secret).await?;
                let mut deployment = Self::on_aws(session, table, secrets)?;
                deployment.secret_id = Some(secret);
                Ok(deployment)
            }
            Target::Local { url, data } => {
                let server = LocalServer::ask(&url).await?;
                let secrets = secrets::stored(&data, variable("OTP_SECRETS"))?;
                if secrets::fingerprint(&secrets) != server.keys {
                    return Err(OperatorError::OtherKeys { url, data });
                }
                let secrets = secrets::with_api_keys(secrets, &server.api_keys);
                announce(&format!("local server at {url}"));
                Self::of_local_server(&url, server, secrets)
            }
        }
    }

    async fn of_stack(session: AwsSession, name: &str) -> Result<Self, OperatorError> {
        let stack = Stack::read(&session, name).await?;
        let secret_id = stack.output("SecretsArn")?;
        let secrets = stack::secrets(&session, &secret_id).await?;
        let table = stack.output("TableName")?;
        let queue = DeadLetterQueue {
            client: aws_sdk_sqs::Client::new(&session.config),
            url: stack.output("DeadLetterQueueUrl")?,
            source_url: stack.output("DispatchQueueUrl")?,
        };
        let mut deployment = Self::on_aws(session, table, secrets)?;
        let queue_url = queue.source_url.clone();
        deployment.queue = Some(queue);
        deployment.set("OTP_QUEUE_URL", queue_url);
        let own_url = stack.parameters.get("OtpPublicUrl").cloned();
        let own_url = own_url.filter(|url| !url.is_empty());
        let public_url = own_url.or_else(|| stack.output("ApiUrl").ok());
        if let Some(url) = public_url {
            deployment.set(PUBLIC_URL, url);
        }
        deployment.secret_id = Some(secret_id);
        deployment.alarm_topic = stack.output("AlarmTopicArn").ok();
        deployment.parameters = Some(stack.parameters);
        Ok(deployment)
    }

    fn on_aws(session: AwsSession, table: String, secrets: String) -> Result<Self, OperatorError> {
        let endpoints = ENDPOINTS.map(|name| (name.to_owned(), variable(name).unwrap_or_default()));
        let variables = session.variables().into_iter().chain(endpoints);
        let mut deployment = Self::new(table, secrets, variables.collect())?;
        deployment.session = Some(session);
        Ok(deployment)
    }

    fn of_local_server(
        url: &str,
        server: LocalServer,
        secrets: String,
    ) -> Result<Self, OperatorError> {
        let variables =
            local_aws::VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut variables = HashMap::from(variables);
        variables.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), server.dynamodb_url);
        variables.insert("AWS_ENDPOINT_URL_SQS".into(), server.sqs_url.clone());
        if let Some(carriers) = server.simulated_carriers {
            variables.insert("OTP_CARRIERS".into(), carriers);
        }
        let config = local_sqs(&server.sqs_url);
        let mut deployment = Self::new(server.table, secrets, variables)?;
        if variable(PUBLIC_URL).is_none_or(|url| url.is_empty()) {
            deployment.set(PUBLIC_URL, url.to_owned());
        }
        deployment.queue = Some(DeadLetterQueue {
            client: aws_sdk_sqs::Client::new(&config),
            url: proxy_urls::dead_letters_url(&server.sqs_url),
            source_url: proxy_urls::queue_url(&server.sqs_url),
        });
        deployment.clock.advance_to_millis(server.now_millis);
        Ok(deployment)
    }

    fn new(
        table: String,
        secrets: String,
        variables: HashMap<String, String>,
    ) -> Result<Self, OperatorError> {
        let mut deployment = Self {
            variables,
            parameters: None,
            template: Template::read()?,
            queue: None,
            clock: Clock::default(),
            session: None,
            secret_id: None,
            alarm_topic: None,
        };
        deployment.set("OTP_TABLE", table);
        deployment.set("OTP_SECRETS", secrets);
        deployment.set("OTP_QUEUE_URL", NO_QUEUE.into());
        Ok(deployment)
    }

    fn set(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value);
    }

    /// The variables of the functions: those of the target, then the parameters of the stack, then
    /// the defaults.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.set_variable(name)
            .or_else(|| self.template.default_value(name))
    }

    /// As [`Self::variable`], without the defaults.
    pub(crate) fn set_variable(&self, name: &str) -> Option<String> {
        let own = self.variables.get(name).cloned();
        own.or_else(|| match &self.parameters {
            Some(parameters) => {
                let value = parameters.get(self.template.parameter(name)?);
                value.filter(|value| !is_hidden(value)).cloned()
            }
            None => variable(name).filter(|value| !value.is_empty()),
        })
    }

    /// Variables of this process that would count, if their names were not mistyped.
    pub(crate) fn mistyped_variables(&self) -> Vec<String> {
        match &self.parameters {
            Some(_) => vec![],
            None => mistyped_variables(&self.template),
        }
    }

    /// The queue of dead letters.
    pub(crate) fn dead_letters(&self) -> Result<&DeadLetterQueue, OperatorError> {
        self.queue.as_ref().ok_or(OperatorError::NoQueue)
    }

    /// Whether this is a local server.
    pub(crate) fn is_local(&self) -> bool {
        self.session.is_none()
    }

    /// The clock of the deployment.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The time of the deployment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Who is noted as the author of a change: an ARN, or the name of a user of this machine.
    pub(crate) async fn author(&self) -> Result<String, OperatorError> {
        match &self.session {
            Some(session) => session.arn().await,
            None => Ok(user_name()),
        }
    }

    /// A client for the secret, and its name or ARN; `None`: a local server has none.
    pub(super) fn secret_client(&self) -> Option<(aws_sdk_secretsmanager::Client, String)> {
        let client = aws_sdk_secretsmanager::Client::new(&self.session.as_ref()?.config);
        Some((client, self.secret_id.clone()?))
    }

    /// How many subscribers of alarms have confirmed; `None`: the target names no topic.
    pub(super) async fn alarm_subscribers(&self) -> Result<Option<usize>, OperatorError> {
        match (&self.session, &self.alarm_topic, &self.parameters) {
            (Some(session), Some(topic), _) => session.confirmed_subscribers(topic).await.map(Some),
            (_, None, Some(_)) => Err(OperatorError::NoOutput("AlarmTopicArn")),
            _ => Ok(None),
        }
    }

    /// Where the table is.
    pub(super) fn dynamodb_url(&self) -> String {
        let names = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"];
        let mut urls = names.into_iter().filter_map(|name| self.variable(name));
        let own = urls.find(|url| !url.is_empty());
        own.unwrap_or_else(|| {
            let region = self.variable("AWS_REGION").unwrap_or_default();
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://dynamodb.{region}.amazonaws.com{suffix}")
        })
    }

    /// A member of `OTP_SECRETS`.
    pub(crate) fn secret(&self, member: &str) -> Value {
        let secrets = self.variable("OTP_SECRETS").unwrap_or_default();
        let mut secrets: Value = serde_json::from_str(&secrets).unwrap_or_default();
        secrets[member].take()
    }

    /// Id of the key that seals new values.
    pub(crate) fn current_seal_key(&self) -> Result<String, OperatorError> {
        let current = self.secret("seal")["current"].as_str().map(str::to_owned);
        current.ok_or(OperatorError::Secret)
    }
}

/// Whether CloudFormation shows asterisks in place of the value of a parameter.
fn is_hidden(value: &str) -> bool {
    value.len() > 1 && value.bytes().all(|byte| byte == b'*')
}

/// SQS of a local server.
fn local_sqs(url: &str) -> SdkConfig {
    let local = |name: &str| {
        let variable = local_aws::VARIABLES
            .iter()
            .find(|(other, _)| *other == name);
        variable.map_or_else(String::new, |(_, value)| (*value).to_owned())
    };
    super::aws_session::fixed_config(
        &local("AWS_REGION"),
        &local("AWS_ACCESS_KEY_ID"),
        &local("AWS_SECRET_ACCESS_KEY"),
        url,
    )
}
