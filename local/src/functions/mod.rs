//! Where the functions run: as handlers in this process, or as processes.
//!
//! Invariant: either way they get the events that API Gateway, SQS and `send` send, and nothing
//! else.

mod built;
mod in_process;
mod lambda_variables;
mod processes;

use aws_lambda_events::sqs::SqsBatchResponse;
use axum::response::Response;
use otp::config::Environment;
use otp::platform::clock::Clock;
use serde_json::Value;

use crate::lambda_runtime::InvocationResult;
use crate::metrics::RecordedMetrics;
use crate::template::HttpFunction;

pub use built::{BuiltFunctions, BuiltFunctionsError};
pub(crate) use in_process::InProcess;
pub(crate) use lambda_variables::most_bytes;
pub(crate) use processes::Processes;

/// The function that `send` invokes.
pub(crate) const WORKER: &str = "carrier-worker";

/// The functions. Clones share them.
#[derive(Clone)]
pub(crate) enum Functions {
    InProcess(InProcess),
    Processes(Processes),
}

impl Functions {
    /// Calls `function` with an event of API Gateway; `None` if the invocation failed.
    pub(crate) async fn handle_http(
        &self,
        function: HttpFunction,
        event: String,
    ) -> Option<Response> {
        match self {
            Self::InProcess(functions) => functions.handle_http(function, &event).await,
            Self::Processes(processes) => processes.handle_http(function, event).await,
        }
    }

    /// Calls the carrier worker with a batch of SQS; `None` if the invocation failed.
    pub(crate) async fn handle_batch(&self, batch: Value) -> Option<SqsBatchResponse> {
        match self {
            Self::InProcess(functions) => functions.handle_batch(batch).await,
            Self::Processes(processes) => processes.handle_batch(&batch).await,
        }
    }

    /// Calls the carrier worker with a dispatch; whether it was processed.
    pub(crate) async fn handle_dispatch(&self, dispatch: &str) -> bool {
        match self {
            Self::InProcess(functions) => functions.handle_dispatch(dispatch).await,
            Self::Processes(processes) => {
                let result = processes.invoke(WORKER, dispatch.to_owned()).await;
                result.is_some_and(|result| result.is_ok())
            }
        }
    }

    /// Calls `factors` with an event of the operator; `None` if the invocation failed.
    pub(crate) async fn invoke_factors(&self, event: Value) -> Option<Value> {
        match self {
            Self::InProcess(functions) => functions.invoke_factors(event).await,
            Self::Processes(processes) => processes.invoke_factors(&event).await,
        }
    }

    /// Lets the functions start over with new state, with the environment of the start.
    pub(crate) fn restart(
        &self,
        environment: &Environment,
        clock: &Clock,
        metrics: &RecordedMetrics,
    ) {
        match self {
            Self::InProcess(functions) => functions.restart(environment, clock, metrics),
            Self::Processes(processes) => processes.restart(),
        }
    }

    /// Invokes the process of the function called `name`; `None` if there is none.
    ///
    /// # Errors
    /// [`NoProcesses`] if the functions are handlers in this process.
    pub(crate) async fn invoke(
        &self,
        name: &str,
        event: String,
    ) -> Result<Option<InvocationResult>, NoProcesses> {
        match self {
            Self::InProcess(_) => Err(NoProcesses),
            Self::Processes(processes) => Ok(processes.invoke(name, event).await),
        }
    }
}

/// The functions are handlers in this process and cannot be invoked with any event.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the functions do not run as processes here; start the server with --functions")]
pub(crate) struct NoProcesses;
