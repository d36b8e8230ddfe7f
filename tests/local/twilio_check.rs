//! `lambda-otp twilio-check`: what it prints about a service.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;

use crate::support::local_process::{local_command, run_to_end, stderr};
use crate::support::{DEFAULT_KEY, Service, TO, Twilio};

fn arguments<'a>(twilio: &'a Twilio, key: &'a str) -> Vec<&'a str> {
    let account = twilio.account_sid.as_str();
    let url = twilio.service.base.as_str();
    [
        ["twilio-check", "--base-url", url, "--account-sid", account].as_slice(),
        &["--api-key", key, "--to", TO],
    ]
    .concat()
}

#[tokio::test]
async fn check_of_a_working_service_succeeds() {
    let twilio = Twilio::start(&[]).await;
    let mut command = local_command(&arguments(&twilio, DEFAULT_KEY), &[]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let path = "/local/messages?wait=30&to=%2B12025550143";
    let messages = twilio.service.raw("GET", path, &[], "").await;
    let code = messages.body["messages"][0]["code"]
        .as_str()
        .expect("a code");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(format!("{code}\n").as_bytes())
        .await
        .expect("it reads");
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
    let output = run_to_end(&arguments(&twilio, "wrong"), &[]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("FAIL app of the key: 401"), "{printed}");
    assert!(stderr(&output).starts_with("stopped: "), "{output:?}");
}

#[tokio::test]
async fn check_without_a_number_is_wrong_usage() {
    let output = run_to_end(&["twilio-check", "--base-url", "here"], &[]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
