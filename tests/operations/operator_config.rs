//! Commands that change the configuration document: what they refuse, what they print, and two
//! operators at once.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::local_process::stderr;
use crate::support::{OperatedServer, TempDirectory, stdout, target};

/// Runs a command that is refused; returns why.
async fn refused(server: &OperatedServer, command: &[&str], input: &str) -> String {
    let output = server.run_with(command, input, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    stderr(&output)
}

async fn version(server: &OperatedServer) -> Value {
    server.json(&["config", "show"]).await["version"].clone()
}

/// Arguments, standard input, and why the command is refused.
type Refusal = (&'static [&'static str], &'static str, &'static str);

const CREDENTIAL: &str = r#"{"format":1,"carriers":[{"kind":"twilio","auth_token":"t"}]}"#;
const NEWER: &str = r#"{"format":2}"#;
/// One character more than a name may have.
const LONG_NAME: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

#[rustfmt::skip]
const REFUSALS: [Refusal; 25] = [
    (&["app", "set", "books", "code_length=3"], "", "books.code_length must be"),
    (&["app", "set", "books", "code_length=4"], "", "could be guessed"),
    (&["app", "set", "books", "colour=red"], "", "colour: is not a setting"),
    (&["app", "set", "other", "code_length=8"], "", "there is no app other"),
    (&["app", "show", "other"], "", "there is no app other"),
    (&["app", "create", "books"], "", "the app books exists"),
    (&["app", "create", "a b"], "", "NAME: must have"),
    (&["app", "delete", "other", "--yes"], "", "no app other"),
    (&["app", "delete", "books"], "", "--yes"),
    (&["key", "create", "--app", "other"], "", "there is no app other"),
    (&["key", "create", "--app", "books", "--name", LONG_NAME], "", "[0].name: must be up to 64"),
    (&["key", "create", "--app", "books", "--name", "a\u{1b}b"], "", "without control characters"),
    (&["key", "revoke", "ak_1", "--yes"], "", "no key ak_1"),
    (&["recipient", "forget", "--app", "other", "--yes", "+33612345678"], "", "no app other"),
    (&["config", "apply", "-", "--yes"], CREDENTIAL, "auth_token is a credential"),
    (&["config", "apply", "-", "--yes"], NEWER, "2 is newer than 1"),
    (&["config", "apply", "/nowhere", "--yes"], "", "/nowhere: cannot be used"),
    (&["config", "rollback", "7", "--yes"], "", "version 7 is not kept"),
    (&["carrier", "add", "x", "--kind", "pigeon"], "", "kind must be one of"),
    (&["carrier", "add", "sim-a", "--kind", "sns"], "", "the carrier sim-a exists"),
    (&["carrier", "add", "x", "--kind", "smspartner"], "", "--credentials"),
    (&["carrier", "set", "other", "price=1"], "", "there is no carrier other"),
    (&["carrier", "set", "sim-a", "token=t"], "", "token: is a credential"),
    (&["carrier", "set", "sim-a", "price=-1"], "", "price must be"),
    (&["carrier", "remove", "other", "--yes"], "", "there is no carrier other"),
];

#[tokio::test]
async fn document_that_functions_refuse_is_not_written() {
    let server = OperatedServer::start(&["k1"]).await;
    let create = ["app", "create", "books", "brand=Books"];
    server.done(&create).await;
    for (command, input, problem) in REFUSALS {
        let error = refused(&server, command, input).await;
        assert!(error.contains(problem), "{command:?}: {error}");
    }
    assert_eq!(version(&server).await, 1);
}

#[tokio::test]
async fn settings_are_shown_with_their_origin() {
    let server = OperatedServer::start(&["k1"]).await;
    let created = server
        .done(&["app", "create", "books", "code_length=8", "brand=Books"])
        .await;
    assert!(created.contains("at most 2.0e-7"), "{created}");
    let changed = server
        .done(&["app", "set", "books", "code_length=6", "brand="])
        .await;
    for expected in [
        "at most 2.0e-5",
        "before this change: 2.0e-7",
        "~ apps.books.code_length: 8 -> 6",
        "- apps.books.brand: \"Books\"",
        "version 2",
    ] {
        assert!(changed.contains(expected), "{expected}: {changed}");
    }
    let shown = server.json(&["app", "show", "books"]).await;
    let setting = |name: &str| {
        let settings = shown["settings"].as_array().expect("settings");
        let found = settings.iter().find(|setting| setting["setting"] == name);
        found.expect("the setting").clone()
    };
    assert_eq!(setting("code_length")["from"], "document");
    assert_eq!(setting("brand")["from"], "default");
    let list = server.done(&["app", "list"]).await;
    assert!(list.contains("books") && list.contains("default"), "{list}");
    server.done(&["app", "delete", "books", "--yes"]).await;
    assert!(!server.done(&["app", "list"]).await.contains("books"));
}

#[tokio::test]
async fn export_and_apply_round_trip() {
    let server = OperatedServer::start(&["k1"]).await;
    server
        .done(&["app", "create", "books", "brand=Books"])
        .await;
    server.done(&["key", "create", "--app", "books"]).await;
    let exported = server.done(&["config", "export"]).await;
    let apply = ["config", "apply", "-", "--json"];
    let output = server.run_with(&apply, &exported, &[]).await;
    let printed: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(printed, json!({"version": 2, "changes": []}));
    let dry_run = ["config", "apply", "-", "--dry-run"];
    let output = server.run_with(&dry_run, &exported, &[]).await;
    assert_eq!(stdout(&output).trim(), "no difference");
    let edited = exported.replace("\"Books\"", "\"Shelf\"");
    let expected = "~ apps.books.brand: \"Books\" -> \"Shelf\"";
    let output = server.run_with(&dry_run, &edited, &[]).await;
    assert_eq!(stdout(&output).trim(), expected);
    assert_eq!(version(&server).await, 2);
    let refused = refused(&server, &["config", "apply", "-"], &edited).await;
    assert!(
        refused.contains(expected) && refused.contains("--yes"),
        "{refused}"
    );
    let output = server
        .run_with(&["config", "apply", "-", "--yes"], &edited, &[])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        server.json(&["config", "check"]).await["problems"],
        json!([])
    );
    assert_eq!(version(&server).await, 3);
}

#[tokio::test]
async fn second_operator_is_shown_what_changed() {
    let server = OperatedServer::start(&["k1"]).await;
    server
        .done(&["app", "create", "books", "brand=Books"])
        .await;
    let program = target::program("local-under-test");
    let directory = TempDirectory::new();
    std::fs::create_dir_all(directory.path()).expect("a directory");
    let editor = directory.path().join("editor.sh");
    // While one operator edits, another one writes.
    let script = format!(
        "#!/bin/sh\nset -e\n{} app set books code_length=8 {}\nsed -i s/Books/Shelf/ \"$1\"\n",
        program.display(),
        server.target().join(" ")
    );
    std::fs::write(&editor, script).expect("a file");
    let editor = format!("sh {}", editor.display());
    let variables = [("EDITOR", editor.as_str()), ("PATH", "/usr/bin:/bin")];
    let output = server
        .run_with(&["config", "edit", "--yes"], "", &variables)
        .await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let error = stderr(&output);
    for expected in [
        "ada has written version 2",
        "; its changes:\n+ apps.books.code_length: 8",
        "+ apps.books.code_length: 8",
        "your text is in",
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let text = error
        .lines()
        .find_map(|line| line.strip_prefix("your text is in "));
    let edited = std::fs::read_to_string(text.expect("a path")).expect("a file");
    std::fs::remove_file(text.expect("a path")).expect("a file");
    assert!(edited.contains("Shelf"), "{edited}");
    let shown = server.json(&["app", "show", "books"]).await;
    assert_eq!(shown["settings"][0]["value"], "Books");
}

#[tokio::test]
async fn key_is_listed_until_it_expires() {
    let server = OperatedServer::start(&["k1"]).await;
    let create = [
        "key",
        "create",
        "--app",
        "default",
        "--name",
        "web",
        "--expires",
        "2d",
    ];
    let created = server.json(&create).await;
    let key = created["key"].as_str().expect("a key");
    let of_web = async || {
        let listed = server.json(&["key", "list", "--app", "default"]).await;
        let keys = listed["keys"].as_array().expect("keys").clone();
        keys.into_iter()
            .find(|key| key["name"] == "web")
            .expect("the key")
    };
    let listed = of_web().await;
    assert_eq!(
        (&listed["id"], &listed["state"]),
        (&created["id"], &json!("valid"))
    );
    assert_eq!(listed["last4"], key[key.len() - 4..]);
    server.process.service.advance(172_800).await;
    let listed = of_web().await;
    assert_eq!(
        (&listed["state"], &listed["age_days"]),
        (&json!("expired"), &json!(2))
    );
    let printed = server.done(&["key", "list"]).await;
    assert!(!printed.contains(key), "{printed}");
}

#[tokio::test]
async fn removed_carrier_is_not_rolled_back_without_credentials() {
    let server = OperatedServer::start(&["k1"]).await;
    let credentials = r#"{"api_key":"first-credential"}"#;
    let add = [
        "carrier",
        "add",
        "second",
        "--kind",
        "smspartner",
        "voice=true",
        "--credentials",
    ];
    let output = server.run_with(&add, credentials, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let exported = server.done(&["config", "export"]).await;
    let listed = server.done(&["carrier", "list"]).await;
    assert!(listed.contains("sms,voice"), "{listed}");
    let state = server.process.service.state().await.to_string();
    for printed in [&exported, &listed, &state, &stdout(&output)] {
        assert!(!printed.contains("first-credential"), "{printed}");
    }
    server
        .done(&["carrier", "set", "second", "price=0.05", "--first"])
        .await;
    assert!(server.done(&["carrier", "list"]).await.contains("0.05"));
    server.done(&["carrier", "remove", "second", "--yes"]).await;
    let error = refused(&server, &["config", "rollback", "1", "--yes"], "").await;
    assert!(error.contains("api_key is required"), "{error}");
}

/// Adds a carrier whose credentials are on standard input.
pub(super) const ADD_SECOND: [&str; 6] = [
    "carrier",
    "add",
    "second",
    "--kind",
    "smspartner",
    "--credentials",
];

#[tokio::test]
async fn rollback_removes_credentials_of_carriers() {
    let server = OperatedServer::start(&["k1"]).await;
    let added = server.run_with(&ADD_SECOND, r#"{"api_key":"a"}"#, &[]);
    assert_eq!(added.await.status.code(), Some(0));
    server.done(&["config", "rollback", "0", "--yes"]).await;
    let error = refused(&server, &ADD_SECOND, "{}").await;
    assert!(error.contains("api_key"), "{error}");
    let carriers = server.json(&["carrier", "list"]).await["carriers"].clone();
    let carriers = carriers.as_array().expect("a list");
    assert!(
        carriers
            .iter()
            .all(|carrier| carrier["from"] == "OTP_CARRIERS")
    );
    assert!(
        carriers
            .iter()
            .all(|carrier| carrier["credentials"] != "table")
    );
}

#[tokio::test]
async fn rollback_names_keys_that_become_valid() {
    let server = OperatedServer::start(&["k1"]).await;
    let created = server.json(&["key", "create", "--app", "default"]).await;
    let id = created["id"].as_str().expect("an id");
    server.done(&["key", "revoke", id, "--yes"]).await;
    let output = server.run(&["config", "rollback", "1", "--yes"]).await;
    let expected = format!("become valid, also if one was revoked before: {id}");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}

/// The server after a restart with another key for the credentials of carriers.
async fn with_another_carrier_seal(server: OperatedServer) -> OperatedServer {
    let keys = [8, 9].map(|byte| BASE64.encode(&[byte; 32]));
    let secrets = server.secrets.replace(&keys[0], &keys[1]);
    server.process.kill().await;
    OperatedServer::start_with(server.data, secrets, &[]).await
}

#[tokio::test]
async fn unreadable_credentials_are_replaced() {
    let mut server = OperatedServer::start(&["k1"]).await;
    let added = server.run_with(&ADD_SECOND, r#"{"api_key":"a"}"#, &[]);
    assert_eq!(added.await.status.code(), Some(0));
    server = with_another_carrier_seal(server).await;
    let created = server.json(&["key", "create", "--app", "default"]).await;
    let id = created["id"].as_str().expect("an id");
    server.done(&["key", "revoke", id, "--yes"]).await;
    let found = server.run(&["doctor"]).await;
    let problem = "the stored credentials of carriers do not open with carrier_seal";
    assert!(stdout(&found).contains(problem), "{}", stdout(&found));
    for name in ["sim-a", "sim-b"] {
        server.done(&["carrier", "remove", name, "--yes"]).await;
    }
    let set = ["carrier", "set", "second", "--credentials"];
    let set = server.run_with(&set, r#"{"api_key":"b"}"#, &[]).await;
    assert_eq!(set.status.code(), Some(0), "{}", stderr(&set));
    let found = server.run(&["doctor"]).await;
    assert!(!stdout(&found).contains(problem), "{}", stdout(&found));
}

#[tokio::test]
async fn empty_document_ends_unreadable_credentials() {
    let mut server = OperatedServer::start(&["k1"]).await;
    let added = server.run_with(&ADD_SECOND, r#"{"api_key":"a"}"#, &[]);
    assert_eq!(added.await.status.code(), Some(0));
    server = with_another_carrier_seal(server).await;
    server.done(&["config", "rollback", "0", "--yes"]).await;
    let added = server
        .run_with(&ADD_SECOND, r#"{"api_key":"b"}"#, &[])
        .await;
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
}

#[tokio::test]
async fn reseal_includes_the_document() {
    let before = OperatedServer::start(&["k1"]).await;
    before.done(&["app", "create", "books"]).await;
    let data = before.data;
    before.process.kill().await;
    let during = OperatedServer::start_in(data, &["k2", "k1"]).await;
    assert_eq!(during.json(&["reseal"]).await["resealed"], 1);
    assert_eq!(during.json(&["reseal"]).await["resealed"], 0);
    let data = during.data;
    during.process.kill().await;
    let after = OperatedServer::start_in(data, &["k2"]).await;
    let shown = after.json(&["config", "show"]).await;
    assert_eq!(shown["document"]["apps"], json!({"books": {}}));
}

#[tokio::test]
async fn document_under_a_removed_key_is_replaced() {
    let before = OperatedServer::start(&["k1"]).await;
    before.done(&["app", "create", "books"]).await;
    let data = before.data;
    before.process.kill().await;
    let after = OperatedServer::start_in(data, &["k2"]).await;
    let error = refused(&after, &["config", "show"], "").await;
    assert!(error.contains("sealed under the key \"k1\""), "{error}");
    let history = after.json(&["config", "history"]).await;
    assert_eq!(history["versions"][0]["apps"], Value::Null);
    after.done(&["config", "rollback", "0", "--yes"]).await;
    assert_eq!(version(&after).await, 2);
}
