//! The local server as a process of its own: what it prints is kept, its data outlive it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::harness::{DEFAULT_KEY, SHOP_KEY, Service};

/// A running process. It ends with this value.
pub struct Process {
    pub service: Service,
    child: Child,
    printed: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// One that sees these variables and no others, ready.
    pub async fn start(variables: &[(&str, &str)], data: Option<&Path>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local-under-test"));
        command
            .env_clear()
            .env(
                "OTP_LOCAL_API_KEYS",
                format!("default={DEFAULT_KEY},shop={SHOP_KEY}"),
            )
            .envs(variables.iter().copied());
        command.args(["--port", "0"]).args(
            data.into_iter()
                .flat_map(|data| [Path::new("--data"), data]),
        );
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the process starts");
        let printed = Arc::default();
        let errors = keep(
            BufReader::new(child.stderr.take().expect("piped")).lines(),
            &printed,
        );
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines
            .next_line()
            .await
            .expect("standard output")
            .unwrap_or_default();
        let Some(base) = first.strip_prefix("listening on ") else {
            panic!("{first}\n{}", text(&printed))
        };
        skip_greeting(&mut lines).await;
        Self {
            service: Service::at(base),
            child,
            readers: [keep(lines, &printed), errors],
            printed,
        }
    }

    /// Ends it, as hard as can be; what it printed since it was ready, and all of standard error.
    pub async fn kill(mut self) -> String {
        self.child.kill().await.expect("it runs");
        for reader in self.readers {
            reader.await.expect("a reader does not panic");
        }
        text(&self.printed)
    }
}

/// The lines up to the one to paste hold an API key and a number, as they should.
async fn skip_greeting(lines: &mut Lines<BufReader<ChildStdout>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("curl ") {
            return;
        }
    }
}

fn keep(
    mut lines: Lines<BufReader<impl AsyncRead + Unpin + Send + 'static>>,
    printed: &Arc<Mutex<String>>,
) -> JoinHandle<()> {
    let printed = printed.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            printed.push_str(&line);
            printed.push('\n');
        }
    })
}

fn text(printed: &Mutex<String>) -> String {
    printed
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// A directory of its own, removed with this value.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        let name = data_encoding::HEXLOWER.encode(&otp::platform::random::random_bytes::<8>());
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
