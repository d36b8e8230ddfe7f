//! The local server as a process: what it prints is kept, and its data directory outlives it.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::delay::in_time;
use super::response::TestResponse;
use super::service::{Service, local_api_keys};
use super::target;

/// The command of the local server, with these arguments and these variables only.
pub fn local_command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(target::program("local-under-test"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs the local server until it ends by itself.
pub async fn run_to_end(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    local_command(arguments, variables)
        .output()
        .await
        .expect("it ran")
}

/// What an ended process printed on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Ends `child` with `signal`; returns its exit code.
pub async fn end_with_signal(signal: &str, child: &mut Child) -> Option<i32> {
    let id = child.id().expect("it runs").to_string();
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {id}")])
        .status()
        .await
        .expect("a shell");
    assert!(sent.success());
    child.wait().await.expect("it ended").code()
}

/// A running local server. The process is killed when this value is dropped.
pub struct LocalProcess {
    pub service: Service,
    pub child: Child,
    /// What it printed on standard output at its start, up to and including the `curl` line.
    pub greeting: Vec<String>,
    /// What it printed on standard output after that, and all of standard error.
    printed: Arc<watch::Sender<String>>,
    readers: [JoinHandle<()>; 2],
}

impl LocalProcess {
    /// With the API keys of the suite and these variables; with its table in `data`.
    pub async fn start(variables: &[(&str, &str)], data: Option<&Path>) -> Self {
        let keys = local_api_keys();
        let variables = [&[("OTP_LOCAL_API_KEYS", keys.as_str())], variables].concat();
        let data = data.map(|data| data.to_str().expect("a path in UTF-8"));
        let arguments: Vec<&str> = data.into_iter().flat_map(|data| ["--data", data]).collect();
        Self::start_with_arguments(&arguments, &variables).await
    }

    /// With these arguments and these variables only. Returns once it listens.
    pub async fn start_with_arguments(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = local_command(&[arguments, &["--port", "0"]].concat(), variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let printed = Arc::default();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let stderr_reader = keep(stderr, &printed);
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut greeting = vec![];
        while let Some(line) = stdout.next_line().await.expect("a line") {
            let is_last = line.starts_with("curl ");
            greeting.push(line);
            if is_last {
                break;
            }
        }
        let base = greeting
            .first()
            .and_then(|line| line.strip_prefix("listening on "))
            .unwrap_or_else(|| panic!("{greeting:?}\n{}", *printed.borrow()));
        Self {
            service: Service::at(base),
            child,
            greeting,
            readers: [keep(stdout, &printed), stderr_reader],
            printed,
        }
    }

    /// App and API key, as printed.
    pub fn keys(&self) -> Vec<(String, String)> {
        let keys = self
            .greeting
            .iter()
            .filter_map(|line| line.strip_prefix("api key ")?.split_once(' '));
        keys.map(|(app, key)| (app.to_owned(), key.to_owned()))
            .collect()
    }

    /// A request with the first API key that it printed.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> TestResponse {
        let key = &self.keys()[0].1;
        self.service.call_as(key, method, path, body, &[]).await
    }

    /// Ends it with `signal`; returns its exit code.
    pub async fn end(mut self, signal: &str) -> Option<i32> {
        end_with_signal(signal, &mut self.child).await
    }

    /// Returns once it has printed `part` so often after the greeting.
    pub async fn wait_for_printed(&self, part: &str, count: usize) {
        let mut printed = self.printed.subscribe();
        let is_printed = |printed: &String| printed.matches(part).count() >= count;
        let waited = in_time(printed.wait_for(is_printed)).await;
        let is_met = waited.is_some_and(|waited| waited.is_ok());
        assert!(is_met, "not printed {count} times: {part}");
    }

    /// Kills it; returns what it printed but for the greeting.
    pub async fn kill(mut self) -> String {
        self.child.kill().await.expect("it runs");
        for reader in self.readers {
            reader.await.expect("a reader does not panic");
        }
        self.printed.borrow().clone()
    }
}

fn keep(
    mut lines: Lines<BufReader<impl AsyncRead + Unpin + Send + 'static>>,
    printed: &Arc<watch::Sender<String>>,
) -> JoinHandle<()> {
    let printed = printed.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            printed.send_modify(|printed| {
                printed.push_str(&line);
                printed.push('\n');
            });
        }
    })
}
