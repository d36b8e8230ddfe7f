//! A deployment: the functions' own code with the settings of a target.
//!
//! Invariant: nothing is written while it is opened.

use std::collections::HashMap;

use aws_config::{BehaviorVersion, Region};
use otp::config::{FactorsConfig, SendConfig};
use otp::domain::time::Timestamp;
use otp::platform::clock::Clock;
use otp::platform::environment::variable;
use otp::platform::metrics::Metrics;
use otp::service::factors::Subjects;
use otp::service::sending::Sending;

use super::Target;
use super::aws_session::AwsSession;
use super::dead_letter_queue::DeadLetterQueue;
use super::error::OperatorError;
use super::local_server::LocalServer;
use super::stack::{self, Stack};
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

/// The functions' own code with the settings of a target.
pub(crate) struct Deployment {
    /// One line: where, and with which credentials.
    pub(crate) description: String,
    variables: HashMap<String, String>,
    /// Of a stack, by name; without a stack, the variables of this process count.
    parameters: Option<HashMap<String, String>>,
    template: Template,
    queue: Option<DeadLetterQueue>,
    clock: Clock,
}

impl Deployment {
    /// Reads what `target` names.
    pub(crate) async fn open(target: Target) -> Result<Self, OperatorError> {
        match target {
            Target::Stack(name) => Self::of_stack(&name).await,
            Target::Table { table, secret } => {
                let session = AwsSession::open().await?;
                let secrets = stack::secrets(&session, &secret).await?;
                Self::on_aws(&session, &format!("table {table}"), table.clone(), secrets)
            }
            Target::Local { url, data } => {
                let server = LocalServer::ask(&url).await?;
                let secrets = secrets::stored(&data, variable("OTP_SECRETS"))?;
                Self::of_local_server(&url, server, secrets)
            }
        }
    }

    async fn of_stack(name: &str) -> Result<Self, OperatorError> {
        let session = AwsSession::open().await?;
        let stack = Stack::read(&session, name).await?;
        let secrets = stack::secrets(&session, &stack.output("SecretsArn")?).await?;
        let table = stack.output("TableName")?;
        let mut deployment = Self::on_aws(&session, &format!("stack {name}"), table, secrets)?;
        deployment.queue = Some(DeadLetterQueue {
            client: aws_sdk_sqs::Client::new(&session.config),
            url: stack.output("DeadLetterQueueUrl")?,
            source_url: stack.output("DispatchQueueUrl")?,
        });
        deployment.parameters = Some(stack.parameters);
        Ok(deployment)
    }

    fn on_aws(
        session: &AwsSession,
        what: &str,
        table: String,
        secrets: String,
    ) -> Result<Self, OperatorError> {
        let (region, key) = (&session.region, &session.access_key_id);
        let profile = variable("AWS_PROFILE").map(|name| format!(", profile {name}"));
        let profile = profile.unwrap_or_default();
        let endpoints = ENDPOINTS.map(|name| (name.to_owned(), variable(name).unwrap_or_default()));
        let variables = session.variables().into_iter().chain(endpoints);
        Self::new(
            format!("{what} in {region}, with access key {key}{profile}"),
            table,
            secrets,
            variables.collect(),
        )
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
        let config = local_sqs(&server.sqs_url);
        let description = format!("local server at {url}");
        let mut deployment = Self::new(description, server.table, secrets, variables)?;
        deployment.queue = Some(DeadLetterQueue {
            client: aws_sdk_sqs::Client::new(&config),
            url: proxy_urls::dead_letters_url(&server.sqs_url),
            source_url: proxy_urls::queue_url(&server.sqs_url),
        });
        deployment.clock.advance_to_millis(server.now_millis);
        Ok(deployment)
    }

    fn new(
        description: String,
        table: String,
        secrets: String,
        mut variables: HashMap<String, String>,
    ) -> Result<Self, OperatorError> {
        variables.insert("OTP_TABLE".into(), table);
        variables.insert("OTP_SECRETS".into(), secrets);
        variables.insert("OTP_QUEUE_URL".into(), NO_QUEUE.into());
        Ok(Self {
            description,
            variables,
            parameters: None,
            template: Template::read()?,
            queue: None,
            clock: Clock::default(),
        })
    }

    /// The variables of the functions: those of the target, then the parameters of the stack, then
    /// the defaults.
    fn variable(&self, name: &str) -> Option<String> {
        let own = self.variables.get(name).cloned();
        own.or_else(|| match &self.parameters {
            Some(parameters) => parameters.get(self.template.parameter(name)?).cloned(),
            None => variable(name).filter(|value| !value.is_empty()),
        })
        .or_else(|| self.template.default_value(name))
    }

    /// What the use cases of recipients need.
    pub(crate) fn sending(&self) -> Result<Sending, OperatorError> {
        let config = SendConfig::read(&|name| self.variable(name));
        let config = config.map_err(|error| OperatorError::Settings(error.0))?;
        Ok(Sending::new(
            config,
            self.clock.clone(),
            Metrics::to_sink(|_| ()),
        ))
    }

    /// What the use cases of subjects need.
    pub(crate) fn subjects(&self) -> Result<Subjects, OperatorError> {
        let config = FactorsConfig::read(&|name| self.variable(name));
        let config = config.map_err(|error| OperatorError::Settings(error.0))?;
        Ok(Subjects::new(config, Metrics::to_sink(|_| ())))
    }

    /// The queue of dead letters.
    pub(crate) fn dead_letters(&self) -> Result<&DeadLetterQueue, OperatorError> {
        self.queue.as_ref().ok_or(OperatorError::NoQueue)
    }

    /// The time of the deployment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// SQS of a local server.
fn local_sqs(url: &str) -> aws_config::SdkConfig {
    let local = |name: &str| {
        let variable = local_aws::VARIABLES
            .iter()
            .find(|(other, _)| *other == name);
        variable.map_or_else(String::new, |(_, value)| (*value).to_owned())
    };
    let credentials = aws_sdk_sqs::config::Credentials::new(
        local("AWS_ACCESS_KEY_ID"),
        local("AWS_SECRET_ACCESS_KEY"),
        None,
        None,
        "local server",
    );
    let provider = aws_sdk_sqs::config::SharedCredentialsProvider::new(credentials);
    aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(local("AWS_REGION")))
        .credentials_provider(provider)
        .endpoint_url(url)
        .http_client(otp::platform::aws::http_client())
        .build()
}
