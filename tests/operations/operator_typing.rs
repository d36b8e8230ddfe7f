//! Mistyped names and pasted characters: the tool says which name may be meant, and which character
//! does not show.

use serde_json::json;

use super::operator_config::ADD_SECOND;
use crate::support::local_process::{run_to_end, stderr};
use crate::support::{LocalProcess, OperatedServer, stdout};

/// Commands that fail, and what they print.
async fn assert_refused(server: &OperatedServer, commands: &[(&[&str], i32, &str)]) {
    for (command, code, expected) in commands {
        let output = server.run(command).await;
        let printed = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(*code), "{command:?}: {printed}");
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

#[tokio::test]
async fn mistyped_app_or_key_is_asked_for() {
    let server = OperatedServer::start(&["k1"]).await;
    server.done(&["app", "create", "books"]).await;
    let id = server.json(&["key", "create", "--app", "books"]).await["id"].clone();
    let id = id.as_str().expect("an id");
    let (shorter, question) = (&id[..id.len() - 1], format!("(did you mean `{id}`?)"));
    let lookup = ["recipient", "lookup", "--app", "bokos", "+33612345678"];
    let books = "(did you mean `books`?)";
    let commands: [(&[&str], i32, &str); 7] = [
        (&["app", "show", "boks"], 1, books),
        (&["app", "delete", "book", "--yes"], 1, books),
        (
            &["app", "set", "books", "code_lenght=8"],
            1,
            "(did you mean `code_length`?)",
        ),
        (
            &["app", "set", "books", "gsm7=stric"],
            1,
            "(did you mean `strict`?)",
        ),
        (&["key", "create", "--app", "bookz"], 1, books),
        (&["key", "revoke", shorter, "--yes"], 1, &question),
        (&lookup, 1, books),
    ];
    assert_refused(&server, &commands).await;
}

#[tokio::test]
async fn mistyped_carrier_or_field_is_asked_for() {
    let server = OperatedServer::start(&["k1"]).await;
    let test = ["carrier", "test", "sim_a", "--to", "+33612345678"];
    let add = ["carrier", "add", "x", "--kind", "twilio", "acount_sid=AC1"];
    let field = "acount_sid: Unknown field (did you mean `account_sid`?)";
    let commands: [(&[&str], i32, &str); 8] = [
        (
            &["carrier", "set", "sima", "price=1"],
            1,
            "(did you mean `sim-a`?)",
        ),
        (&test, 1, "(did you mean `sim-a`?)"),
        (
            &["carrier", "set", "sim-a", "prise=1"],
            1,
            "(did you mean `price`?)",
        ),
        (
            &["carrier", "add", "x", "--kind", "twillio"],
            1,
            "(did you mean `twilio`?)",
        ),
        (&add, 1, field),
        (&["carier", "list"], 2, "'carrier'"),
        (&["app", "lst"], 2, "'list'"),
        (&["app", "list", "--jsn"], 2, "'--json'"),
    ];
    assert_refused(&server, &commands).await;
    let rules = json!([{"name": "rest", "decision": "deny"}]);
    for (document, expected) in [
        (
            json!({"format": 1, "carrier": []}),
            "`carrier` (did you mean `carriers`?)",
        ),
        (
            json!({"format": 1, "rules": {"defalt": rules}}),
            "(did you mean `default`?)",
        ),
    ] {
        let check = ["config", "check", "-"];
        let output = server.run_with(&check, &document.to_string(), &[]).await;
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn mistyped_variable_is_named() {
    let variables = [("OTP_CODE_LENGHT", "8"), ("OTP_ELSEWHERE", "1")];
    let server = LocalProcess::start_with_arguments(&[], &variables).await;
    let printed = server.kill().await;
    let expected = "OTP_CODE_LENGHT: there is no such variable (did you mean `OTP_CODE_LENGTH`?)";
    assert!(printed.contains(expected), "{printed}");
    assert!(!printed.contains("OTP_ELSEWHERE"), "{printed}");

    let server = OperatedServer::start(&["k1"]).await;
    let variables = [("OTP_CARIERS", "[]")];
    let listed = server.run_with(&["app", "list"], "", &variables).await;
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
    let expected = "OTP_CARIERS: there is no such variable (did you mean `OTP_CARRIERS`?)";
    assert!(stderr(&listed).contains(expected), "{}", stderr(&listed));
}

#[tokio::test]
async fn character_that_does_not_show_is_named() {
    let server = OperatedServer::start(&["k1"]).await;
    assert_refused(
        &server,
        &[
            (
                &["app", "create", "shop", "brand=Sh\u{202e}op"],
                2,
                "character 3 is U+202E (direction of text) in the value",
            ),
            (
                &["app", "set", "default", "bra\u{200b}nd=Shop"],
                2,
                "character 4 is U+200B (zero width space) in the name",
            ),
            (
                &["key", "create", "--app", "default", "--name", "web\u{200f}"],
                2,
                "character 4 is U+200F (right-to-left mark)",
            ),
            (
                &["app", "set", "default", "code_length=8\u{a0}"],
                1,
                "config.apps.default.code_length: character 2 is U+00A0 (no-break space)",
            ),
            (
                &["carrier", "set", "sim-a", "price=\u{201c}0.05\u{201d}"],
                1,
                "config.carriers[0].price: character 1 is U+201C (typographic quotation mark)",
            ),
            (
                &["carrier", "set", "sim-a", "price={US:0.05}"],
                1,
                "price: the JSON has no quotation marks",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn hidden_character_of_a_document_is_named() {
    let server = OperatedServer::start(&["k1"]).await;
    for (document, expected) in [
        (
            "{\"format\":1,\u{a0}\"apps\":{}}",
            "column 13: character 13 is U+00A0 (no-break space)",
        ),
        (
            "{\"format\":1,\"carriers\":[{\"kind\":\"sns\u{200d}\"}]}",
            "config.carriers[0].kind: character 4 is U+200D (zero width joiner)",
        ),
        (
            "{\"format\":1,\"apps\":{\"shop\":{\"brand\":\"Sh\u{2066}op\"}}}",
            "config.apps.shop.brand: character 3 is U+2066 (direction of text)",
        ),
    ] {
        let checked = server
            .run_with(&["config", "check", "-"], document, &[])
            .await;
        assert_eq!(checked.status.code(), Some(1), "{}", stdout(&checked));
        assert!(stderr(&checked).contains(expected), "{}", stderr(&checked));
    }
    let with_mark = "\u{feff}{\"format\":1}";
    let checked = server
        .run_with(&["config", "check", "-"], with_mark, &[])
        .await;
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
}

#[tokio::test]
async fn credential_with_a_hidden_character_is_named() {
    let server = OperatedServer::start(&["k1"]).await;
    for (credentials, expected) in [
        (
            "{\"api_key\":\"first\u{200b}\"}",
            "config_secrets.second.api_key: character 6 is U+200B (zero width space)",
        ),
        (
            "{\u{201c}api_key\u{201d}:1}",
            "standard input: the JSON is not valid: character 2 is U+201C",
        ),
    ] {
        let output = server.run_with(&ADD_SECOND, credentials, &[]).await;
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(!stderr(&output).contains("first"), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn start_explains_changed_values() {
    for (name, value, expected) in [
        (
            "OTP_CARRIERS",
            "[{kind:sns}]",
            "the JSON has no quotation marks",
        ),
        (
            "OTP_CODE_LENGTH",
            "6\u{200b}",
            "; character 2 is U+200B (zero width space)",
        ),
        (
            "OTP_CODE_LENGTH",
            "6\n",
            "; character 2 is U+000A (line feed)",
        ),
        (
            "OTP_DISPATCH",
            "\u{feff}sns",
            "; character 1 is U+FEFF (byte order mark)",
        ),
    ] {
        let output = run_to_end(&["--port", "0"], &[(name, value)]).await;
        assert_eq!(output.status.code(), Some(1));
        let printed = stderr(&output);
        let line = printed.lines().find(|line| line.starts_with(name));
        assert!(
            line.is_some_and(|line| line.contains(expected)),
            "{printed}"
        );
    }
}
