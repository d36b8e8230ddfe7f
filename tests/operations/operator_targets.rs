//! Wrong targets of commands: a region, a profile, a stack, a table, a secret or a terminal that is
//! not there.

use std::process::Output;

use crate::support::local_process::{run_to_end, stderr};
use crate::support::{AwsStandIn, OperatedServer, stdout};

/// Runs a command with the endpoints of the stand-in, and with further variables.
async fn run(
    server: &OperatedServer,
    aws: &AwsStandIn,
    command: &[&str],
    more: &[(&str, &str)],
) -> Output {
    let variables = aws.variables(&server.process.service.dynamodb_url);
    let variables = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<_> = variables.chain(more.iter().copied()).collect();
    run_to_end(command, &variables).await
}

#[tokio::test]
async fn error_follows_the_line_with_the_region() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    let output = run(&server, &aws, &["app", "list", "--stack", "nope"], &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert_eq!(
        stderr(&output),
        "stack nope in eu-west-1, with access key AKIDOPERATOR\n\
         DescribeStacks failed: ValidationError: Stack does not exist\n"
    );
}

#[tokio::test]
async fn missing_table_is_named_with_its_region() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    let target = ["--table", "not-there", "--secret", "otp"];
    for command in [&["app", "list"][..], &["config", "show"], &["doctor"]] {
        let output = run(&server, &aws, &[command, &target].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        let printed = format!("{}{}", stdout(&output), stderr(&output));
        let expected = "there is no table not-there in eu-west-1: compare both with the outputs";
        assert!(printed.contains(expected), "{printed}");
    }
}

#[tokio::test]
async fn secret_of_something_else_is_named() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open("text".into(), &[]).await;
    let output = server.run_on_stack(&aws, &["app", "list"]).await;
    let expected = "OTP_SECRETS: is not valid JSON (line 1, column 2)";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    aws.stack().secret.clear();
    let output = server.run_on_stack(&aws, &["app", "list"]).await;
    let expected = "the secret is not one of a stack: it must be a JSON object";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[tokio::test]
async fn secret_of_another_table_is_suspected() {
    let server = OperatedServer::start(&["k1"]).await;
    server.done(&["app", "create", "books"]).await;
    let secrets = server.secrets.replace("k1", "other");
    let aws = AwsStandIn::open(secrets, &[]).await;
    let output = server.run_on_stack(&aws, &["app", "list"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let expected = "which OTP_SECRETS does not have; is this the secret of this table?";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[tokio::test]
async fn missing_credentials_are_explained() {
    for (profile, expected) in [
        ("", "no credentials of AWS: set AWS_PROFILE, or sign in"),
        (
            "nope",
            "no credentials of AWS in profile \"nope\" (AWS_PROFILE): is it configured here?",
        ),
    ] {
        let variables = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_PROFILE", profile),
        ];
        let output = run_to_end(&["app", "list", "--stack", "otp"], &variables).await;
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        let printed = stderr(&output);
        assert!(printed.contains(expected), "{printed}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
}

#[tokio::test]
async fn secret_that_another_operator_changed_is_kept() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    aws.stack().changes_after_reading = true;
    let output = server.run_on_stack(&aws, &["seal-key", "add"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let expected = "nothing was changed: the secret has changed since it was read";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    let output = server.run_on_stack(&aws, &["seal-key", "add"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[tokio::test]
async fn editor_needs_a_terminal_or_a_variable() {
    let server = OperatedServer::start(&["k1"]).await;
    let variables = [("VISUAL", ""), ("EDITOR", "")];
    let output = server.run_with(&["config", "edit"], "", &variables).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let expected = "nothing was changed: without a terminal, set EDITOR";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}
