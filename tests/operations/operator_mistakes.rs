//! Mistakes of operators that the tool notices: another server's directory, texts that look like
//! others, rules of an app that does not exist, and what a message names.

use serde_json::{Value, json};

use crate::support::local_process::{run_to_end, stderr};
use crate::support::stored_config::key_entry;
use crate::support::{
    AwsStandIn, HttpCarrier, LocalProcess, OperatedServer, TempDirectory, stdout,
};

/// Seconds after which all functions use a change.
const MAX_AGE: i64 = 60;

/// Checks or applies a document from standard input; returns the exit code and what was printed.
async fn with_document(
    server: &OperatedServer,
    command: &[&str],
    document: &Value,
) -> (Option<i32>, String) {
    let output = server.run_with(command, &document.to_string(), &[]).await;
    (
        output.status.code(),
        format!("{}{}", stdout(&output), stderr(&output)),
    )
}

#[tokio::test]
async fn directory_of_another_server_is_refused() {
    let directories = [
        TempDirectory::new(),
        TempDirectory::new(),
        TempDirectory::new(),
    ];
    let [own, other, empty] = &directories;
    let server = LocalProcess::start_with_arguments(&["--data", own.as_str()], &[]).await;
    let _other = LocalProcess::start_with_arguments(&["--data", other.as_str()], &[]).await;
    let create = [
        "app",
        "create",
        "books",
        "--url",
        &server.service.base,
        "--data",
    ];
    for data in [other, empty] {
        let output = run_to_end(&[&create[..], &[data.as_str()]].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        let expected = "does not have the keys of the server at http://";
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let output = run_to_end(&[&create[..], &[own.as_str()]].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("written as version 1"));
}

#[tokio::test]
async fn server_without_a_directory_is_refused() {
    let server = LocalProcess::start_with_arguments(&[], &[]).await;
    let data = TempDirectory::new();
    let target = ["--url", &server.service.base, "--data", data.as_str()];
    for command in [
        &["app", "list"][..],
        &["reseal"],
        &["doctor"],
        &["config", "show"],
    ] {
        let output = run_to_end(&[command, &target].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(
            stderr(&output).contains("keys of the server"),
            "{command:?}"
        );
    }
}

#[tokio::test]
async fn rules_of_an_unknown_app_are_named() {
    let server = OperatedServer::start(&["k1"]).await;
    let rules = json!([{"name": "rest", "decision": "deny"}]);
    let document = json!({"format": 1, "rules": {"desk": rules, "default": rules}});
    for command in [
        &["config", "check", "-"][..],
        &["config", "apply", "-", "--yes"],
        &["config", "apply", "-", "--dry-run"],
    ] {
        let (code, printed) = with_document(&server, command, &document).await;
        assert_eq!(code, Some(1), "{printed}");
        let expected = "config.rules.desk: there is no app desk";
        assert!(printed.contains(expected), "{printed}");
        assert!(!printed.contains("config.rules.default"), "{printed}");
    }
    // An app may have a key alone, which can always be revoked.
    let mut document = document;
    document["api_keys"] = json!([key_entry("ak_1", "desk", "otp_live_desk_222222", None)]);
    let apply = ["config", "apply", "-", "--yes"];
    let (code, printed) = with_document(&server, &apply, &document).await;
    assert_eq!(code, Some(0), "{printed}");
    server.done(&["key", "revoke", "ak_1", "--yes"]).await;
    let checked = server.run(&["config", "check"]).await;
    assert_eq!(checked.status.code(), Some(1));
    assert!(
        stderr(&checked).contains("config.rules.desk"),
        "{}",
        stderr(&checked)
    );
}

#[tokio::test]
async fn hidden_characters_are_named() {
    let server = OperatedServer::start(&["k1"]).await;
    let mut key = key_entry("ak_1", "default", "otp_live_desk_222222", None);
    key["name"] = "web\u{202e}bew".into();
    for (member, members) in [
        ("config.api_keys[0].name", json!({"api_keys": [key]})),
        (
            "config.apps.shop.brand",
            json!({"apps": {"shop": {"brand": "Sh\u{2066}op"}}}),
        ),
        (
            "config.apps.shop.brand",
            json!({"apps": {"shop": {"brand": "Sh\u{200b}op"}}}),
        ),
    ] {
        let mut document = members;
        document["format"] = 1.into();
        for command in [
            &["config", "check", "-"][..],
            &["config", "apply", "-", "--yes"],
        ] {
            let (code, printed) = with_document(&server, command, &document).await;
            assert_eq!(code, Some(1), "{printed}");
            assert!(printed.contains(member), "{member}: {printed}");
        }
    }
    for command in [
        &["app", "create", "shop", "brand=Sh\u{202e}op"][..],
        &["app", "set", "default", "brand=Sh\u{7}op"],
        &["key", "create", "--app", "default", "--name", "web\u{200f}"],
        &["carrier", "set", "sim-a", "sender=Sh\u{2069}op"],
    ] {
        let output = server.run(command).await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{command:?}: {}",
            stdout(&output)
        );
    }
    assert_eq!(server.json(&["config", "show"]).await["version"], 0);
}

/// What a check says, and the members of the document.
#[rustfmt::skip]
const PROBLEMS: [(&str, &str); 14] = [
    ("config.apps: `a b`: names of apps", r#""apps":{"a b":{}}"#),
    ("objects of settings; `shop` does not", r#""apps":{"shop":1,"bank":{}}"#),
    ("config.apps: shop.colour is not", r#""apps":{"shop":{"colour":"red"}}"#),
    (
        "config.apps: shop.spend_per_day limits nothing, because these carriers have no price: sns",
        r#""apps":{"shop":{"spend_per_day":5}},"carriers":[{"kind":"sns"}]"#,
    ),
    (
        "Add one to each of them in config.carriers",
        r#""apps":{"shop":{"spend_per_day":5}},"carriers":[{"kind":"sns"}]"#,
    ),
    ("unknown member `hats`", r#""hats":1,"coats":2"#),
    ("unknown member `coats`", r#""hats":1,"coats":2"#),
    ("config.api_keys[0]: unknown field `colour`", r#""api_keys":[{"id":"ak_1","colour":1}]"#),
    (
        "entry 2 is none",
        r#""test_numbers":[{"to":"+12025550143","code":"1234","until":"2026-12-01"},{"to":1}]"#,
    ),
    (
        "each app's code alphabet, also of app shop",
        r#""apps":{"shop":{"code_alphabet":"alphanumeric"}},
           "test_numbers":[{"to":"+12025550143","code":"0000","until":"2026-12-01"}]"#,
    ),
    (
        "config.rules: default rule 1 has the unknown field or condition `colour`",
        r#""rules":{"default":[{"name":"a","colour":1}]}"#,
    ),
    (
        "config.rules: default rule 2 must be an object",
        r#""rules":{"default":[{"name":"a","when":{"action":["a"]},"decision":"deny"},1]}"#,
    ),
    (
        "config.rules: default rule 1: rule names must be unique",
        r#""rules":{"default":[{"name":"A b","decision":"deny"}]}"#,
    ),
    (
        "`lambda-otp carrier set x --ask auth_token` sets it",
        r#""carriers":[{"kind":"twilio","name":"x","account_sid":"AC1","from":"+15017122661"}]"#,
    ),
];

#[tokio::test]
async fn problems_name_the_app_and_the_member() {
    let server = OperatedServer::start(&["k1"]).await;
    for (problem, members) in PROBLEMS {
        let document = format!(r#"{{"format":1,{members}}}"#);
        let checked = server
            .run_with(&["config", "check", "-"], &document, &[])
            .await;
        let printed = stderr(&checked);
        assert_eq!(checked.status.code(), Some(1), "{problem}: {printed}");
        assert!(printed.contains(problem), "{problem}: {printed}");
    }
    let entry = key_entry("ak_1", "default", "otp_live_desk_222222", None);
    let document = json!({"format": 1, "api_keys": [entry, entry]});
    let (_, printed) = with_document(&server, &["config", "check", "-"], &document).await;
    let expected = "config.api_keys[1]: another key has this id, ak_1";
    assert!(printed.contains(expected), "{printed}");
}

#[tokio::test]
async fn document_that_is_too_large_is_refused() {
    let server = OperatedServer::start(&["k1"]).await;
    let apps: serde_json::Map<_, _> = (0..9000)
        .map(|number| {
            (
                format!("app-{number:05}"),
                json!({"brand": "Shop of the operator"}),
            )
        })
        .collect();
    let document = json!({"format": 1, "apps": apps});
    let (code, printed) = with_document(&server, &["config", "check", "-"], &document).await;
    assert_eq!(code, Some(1), "{printed}");
    let expected = "bytes in the table, where it has no spaces";
    assert!(printed.contains(expected), "{printed}");
}

#[tokio::test]
async fn author_is_the_user_of_the_process() {
    let server = OperatedServer::start(&["k1"]).await;
    let user = tokio::process::Command::new("id").arg("-un").output().await;
    let user = stdout(&user.expect("id runs")).trim().to_owned();
    for (version, variables, author) in [
        (1, &[("USER", ""), ("LOGNAME", "grace")][..], "grace"),
        (2, &[("USER", ""), ("LOGNAME", "")], user.as_str()),
        (3, &[("USER", " "), ("USERNAME", "")], user.as_str()),
    ] {
        let name = format!("app-{version}");
        let created = server
            .run_with(&["app", "create", &name], "", variables)
            .await;
        assert_eq!(created.status.code(), Some(0), "{}", stderr(&created));
        let shown = server.json(&["config", "show"]).await;
        assert_eq!(
            (&shown["version"], &shown["author"]),
            (&json!(version), &json!(author))
        );
    }
}

#[tokio::test]
async fn keys_outside_the_document_are_counted() {
    let server = OperatedServer::start(&["k1"]).await;
    let keys = |listed: &Value, app: &str| {
        let apps = listed["apps"].as_array().expect("apps").clone();
        let app = apps.into_iter().find(|row| row["app"] == app);
        app.expect("the app")["keys"].clone()
    };
    server.json(&["key", "create", "--app", "shop"]).await;
    let listed = server.json(&["app", "list"]).await;
    // One of each is in OTP_LOCAL_API_KEYS of the suite.
    assert_eq!(
        (keys(&listed, "default"), keys(&listed, "shop")),
        (json!(1), json!(2))
    );
    let listed = server.done(&["key", "list"]).await;
    assert!(listed.contains("in OTP_SECRETS"), "{listed}");

    let mut secrets: Value = serde_json::from_str(&server.secrets).expect("JSON");
    secrets["api_keys"] = json!([{"app": "bank", "sha256": "ab".repeat(32)}]);
    let aws = AwsStandIn::open(secrets.to_string(), &[]).await;
    let output = server.run_on_stack(&aws, &["app", "list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (keys(&listed, "bank"), keys(&listed, "shop")),
        (json!(1), json!(1))
    );
}

#[tokio::test]
async fn carriers_of_the_document_are_shown_by_the_server() {
    let server = OperatedServer::start(&["k1"]).await;
    let service = &server.process.service;
    let second = HttpCarrier::start("second").await;
    let entry = second.entry();
    let url = format!("base_url={}", entry["base_url"].as_str().expect("a URL"));
    let add = [
        "carrier",
        "add",
        "second",
        "--kind",
        "http",
        &url,
        "--first",
        "--credentials",
    ];
    let credentials = json!({"token": entry["token"], "secret": entry["secret"]}).to_string();
    let added = server.run_with(&add, &credentials, &[]).await;
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
    service.advance(MAX_AGE).await;
    service
        .set_carrier("sim-a", json!({"mode": "reject"}))
        .await;
    let shown = service.raw("GET", "/local/carriers", &[], "").await.body;
    let carriers = shown["carriers"].as_array().expect("carriers");
    let carriers: Vec<_> = carriers.iter().map(|c| (&c["name"], &c["mode"])).collect();
    let expected = [
        ("second", Value::Null),
        ("sim-a", "reject".into()),
        ("sim-b", "ok".into()),
    ];
    let expected = expected.map(|(name, mode)| (json!(name), mode));
    assert_eq!(
        carriers,
        expected.each_ref().map(|(name, mode)| (name, mode))
    );
    for method in ["GET", "POST"] {
        let body = r#"{"mode":"ok"}"#;
        let answered = service
            .raw(method, "/local/carriers/second", &[], body)
            .await;
        assert_eq!(answered.status, 404, "a real carrier has no mode");
    }
    let sns = r#"{"format":1,"carriers":[{"kind":"sns","name":"texts"}]}"#;
    let applied = server
        .run_with(&["config", "apply", "-", "--yes"], sns, &[])
        .await;
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
    let shown = service.raw("GET", "/local/carriers", &[], "").await.body;
    assert_eq!(
        shown["carriers"],
        json!([{"name": "texts", "mode": "ok", "breaker": "closed"}])
    );
}

#[tokio::test]
async fn command_that_cannot_print_fails() {
    let server = OperatedServer::start(&["k1"]).await;
    let create = server
        .run_on_full_disk(&["key", "create", "--app", "default"])
        .await;
    assert_eq!(create.status.code(), Some(1), "{}", stderr(&create));
    assert!(
        stderr(&create).contains("the key was not printed"),
        "{}",
        stderr(&create)
    );
    for command in [&["key", "list"][..], &["config", "export"], &["doctor"]] {
        let output = server.run_on_full_disk(command).await;
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(
            stderr(&output).contains("standard output: "),
            "{}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn carrier_test_refuses_an_unknown_app() {
    let server = OperatedServer::start(&["k1"]).await;
    let test = [
        "carrier",
        "test",
        "sim-a",
        "--app",
        "nope",
        "--to",
        "+33612345678",
    ];
    let output = server.run(&test).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("there is no app nope"),
        "{}",
        stderr(&output)
    );
}
