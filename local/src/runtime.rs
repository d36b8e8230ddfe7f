//! The functions as processes: what `cargo build` or `cargo lambda build` made, run under a Lambda Runtime API of our own.
//! As on Lambda an environment is one process with an API to itself and one invocation at a time. One that dies or takes
//! too long fails its invocation, and a later one starts another. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use otp::platform::clock::Clock;
use otp::platform::random::random_bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::figures::Figures;

/// For a process to ask for its first invocation, as on Lambda.
const INIT: Duration = Duration::from_secs(10);

/// What an invocation came to: the function's answer, or Lambda's document about an error.
pub(crate) type Outcome = Result<Bytes, Value>;

/// One function and its environments. Clones share them.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Inner>);

struct Inner {
    name: &'static str,
    program: PathBuf,
    variables: Vec<(String, String)>,
    timeout: Duration,
    clock: Clock,
    figures: Figures,
    processes_max: usize,
    free: Semaphore,
    idle: Mutex<VecDeque<Environment>>,
}

impl Runtime {
    /// For `program`, with `processes_max` environments at most; none is started yet.
    pub(crate) fn new(
        name: &'static str,
        program: PathBuf,
        variables: Vec<(String, String)>,
        timeout: Duration,
        clock: Clock,
        figures: Figures,
        processes_max: usize,
    ) -> Self {
        let (free, idle) = (Semaphore::new(processes_max), Mutex::default());
        Self(Arc::new(Inner {
            name,
            program,
            variables,
            timeout,
            clock,
            figures,
            processes_max,
            free,
            idle,
        }))
    }

    /// Hands `event` to an environment. Goes on when the caller does not: nobody calls an invocation back.
    pub(crate) async fn invoke(&self, event: String) -> Outcome {
        let inner = self.0.clone();
        let outcome = tokio::spawn(async move { inner.invoke(event).await }).await;
        outcome.unwrap_or_else(|error| Err(failure("Runtime.Unknown", &error.to_string())))
    }
}

impl Inner {
    async fn invoke(&self, event: String) -> Outcome {
        let _one_of_them = self
            .free
            .acquire()
            .await
            .map_err(|error| failure("Runtime.Unknown", &error.to_string()))?;
        let environment = match self.rested() {
            Some(environment) => Ok(environment),
            None => Environment::start(self).await,
        };
        let mut environment = environment
            .map_err(|error| self.failed("Runtime.InvalidEntrypoint", &error.to_string()))?;
        match environment.invoke(event, self).await {
            Ok(outcome) => {
                self.idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_back(environment);
                outcome
            }
            // The process goes with its environment.
            Err(failure) => Err(failure),
        }
    }

    /// The one that has rested longest, unless there may be one more. Lambda would take a warm one: here all of them come
    /// into being at once and take turns, which shows soonest what a process keeps to itself.
    fn rested(&self) -> Option<Environment> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(Environment::is_alive);
        let others_busy = self.processes_max - self.free.available_permits() - 1;
        if idle.len() + others_busy < self.processes_max {
            None
        } else {
            idle.pop_front()
        }
    }

    fn failed(&self, kind: &str, message: &str) -> Value {
        tracing::error!(
            function.name = self.name,
            error.kind = kind,
            error.cause = message,
            "an invocation failed"
        );
        failure(kind, message)
    }
}

/// A process and its Runtime API. Both end with it.
struct Environment {
    child: Child,
    /// The process asks for its next invocation.
    asks: mpsc::Receiver<oneshot::Sender<Invocation>>,
    /// The process answers.
    answers: mpsc::Receiver<(String, Outcome)>,
    serving: AbortHandle,
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Invocation {
    id: String,
    event: String,
    deadline_millis: i64,
}

impl Environment {
    async fn start(function: &Inner) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let ((asking, asks), (answering, answers)) = (mpsc::channel(1), mpsc::channel(1));
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(Arc::new(Api {
                name: function.name,
                asking,
                answering,
            }));
        let mut command = Command::new(&function.program);
        command
            .env_clear()
            .envs(function.variables.iter().map(|(name, value)| (name, value)));
        command
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env(
                "AWS_LAMBDA_LOG_STREAM_NAME",
                format!("local/[$LATEST]{}", new_id()),
            );
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(printed) = child.stdout.take() {
            tokio::spawn(read_on(printed, function.figures.clone()));
        }
        let serving =
            tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self {
            child,
            asks,
            answers,
            serving,
        })
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What came of it; `Err` if the environment is of no use any more.
    async fn invoke(&mut self, event: String, function: &Inner) -> Result<Outcome, Value> {
        let id = new_id();
        let ask = tokio::select! {
            biased;
            ask = self.asks.recv() => ask,
            status = self.child.wait() => return Err(function.failed("Runtime.ExitError", &exited(&id, status))),
            () = tokio::time::sleep(INIT) => return Err(function.failed("Sandbox.Timedout", &timed_out(&id, INIT))),
        };
        let deadline_millis = function.clock.now_millis()
            + i64::try_from(function.timeout.as_millis()).unwrap_or(i64::MAX);
        // If the process is gone by now, its exit is seen below.
        let _ = ask.map(|ask| {
            ask.send(Invocation {
                id: id.clone(),
                event,
                deadline_millis,
            })
        });
        let deadline = tokio::time::sleep(function.timeout);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                biased;
                Some((of, outcome)) = self.answers.recv() => if of == id { return Ok(outcome) },
                status = self.child.wait() => return Err(function.failed("Runtime.ExitError", &exited(&id, status))),
                () = &mut deadline => return Err(function.failed("Sandbox.Timedout", &timed_out(&id, function.timeout))),
            }
        }
    }
}

/// What a function prints: lines of metrics are counted, and all else is for who reads logs.
async fn read_on(printed: ChildStdout, figures: Figures) {
    let mut lines = BufReader::new(printed).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if !figures.take(&line) {
            eprintln!("{line}");
        }
    }
}

fn exited(id: &str, status: std::io::Result<std::process::ExitStatus>) -> String {
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    format!("RequestId: {id} Error: Runtime exited with error: {status}")
}

fn timed_out(id: &str, limit: Duration) -> String {
    format!(
        "RequestId: {id} Error: Task timed out after {:.2} seconds",
        limit.as_secs_f32()
    )
}

fn failure(kind: &str, message: &str) -> Value {
    json!({"errorType": kind, "errorMessage": message})
}

/// What the process talks to.
struct Api {
    name: &'static str,
    asking: mpsc::Sender<oneshot::Sender<Invocation>>,
    answering: mpsc::Sender<(String, Outcome)>,
}

type Shared = State<Arc<Api>>;

async fn next(State(api): Shared) -> Response {
    let (ask, invocation) = oneshot::channel();
    let asked = api.asking.send(ask).await;
    let (Ok(()), Ok(invocation)) = (asked, invocation.await) else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", invocation.id),
        (
            "lambda-runtime-deadline-ms",
            invocation.deadline_millis.to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:local:000000000000:function:{}", api.name),
        ),
    ];
    (headers, invocation.event).into_response()
}

async fn response(State(api): Shared, Segments(id): Segments<String>, body: Bytes) -> Response {
    answered(&api, id, Ok(body)).await
}

async fn error(State(api): Shared, Segments(id): Segments<String>, body: Bytes) -> Response {
    let document = serde_json::from_slice(&body)
        .unwrap_or_else(|error| failure("Runtime.Unknown", &error.to_string()));
    answered(&api, id, Err(document)).await
}

async fn answered(api: &Api, id: String, outcome: Outcome) -> Response {
    let is_taken = api.answering.send((id, outcome)).await.is_ok();
    let status = if is_taken {
        StatusCode::ACCEPTED
    } else {
        StatusCode::GONE
    };
    (status, axum::Json(json!({"status": "OK"}))).into_response()
}

/// The process ends by itself after this.
async fn init_error(State(api): Shared, headers: HeaderMap) -> Response {
    let kind = headers
        .get("lambda-runtime-function-error-type")
        .and_then(|kind| kind.to_str().ok());
    tracing::error!(
        function.name = api.name,
        error.kind = kind,
        "a function did not start"
    );
    StatusCode::ACCEPTED.into_response()
}

fn new_id() -> String {
    let id = data_encoding::HEXLOWER.encode(&random_bytes::<16>());
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(name: &str, script: &str, timeout: Duration) -> Runtime {
        let path = std::env::temp_dir().join(format!("{name}-{}", new_id()));
        std::fs::write(&path, script).unwrap_or_else(|error| panic!("{error}"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap_or_else(|error| panic!("{error}"));
        Runtime::new(
            "fake",
            path,
            vec![],
            timeout,
            Clock::default(),
            Figures::default(),
            2,
        )
    }

    #[tokio::test]
    async fn an_invocation_that_takes_too_long_is_ended_with_its_process() {
        let script = "#!/bin/bash\nexec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}\n\
            printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n' >&3\nread -r -u 3 line\nexec 3>&-\nexec sleep 60\n";
        let runtime = runtime("slow", script, Duration::from_millis(300));
        let outcome = runtime.invoke("{}".into()).await;
        assert_eq!(
            outcome.map_err(|error| error["errorType"].clone()),
            Err("Sandbox.Timedout".into())
        );
        assert!(runtime.0.idle.lock().is_ok_and(|idle| idle.is_empty()));
    }

    #[tokio::test]
    async fn a_program_that_cannot_run_fails_the_invocation() {
        let runtime = Runtime::new(
            "none",
            "/nowhere/none".into(),
            vec![],
            Duration::from_secs(1),
            Clock::default(),
            Figures::default(),
            1,
        );
        let outcome = runtime.invoke("{}".into()).await;
        assert_eq!(
            outcome.map_err(|error| error["errorType"].clone()),
            Err("Runtime.InvalidEntrypoint".into())
        );
    }
}
