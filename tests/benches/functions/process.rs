//! A function's binary as a child process, measured from its start until it waits for an event, and
//! from event to event. Its CPU time is read when the process is idle, so that the work after a
//! response counts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::runtime_api::{EventPoll, RuntimeApi};
use benches::cpu;

/// What to start, and a part of its right response.
pub struct Function {
    pub binary: PathBuf,
    pub variables: Vec<(&'static str, String)>,
    pub expected: &'static str,
}

/// Wall time and CPU time of a start or an invocation.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

/// A running function that waits for an event. Dropping this value kills it.
pub struct Process<'a> {
    function: &'a Function,
    api: RuntimeApi,
    /// `None` only during an invocation.
    poll: Option<EventPoll>,
    child: Child,
    id: String,
}

impl<'a> Process<'a> {
    /// Starts the function, under the program in `wrapper` if there is one, and returns when it
    /// waits for an event.
    pub async fn start(function: &'a Function, wrapper: &[&str]) -> (Self, Cost) {
        let mut api = RuntimeApi::start().await;
        let arguments: Vec<&Path> = wrapper
            .iter()
            .map(Path::new)
            .chain([function.binary.as_path()])
            .collect();
        let mut command = Command::new(arguments[0]);
        command
            .args(&arguments[1..])
            .env_clear()
            .envs(function.variables.iter().map(|(name, value)| (name, value)));
        command.env("AWS_LAMBDA_RUNTIME_API", api.address());
        let log = std::fs::File::create(log_of(&function.binary)).expect("a log");
        let errors = log.try_clone().expect("a log");
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        let id = child.id().expect("it runs").to_string();
        let poll = tokio::select! {
            poll = api.poll() => poll.ok(),
            _ = child.wait() => None,
        };
        let Some(poll) = poll else {
            panic!(
                "{} does not start: see {}",
                function.binary.display(),
                log_of(&function.binary).display()
            )
        };
        wait_until_idle(&id);
        let cost = Cost {
            wall: poll.at - started,
            cpu: cpu::of_process(&id).used,
        };
        (
            Self {
                function,
                api,
                poll: Some(poll),
                child,
                id,
            },
            cost,
        )
    }

    /// Sends the function an event. The wall time ends with its response, the CPU time when it is
    /// idle again.
    pub async fn invoke(&mut self, event: &Value) -> Cost {
        let cpu = cpu::of_process(&self.id);
        let started = Instant::now();
        self.poll.take().expect("it waits").answer(event);
        let response = self.api.response().await;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let is_right = response.kind == "response" && body.contains(self.function.expected);
        assert!(
            is_right,
            "{}: {} {body}",
            self.function.binary.display(),
            response.kind
        );
        let Ok(poll) = self.api.poll().await else {
            panic!("{} responded twice", self.function.binary.display())
        };
        self.poll = Some(poll);
        wait_until_idle(&self.id);
        Cost {
            wall: response.at - started,
            cpu: cpu::of_process(&self.id).since(cpu).used,
        }
    }

    /// Its peak memory in bytes.
    pub fn peak_bytes(&self) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next())
            .and_then(|kib| kib.parse::<f64>().ok())
            .unwrap_or(0.0)
            * 1024.0
    }

    /// Stops the function like Lambda does, so that a wrapper writes its result and exits too.
    pub async fn end(mut self) {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id))
            .unwrap_or_default();
        let function = children.split_whitespace().next().unwrap_or(&self.id);
        let killed = Command::new("kill")
            .args(["-TERM", function])
            .status()
            .await;
        assert!(killed.is_ok_and(|status| status.success()), "it runs");
        let _ = self.child.wait().await;
    }
}

fn log_of(binary: &Path) -> PathBuf {
    let name = binary
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("function");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.log"))
}

/// Returns when all threads of a process sleep.
fn wait_until_idle(id: &str) {
    let sleeps = |stat: String| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with(['S', 't']))
    };
    loop {
        let threads = std::fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
            .flatten();
        // A thread may end between the listing and the reading.
        let mut stats =
            threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
        if stats.all(sleeps) {
            return;
        }
        std::thread::yield_now();
    }
}
