//! The commands of operators, as processes: against a local server, and against a stack whose AWS
//! is a stand-in.

use std::process::Output;

use data_encoding::BASE64;
use otp::crypto::hashes::sha256;
use serde_json::{Value, json};

use crate::support::deliveries::enqueue;
use crate::support::local_process::{run_to_end, stderr};
use crate::support::{AwsStandIn, LocalProcess, TO, TempDirectory, assert_approved, assert_status};

/// A local server with its directory, and the service that a test calls.
struct Server {
    process: LocalProcess,
    data: TempDirectory,
    secrets: String,
}

impl Server {
    /// With these seal keys, of which the first is current.
    async fn start(seal: &[&str]) -> Self {
        Self::start_in(TempDirectory::new(), seal).await
    }

    async fn start_in(data: TempDirectory, seal: &[&str]) -> Self {
        let key = |id: &&str| {
            (
                (*id).to_owned(),
                json!(BASE64.encode(&sha256(id.as_bytes()))),
            )
        };
        let keys: serde_json::Map<_, _> = seal.iter().map(key).collect();
        let seal = json!({"current": seal[0], "keys": keys});
        let secrets = json!({"seal": seal, "lookup": BASE64.encode(&[7; 32])}).to_string();
        let variables = [("OTP_SECRETS", secrets.as_str())];
        let mut process = LocalProcess::start(&variables, Some(data.path())).await;
        let endpoints = process.call("GET", "/local/endpoints", None).await.body;
        let text = |name: &str| endpoints[name].as_str().expect("a text").to_owned();
        process.service.sqs_url = text("sqs_url");
        process.service.dynamodb_url = text("dynamodb_url");
        Self {
            process,
            data,
            secrets,
        }
    }

    /// Runs a command with this server as its target.
    async fn run(&self, command: &[&str]) -> Output {
        let target = [
            "--url",
            &self.process.service.base,
            "--data",
            self.data.as_str(),
        ];
        let variables = [("OTP_SECRETS", self.secrets.as_str())];
        run_to_end(&[command, &target].concat(), &variables).await
    }

    /// As [`Self::run`], for a command that succeeds; what it printed.
    async fn done(&self, command: &[&str]) -> String {
        let output = self.run(command).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).starts_with("local server at http://"));
        stdout(&output)
    }

    async fn json(&self, command: &[&str]) -> Value {
        let printed = self.done(&[command, &["--json"]].concat()).await;
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"))
    }

    /// A message that the worker has failed to handle three times.
    async fn dead_letter(&self) {
        enqueue(&self.process.service, "malformed", 0).await;
        for _ in 0..4 {
            self.process.service.settle().await;
            self.process.service.advance(61).await;
        }
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn recipient_is_looked_up_unlocked_and_forgotten() {
    let server = Server::start(&["k1"]).await;
    let service = &server.process.service;
    let (id, code) = service.open(TO).await;
    service.fail_checks(&id, &code, 2).await;
    let of_recipient = ["--app", "default", TO];
    let shown = server
        .json(&[&["recipient", "lookup"], &of_recipient[..]].concat())
        .await;
    assert_eq!(shown, service.lookup(TO).await.body);
    let table = server
        .done(&[&["recipient", "lookup"], &of_recipient[..]].concat())
        .await;
    assert!(
        table.contains(&id) && table.contains("wrong attempts in 24 hours: 2"),
        "{table}"
    );
    assert!(!table.contains(&code), "{table}");

    server
        .done(&[&["recipient", "unlock"], &of_recipient[..]].concat())
        .await;
    assert_eq!(service.lookup(TO).await.body["failures_24h"], 0);

    let forget = [&["recipient", "forget"], &of_recipient[..]].concat();
    let refused = server.run(&forget).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("--yes"), "{}", stderr(&refused));
    assert_status(&service.show(&id).await, 200);
    server.done(&[&forget[..], &["--yes"]].concat()).await;
    assert_status(&service.show(&id).await, 404);
}

#[tokio::test]
async fn commands_use_the_clock_of_the_local_server() {
    let server = Server::start(&["k1"]).await;
    let service = &server.process.service;
    service.open(TO).await;
    service.advance(3600).await;
    let shown = server
        .json(&["recipient", "lookup", "--app", "default", TO])
        .await;
    assert_eq!(shown["verifications"][0]["status"], "expired");
}

#[tokio::test]
async fn dead_letters_are_listed_and_redriven() {
    let server = Server::start(&["k1"]).await;
    let service = &server.process.service;
    server.dead_letter().await;
    for _ in 0..2 {
        let listed = server.json(&["dead-letters", "list"]).await;
        let letters = listed["dead_letters"].as_array().map(Vec::len);
        assert_eq!(letters, Some(1), "a listing takes nothing: {listed}");
        assert_eq!(
            listed["dead_letters"][0]["reason"],
            "not a dispatch of this version"
        );
    }
    let refused = server.run(&["dead-letters", "redrive"]).await;
    assert_eq!(refused.status.code(), Some(1));
    let redriven = server.json(&["dead-letters", "redrive", "--yes"]).await;
    assert_eq!(redriven, json!({"redriven": 1}));
    let state = service.state().await;
    assert_eq!(state["dead_letters"], json!([]));
    assert_eq!(state["queue"][0]["body"], "malformed");
}

#[tokio::test]
async fn reseal_lets_the_old_key_go() {
    let before = Server::start(&["k1"]).await;
    let (id, code) = before.process.service.open(TO).await;
    let data = before.data;
    before.process.kill().await;
    let during = Server::start_in(data, &["k2", "k1"]).await;
    let resealed = during.json(&["reseal"]).await;
    assert_eq!(resealed["resealed"], 1, "{resealed}");
    assert_eq!(during.json(&["reseal"]).await["resealed"], 0);
    let data = during.data;
    during.process.kill().await;
    let after = Server::start_in(data, &["k2"]).await;
    assert_approved(&after.process.service.check(&id, &code).await, 4);
}

/// Runs a command on the stack `otp` of the stand-in, whose table is that of `server`.
async fn run_on_stack(server: &Server, aws: &AwsStandIn, command: &[&str]) -> Output {
    let variables = aws.variables(&server.process.service.dynamodb_url);
    let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    run_to_end(&[command, &["--stack", "otp"]].concat(), &variables).await
}

#[tokio::test]
async fn stack_names_table_secret_and_queues() {
    let server = Server::start(&["k1"]).await;
    let (id, code) = server.process.service.open(TO).await;
    let dispatch = json!({"v": 1, "app": "default", "id": id, "step": 1}).to_string();
    let aws = AwsStandIn::open(server.secrets.clone(), std::slice::from_ref(&dispatch)).await;

    let looked_up = ["recipient", "lookup", "--app", "default", TO, "--json"];
    let output = run_on_stack(&server, &aws, &looked_up).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let first_line = stderr(&output);
    assert!(
        first_line.starts_with("stack otp in eu-west-1, with access key AKIDOPERATOR"),
        "{first_line}"
    );
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["verifications"][0]["id"], id);

    let output = run_on_stack(&server, &aws, &["dead-letters", "list"]).await;
    let listed = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for expected in [
        &id[..8],
        "pending",
        "sms",
        "failed after a carrier accepted",
    ] {
        assert!(listed.contains(expected), "{expected}: {listed}");
    }
    for secret in [&id, &code, &TO.to_owned()] {
        assert!(!listed.contains(secret.as_str()), "{listed}");
    }
    assert_eq!(aws.dead_letters(), std::slice::from_ref(&dispatch));

    let output = run_on_stack(&server, &aws, &["dead-letters", "redrive", "--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        (aws.enqueued(), aws.dead_letters()),
        (vec![dispatch], vec![])
    );
}

#[tokio::test]
async fn table_and_secret_replace_a_stack() {
    let server = Server::start(&["k1"]).await;
    let (id, _) = server.process.service.open(TO).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    let variables = aws.variables(&server.process.service.dynamodb_url);
    let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let target = ["--table", "otp", "--secret", "otp"];
    let lookup = ["recipient", "lookup", "--app", "default", TO];
    let output = run_to_end(&[&lookup[..], &target].concat(), &variables).await;
    assert!(stdout(&output).contains(&id), "{}", stderr(&output));
    let output = run_to_end(
        &[&["dead-letters", "list"][..], &target].concat(),
        &variables,
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("needs the queue"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn unusable_targets_are_named() {
    let server = Server::start(&["k1"]).await;
    let aws = AwsStandIn::open("{}".into(), &[]).await;
    let output = run_on_stack(&server, &aws, &["reseal"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("OTP_SECRETS"),
        "{}",
        stderr(&output)
    );
    let lookup = ["recipient", "lookup", "--app", "default", "not a number"];
    assert!(stderr(&server.run(&lookup).await).contains("TO: must be"));
    for arguments in [
        &["reseal"][..],
        &["reseal", "--table", "otp"],
        &["reseal", "--url", "http://127.0.0.1:1"],
        &["reseal", "--stack", "a", "--table", "b", "--secret", "c"],
        &["recipient", "lookup", "--stack", "a", TO],
        &["completions", "pigeon"],
    ] {
        let output = run_to_end(arguments, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let target = ["--url", "http://127.0.0.1:1", "--data", "/nowhere"];
    let output = run_to_end(&[&["reseal"][..], &target].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no local server"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run_to_end(&["completions", shell], &[]).await;
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(stdout(&output).contains("dead-letters"), "{shell}");
    }
}
