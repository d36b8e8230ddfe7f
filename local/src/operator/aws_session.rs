//! Region and credentials of the operator, by the standard chain of AWS (environment, profile, SSO,
//! instance), for the clients of the SDK and for the functions' own code.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, ProvideCredentials as _, SharedCredentialsProvider};
use otp::platform::aws_connector::http_client;
use otp::platform::environment::variable;
use otp::platform::logging::causes;

use super::error::OperatorError;

/// A resolved region and resolved credentials.
pub(super) struct AwsSession {
    pub(super) config: SdkConfig,
    pub(super) region: String,
    pub(super) access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl AwsSession {
    /// Asks the standard chain.
    pub(super) async fn open() -> Result<Self, OperatorError> {
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
        let config = loader.load().await;
        let region = config.region().ok_or(OperatorError::NoRegion)?.to_string();
        let provider = config.credentials_provider();
        let profile = || variable("AWS_PROFILE").filter(|name| !name.is_empty());
        let none = |causes| OperatorError::NoCredentials(profile(), causes);
        let provider = provider.ok_or_else(|| none(String::new()))?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| none(causes(&error)))?;
        Ok(Self {
            region,
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().map(str::to_owned),
            config,
        })
    }

    /// `what`, where, and with which credentials.
    pub(super) fn description(&self, what: &str) -> String {
        let (region, key) = (&self.region, &self.access_key_id);
        let profile = variable("AWS_PROFILE").filter(|name| !name.is_empty());
        let profile = profile.map(|name| format!(", profile {name}"));
        let profile = profile.unwrap_or_default();
        format!("{what} in {region}, with access key {key}{profile}")
    }

    /// The variables of Lambda that the functions' code reads them from.
    pub(super) fn variables(&self) -> [(String, String); 4] {
        [
            ("AWS_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_access_key.clone()),
            (
                "AWS_SESSION_TOKEN",
                self.session_token.clone().unwrap_or_default(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// The ARN of the operator.
    pub(super) async fn arn(&self) -> Result<String, OperatorError> {
        let client = aws_sdk_sts::Client::new(&self.config);
        let identity = client.get_caller_identity().send().await;
        let identity = identity.map_err(|e| OperatorError::aws("GetCallerIdentity", e))?;
        Ok(identity.arn().unwrap_or(&self.access_key_id).to_owned())
    }

    /// How many subscribers of a topic have confirmed, of the first hundred.
    pub(super) async fn confirmed_subscribers(&self, topic: &str) -> Result<usize, OperatorError> {
        let client = aws_sdk_sns::Client::new(&self.config);
        let listed = client.list_subscriptions_by_topic().topic_arn(topic).send();
        let listed = listed.await;
        let listed = listed.map_err(|e| OperatorError::aws("ListSubscriptionsByTopic", e))?;
        let arns = listed.subscriptions().iter();
        let arns = arns.filter_map(|subscription| subscription.subscription_arn());
        // In place of an ARN, the others say that they are pending or deleted.
        Ok(arns.filter(|arn| arn.starts_with("arn:")).count())
    }
}

/// For a client of the service at `url`.
pub(super) fn fixed_config(
    region: &str,
    access_key_id: &str,
    secret_access_key: &str,
    url: &str,
) -> SdkConfig {
    let credentials =
        Credentials::new(access_key_id, secret_access_key, None, None, "local server");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .http_client(http_client())
        .build()
}
