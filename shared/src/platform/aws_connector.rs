//! Connectors: how the clients of the SDK send, over HTTP or to a server in this process.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::interceptors::context::{Input, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{
    DeserializeResponse as _, SerializeRequest as _, SharedRequestSerializer,
    SharedResponseDeserializer,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::operation::BuildError;

use super::clock::Clock;
use super::clock_check::{ClockCheck, ClockSkewError};
use super::https;
use super::in_process::Respond;

/// Lets the SDK send through our HTTP client.
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

/// Calls a server in this process, for the SDK's client or in its place.
#[derive(Clone)]
pub struct InProcessConnector(pub(super) Respond);

impl InProcessConnector {
    /// Sends `input` to `operation` and reads the response: the same documents that the SDK's
    /// client sends and reads, without what only a connection needs, such as an endpoint, a
    /// signature, time-outs and retries.
    ///
    /// # Errors
    /// As of the SDK's client.
    pub async fn call<I, O, E>(
        &self,
        operation: impl RuntimePlugin,
        input: Result<I, BuildError>,
    ) -> Result<O, SdkError<E, HttpResponse>>
    where
        I: fmt::Debug + Send + Sync + 'static,
        O: fmt::Debug + Send + Sync + 'static,
        E: Error + Send + Sync + 'static,
    {
        let input = Input::erase(input.map_err(SdkError::construction_failure)?);
        let mut config = ConfigBag::base();
        if let Some(layer) = operation.config() {
            config.push_shared_layer(layer);
        }
        let serializer = config.load::<SharedRequestSerializer>().cloned();
        let request = match serializer {
            Some(serializer) => serializer.serialize_input(input, &mut config),
            None => Err("the operation has no serializer".into()),
        };
        let request = request.map_err(SdkError::construction_failure)?;
        let response = self.respond(&request).await;
        let output = match config.load::<SharedResponseDeserializer>() {
            Some(reader) => reader.deserialize_nonstreaming_with_config(&response, &config),
            None => Err(OrchestratorError::other(
                "the operation has no deserializer",
            )),
        };
        let mut failure = None;
        let output = output.map_err(|error| {
            let _ = error.map_operation_error(|error| failure = error.downcast::<E>().ok());
        });
        match (output.map(Output::downcast), failure) {
            (Ok(Ok(output)), _) => Ok(output),
            (_, Some(failure)) => Err(SdkError::service_error(failure, response)),
            _ => {
                let unexpected = "the response is not one of the operation";
                Err(SdkError::response_error(unexpected, response))
            }
        }
    }

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
