//! The first deployment: the function of the template that fills the secret, the document with app
//! `default` and its first key, and how the operator reads this key.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::local_process::stderr;
use crate::support::{AwsStandIn, OperatedServer, TO, TempDirectory, assert_status, phone, stdout};

/// Seconds after which all functions use a change.
const MAX_AGE: i64 = 60;
/// Calls `index.py` of the template for a new stack and for two updates of it, with stand-ins for
/// the two modules of Lambda. Prints the statuses, the number of writes and the secret.
const DRIVER: &str = r#"
import json, sys, types
statuses, written = [], []
class Exists(Exception): pass
class Client:
    exceptions = types.SimpleNamespace(ResourceExistsException=Exists)
    def describe_secret(self, SecretId):
        return {"VersionIdsToStages": {"v1": ["AWSCURRENT"]}} if written else {}
    def put_secret_value(self, SecretId, SecretString, ClientRequestToken):
        written.append(SecretString)
sys.modules["boto3"] = types.SimpleNamespace(client=lambda name: Client())
sys.modules["cfnresponse"] = types.SimpleNamespace(SUCCESS=1, FAILED=0,
    send=lambda event, context, status, data, id, reason=None: statuses.append(status))
exec(sys.argv[1])
for kind in ["Create", "Create", "Update", "Delete"]:
    handler({"RequestType": kind, "RequestId": "1", "ResourceProperties": {"SecretArn": "arn"}}, None)
print(json.dumps({"statuses": statuses, "writes": len(written), "secret": json.loads(written[0])}))
"#;

/// The code of the function that fills the secret.
fn secrets_maker() -> String {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let template = std::fs::read_to_string(template).expect("template.yaml");
    let (before, code) = template.split_once("ZipFile: |\n").expect("the code");
    let indent = before.len() - before.trim_end_matches(' ').len() + 2;
    let is_of_code = |line: &&str| line.is_empty() || line.starts_with(&" ".repeat(indent));
    let lines = code.lines().take_while(is_of_code);
    let lines = lines.map(|line| line.get(indent..).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// What the function writes into the secret of a new stack.
async fn first_secret() -> Value {
    let code = secrets_maker();
    assert!(
        code.len() < 4096,
        "Lambda allows 4096 characters in a template"
    );
    let output = Command::new("python3")
        .args(["-c", DRIVER, &code])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("python3 runs");
    let mut printed: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_eq!(printed["statuses"], json!([1, 1, 1, 1]));
    assert_eq!(printed["writes"], 1, "a filled secret is kept");
    printed["secret"].take()
}

/// A server with the keys of a new stack, and the first API key.
async fn first_server(variables: &[(&str, &str)]) -> (OperatedServer, String) {
    let secret = first_secret().await;
    let text = |name: &str| secret[name].as_str().expect("a text").to_owned();
    let secrets = text("otp_secrets_with_carriers");
    let server = OperatedServer::start_with(TempDirectory::new(), secrets, variables).await;
    (server, text("first_api_key"))
}

async fn status_of(server: &OperatedServer, key: &str) -> u16 {
    let service = &server.process.service;
    service
        .call_as(key, "GET", "/v1/app", None, &[])
        .await
        .status
}

#[tokio::test]
async fn first_key_is_revoked_without_a_deployment() {
    let (server, key) = first_server(&[]).await;
    let service = &server.process.service;
    assert_eq!(status_of(&server, &key).await, 200);
    assert_status(&service.send_as(&key, TO).await, 201);
    let shown = server.json(&["config", "show"]).await;
    assert_eq!(shown["version"], 0);
    assert_eq!(shown["document"]["apps"], json!({"default": {}}));
    let entry = &shown["document"]["api_keys"][0];
    assert_eq!(
        (&entry["app"], &entry["name"], &entry["last4"]),
        (
            &json!("default"),
            &json!("first key"),
            &json!(key[key.len() - 4..])
        )
    );

    server.done(&["app", "create", "books"]).await;
    service.advance(MAX_AGE).await;
    assert_eq!(
        status_of(&server, &key).await,
        200,
        "the first change keeps it"
    );
    let shown = server.json(&["config", "show"]).await;
    let apps = json!({"books": {}, "default": {}});
    assert_eq!(
        (&shown["version"], &shown["document"]["apps"]),
        (&json!(1), &apps)
    );

    let id = entry["id"].as_str().expect("an id");
    server.done(&["key", "revoke", id, "--yes"]).await;
    service.advance(MAX_AGE).await;
    assert_eq!(status_of(&server, &key).await, 401);
    let output = server.run(&["config", "rollback", "0", "--yes"]).await;
    let named = format!("become valid, also if one was revoked before: {id}");
    assert!(stderr(&output).contains(&named), "{}", stderr(&output));
    service.advance(MAX_AGE).await;
    assert_eq!(status_of(&server, &key).await, 200);
    let apps = server.json(&["config", "show"]).await["document"]["apps"].clone();
    assert_eq!(apps, json!({"default": {}}));
}

#[tokio::test]
async fn first_document_leaves_settings_of_a_variable() {
    let apps = [("OTP_APPS", r#"{"default":{"code_length":8}}"#)];
    let (server, key) = first_server(&apps).await;
    let service = &server.process.service;
    let code_length = async |to: &str| {
        let sent = service.send_as(&key, to).await;
        assert_status(&sent, 201);
        service.code_of(to, &sent.id()).await.len()
    };
    assert_eq!(code_length(&phone(1)).await, 8);
    let create = server
        .run_with(&["app", "create", "books"], "", &apps)
        .await;
    assert_eq!(create.status.code(), Some(0), "{}", stderr(&create));
    service.advance(MAX_AGE).await;
    assert_eq!(code_length(&phone(2)).await, 8);
}

#[tokio::test]
async fn first_key_is_printed_once() {
    let server = OperatedServer::start(&["k1"]).await;
    let secret = first_secret().await;
    let aws = AwsStandIn::open(String::new(), &[]).await;
    aws.stack().secret = secret.as_object().expect("an object").clone();
    let lost = server.run_on_stack_with_full_disk(&aws, &["key", "first"]);
    let lost = lost.await;
    assert_eq!(lost.status.code(), Some(1), "{}", stderr(&lost));
    assert!(stderr(&lost).contains("the key is still in the secret"));
    let first = server.run_on_stack(&aws, &["key", "first"]).await;
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let key = secret["first_api_key"].as_str().expect("a key");
    assert_eq!(stdout(&first).trim(), key);
    let mut left = secret.clone();
    left.as_object_mut()
        .expect("an object")
        .remove("first_api_key");
    for name in ["otp_secrets", "otp_secrets_with_carriers"] {
        let before = secret[name].as_str().expect("a text");
        let before: Value = serde_json::from_str(before).expect("JSON");
        assert_eq!(aws.secrets(name), before);
    }
    assert_eq!(aws.stack().secret.len(), 2);
    let again = server.run_on_stack(&aws, &["key", "first"]).await;
    assert_eq!(again.status.code(), Some(1), "{}", stdout(&again));
    assert!(stderr(&again).contains("key create --app default"));
}
