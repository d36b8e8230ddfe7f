//! The built functions as processes, each under a Lambda Runtime API.

use std::collections::HashMap;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use data_encoding::BASE64;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use otp::platform::clock::Clock;
use serde_json::Value;

use super::WORKER;
use super::built::{BuiltFunctions, BuiltFunctionsError};
use super::lambda_variables::lambda_variables;
use crate::lambda_runtime::{FunctionProgram, InvocationResult, LambdaRuntime};
use crate::metrics::RecordedMetrics;
use crate::template::{HttpFunction, Template};

/// Variable with the path of the file that a moved clock reads.
const CLOCK_OFFSET_FILE: &str = "CLOCK_OFFSET_FILE";

/// The runtimes of the functions, by name. Clones share them.
#[derive(Clone)]
pub(crate) struct Processes(HashMap<&'static str, LambdaRuntime>);

impl Processes {
    /// All functions of the template, with the variables that it gives each. `variable` looks one
    /// up.
    pub(crate) fn new(
        built: &BuiltFunctions,
        template: &Template,
        clock: &Clock,
        metrics: &RecordedMetrics,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BuiltFunctionsError> {
        let mut runtimes = HashMap::new();
        for (name, resource) in Template::FUNCTIONS {
            let path = built.program(name)?;
            let mut variables = lambda_variables(name, resource, template, &variable)?;
            if let Some(moved) = &built.moved_clock {
                variables.extend([
                    ("LD_PRELOAD".into(), moved.library.display().to_string()),
                    (
                        CLOCK_OFFSET_FILE.into(),
                        moved.offset_file.display().to_string(),
                    ),
                ]);
            }
            let program = FunctionProgram {
                name,
                path,
                variables,
                timeout: Duration::from_secs(template.timeout_seconds),
                clock: clock.clone(),
                metrics: metrics.clone(),
            };
            runtimes.insert(name, LambdaRuntime::new(program, built.processes.max(1)));
        }
        Ok(Self(runtimes))
    }

    /// Starts over with new processes.
    pub(crate) fn restart(&self) {
        self.0.values().for_each(LambdaRuntime::end_idle_processes);
    }

    /// Invokes the function called `name`; `None` if there is none.
    pub(super) async fn invoke(&self, name: &str, event: String) -> Option<InvocationResult> {
        Some(self.0.get(name)?.invoke(event).await)
    }

    /// `None` if the invocation failed or its result is not a response of payload format 2.0.
    pub(super) async fn handle_http(
        &self,
        function: HttpFunction,
        event: String,
    ) -> Option<Response> {
        let result = self.invoke(function.name(), event).await?.ok()?;
        let result: ApiGatewayV2httpResponse = serde_json::from_slice(&result).ok()?;
        let body = match result.body.as_deref().map(AsRef::as_ref) {
            Some(body) if result.is_base64_encoded => BASE64.decode(body).unwrap_or_default(),
            body => body.unwrap_or_default().to_vec(),
        };
        let status = u16::try_from(result.status_code).ok()?;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).ok()?;
        *response.headers_mut() = result.headers;
        Some(response)
    }

    /// `None` if the invocation failed.
    pub(super) async fn invoke_factors(&self, event: &Value) -> Option<Value> {
        let result = self.invoke("factors", event.to_string()).await?.ok()?;
        serde_json::from_slice(&result).ok()
    }

    /// `None` if the invocation failed or its result is not a batch response.
    pub(super) async fn handle_batch(&self, batch: &Value) -> Option<SqsBatchResponse> {
        let result = self.invoke(WORKER, batch.to_string()).await?.ok()?;
        serde_json::from_slice(&result).ok()
    }
}
