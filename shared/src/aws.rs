//! The AWS clients' shared configuration, from the Lambda environment and nothing else: no profiles, no SSO, no instance
//! metadata, one TLS stack. Another endpoint replaces AWS at home and in tests.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

/// To open a connection.
const CONNECT_SECONDS: u64 = 1;
/// For one attempt: DynamoDB answers in milliseconds or not at all.
const ATTEMPT_SECONDS: u64 = 1;
/// For all attempts of a call: the caller is still there.
const CALL_SECONDS: u64 = 3;

/// What the Lambda environment says.
#[derive(Clone, Default)]
pub struct AwsSettings {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SQS`, `AWS_ENDPOINT_URL_SNS`, or `AWS_ENDPOINT_URL` for all.
    pub endpoint_urls: [Option<String>; 3],
}

/// The services that the functions call.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// The table.
    DynamoDb,
    /// The queue.
    Sqs,
    /// Carrier kind `sns`.
    Sns,
}

/// One configuration, one connection pool, for all clients of a function.
#[derive(Clone)]
pub struct Aws {
    config: SdkConfig,
    endpoint_urls: [Option<String>; 3],
}

impl Aws {
    /// From the environment's settings.
    #[must_use]
    pub fn new(settings: AwsSettings) -> Self {
        let credentials = Credentials::new(settings.access_key_id, settings.secret_access_key, settings.session_token, None, "lambda environment");
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
            .operation_attempt_timeout(Duration::from_secs(ATTEMPT_SECONDS))
            .operation_timeout(Duration::from_secs(CALL_SECONDS));
        let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::standard())
            .http_client(http)
            .build();
        Self { config, endpoint_urls: settings.endpoint_urls }
    }

    /// The configuration for the client of one service.
    #[must_use]
    pub fn config(&self, service: Service) -> SdkConfig {
        let mut builder = self.config.to_builder();
        builder.set_endpoint_url(self.endpoint_urls[service as usize].clone());
        builder.build()
    }
}
