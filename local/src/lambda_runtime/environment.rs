//! An execution environment: one process of a function, and the Runtime API that it talks to.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use data_encoding::HEXLOWER;
use otp::platform::clock::Clock;
use otp::platform::random::random_bytes;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::AbortHandle;

use super::api::{self, Invocation, InvocationResult, Requests, error_document};
use crate::metrics::RecordedMetrics;

/// The time that a process has until it asks for its first invocation, as on Lambda.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What runs as a process.
pub(crate) struct FunctionProgram {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    /// For one invocation.
    pub(crate) timeout: Duration,
    pub(crate) clock: Clock,
    pub(crate) metrics: RecordedMetrics,
}

impl FunctionProgram {
    /// Logs a failed invocation; returns Lambda's document about it.
    pub(super) fn failure(&self, kind: &str, message: &str) -> Value {
        tracing::error!(
            function.name = self.name,
            error.kind = kind,
            error.cause = message,
            "the invocation of a function failed"
        );
        error_document(kind, message)
    }

    fn exited(&self, id: &str, status: std::io::Result<std::process::ExitStatus>) -> Value {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let message = format!("RequestId: {id} Error: Runtime exited with error: {status}");
        self.failure("Runtime.ExitError", &message)
    }

    fn timed_out(&self, id: &str, limit: Duration) -> Value {
        let seconds = limit.as_secs_f32();
        let message = format!("RequestId: {id} Error: Task timed out after {seconds:.2} seconds");
        self.failure("Sandbox.Timedout", &message)
    }
}

/// A process and its Runtime API. Both end when this value is dropped.
pub(super) struct Environment {
    child: Child,
    requests: Requests,
    serving: AbortHandle,
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Environment {
    /// Starts a process.
    pub(super) async fn start(program: &FunctionProgram) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (router, requests) = api::router(program.name);
        let log_stream = format!("local/[$LATEST]{}", new_id());
        let mut child = Command::new(&program.path)
            .env_clear()
            .envs(program.variables.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_LOG_STREAM_NAME", log_stream)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read_output(stdout, program.name, program.metrics.clone()));
        }
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            child,
            requests,
            serving: serving.abort_handle(),
        })
    }

    /// Whether the process runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Hands `event` to the process and waits for its result.
    ///
    /// # Errors
    /// If the environment cannot be used any more: its process has exited or took too long.
    pub(super) async fn invoke(
        &mut self,
        event: String,
        program: &FunctionProgram,
    ) -> Result<InvocationResult, Value> {
        let id = new_id();
        let next = tokio::select! {
            biased;
            next = self.requests.next.recv() => next,
            status = self.child.wait() => return Err(program.exited(&id, status)),
            () = tokio::time::sleep(INIT_TIMEOUT) => {
                return Err(program.timed_out(&id, INIT_TIMEOUT));
            }
        };
        let timeout_millis = i64::try_from(program.timeout.as_millis()).unwrap_or(i64::MAX);
        if let Some(next) = next {
            // If the process has exited meanwhile, the loop below sees it.
            let _ = next.send(Invocation {
                id: id.clone(),
                event,
                deadline_millis: program.clock.now_millis().saturating_add(timeout_millis),
            });
        }
        let deadline = tokio::time::sleep(program.timeout);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                biased;
                Some((result_id, result)) = self.requests.results.recv() => {
                    if result_id == id {
                        return Ok(result);
                    }
                }
                status = self.child.wait() => return Err(program.exited(&id, status)),
                () = &mut deadline => return Err(program.timed_out(&id, program.timeout)),
            }
        }
    }
}

/// Records the metrics that a process prints, and prints all lines that say more.
async fn read_output(stdout: ChildStdout, function: &str, metrics: RecordedMetrics) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if !metrics.ingest(function, &line) {
            eprintln!("{line}");
        }
    }
}

/// A random UUID.
fn new_id() -> String {
    let id = HEXLOWER.encode(&random_bytes::<16>());
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}
