//! Connectors: how requests to AWS are sent, over HTTP or to a server in this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::header::{HeaderName, HeaderValue};

use super::clock::Clock;
use super::clock_check::{ClockCheck, ClockSkewError};
use super::environment::variable;
use super::https;
use super::in_process::Respond;

/// Limit for opening a connection.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// Sends through our HTTP client.
pub(super) struct Connector {
    pub(super) https: https::Client<SdkBody>,
    /// Present for DynamoDB: without the right time nothing is read or written.
    pub(super) clock_check: Option<Arc<ClockCheck>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    /// Network errors are reported as `io`, which the client retries.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        if let Some((name, trace_id)) = trace_header() {
            request.headers_mut().insert(name, trace_id);
        }
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

/// The header by which AWS adds a request to the trace of the invocation. The runtime sets
/// `_X_AMZN_TRACE_ID` for each invocation.
pub(super) fn trace_header() -> Option<(HeaderName, HeaderValue)> {
    let trace_id = variable("_X_AMZN_TRACE_ID")?.parse().ok()?;
    Some((HeaderName::from_static("x-amzn-trace-id"), trace_id))
}

/// The HTTP client of the SDK's own clients, which the command line uses: the same TLS.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    let https = https::client(CONNECT_TIME_MAX);
    let clock_check = None;
    let connector = SharedHttpConnector::new(Connector { https, clock_check });
    http_client_fn(move |_, _| connector.clone())
}

/// Calls a server in this process.
#[derive(Clone)]
pub(super) struct InProcessConnector(pub(super) Respond);

impl InProcessConnector {
    async fn respond(&self, request: &HttpRequest) -> HttpResponse {
        // As with a connection, other tasks run during a call.
        tokio::task::yield_now().await;
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let response = (self.0)(operation, request.body().bytes().unwrap_or_default()).await;
        HttpResponse::new(response.status.into(), SdkBody::from(response.body))
    }
}

impl fmt::Debug for InProcessConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcessConnector")
    }
}

impl HttpConnector for InProcessConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let server = self.clone();
        HttpConnectorFuture::new(async move { Ok(server.respond(&request).await) })
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

/// A request without signature for the root of the host of `url`.
pub(super) fn root_of(url: &http::Uri) -> Option<http::Request<SdkBody>> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let url = http::Uri::from_parts(parts).ok()?;
    http::Request::get(url).body(SdkBody::empty()).ok()
}
