//! Measurements by other programs: compressed size by `gzip`, system calls by `strace`,
//! instructions by `valgrind`. A program that is not installed gives no number; one that fails
//! stops the benchmark.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::environment::{Environment, Event};
use crate::process::{Function, Process};

/// Invocations in two runs. Their difference divided by 50 is the mean of a warm invocation.
const BEFORE: usize = 6;
const AFTER: usize = 56;

/// Counts of the start, of the first invocation, and of each later one.
pub struct Counts {
    pub init: f64,
    pub first: f64,
    pub warm: f64,
}

/// Compressed size of `file`: about the size of a deployment package.
pub async fn gzip_bytes(file: &Path) -> Option<f64> {
    let packed = Command::new("gzip")
        .args(["-9", "-c"])
        .arg(file)
        .output()
        .await
        .ok()?;
    packed
        .status
        .success()
        .then_some(packed.stdout.len() as f64)
}

/// System calls of all threads.
pub async fn system_calls(
    function: &Function,
    event: Event,
    environment: &mut Environment,
) -> Option<Counts> {
    let log = output("strace");
    let arguments = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "signal=none",
        "-o",
        log.to_str()?,
    ];
    let lines = |text: &str| {
        text.lines()
            .filter(|line| !line.contains("resumed>"))
            .count() as f64
    };
    counted(function, event, environment, &arguments, &log, lines).await
}

/// Instructions of all threads, as counted by callgrind.
pub async fn instructions(
    function: &Function,
    event: Event,
    environment: &mut Environment,
) -> Option<Counts> {
    let log = output("callgrind");
    let file = format!("--callgrind-out-file={}", log.display());
    let arguments = ["valgrind", "-q", "--tool=callgrind", file.as_str()];
    let summary = |text: &str| {
        let line = text.lines().find_map(|line| {
            line.strip_prefix("summary:")
                .or_else(|| line.strip_prefix("totals:"))
        });
        line.and_then(|line| line.trim().parse().ok())
            .expect("callgrind prints a sum")
    };
    counted(function, event, environment, &arguments, &log, summary).await
}

fn output(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.out"))
}

async fn counted(
    function: &Function,
    event: Event,
    environment: &mut Environment,
    wrapper: &[&str],
    log: &Path,
    count: impl Fn(&str) -> f64,
) -> Option<Counts> {
    let version = Command::new(wrapper[0])
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if !version.is_ok_and(|status| status.success()) {
        return None;
    }
    eprintln!("  {}", wrapper[0]);
    let mut counts = vec![];
    for invocations in [0, 1, BEFORE, AFTER] {
        let events = environment.events(event, invocations).await;
        let (mut process, _) = Process::start(function, wrapper).await;
        for event in &events {
            process.invoke(event).await;
        }
        process.end().await;
        counts.push(count(
            &std::fs::read_to_string(log).expect("the output of the tool"),
        ));
    }
    let warm = (counts[3] - counts[2]) / (AFTER - BEFORE) as f64;
    Some(Counts {
        init: counts[0],
        first: counts[1] - counts[0],
        warm,
    })
}
