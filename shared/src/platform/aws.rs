//! AWS: the configuration that all AWS clients share, and the signature of their requests and of
//! those that no SDK client sends. The only file that names the SDK's runtime.
//!
//! Invariant: credentials and region come from the Lambda environment alone: no profiles, no SSO,
//! no instance metadata.
//! Invariant: another endpoint URL is the only difference between AWS, the local server and tests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{
    AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use http_body_util::BodyExt as _;

use crate::domain::time::Timestamp;
use crate::platform::aws_signature::{AwsCredentials, SignError, Signer, Unsigned};
use crate::platform::clock::Clock;
use crate::platform::clock_check::{ClockCheck, ClockSkewError};
use crate::platform::https;

/// Limit for opening a connection.
const CONNECT_SECONDS: u64 = 1;
/// Limit for one attempt. DynamoDB normally responds within milliseconds, so a longer wait is
/// better spent on a retry.
const ATTEMPT_SECONDS: u64 = 1;
/// Limit for all attempts of one call: the HTTP client of our API is still waiting then.
const CALL_SECONDS: u64 = 3;

/// The AWS settings of the Lambda environment.
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
    /// `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SQS`, `AWS_ENDPOINT_URL_SNS`, or
    /// `AWS_ENDPOINT_URL` for all: in the order of [`Service`]. `None` is AWS itself.
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

impl Service {
    /// Its name in signatures.
    fn signing_name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
        }
    }
}

/// The configuration for the client of one service.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// What is the same in the SDKs of all services.
    pub sdk: SdkConfig,
    /// Replaces the signer of the SDK.
    pub signing: Option<Signing>,
}

impl From<SdkConfig> for ClientConfig {
    /// With the signer of the SDK, which also takes credentials that change.
    fn from(sdk: SdkConfig) -> Self {
        Self { sdk, signing: None }
    }
}

/// One configuration, one connection pool, for all clients of a function.
#[derive(Clone)]
pub struct Aws {
    config: SdkConfig,
    credentials: AwsCredentials,
    https: https::Client<SdkBody>,
    /// Sends to DynamoDB, and compares clocks.
    checked: SharedHttpConnector,
    endpoint_urls: [Option<String>; 3],
}

impl Aws {
    /// One configuration from `settings`.
    #[must_use]
    pub fn new(settings: AwsSettings) -> Self {
        let own = AwsCredentials {
            access_key_id: settings.access_key_id,
            secret_access_key: settings.secret_access_key,
            session_token: settings.session_token,
        };
        let credentials = Credentials::new(
            own.access_key_id.clone(),
            own.secret_access_key.clone(),
            own.session_token.clone(),
            None,
            "lambda environment",
        );
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(Duration::from_secs(ATTEMPT_SECONDS))
            .operation_timeout(Duration::from_secs(CALL_SECONDS));
        let https = https::client(Duration::from_secs(CONNECT_SECONDS));
        let connector = |clock_check| {
            let https = https.clone();
            SharedHttpConnector::new(Connector { https, clock_check })
        };
        let (unchecked, checked) = (connector(None), connector(Some(Arc::default())));
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::standard())
            .http_client(http_client_fn(move |_, _| unchecked.clone()))
            // The credentials never change during the life of the process, so there is nothing to
            // cache. A response is one small document, and the limit for an attempt also limits its
            // download.
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            config,
            credentials: own,
            https,
            checked,
            endpoint_urls: settings.endpoint_urls,
        }
    }

    /// The configuration for the client of one service.
    #[must_use]
    pub fn config(&self, service: Service) -> ClientConfig {
        let mut builder = self.config.to_builder();
        builder.set_endpoint_url(self.endpoint_urls[service as usize].clone());
        if let Service::DynamoDb = service {
            let checked = self.checked.clone();
            builder.set_http_client(Some(http_client_fn(move |_, _| checked.clone())));
        }
        ClientConfig {
            sdk: builder.build(),
            signing: Some(Signing(Arc::new(self.signer(service.signing_name())))),
        }
    }

    fn signer(&self, service: &'static str) -> Signer {
        let region = self.config.region().map(ToString::to_string);
        Signer::new(
            self.credentials.clone(),
            region.unwrap_or_default(),
            service,
        )
    }

    /// The endpoint URL that replaces AWS for `service`, if there is one.
    #[must_use]
    pub fn endpoint_url(&self, service: Service) -> Option<&str> {
        self.endpoint_urls[service as usize].as_deref()
    }

    /// Where `service` is called: at the endpoint URL that replaces AWS, or else at the host of
    /// `url`.
    #[must_use]
    pub fn host(&self, service: Service, url: &str) -> Host {
        Host {
            https: self.https.clone(),
            url: self.endpoint_url(service).unwrap_or(url).parse().ok(),
        }
    }

    /// Signs `request` for `service` in our region (Signature Version 4), the session token
    /// included. Its URL, headers and body must not change afterwards.
    ///
    /// # Errors
    /// [`SignError`] if the URL is not absolute or a header is not text.
    pub fn sign(
        &self,
        request: &mut http::Request<String>,
        service: &'static str,
        now: Timestamp,
    ) -> Result<(), SignError> {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let unsigned = Unsigned {
            method: request.method().as_str(),
            url: &request.uri().to_string(),
            headers: headers.collect::<Option<_>>().ok_or(SignError::Header)?,
            body: request.body().as_bytes(),
        };
        for (name, value) in self.signer(service).sign(unsigned, now)? {
            let value = value.parse().map_err(|_| SignError::Header)?;
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }
}

/// Signs the requests of SDK clients.
#[derive(Clone, Debug)]
pub struct Signing(Arc<Signer>);

impl AuthScheme for Signing {
    /// That of the SDK's signer, which it replaces.
    fn scheme_id(&self) -> AuthSchemeId {
        AuthSchemeId::new("sigv4")
    }

    fn identity_resolver(
        &self,
        resolvers: &dyn GetIdentityResolver,
    ) -> Option<SharedIdentityResolver> {
        resolvers.identity_resolver(self.scheme_id())
    }

    fn signer(&self) -> &dyn Sign {
        self
    }
}

impl Sign for Signing {
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        _: &Identity,
        _: AuthSchemeEndpointConfig<'_>,
        components: &RuntimeComponents,
        _: &ConfigBag,
    ) -> Result<(), BoxError> {
        let time = components.time_source().unwrap_or_default().now();
        let unsigned = Unsigned {
            method: request.method(),
            url: request.uri(),
            headers: request.headers().iter().collect(),
            body: request.body().bytes().ok_or(SignError::Body)?,
        };
        for (name, value) in self.0.sign(unsigned, timestamp_of(time))? {
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }
}

fn timestamp_of(time: SystemTime) -> Timestamp {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX))
}

/// The HTTP client of AWS clients that another configuration than [`Aws`] makes: the same
/// connections and the same TLS.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    let https = https::client(Duration::from_secs(CONNECT_SECONDS));
    let clock_check = None;
    let connector = SharedHttpConnector::new(Connector { https, clock_check });
    http_client_fn(move |_, _| connector.clone())
}

/// A host of AWS that will be called.
#[derive(Clone, Debug)]
pub struct Host {
    https: https::Client<SdkBody>,
    url: Option<http::Uri>,
}

impl Host {
    /// Opens a connection, which the next call of a client finds in the pool. The request for it
    /// is not signed, so it needs no permission, and any response will do. A failure is ignored:
    /// the first call will report it.
    pub async fn connect(&self) {
        let Some(request) = self.url.as_ref().and_then(root_of) else {
            return;
        };
        let exchange = async {
            let mut response = self.https.request(request).await.ok()?;
            // Only a connection whose response has been read returns to the pool.
            while response.body_mut().frame().await?.is_ok() {}
            Some(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(ATTEMPT_SECONDS), exchange).await;
    }
}

/// A request without signature for the root of the host of `url`.
fn root_of(url: &http::Uri) -> Option<http::Request<SdkBody>> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let url = http::Uri::from_parts(parts).ok()?;
    http::Request::get(url).body(SdkBody::empty()).ok()
}

/// Lets the SDK send through our HTTP client.
struct Connector {
    https: https::Client<SdkBody>,
    /// Present for DynamoDB: without the right time nothing is read or written.
    clock_check: Option<Arc<ClockCheck>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    /// Network errors are reported as `io`, which the SDK retries. A retry is safe: each write
    /// carries a name by which its repetition is detected.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let (https, check) = (self.https.clone(), self.clock_check.clone());
        HttpConnectorFuture::new(async move {
            if let Some(check) = &check {
                compare_again(&https, check, request.uri()).await;
                check.result().map_err(wrong_clock)?;
            }
            let response = send(&https, request, check.as_deref()).await?;
            if let Some(check) = &check {
                check.result().map_err(wrong_clock)?;
            }
            HttpResponse::try_from(response)
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Asks DynamoDB for the time if the clocks differed last time: they may agree again, and a write
/// must not be made only to find out.
async fn compare_again(https: &https::Client<SdkBody>, check: &ClockCheck, url: &http::Uri) {
    if check.result().is_ok() {
        return;
    }
    if let Some(request) = root_of(url) {
        // An error status has a date as well. Without a response the difference remains.
        let _ = send(https, request, Some(check)).await;
    }
}

async fn send(
    https: &https::Client<SdkBody>,
    request: http::Request<SdkBody>,
    check: Option<&ClockCheck>,
) -> Result<http::Response<SdkBody>, ConnectorError> {
    let clock = Clock::default();
    let sent = clock.now();
    let response = https.request(request).await;
    let response = response.map_err(|error| ConnectorError::io(error.into()))?;
    if let Some(check) = check {
        let date = response.headers().get(http::header::DATE);
        let date = date.and_then(|date| date.to_str().ok());
        check.note(date, sent, clock.now());
    }
    Ok(response.map(SdkBody::from_body_1_x))
}

fn wrong_clock(error: ClockSkewError) -> ConnectorError {
    tracing::error!(
        error.kind = "clock_skew",
        error.cause = error.to_string(),
        "the system clock is wrong; requests are answered with 503 until it is right"
    );
    ConnectorError::user(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(session_token: Option<&str>) -> Aws {
        Aws::new(AwsSettings {
            region: "eu-west-1".into(),
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: session_token.map(str::to_owned),
            endpoint_urls: Default::default(),
        })
    }

    fn authorization(
        url: &str,
        headers: &[(&'static str, &str)],
        body: &str,
        service: &'static str,
        session_token: Option<&str>,
    ) -> String {
        let mut request = http::Request::builder().method("POST").uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.to_owned()).expect("a request");
        aws(session_token)
            .sign(&mut request, service, Timestamp(1_763_753_400))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(request.headers()["x-amz-date"], "20251121T193000Z");
        assert_eq!(
            request
                .headers()
                .get("x-amz-security-token")
                .and_then(|token| token.to_str().ok()),
            session_token
        );
        request.headers()["authorization"]
            .to_str()
            .expect("text")
            .to_owned()
    }

    /// Botocore 1.43.11 made the signatures.
    #[test]
    fn signatures_equal_those_of_botocore() {
        let json = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "PinpointSMSVoiceV2.SendTextMessage"),
        ];
        let url = "https://sms-voice.eu-west-1.amazonaws.com/";
        assert_eq!(
            authorization(
                url,
                &json,
                "{\"a\":\"é\"}",
                "sms-voice",
                Some("SESSION/TOKEN==")
            ),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20251121/eu-west-1/sms-voice/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
             Signature=eac100a7889080f0bbee2bf104a49a24a48c2e6422c3d7e9b809e00399f809c9"
        );
        let rest = [("content-type", "application/json")];
        for (host, signature) in [
            (
                "https://email.eu-west-1.amazonaws.com",
                "02b41517b151b7b828a91fde6877624112a82b6ea44fb75ea9d12e4961dc7df9",
            ),
            (
                "http://127.0.0.1:9000",
                "9c4ce787e495f8d8b0e404f748a1c6fe17721b6b0ef22fabd16189cad618758c",
            ),
        ] {
            assert_eq!(
                authorization(
                    &format!("{host}/v2/email/outbound-emails"),
                    &rest,
                    "{}",
                    "ses",
                    None
                ),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20251121/eu-west-1/ses/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
                )
            );
        }
    }

    #[test]
    fn unsignable_requests_are_errors() {
        let mut without_host = http::Request::new(String::new());
        assert!(
            aws(None)
                .sign(&mut without_host, "ses", Timestamp(0))
                .is_err()
        );
        let header = http::HeaderValue::from_bytes(b"\xff").expect("opaque bytes");
        let request = http::Request::builder()
            .uri("https://h/")
            .header("x-odd", header)
            .body(String::new());
        assert!(
            aws(None)
                .sign(&mut request.expect("a request"), "ses", Timestamp(0))
                .is_err()
        );
        for time in [Timestamp(i64::MIN), Timestamp(0)] {
            let mut request = http::Request::builder()
                .uri("https://h/")
                .body(String::new())
                .expect("a request");
            assert!(aws(None).sign(&mut request, "ses", time).is_ok());
        }
    }
}
