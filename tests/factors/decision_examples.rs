//! The worked examples of docs/decisions.md, each as a request.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::local_process::{run_to_end, stderr};
use crate::support::{Decision, Service, TempDirectory, assert_fields, assert_status, phone};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/decisions.md");
    std::fs::read_to_string(path).expect("docs/decisions.md")
}

/// The first block of this language.
fn block<'p>(page: &'p str, language: &str) -> &'p str {
    let start = page.split(&format!("```{language}\n")).nth(1);
    let block = start.and_then(|rest| rest.split("```").next());
    block.expect("a block")
}

/// The rows of the examples: subject, request, rule and decision.
fn examples(page: &str) -> Vec<[String; 4]> {
    let rows = page.lines().filter(|line| line.contains("-user` | `{"));
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split(" | ");
        let cells: Vec<String> = cells
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect();
        cells.try_into().expect("four cells")
    };
    rows.map(cells).collect()
}

/// Lets a subject have an app and a number, and be known from a country and a device.
async fn make_known(service: &Service, subject: &str) {
    let app = service.active_totp(subject).await;
    assert!(service.verify_for(subject, &phone(1)).await.is_valid());
    service.advance(300).await;
    let context = json!({"country": "FR", "device_id": "d-1"});
    let body = json!({"action": "login", "context": context});
    let decided = service.decide(subject, body).await;
    let decision = Decision {
        path: format!("/v1/subjects/{subject}/decisions/{}", decided.id()),
        id: decided.id(),
    };
    let code = app.code_at(service.now().await);
    let body = json!({"code": code, "decision": decision.id});
    assert!(service.check_at(&app.path, body).await.is_valid());
    let approved = service.call("GET", &decision.path, None).await;
    assert_eq!(approved.body["status"], "approved");
}

#[tokio::test]
async fn examples_of_the_page_are_decided_as_it_says() {
    let page = page();
    let service = Service::start_with(&[("OTP_RULES", block(&page, "json"))]).await;
    make_known(&service, "known-user").await;
    let examples = examples(&page);
    assert!(examples.len() >= 10, "{}", examples.len());
    for [subject, request, rule, decision] in examples {
        let mut body: Value = serde_json::from_str(&request).expect("JSON");
        body["dry_run"] = true.into();
        let decided = service.decide(&subject, body).await;
        assert_status(&decided, 200);
        assert_fields(&decided.body, json!({"rule": rule, "decision": decision}));
    }
}

async fn decide(rules: &str, more: &[&str]) -> Output {
    let directory = TempDirectory::new();
    let file = directory.path().join("rules.json");
    std::fs::create_dir_all(directory.path()).expect("a directory");
    std::fs::write(&file, rules).expect("a file");
    let file = file.display().to_string();
    let arguments = [&["decide", "--rules", &file], more].concat();
    run_to_end(&arguments, &[]).await
}

#[tokio::test]
async fn command_line_explains_the_example_of_the_page() {
    let page = page();
    let context = r#"{"role":"admin","country":"FR"}"#;
    let arguments = [
        "--action",
        "login",
        "--context",
        context,
        "--enrolled",
        "totp,sms",
        "--known",
        "country",
    ];
    let output = decide(block(&page, "json"), &arguments).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        block(&page, "text")
    );
}

#[tokio::test]
async fn command_line_names_what_is_wrong() {
    let rest = r#"[{"name":"rest","decision":"allow"}]"#;
    for (rules, context, expected) in [
        ("[", "{}", "rules.json"),
        (r#"[{"name":"a","decision":"maybe"}]"#, "{}", "rule 1"),
        (rest, r#"{"country":"France"}"#, "--context: country"),
    ] {
        let output = decide(rules, &["--action", "login", "--context", context]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}
