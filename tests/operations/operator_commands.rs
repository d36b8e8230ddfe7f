//! The commands of operators, as processes: against a local server, and against a stack whose AWS
//! is a stand-in.

use serde_json::{Value, json};

use crate::support::local_process::{run_to_end, stderr};
use crate::support::{AwsStandIn, OperatedServer, TO, assert_approved, assert_status, stdout};

#[tokio::test]
async fn recipient_is_looked_up_unlocked_and_forgotten() {
    let server = OperatedServer::start(&["k1"]).await;
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
    let server = OperatedServer::start(&["k1"]).await;
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
    let server = OperatedServer::start(&["k1"]).await;
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
async fn empty_queue_is_redriven_without_a_question() {
    let server = OperatedServer::start(&["k1"]).await;
    // Without a terminal a question would be refused.
    let redriven = server.json(&["dead-letters", "redrive"]).await;
    assert_eq!(redriven, json!({"redriven": 0}));
    for command in ["redrive", "list"] {
        let printed = server.done(&["dead-letters", command]).await;
        assert!(printed.starts_with("no dead letters; "), "{printed}");
    }
}

#[tokio::test]
async fn reseal_lets_the_old_key_go() {
    let before = OperatedServer::start(&["k1"]).await;
    let (id, code) = before.process.service.open(TO).await;
    let data = before.data;
    before.process.kill().await;
    let during = OperatedServer::start_in(data, &["k2", "k1"]).await;
    let resealed = during.json(&["reseal"]).await;
    assert_eq!(resealed["resealed"], 1, "{resealed}");
    assert_eq!(during.json(&["reseal"]).await["resealed"], 0);
    let data = during.data;
    during.process.kill().await;
    let after = OperatedServer::start_in(data, &["k2"]).await;
    assert_approved(&after.process.service.check(&id, &code).await, 4);
}

#[tokio::test]
async fn stack_names_table_secret_and_queues() {
    let server = OperatedServer::start(&["k1"]).await;
    let (id, code) = server.process.service.open(TO).await;
    let dispatch = json!({"v": 1, "app": "default", "id": id, "step": 1}).to_string();
    let aws = AwsStandIn::open(server.secrets.clone(), std::slice::from_ref(&dispatch)).await;

    let looked_up = ["recipient", "lookup", "--app", "default", TO, "--json"];
    let output = server.run_on_stack(&aws, &looked_up).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let first_line = stderr(&output);
    assert!(
        first_line.starts_with("stack otp in eu-west-1, with access key AKIDOPERATOR"),
        "{first_line}"
    );
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["verifications"][0]["id"], id);

    let output = server.run_on_stack(&aws, &["dead-letters", "list"]).await;
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

    let output = server
        .run_on_stack(&aws, &["dead-letters", "redrive", "--yes"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        (aws.enqueued(), aws.dead_letters()),
        (vec![dispatch], vec![])
    );
}

#[tokio::test]
async fn table_and_secret_replace_a_stack() {
    let server = OperatedServer::start(&["k1"]).await;
    let (id, _) = server.process.service.open(TO).await;
    let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
    let variables = aws.variables(&server.process.service.dynamodb_url);
    let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let target = [
        "--table",
        server.process.service.table.as_str(),
        "--secret",
        "otp",
    ];
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
    let server = OperatedServer::start(&["k1"]).await;
    let aws = AwsStandIn::open("{}".into(), &[]).await;
    let output = server.run_on_stack(&aws, &["reseal"]).await;
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
async fn api_document_is_printed_in_both_forms() {
    let mut printed = vec![];
    for arguments in [&["openapi"][..], &["openapi", "--strict"]] {
        let output = run_to_end(arguments, &[]).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(
            document["openapi"]
                .as_str()
                .expect("a version")
                .starts_with("3.1")
        );
        assert!(document["paths"]["/v1/verifications"].is_object());
        printed.push(document);
    }
    assert_ne!(printed[0], printed[1]);
}

#[tokio::test]
async fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run_to_end(&["completions", shell], &[]).await;
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(stdout(&output).contains("dead-letters"), "{shell}");
    }
}
