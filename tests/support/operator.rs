//! The commands of operators, as processes: on a local server, and on a stack whose AWS is a
//! stand-in.

use std::fs::File;
use std::process::{Output, Stdio};

use data_encoding::BASE64;
use otp::crypto::hashes::sha256;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::aws_stand_in::AwsStandIn;
use super::built_functions::dynamodb_for_suite;
use super::deliveries::enqueue;
use super::local_process::{LocalProcess, local_command, stderr};
use super::service::local_api_keys;
use super::temp_directory::TempDirectory;

/// A local server with its directory, and the service that a test calls.
pub struct OperatedServer {
    pub process: LocalProcess,
    pub data: TempDirectory,
    pub secrets: String,
}

impl OperatedServer {
    /// With these seal keys, of which the first is current.
    pub async fn start(seal: &[&str]) -> Self {
        Self::start_in(TempDirectory::new(), seal).await
    }

    pub async fn start_in(data: TempDirectory, seal: &[&str]) -> Self {
        let key = |id: &&str| {
            (
                (*id).to_owned(),
                json!(BASE64.encode(&sha256(id.as_bytes()))),
            )
        };
        let keys: serde_json::Map<_, _> = seal.iter().map(key).collect();
        let seal = json!({"current": seal[0], "keys": keys});
        let secrets = json!({
            "seal": seal,
            "lookup": BASE64.encode(&[7; 32]),
            "carrier_seal": BASE64.encode(&[8; 32]),
        })
        .to_string();
        Self::start_with(data, secrets, &[]).await
    }

    /// With these `OTP_SECRETS` and these further variables.
    pub async fn start_with(
        data: TempDirectory,
        secrets: String,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut process = start_process(&data, &secrets, variables).await;
        let endpoints = process.call("GET", "/local/endpoints", None).await.body;
        let text = |name: &str| endpoints[name].as_str().expect("a text").to_owned();
        process.service.sqs_url = text("sqs_url");
        process.service.dynamodb_url = text("dynamodb_url");
        process.service.table = text("table");
        Self {
            process,
            data,
            secrets,
        }
    }

    /// The options that name this server.
    pub fn target(&self) -> [&str; 4] {
        [
            "--url",
            &self.process.service.base,
            "--data",
            self.data.as_str(),
        ]
    }

    /// Runs a command with this server as its target.
    pub async fn run(&self, command: &[&str]) -> Output {
        self.run_with(command, "", &[]).await
    }

    /// As [`Self::run`], with this standard input and these variables.
    pub async fn run_with(
        &self,
        command: &[&str],
        input: &str,
        variables: &[(&str, &str)],
    ) -> Output {
        let secrets = [("OTP_SECRETS", self.secrets.as_str()), ("USER", "ada")];
        let variables = [&secrets[..], variables].concat();
        run_with_input(&[command, &self.target()].concat(), input, &variables).await
    }

    /// As [`Self::run`], with a standard output that takes nothing.
    pub async fn run_on_full_disk(&self, command: &[&str]) -> Output {
        let variables = [("OTP_SECRETS", self.secrets.as_str()), ("USER", "ada")];
        run_on_full_disk(&[command, &self.target()].concat(), &variables).await
    }

    /// As [`Self::run_on_stack`], with a standard output that takes nothing.
    pub async fn run_on_stack_with_full_disk(&self, aws: &AwsStandIn, command: &[&str]) -> Output {
        let service = &self.process.service;
        aws.stack().table.clone_from(&service.table);
        let variables = aws.variables(&service.dynamodb_url);
        let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        run_on_full_disk(&[command, &["--stack", "otp"]].concat(), &variables).await
    }

    /// Runs a command on the stack `otp` of the stand-in, whose table is that of this server.
    pub async fn run_on_stack(&self, aws: &AwsStandIn, command: &[&str]) -> Output {
        self.run_on_stack_with(aws, command, "").await
    }

    /// As [`Self::run_on_stack`], with this standard input.
    pub async fn run_on_stack_with(
        &self,
        aws: &AwsStandIn,
        command: &[&str],
        input: &str,
    ) -> Output {
        let service = &self.process.service;
        aws.stack().table.clone_from(&service.table);
        let variables = aws.variables(&service.dynamodb_url);
        let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        run_with_input(&[command, &["--stack", "otp"]].concat(), input, &variables).await
    }

    /// As [`Self::run`], for a command that succeeds; what it printed.
    pub async fn done(&self, command: &[&str]) -> String {
        let output = self.run(command).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).starts_with("local server at http://"));
        stdout(&output)
    }

    pub async fn json(&self, command: &[&str]) -> Value {
        let printed = self.done(&[command, &["--json"]].concat()).await;
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"))
    }

    /// A message that the worker has failed to handle three times.
    pub async fn dead_letter(&self) {
        enqueue(&self.process.service, "malformed", 0).await;
        for _ in 0..4 {
            self.process.service.settle().await;
            self.process.service.advance(61).await;
        }
    }
}

/// A local server; on another DynamoDB, if the suite has one, with a table of its own, which a
/// restart in the same directory finds again.
async fn start_process(
    data: &TempDirectory,
    secrets: &str,
    variables: &[(&str, &str)],
) -> LocalProcess {
    let (keys, table) = (local_api_keys(), format!("otp-{}", data.name()));
    let mut arguments = vec!["--data", data.as_str()];
    let own = [("OTP_SECRETS", secrets), ("OTP_LOCAL_API_KEYS", &keys)];
    let mut variables = [&own[..], variables].concat();
    let dynamodb = dynamodb_for_suite();
    if let Some(url) = &dynamodb {
        arguments.extend(["--dynamodb", url]);
        variables.push(("OTP_TABLE", &table));
    }
    LocalProcess::start_with_arguments(&arguments, &variables).await
}

/// What an ended process printed on standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command with this standard input.
async fn run_with_input(arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Output {
    run_into(Stdio::piped(), arguments, input, variables).await
}

/// Runs a command whose standard output is on a full disk.
async fn run_on_full_disk(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let full = File::options().write(true).open("/dev/full");
    let full = full.expect("a device of Linux");
    run_into(full.into(), arguments, "", variables).await
}

async fn run_into(
    stdout: Stdio,
    arguments: &[&str],
    input: &str,
    variables: &[(&str, &str)],
) -> Output {
    let mut command = local_command(arguments, variables);
    let command = command.stdin(Stdio::piped());
    let mut child = command
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that reads no input may have ended.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.expect("it ran")
}
