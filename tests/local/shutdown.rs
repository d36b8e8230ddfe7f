//! Signals end the local server cleanly at any time.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::support::delay::in_time;
use crate::support::local_process::{end_with_signal, local_command};
use crate::support::{Listener, LocalProcess, TO};

#[tokio::test]
async fn signal_ends_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let process = LocalProcess::start_with_arguments(&[], &[]).await;
        let body = Some(json!({"to": TO}));
        process.call("POST", "/v1/verifications", body).await;
        assert_eq!(process.end(signal).await, Some(0), "SIG{signal}");
    }
}

#[tokio::test]
async fn signal_right_after_start_ends_it_cleanly() {
    for signal in ["TERM", "INT"].into_iter().cycle().take(10) {
        let mut child = local_command(&["--port", "0"], &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = out.next_line().await.expect("a line").unwrap_or_default();
        assert!(first.starts_with("listening on "), "{first}");
        assert_eq!(
            end_with_signal(signal, &mut child).await,
            Some(0),
            "SIG{signal}"
        );
    }
}

/// With a table that never responds the start does not complete.
#[tokio::test]
async fn signal_during_start_ends_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
        let table = Listener::open(0, move |_| {
            let _ = called.send(());
            std::future::pending()
        });
        let table = table.await;
        let mut child = local_command(&["--port", "0", "--dynamodb", &table.url()], &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        assert_eq!(
            in_time(calls.recv()).await,
            Some(Some(())),
            "it is starting"
        );
        assert_eq!(
            end_with_signal(signal, &mut child).await,
            Some(0),
            "SIG{signal}"
        );
        let mut printed = String::new();
        child
            .stdout
            .take()
            .expect("a pipe")
            .read_to_string(&mut printed)
            .await
            .expect("a text");
        assert_eq!(printed, "", "it does not listen");
    }
}
