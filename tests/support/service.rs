//! A service for one test, in this process, reached over the wire only. Every response of the
//! functions is checked against the contract on its way. No sleeps: `settle` returns once all due
//! work is done.
//!
//! Two environment variables run the same tests against something else: `OTP_TEST_FUNCTIONS` names
//! a directory of built functions, and `OTP_TEST_DYNAMODB` is the URL of another DynamoDB.

use std::collections::HashMap;
use std::path::PathBuf;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::{BuiltFunctions, Listen, Options, Server, Wires};
use serde_json::Value;

use super::built_functions;
use super::contract::CONTRACT;
use super::http_carrier::HttpCarrier;
use super::response::TestResponse;
use super::temp_directory::TempDirectory;
use super::twilio;

/// API keys of the two apps that every service here has.
pub const DEFAULT_KEY: &str = "otp_test_default_0000000000";
pub const SHOP_KEY: &str = "otp_test_shop_0000000000000";

/// `OTP_LOCAL_API_KEYS` with both.
pub fn local_api_keys() -> String {
    format!("default={DEFAULT_KEY},shop={SHOP_KEY}")
}

/// A running service and a client for it.
#[derive(Clone)]
pub struct Service {
    pub base: String,
    /// URLs of the table and the queue without any proxy. Empty for a service that this test did
    /// not start.
    pub dynamodb_url: String,
    pub table: String,
    pub sqs_url: String,
    /// Whether API Gateway may respond in place of a function that was killed.
    pub allows_gateway_errors: bool,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Service {
    /// Starts a service with the default settings.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a service with these environment variables.
    pub async fn start_with(variables: &[(&str, &str)]) -> Self {
        Self::try_start(variables, None)
            .await
            .expect("the service starts")
    }

    /// Starts a service with these carriers, in this order, and these environment variables.
    pub async fn start_with_carriers(
        carriers: &[&HttpCarrier],
        variables: &[(&str, &str)],
    ) -> Self {
        let entries: Value = carriers.iter().map(|carrier| carrier.entry()).collect();
        let entries = entries.to_string();
        let mut all = vec![("OTP_CARRIERS", entries.as_str())];
        all.extend(variables);
        Self::start_with(&all).await
    }

    /// Starts a service whose table is kept in `data`.
    pub async fn start_in(data: &TempDirectory, variables: &[(&str, &str)]) -> Self {
        Self::try_start(variables, Some(data.path().to_owned()))
            .await
            .expect("the service starts")
    }

    /// Starts a service, with its table in memory or in the directory `data`.
    pub async fn try_start(
        variables: &[(&str, &str)],
        data: Option<PathBuf>,
    ) -> Result<Self, String> {
        Self::try_start_behind(variables, data, Wires::default()).await
    }

    /// Starts a service whose functions reach the table and the queue at other URLs.
    pub async fn try_start_behind(
        variables: &[(&str, &str)],
        data: Option<PathBuf>,
        wires: Wires,
    ) -> Result<Self, String> {
        let functions = built_functions::for_suite();
        Self::try_start_as(variables, data, wires, functions).await
    }

    /// Starts a service with built functions, or with their handlers in this process.
    pub async fn try_start_as(
        variables: &[(&str, &str)],
        data: Option<PathBuf>,
        wires: Wires,
        functions: Option<BuiltFunctions>,
    ) -> Result<Self, String> {
        let mut values: HashMap<String, String> = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        values
            .entry("OTP_LOCAL_API_KEYS".into())
            .or_insert_with(local_api_keys);
        let dynamodb = built_functions::dynamodb_for_suite();
        if dynamodb.is_some() {
            // The service has its own table. A restart with the same directory finds it again.
            let kept = data
                .as_ref()
                .and_then(|data| Some(data.file_name()?.to_str()?.to_owned()));
            let name = kept.unwrap_or_else(built_functions::random_name);
            values.insert("OTP_TABLE".into(), format!("otp-{name}"));
        }
        let variables = Box::new(move |name: &str| values.get(name).cloned());
        let server = Server::start(Options {
            listen: Listen::default(),
            preset: None,
            data,
            variables,
            wires,
            functions,
            dynamodb,
        })
        .await
        .map_err(|error| error.to_string())?;
        Ok(Self {
            dynamodb_url: server.dynamodb_url,
            table: server.table,
            sqs_url: server.sqs_url,
            ..Self::at(&format!("http://{}", server.address))
        })
    }

    /// A client for a service that this test did not start.
    pub fn at(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self {
            base: base.to_owned(),
            dynamodb_url: String::new(),
            table: String::new(),
            sqs_url: String::new(),
            allows_gateway_errors: false,
            client,
        }
    }

    /// Makes a request without adding anything to it.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> TestResponse {
        self.try_raw(method, path, headers, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Makes a request. Returns an error if there is no response.
    pub async fn try_raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<TestResponse, String> {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body.into()))
            .map_err(|error| error.to_string())?;
        let started = tokio::time::Instant::now();
        let (parts, body) = self
            .client
            .request(request)
            .await
            .map_err(|error| format!("{error:?}"))?
            .into_parts();
        let raw = body
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes()
            .to_vec();
        let took = started.elapsed();
        let status = parts.status.as_u16();
        let is_gateway_error = self.allows_gateway_errors
            && status == 500
            && raw == br#"{"message":"Internal Server Error"}"#;
        let is_from_function = path.starts_with("/v1") || path.starts_with("/healthz");
        if is_from_function && !is_gateway_error {
            CONTRACT.validate_response(method, path, status, &parts.headers, &raw);
        }
        let response = TestResponse {
            request: format!("{method} {path}"),
            status,
            headers: parts.headers,
            body: serde_json::from_slice(&raw).unwrap_or_default(),
            raw,
            took,
        };
        let is_twilio = path == "/v2" || path.starts_with("/v2/");
        if is_twilio && !is_gateway_error {
            twilio::validate_response(method, path, &response);
        }
        Ok(response)
    }
}
