//! `seal-key`: the keys in the secret of a stack.

use serde_json::{Value, json};

use super::operator_config::ADD_SECOND;
use crate::support::local_process::stderr;
use crate::support::{AwsStandIn, OperatedServer, stdout};

async fn done(server: &OperatedServer, aws: &AwsStandIn, command: &[&str]) -> String {
    let output = server.run_on_stack(aws, command).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

async fn refused(server: &OperatedServer, aws: &AwsStandIn, command: &[&str]) -> String {
    let output = server.run_on_stack(aws, command).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    stderr(&output)
}

fn ids(secrets: &Value) -> Vec<&String> {
    let keys = secrets["seal"]["keys"].as_object();
    keys.expect("keys").keys().collect()
}

#[tokio::test]
async fn seal_key_is_rotated_in_both_documents() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    done(&server, &aws, &["app", "create", "books"]).await;
    let printed = done(&server, &aws, &["seal-key", "add"]).await;
    assert!(printed.contains("k2 is in the secret"), "{printed}");
    assert!(printed.contains("raise SecretsRevision"), "{printed}");
    let key = aws.secrets("otp_secrets")["seal"]["keys"]["k2"].clone();
    assert!(!printed.contains(key.as_str().expect("a key")), "{printed}");
    done(&server, &aws, &["seal-key", "use", "k2"]).await;
    for name in ["otp_secrets", "otp_secrets_with_carriers"] {
        let secrets = aws.secrets(name);
        assert_eq!(ids(&secrets), ["k1", "k2"], "{name}");
        assert_eq!(secrets["seal"]["keys"]["k2"], key, "{name}");
        assert_eq!(secrets["seal"]["current"], "k2", "{name}");
    }
    let listed = done(&server, &aws, &["seal-key", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let expected = json!([{"id": "k1", "seals": false}, {"id": "k2", "seals": true}]);
    assert_eq!(listed["seal_keys"], expected);

    let remove = ["seal-key", "remove", "k1", "--yes"];
    let error = refused(&server, &aws, &remove).await;
    assert!(error.contains("sealed under k1: run `reseal`"), "{error}");
    done(&server, &aws, &["reseal"]).await;
    assert!(refused(&server, &aws, &remove[..3]).await.contains("--yes"));
    done(&server, &aws, &remove).await;
    let version = aws.stack().secret_version;
    assert_eq!(
        (ids(&aws.secrets("otp_secrets")), version),
        (vec![&"k2".to_owned()], 4)
    );
    for (command, problem) in [
        (
            &["seal-key", "remove", "k2", "--yes"][..],
            "k2 seals new values",
        ),
        (&["seal-key", "use", "k9"], "no seal key k9, but k2"),
        (&["seal-key", "add", "--carriers"], "has a carrier_seal"),
    ] {
        let error = refused(&server, &aws, command).await;
        assert!(error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn versions_stay_readable_after_a_rotation() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    for command in [
        &["app", "create", "books"][..],
        &["app", "set", "books", "brand=Books"],
        &["seal-key", "add"],
        &["seal-key", "use", "k2"],
        // The document is under the new key, its versions are not.
        &["app", "set", "books", "brand=Wrong"],
    ] {
        done(&server, &aws, command).await;
    }
    let remove = ["seal-key", "remove", "k1", "--yes"];
    let error = refused(&server, &aws, &remove).await;
    let expected = "versions 1, 2 of the configuration are sealed under k1: run `reseal`";
    assert!(error.contains(expected), "{error}");
    let before = done(&server, &aws, &["config", "history"]).await;
    let resealed = done(&server, &aws, &["reseal", "--json"]).await;
    assert!(resealed.contains(r#""versions":2"#), "{resealed}");
    let after = done(&server, &aws, &["config", "history"]).await;
    assert_eq!(after, before.replace("k1", "k2"));
    done(&server, &aws, &remove).await;
    done(&server, &aws, &["config", "rollback", "2", "--yes"]).await;
    let shown = done(&server, &aws, &["config", "show"]).await;
    assert!(
        shown.contains("version 4") && shown.contains("Books"),
        "{shown}"
    );
}

#[tokio::test]
async fn versions_under_a_removed_key_are_named() {
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    done(&server, &aws, &["app", "create", "books"]).await;
    let mut secrets: Value = serde_json::from_str(&server.secrets).expect("JSON");
    let key = secrets["seal"]["keys"]["k1"].clone();
    secrets["seal"] = json!({"current": "k2", "keys": {"k2": key}});
    let aws = AwsStandIn::open(secrets.to_string(), &[]).await;
    done(&server, &aws, &["config", "rollback", "0", "--yes"]).await;
    let output = server.run_on_stack(&aws, &["reseal"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for expected in [
        "version 1 of the configuration does not open",
        "unless the secret gets its key \"k1\" back",
    ] {
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn carriers_need_a_key_of_their_own() {
    let server = OperatedServer::start(&["k1"]).await;
    let mut secrets: Value = serde_json::from_str(&server.secrets).expect("JSON");
    secrets
        .as_object_mut()
        .expect("an object")
        .remove("carrier_seal");
    let aws = AwsStandIn::open(secrets.to_string(), &[]).await;
    let credentials = r#"{"api_key":"first-credential"}"#;
    let output = server
        .run_on_stack_with(&aws, &ADD_SECOND, credentials)
        .await;
    assert!(
        stderr(&output).contains("seal-key add --carriers"),
        "{}",
        stderr(&output)
    );
    done(&server, &aws, &["seal-key", "add", "--carriers"]).await;
    let output = server
        .run_on_stack_with(&aws, &ADD_SECOND, credentials)
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(aws.secrets("otp_secrets")["carrier_seal"].is_null());
}

#[tokio::test]
async fn local_server_has_no_secret_to_change() {
    let server = OperatedServer::start(&["k1"]).await;
    let output = server.run(&["seal-key", "list"]).await;
    assert!(
        stderr(&output).contains("use --stack"),
        "{}",
        stderr(&output)
    );
}
