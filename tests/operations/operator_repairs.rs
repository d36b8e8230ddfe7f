//! What an operator repairs with the tool: items of the configuration that were damaged or placed
//! by hand, and documents that functions refuse.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::support::local_process::stderr;
use crate::support::stored_config::place_item;
use crate::support::{OperatedServer, TO, TempDirectory, stdout};

/// Seconds after which all functions use a change.
const MAX_AGE: i64 = 60;

fn number(text: &str) -> AttributeValue {
    AttributeValue::N(text.into())
}

/// Attributes of items that are not of the configuration.
fn malformed_items() -> Vec<Vec<(&'static str, AttributeValue)>> {
    let text = |text: &str| AttributeValue::S(text.into());
    let document = ("document", AttributeValue::B(Blob::new("{}")));
    vec![
        vec![],
        vec![("document", text("{}"))],
        vec![("format", number("1")), ("version", text("1"))],
        vec![("format", number("1")), ("version", number("1.5"))],
        vec![("format", number("1")), ("version", number("-3"))],
        vec![
            ("format", number("1")),
            ("version", number("9223372036854775807")),
        ],
        vec![("format", number("2")), ("version", number("1")), document],
        vec![
            ("format", AttributeValue::Bool(true)),
            ("version", AttributeValue::Null(true)),
        ],
    ]
}

async fn document(server: &OperatedServer) -> (Value, Value) {
    let shown = server.json(&["config", "show"]).await;
    let names = shown["document"]["apps"].as_object().expect("apps").keys();
    (shown["version"].clone(), names.cloned().collect())
}

#[tokio::test]
async fn malformed_document_is_replaced() {
    let server = OperatedServer::start(&["k1"]).await;
    let service = &server.process.service;
    server.done(&["app", "create", "books"]).await;
    let mut version = 1;
    for item in malformed_items() {
        place_item(service, "config", &item).await;
        let shown = server.run(&["config", "show"]).await;
        assert_eq!(shown.status.code(), Some(1), "{item:?}: {}", stdout(&shown));
        let problem = "config: the item is not one of the configuration";
        assert!(stderr(&shown).contains(problem), "{}", stderr(&shown));
        let history = server.json(&["config", "history"]).await;
        assert_eq!(history["versions"][0]["version"], version);
        let back = version.to_string();
        server.done(&["config", "rollback", &back, "--yes"]).await;
        version += 1;
        assert_eq!(document(&server).await, (json!(version), json!(["books"])));
    }
    place_item(service, "config", &[]).await;
    let file = r#"{"format":1,"apps":{"shelf":{}}}"#;
    let apply = ["config", "apply", "-", "--yes"];
    let applied = server.run_with(&apply, file, &[]).await;
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
    assert_eq!(
        document(&server).await,
        (json!(version + 1), json!(["shelf"]))
    );
    service.advance(MAX_AGE).await;
    service.open(TO).await;
}

#[tokio::test]
async fn malformed_version_is_left_out_of_the_history() {
    let server = OperatedServer::start(&["k1"]).await;
    server.done(&["app", "create", "books"]).await;
    server.done(&["app", "create", "shelf"]).await;
    for item in malformed_items() {
        place_item(&server.process.service, "config_version_02", &item).await;
        let history = server.json(&["config", "history"]).await;
        let versions = history["versions"].as_array().expect("versions");
        let numbers: Vec<&Value> = versions.iter().map(|version| &version["version"]).collect();
        assert_eq!(numbers, [1], "{item:?}");
    }
    server.done(&["config", "rollback", "1", "--yes"]).await;
    assert_eq!(document(&server).await, (json!(3), json!(["books"])));
}

#[tokio::test]
async fn malformed_credentials_are_replaced() {
    let server = OperatedServer::start(&["k1"]).await;
    let set = ["carrier", "set", "second", "--credentials"];
    let add = ["carrier", "add", "second", "--kind", "smspartner"];
    let add = [&add[..], &["--credentials"]].concat();
    let credentials = r#"{"api_key":"first-credential"}"#;
    let added = server.run_with(&add, credentials, &[]).await;
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
    for name in ["sim-a", "sim-b"] {
        server.done(&["carrier", "remove", name, "--yes"]).await;
    }
    for item in malformed_items() {
        place_item(&server.process.service, "config_secrets", &item).await;
        let found = stdout(&server.run(&["doctor"]).await);
        let problem = "config_secrets: the item is not one of the configuration";
        assert!(found.contains(problem), "{item:?}: {found}");
        let done = server.run_with(&set, credentials, &[]).await;
        assert_eq!(done.status.code(), Some(0), "{item:?}: {}", stderr(&done));
        let found = stdout(&server.run(&["doctor"]).await);
        assert!(!found.contains(problem), "{item:?}: {found}");
    }
    place_item(&server.process.service, "config_secrets", &[]).await;
    server.done(&["config", "rollback", "0", "--yes"]).await;
    let added = server.run_with(&add, credentials, &[]).await;
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
}

/// Restarts the server with these `OTP_SECRETS`, and asserts that its start names the problem, and
/// that the tool repairs it there.
async fn assert_repaired(server: OperatedServer, secrets: String, problem: &str) {
    let data = server.data;
    server.process.kill().await;
    let server = OperatedServer::start_with(data, secrets, &[]).await;
    let checked = server.run(&["config", "check"]).await;
    assert_eq!(checked.status.code(), Some(1), "{}", stdout(&checked));
    server.done(&["config", "rollback", "0", "--yes"]).await;
    let service = &server.process.service;
    service.advance(MAX_AGE).await;
    service.open(TO).await;
    let printed = server.process.kill().await;
    for expected in ["the stored configuration cannot be used", problem] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

#[tokio::test]
async fn start_names_the_removed_key_of_the_document() {
    let server = OperatedServer::start(&["k1"]).await;
    server.done(&["app", "create", "books"]).await;
    let secrets = server.secrets.replace("\"k1\"", "\"k9\"");
    assert_repaired(server, secrets, "config: sealed under the key `k1`").await;
}

#[tokio::test]
async fn start_names_the_wrong_member_of_the_document() {
    let allowed = [("OTP_GUESS_BUDGET", "10")];
    let data = TempDirectory::new();
    let secrets = OperatedServer::start(&["k1"]).await.secrets;
    let server = OperatedServer::start_with(data, secrets, &allowed).await;
    let create = ["app", "create", "books", "code_length=4"];
    let created = server.run_with(&create, "", &allowed).await;
    assert_eq!(created.status.code(), Some(0), "{}", stderr(&created));
    let secrets = server.secrets.clone();
    assert_repaired(
        server,
        secrets,
        "config.apps: books: a code could be guessed",
    )
    .await;
}
