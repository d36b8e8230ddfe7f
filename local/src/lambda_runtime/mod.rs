//! The built functions as processes under a Lambda Runtime API of our own. As on Lambda, an
//! environment is one process with its own API and one invocation at a time. A process that exits
//! or takes too long fails its invocation; a later invocation starts another process.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

mod api;
mod environment;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

pub(crate) use api::InvocationResult;
use api::error_document;
use environment::Environment;
pub(crate) use environment::FunctionProgram;

/// One function and its environments. Clones share them.
#[derive(Clone)]
pub(crate) struct LambdaRuntime(Arc<Inner>);

struct Inner {
    program: FunctionProgram,
    processes_max: usize,
    /// One permit per environment that may be busy.
    permits: Semaphore,
    idle: Mutex<VecDeque<Environment>>,
}

impl LambdaRuntime {
    /// With `processes_max` environments at most. Invocations start them.
    pub(crate) fn new(program: FunctionProgram, processes_max: usize) -> Self {
        Self(Arc::new(Inner {
            program,
            processes_max,
            permits: Semaphore::new(processes_max),
            idle: Mutex::default(),
        }))
    }

    /// Invokes the function with `event`. As on Lambda, the invocation continues if the caller
    /// stops waiting.
    pub(crate) async fn invoke(&self, event: String) -> InvocationResult {
        let inner = self.0.clone();
        let result = tokio::spawn(async move { inner.invoke(event).await }).await;
        result.unwrap_or_else(|error| Err(error_document("Runtime.Unknown", &error.to_string())))
    }

    /// Ends the processes that have no invocation. Invocations start new ones.
    pub(crate) fn end_idle_processes(&self) {
        self.0.idle().clear();
    }
}

impl Inner {
    async fn invoke(&self, event: String) -> InvocationResult {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|error| error_document("Runtime.Unknown", &error.to_string()))?;
        let mut environment = match self.idle_environment() {
            Some(environment) => environment,
            None => Environment::start(&self.program).await.map_err(|error| {
                self.program
                    .failure("Runtime.InvalidEntrypoint", &error.to_string())
            })?,
        };
        // After a failure of the environment it is dropped, and its process with it.
        let result = environment.invoke(event, &self.program).await?;
        self.idle().push_back(environment);
        result
    }

    /// The environment that was idle longest; `None` while another one may be started. Lambda would
    /// reuse a warm one first; here all processes start early and take turns, so that state which a
    /// process keeps to itself shows in tests.
    fn idle_environment(&self) -> Option<Environment> {
        let mut idle = self.idle();
        idle.retain_mut(Environment::is_alive);
        let busy_others = self.processes_max - self.permits.available_permits() - 1;
        if idle.len() + busy_others < self.processes_max {
            None
        } else {
            idle.pop_front()
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Environment>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use otp::platform::clock::Clock;
    use otp::platform::random::random_bytes;

    use super::*;
    use crate::metrics::RecordedMetrics;

    /// Asks for one invocation and then sleeps.
    const SLEEPER: &str = "#!/bin/bash\n\
        exec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}\n\
        printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n' >&3\n\
        read -r -u 3 line\nexec 3>&-\nexec sleep 60\n";

    fn runtime(path: PathBuf, timeout: Duration) -> LambdaRuntime {
        let program = FunctionProgram {
            name: "fake",
            path,
            variables: vec![],
            timeout,
            clock: Clock::default(),
            metrics: RecordedMetrics::new([].into()),
        };
        LambdaRuntime::new(program, 2)
    }

    /// An executable file.
    fn script(text: &str) -> PathBuf {
        let name = data_encoding::HEXLOWER.encode(&random_bytes::<8>());
        let path = std::env::temp_dir().join(format!("fake-function-{name}"));
        std::fs::write(&path, text).expect("a temporary file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("the file is ours");
        path
    }

    #[tokio::test]
    async fn invocation_that_times_out_ends_its_process() {
        let path = script(SLEEPER);
        let runtime = runtime(path.clone(), Duration::from_millis(300));
        let error = runtime.invoke("{}".into()).await.expect_err("a time-out");
        assert_eq!(error["errorType"], "Sandbox.Timedout");
        assert!(runtime.0.idle().is_empty());
        std::fs::remove_file(path).expect("the file is there");
    }

    #[tokio::test]
    async fn program_that_cannot_run_fails_the_invocation() {
        let runtime = runtime("/nowhere/none".into(), Duration::from_secs(1));
        let error = runtime.invoke("{}".into()).await.expect_err("no program");
        assert_eq!(error["errorType"], "Runtime.InvalidEntrypoint");
    }
}
