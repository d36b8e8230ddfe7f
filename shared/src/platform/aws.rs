//! AWS: what all its clients share, and requests to services for which there is no client.
//!
//! Invariant: credentials and region come from the Lambda environment alone: no profiles, no SSO,
//! no instance metadata.
//! Invariant: another endpoint URL is the only difference between AWS, the local server and tests.
//! A server in this process is called at its URL without a connection.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_types::body::SdkBody;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;

use crate::domain::time::Timestamp;
use crate::platform::aws_client::AwsClient;
use crate::platform::aws_connector::{CONNECT_TIME_MAX, Connector, InProcessConnector, root_of};
use crate::platform::aws_signature::{AwsCredentials, SignError, Signer, Unsigned};
use crate::platform::clock_check::ClockCheck;
use crate::platform::in_process::{InProcessServer, InProcessServers};
use crate::platform::{aws_endpoint, https};

/// Limit for opening connections in advance.
const WARM_UP_TIME_MAX: Duration = Duration::from_secs(1);

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

/// Region, credentials and one connection pool, for all clients of a function.
#[derive(Clone)]
pub struct Aws {
    region: String,
    credentials: AwsCredentials,
    https: https::Client<SdkBody>,
    clock_check: Arc<ClockCheck>,
    endpoint_urls: [Option<String>; 3],
    servers: InProcessServers,
}

impl Aws {
    /// From the settings of a function.
    #[must_use]
    pub fn new(settings: AwsSettings) -> Self {
        Self {
            region: settings.region,
            credentials: AwsCredentials {
                access_key_id: settings.access_key_id,
                secret_access_key: settings.secret_access_key,
                session_token: settings.session_token,
            },
            https: https::client(CONNECT_TIME_MAX),
            clock_check: Arc::default(),
            endpoint_urls: settings.endpoint_urls,
            servers: InProcessServers::default(),
        }
    }

    /// Calls `servers` without a connection, where an endpoint URL is theirs.
    #[must_use]
    pub fn with_servers(self, servers: InProcessServers) -> Self {
        Self { servers, ..self }
    }

    /// The client of `service`.
    #[must_use]
    pub fn client(&self, service: Service) -> AwsClient {
        if let Some(server) = self.server(service) {
            let connector = InProcessConnector(server.respond.clone());
            return AwsClient::in_process(
                SharedHttpConnector::new(connector),
                server.table.clone(),
            );
        }
        let clock_check = match service {
            Service::DynamoDb => Some(self.clock_check.clone()),
            Service::Sqs | Service::Sns => None,
        };
        let https = self.https.clone();
        let connector = SharedHttpConnector::new(Connector { https, clock_check });
        let signer = self.signer(service.signing_name());
        AwsClient::new(connector, self.url(service), signer)
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
        Signer::new(self.credentials.clone(), self.region.clone(), service)
    }

    /// The endpoint URL that replaces AWS for `service`, if there is one.
    #[must_use]
    pub fn endpoint_url(&self, service: Service) -> Option<&str> {
        self.endpoint_urls[service as usize].as_deref()
    }

    /// The host of `service`, to open connections to it in advance.
    #[must_use]
    pub fn host(&self, service: Service) -> Host {
        self.host_of(&self.url(service))
    }

    /// Where `service` is called: at the endpoint URL that replaces AWS, or else in our region.
    /// Empty if the region cannot be part of a host name: then each request is an error.
    fn url(&self, service: Service) -> String {
        if let Some(url) = self.endpoint_url(service) {
            return url.to_owned();
        }
        let url = match service {
            Service::DynamoDb => aws_endpoint::dynamodb(&self.region),
            Service::Sqs => aws_endpoint::sqs(&self.region),
            Service::Sns => aws_endpoint::sns(&self.region),
        };
        url.unwrap_or_default()
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
        let _ = tokio::time::timeout(WARM_UP_TIME_MAX, connecting).await;
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
