//! A function's binary as a child process: from its start to its first wait, and from event to
//! event. Its CPU time is read when it has gone to sleep, so that what it does after an answer
//! counts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::runtime_api::{Next, RuntimeApi};
use benches::cpu;

/// What to start, and what is right for it to answer.
pub struct Function {
    pub binary: PathBuf,
    pub variables: Vec<(&'static str, String)>,
    pub answers: &'static str,
}

/// What a stretch of its life took.
#[derive(Clone, Copy, Default)]
pub struct Took {
    pub wall: Duration,
    pub cpu: Duration,
}

/// A running one, waiting for an event. It is killed with this value.
pub struct Process<'a> {
    function: &'a Function,
    api: RuntimeApi,
    /// Never `None` between calls.
    next: Option<Next>,
    child: Child,
    id: String,
}

impl<'a> Process<'a> {
    /// Starts it, behind another program if `wrapper` names one, and waits until it waits.
    pub async fn start(function: &'a Function, wrapper: &[&str]) -> (Self, Took) {
        let mut api = RuntimeApi::open().await;
        let words: Vec<&Path> = wrapper
            .iter()
            .map(Path::new)
            .chain([function.binary.as_path()])
            .collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(function.variables.iter().map(|(name, value)| (name, value)));
        command.env("AWS_LAMBDA_RUNTIME_API", api.address());
        let log = std::fs::File::create(log_of(&function.binary)).expect("a log");
        let errors = log.try_clone().expect("a log");
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        let id = child.id().expect("it runs").to_string();
        let next = tokio::select! {
            next = api.next() => next.ok(),
            _ = child.wait() => None,
        };
        let Some(next) = next else {
            panic!(
                "{} does not start: see {}",
                function.binary.display(),
                log_of(&function.binary).display()
            )
        };
        asleep(&id);
        let took = Took {
            wall: next.at - begun,
            cpu: cpu::of_process(&id).used,
        };
        (
            Self {
                function,
                api,
                next: Some(next),
                child,
                id,
            },
            took,
        )
    }

    /// Hands it an event. The wall time ends with its answer, the CPU time with its next wait.
    pub async fn invoke(&mut self, event: &Value) -> Took {
        let cpu = cpu::of_process(&self.id);
        let begun = Instant::now();
        self.next.take().expect("it waits").hand_over(event);
        let answer = self.api.answer().await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let is_right = answer.kind == "response" && body.contains(self.function.answers);
        assert!(
            is_right,
            "{}: {} {body}",
            self.function.binary.display(),
            answer.kind
        );
        let Ok(next) = self.api.next().await else {
            panic!("{} answered twice", self.function.binary.display())
        };
        self.next = Some(next);
        asleep(&self.id);
        Took {
            wall: answer.at - begun,
            cpu: cpu::of_process(&self.id).since(cpu).used,
        }
    }

    /// Most memory that it ever had, in bytes.
    pub fn peak_bytes(&self) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next())
            .and_then(|kib| kib.parse::<f64>().ok())
            .unwrap_or(0.0)
            * 1024.0
    }

    /// Ends it as Lambda does, so that whoever watches it writes down what was seen. A watcher that
    /// is its parent ends with it.
    pub async fn end(mut self) {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id))
            .unwrap_or_default();
        let watched = children.split_whitespace().next().unwrap_or(&self.id);
        let killed = Command::new("kill").args(["-TERM", watched]).status().await;
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

/// Returns once all threads of a process wait for something.
fn asleep(id: &str) {
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
        // A thread that ended between the listing and the reading is no longer at work.
        let mut stats =
            threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
        if stats.all(sleeps) {
            return;
        }
        std::thread::yield_now();
    }
}
