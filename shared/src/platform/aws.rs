//! AWS: the configuration that all AWS clients share, and the signature of their requests and of
//! those that no SDK client sends.
//!
//! Invariant: credentials and region come from the Lambda environment alone: no profiles, no SSO,
//! no instance metadata.
//! Invariant: another endpoint URL is the only difference between AWS, the local server and tests.
//! A server in this process is called at its URL without a connection.

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
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;

use crate::domain::time::Timestamp;
use crate::platform::aws_connector::{Connector, InProcessConnector, root_of};
use crate::platform::aws_signature::{AwsCredentials, SignError, Signer, Unsigned};
use crate::platform::https;
use crate::platform::in_process::{InProcessServer, InProcessServers, InProcessTable};

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
    /// The server in this process that is called.
    pub server: Option<InProcessConnector>,
    /// The table in this process that is called.
    pub table: Option<Arc<dyn InProcessTable>>,
}

impl From<SdkConfig> for ClientConfig {
    /// With the signer of the SDK, which also takes credentials that change.
    fn from(sdk: SdkConfig) -> Self {
        Self {
            sdk,
            signing: None,
            server: None,
            table: None,
        }
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
    servers: InProcessServers,
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
            servers: InProcessServers::default(),
        }
    }

    /// Calls `servers` without a connection, where an endpoint URL is theirs.
    #[must_use]
    pub fn with_servers(self, servers: InProcessServers) -> Self {
        Self { servers, ..self }
    }

    /// The configuration for the client of one service.
    #[must_use]
    pub fn config(&self, service: Service) -> ClientConfig {
        let mut builder = self.config.to_builder();
        builder.set_endpoint_url(self.endpoint_urls[service as usize].clone());
        let called = self.server(service);
        let server = called.map(|called| InProcessConnector(called.respond.clone()));
        let table = called.and_then(|called| called.table.clone());
        let connector = match (&server, service) {
            (Some(server), _) => Some(SharedHttpConnector::new(server.clone())),
            (None, Service::DynamoDb) => Some(self.checked.clone()),
            (None, Service::Sqs | Service::Sns) => None,
        };
        if let Some(connector) = connector {
            builder.set_http_client(Some(http_client_fn(move |_, _| connector.clone())));
        }
        let signer = match &server {
            Some(_) => None,
            None => Some(Arc::new(self.signer(service.signing_name()))),
        };
        ClientConfig {
            sdk: builder.build(),
            signing: Some(Signing(signer)),
            server,
            table,
        }
    }

    /// The server in this process that `service` is called at.
    fn server(&self, service: Service) -> Option<&InProcessServer> {
        let server = match service {
            Service::DynamoDb => self.servers.dynamodb.as_ref()?,
            Service::Sqs => self.servers.sqs.as_ref()?,
            Service::Sns => return None,
        };
        (self.endpoint_url(service)? == server.url).then_some(server)
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
        self.host_of(self.endpoint_url(service).unwrap_or(url))
    }

    /// Where the table is. In partitions with a domain of another form no host has this name: then
    /// the first call opens its connection itself.
    #[must_use]
    pub fn table_host(&self) -> Host {
        let region = self.config.region().map(ToString::to_string);
        let region = region.unwrap_or_default();
        let domain = match region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        let service = Service::DynamoDb;
        self.host(service, &format!("https://dynamodb.{region}.{domain}"))
    }

    /// The host of `url`.
    #[must_use]
    pub fn host_of(&self, url: &str) -> Host {
        Host {
            https: self.https.clone(),
            url: url.parse().ok(),
        }
    }

    /// Signs `request` for `service` and sends it. Returns the head of the response, whose body has
    /// been read, so that the connection returns to the pool.
    pub(super) async fn send(
        &self,
        mut request: http::Request<String>,
        service: &'static str,
        now: Timestamp,
    ) -> Result<http::response::Parts, BoxError> {
        self.sign(&mut request, service, now)?;
        let response = self.https.request(request.map(SdkBody::from)).await?;
        let (parts, mut body) = response.into_parts();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(parts)
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

/// Signs the requests of SDK clients, unless they go to a server in this process.
#[derive(Clone, Debug)]
pub struct Signing(Option<Arc<Signer>>);

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
        let Some(signer) = &self.0 else {
            return Ok(());
        };
        let time = components.time_source().unwrap_or_default().now();
        let unsigned = Unsigned {
            method: request.method(),
            url: request.uri(),
            headers: request.headers().iter().collect(),
            body: request.body().bytes().ok_or(SignError::Body)?,
        };
        for (name, value) in signer.sign(unsigned, timestamp_of(time))? {
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
    /// Opens connections, so that the next calls of clients find `count` of them in the pool. The
    /// requests for it are not signed, so they need no permission, and any response will do. A
    /// failure is ignored: the first call will report it.
    pub async fn connect(&self, count: usize) {
        let connecting = async {
            join_all((0..count).map(|_| self.exchange())).await;
            self.https.opened().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(ATTEMPT_SECONDS), connecting).await;
    }

    async fn exchange(&self) {
        let Some(request) = self.url.as_ref().and_then(root_of) else {
            return;
        };
        if let Ok(mut response) = self.https.request(request).await {
            // Only a connection whose response has been read returns to the pool.
            while let Some(Ok(_)) = response.body_mut().frame().await {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::channel;
    use std::thread;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::platform::in_process::Response;

    fn aws(session_token: Option<&str>) -> Aws {
        Aws::new(AwsSettings {
            region: "eu-west-1".into(),
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: session_token.map(str::to_owned),
            endpoint_urls: Default::default(),
        })
    }

    #[test]
    fn server_in_process_is_called_at_its_url() {
        let server = |url: &str| InProcessServer {
            url: url.to_owned(),
            respond: Arc::new(|_, _| {
                Box::pin(async {
                    Response {
                        status: http::StatusCode::OK,
                        body: String::new(),
                    }
                })
            }),
            table: None,
        };
        let servers = InProcessServers {
            dynamodb: Some(server("http://127.0.0.1:1")),
            sqs: Some(server("http://127.0.0.1:2")),
        };
        let is_called = |service, url: Option<&str>| {
            let url = url.map(str::to_owned);
            let settings = AwsSettings {
                endpoint_urls: [url.clone(), url.clone(), url],
                ..AwsSettings::default()
            };
            let aws = Aws::new(settings).with_servers(servers.clone());
            aws.server(service).is_some()
        };
        assert!(is_called(Service::DynamoDb, Some("http://127.0.0.1:1")));
        assert!(is_called(Service::Sqs, Some("http://127.0.0.1:2")));
        for url in [None, Some("http://127.0.0.1:3"), Some("http://127.0.0.1:2")] {
            assert!(!is_called(Service::DynamoDb, url), "{url:?}");
            assert!(!is_called(Service::Sns, url), "{url:?}");
        }
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

    /// Answers each request on `stream` until it is closed.
    fn answer_requests(mut stream: TcpStream) {
        let mut request = [0; 4096];
        while stream.read(&mut request).is_ok_and(|length| length > 0) {
            let response = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno";
            stream.write_all(response).expect("sent");
        }
    }

    #[tokio::test]
    async fn connections_are_open_when_connect_returns() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (accepted, accepts) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                thread::spawn(move || answer_requests(stream));
                accepted.send(()).expect("counted");
            }
        });
        let host = aws(None).host_of(&url);
        // The second time one of them is there already; the third time all of them.
        for (count, opened) in [(1, 1), (3, 2), (3, 0)] {
            host.connect(count).await;
            for _ in 0..opened {
                let accepted = accepts.recv_timeout(Duration::from_secs(5));
                assert_eq!(accepted, Ok(()), "{count}");
            }
        }
        assert!(accepts.try_recv().is_err(), "more were opened");
        let opening = host.https.opened();
        assert!(opening.now_or_never().is_some(), "some are being opened");
    }
}
