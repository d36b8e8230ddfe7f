//! Region and credentials of the operator, by the standard chain of AWS (environment, profile, SSO,
//! instance), for the clients of the SDK and for the functions' own code.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sqs::config::ProvideCredentials as _;
use otp::platform::aws::http_client;

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
        let provider = provider.ok_or_else(|| OperatorError::NoCredentials("none".into()))?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|e| OperatorError::NoCredentials(e.into()))?;
        Ok(Self {
            region,
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().map(str::to_owned),
            config,
        })
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
}
