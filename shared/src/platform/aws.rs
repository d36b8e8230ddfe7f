//! The AWS clients' shared configuration, from the Lambda environment and nothing else: no profiles, no SSO, no instance
//! metadata, one HTTP client. Another endpoint replaces AWS at home and in tests. Signs what no SDK sends; the only file
//! that names the signer and the SDK's runtime.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig,
};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

use crate::domain::time::Timestamp;
use crate::platform::https;

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
    credentials: Credentials,
    endpoint_urls: [Option<String>; 3],
}

impl Aws {
    /// From the environment's settings.
    #[must_use]
    pub fn new(settings: AwsSettings) -> Self {
        let credentials = Credentials::new(
            settings.access_key_id,
            settings.secret_access_key,
            settings.session_token,
            None,
            "lambda environment",
        );
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(Duration::from_secs(ATTEMPT_SECONDS))
            .operation_timeout(Duration::from_secs(CALL_SECONDS));
        let connector = SharedHttpConnector::new(Connector(https::client(Duration::from_secs(
            CONNECT_SECONDS,
        ))));
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region))
            .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::standard())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            // The credentials are those of the process, so there is nothing to cache; an answer is one small document, and an
            // attempt's time bounds it.
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            config,
            credentials,
            endpoint_urls: settings.endpoint_urls,
        }
    }

    /// The configuration for the client of one service.
    #[must_use]
    pub fn config(&self, service: Service) -> SdkConfig {
        let mut builder = self.config.to_builder();
        builder.set_endpoint_url(self.endpoint_urls[service as usize].clone());
        builder.build()
    }

    /// Where another endpoint replaces `service`.
    #[must_use]
    pub fn endpoint_url(&self, service: Service) -> Option<&str> {
        self.endpoint_urls[service as usize].as_deref()
    }

    /// Signs `request` for `service` in our region (Signature Version 4), the session token included. Its URL, headers
    /// and body must not change afterwards.
    ///
    /// # Errors
    /// If it is no request to a host, or its headers are not text.
    pub fn sign(
        &self,
        request: &mut http::Request<String>,
        service: &str,
        now: Timestamp,
    ) -> Result<(), SignError> {
        let region = self.config.region().map(Region::as_ref).unwrap_or_default();
        let since_1970 = Duration::from_secs(now.0.max(0).unsigned_abs());
        let time = UNIX_EPOCH
            .checked_add(since_1970)
            .ok_or_else(|| SignError("a time that is not one".into()))?;
        // The signer takes a host for granted.
        if request.uri().host().is_none() {
            return Err(SignError("a URL without a host".into()));
        }
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(time);
        let params = params
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| SignError(error.to_string()))?
            .into();
        let headers: Result<Vec<_>, _> = request
            .headers()
            .iter()
            .map(|(name, value)| Ok((name.as_str(), value.to_str()?)))
            .collect();
        let headers = headers
            .map_err(|error: http::header::ToStrError| SignError(error.to_string()))?
            .into_iter();
        let body = SignableBody::Bytes(request.body().as_bytes());
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            body,
        );
        let signed = signable
            .and_then(|signable| sign(signable, &params))
            .map_err(|error| SignError(error.to_string()))?;
        signed.into_parts().0.apply_to_request_http1x(request);
        Ok(())
    }
}

/// The SDK's way to our HTTP client.
struct Connector(https::Client<SdkBody>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    /// What goes wrong between us and AWS is worth another attempt: each write has a name that tells a repetition.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Why a request could not be signed, for the log. Holds nothing of the request.
#[derive(Debug)]
pub struct SignError(pub String);

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
        service: &str,
        session_token: Option<&str>,
    ) -> String {
        let mut request = http::Request::builder().method("POST").uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.to_owned()).expect("a request");
        aws(session_token)
            .sign(&mut request, service, Timestamp(1_763_753_400))
            .unwrap_or_else(|error| panic!("{}", error.0));
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

    /// The signatures are those of botocore 1.43.11.
    #[test]
    fn requests_are_signed_as_the_sdk_signs_them() {
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
    fn what_cannot_be_signed_is_an_error_and_no_panic() {
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
