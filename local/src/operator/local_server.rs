//! A running local server: where its table and its queue are, and its clock.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use otp::platform::https;
use serde::Deserialize;
use serde_json::Value;

use super::error::OperatorError;

/// Time for opening a connection, and for the whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_BYTES_MAX: usize = 65_536;

/// What `GET /local/endpoints` answers.
#[derive(Deserialize)]
pub(super) struct LocalServer {
    pub(super) dynamodb_url: String,
    pub(super) sqs_url: String,
    pub(super) table: String,
    pub(super) now_millis: i64,
    /// Fingerprint of its keys, as `secrets::fingerprint` makes it.
    pub(super) keys: Option<String>,
    /// `api_keys` of its `OTP_SECRETS`.
    pub(super) api_keys: Value,
    /// `OTP_CARRIERS` that the server has set.
    pub(super) simulated_carriers: Option<String>,
}

impl LocalServer {
    /// Asks the server at `url`.
    pub(super) async fn ask(url: &str) -> Result<Self, OperatorError> {
        let no_server = |cause| OperatorError::NoLocalServer(Some(cause));
        let http = https::client::<Full<Bytes>>(CONNECT_TIMEOUT);
        let request = hyper::Request::get(format!("{url}/local/endpoints"));
        let request = request
            .body(Full::default())
            .map_err(|error| no_server(error.into()))?;
        let exchange = async {
            let response = http
                .request(request)
                .await
                .map_err(|e| no_server(e.into()))?;
            let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX);
            let body = body.collect().await.map_err(no_server)?;
            serde_json::from_slice(&body.to_bytes()).map_err(|e| no_server(e.into()))
        };
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await;
        answered.map_err(|_| OperatorError::NoLocalServer(None))?
    }
}
