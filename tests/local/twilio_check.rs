//! `lambda-otp twilio-check`: what it prints about a service.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

use crate::support::local_process::{local_command, run_to_end, stderr};
use crate::support::{DEFAULT_KEY, Service, TO, Twilio};

/// The command, whose standard input begins with the API key.
async fn start(twilio: &Twilio, key: &str) -> (Child, ChildStdin) {
    let account = twilio.account_sid.as_str();
    let url = twilio.service.base.as_str();
    let target = ["twilio-check", "--base-url", url, "--account-sid", account];
    let mut command = local_command(&[target.as_slice(), &["--to", TO]].concat(), &[]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    enter(&mut stdin, key).await;
    (child, stdin)
}

async fn enter(stdin: &mut ChildStdin, line: &str) {
    let line = format!("{line}\n");
    stdin.write_all(line.as_bytes()).await.expect("it reads");
}

#[tokio::test]
async fn check_of_a_working_service_succeeds() {
    let twilio = Twilio::start(&[]).await;
    let (child, mut stdin) = start(&twilio, DEFAULT_KEY).await;
    let path = "/local/messages?wait=30&to=%2B12025550143";
    let messages = twilio.service.raw("GET", path, &[], "").await;
    let code = messages.body["messages"][0]["code"]
        .as_str()
        .expect("a code");
    enter(&mut stdin, code).await;
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.ends_with("14 of 14 as expected\n"), "{printed}");
    for shown in [
        "201 status=pending",
        "code=20429",
        "status=approved valid=true",
        "code=20003",
    ] {
        assert!(printed.contains(shown), "{shown} in {printed}");
    }
    assert!(
        !printed.contains(DEFAULT_KEY) && !printed.contains(code),
        "{printed}"
    );
}

#[tokio::test]
async fn check_with_a_wrong_key_fails() {
    let service = Service::start().await;
    let twilio = Twilio::of(&service, DEFAULT_KEY).await;
    let (child, stdin) = start(&twilio, "wrong").await;
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("FAIL app of the key: 401"), "{printed}");
    assert!(stderr(&output).starts_with("stopped: "), "{output:?}");
}

#[tokio::test]
async fn check_without_a_key_says_where_it_is_read() {
    let service = Service::start().await;
    let twilio = Twilio::of(&service, DEFAULT_KEY).await;
    let (child, stdin) = start(&twilio, "").await;
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("standard input"), "{output:?}");
}

#[tokio::test]
async fn check_without_a_number_is_wrong_usage() {
    let output = run_to_end(&["twilio-check", "--base-url", "here"], &[]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
