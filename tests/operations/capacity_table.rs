//! The table of capacity units in docs/costs.md is that of the engine.

use serde_json::json;

use super::capacity::{consumed_since_last_time, without_late_reads};
use crate::support::twilio::{assert_checked, sid};
use crate::support::{
    DEFAULT_KEY, Fault, NO_SEND_LIMITS, ProxiedService, Twilio, another_code, assert_status,
};

/// Asserts that a resend and the delivery of its message cost what docs/costs.md lists: the worker
/// starts at once, so they are counted together.
fn assert_units_of_resend_and_worker(proxied: &ProxiedService) {
    let calls = without_late_reads(proxied.table.take_calls());
    let first_of_worker = calls
        .iter()
        .position(|call| call.claims_step())
        .expect("a claim");
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.operation == "GetItem")
            .count(),
        2,
        "one of the resend and one of the breakers"
    );
    // The worker claims and reads the breakers at the same time.
    assert!(
        matches!((first_of_worker, calls.len()), (2 | 3, 5)),
        "read and write of the resend; claim, breakers and outcome of the worker: {calls:?}"
    );
}

#[tokio::test]
async fn costs_page_lists_the_units_of_each_operation() {
    const PERSON: &str = "ann@example.com";
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/costs.md"))
        .expect("docs/costs.md");
    let proxied = ProxiedService::start(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let service = &proxied.service;
    let assert_listed = |operation: &str| {
        let all = consumed_since_last_time(&proxied);
        let row = format!("| {operation} | {} | {} |", all.write_units, all.read_units);
        assert!(
            page.lines().any(|line| line == row),
            "docs/costs.md does not list {row}"
        );
    };
    let send = async || {
        service
            .send_body(json!({"to": PERSON, "channel": "email"}))
            .await
            .id()
    };
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    send().await;
    assert_listed("send to a new recipient");
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    let id = send().await;
    assert_listed("send to a known recipient");
    assert_status(&service.resend(&id).await, 200);
    service.settle().await;
    assert_units_of_resend_and_worker(&proxied);
    assert!(
        page.contains("| resend | 1 | 1 |\n")
            && page.contains("| claim by the worker, and its result | 2 | 0.5 |\n")
    );
    let message = service.messages(PERSON).await.remove(0);
    assert_eq!(service.report(&message, "delivered").await, 200);
    assert_listed("report");
    let code = service.code(PERSON).await;
    proxied.forget_calls();
    assert_eq!(
        service.check(&id, &another_code(&code)).await.body["reason"],
        "wrong_code"
    );
    assert_listed("check, wrong");
    assert_status(&service.show(&id).await, 200);
    assert_listed("get");
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
    assert_listed("check, right");
    let id = send().await;
    service.settle().await;
    proxied.forget_calls();
    assert_status(&service.cancel(&id).await, 200);
    assert_listed("cancel");
}

#[tokio::test]
async fn costs_page_lists_units_of_many_keyed_sends() {
    let proxied = ProxiedService::start(&NO_SEND_LIMITS).await;
    let service = &proxied.service;
    let send = async |n: u32| {
        proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
        let body = json!({"to": "ann@example.com", "channel": "email"});
        proxied.forget_calls();
        let sent = service.send_with_key(body, &n.to_string()).await;
        assert_status(&sent, 201);
    };
    send(0).await;
    assert_listed(&proxied, "send to a new recipient");
    for n in 1..6 {
        send(n).await;
        assert_listed(&proxied, "send to a known recipient");
    }
    for n in 6..9 {
        send(n).await;
        assert_listed(&proxied, "send with a key after six sends on one day");
    }
    send(0).await;
    assert_listed(&proxied, "repeated send, beyond the last six");
    assert_status(&service.forget("ann@example.com").await, 200);
    assert_listed(&proxied, "forget after six sends on one day");
}

/// Asserts that docs/costs.md lists the units of what `proxied` did since the last time.
fn assert_listed(proxied: &ProxiedService, operation: &str) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/costs.md"))
        .expect("docs/costs.md");
    let all = consumed_since_last_time(proxied);
    let row = format!("| {operation} | {} | {} |", all.write_units, all.read_units);
    let is_listed = page.lines().any(|line| line == row);
    assert!(is_listed, "docs/costs.md does not list {row}");
}

#[tokio::test]
async fn costs_page_lists_the_units_of_factors() {
    let proxied = ProxiedService::start(&[("OTP_FACTOR_GUESS_BUDGET", "2")]).await;
    let service = &proxied.service;
    let listed = |operation| assert_listed(&proxied, operation);
    proxied.forget_calls();
    let app = service.unconfirmed_totp("ann").await;
    listed("enrol, remove or unlock factors");
    let confirm = app.code_at(service.advance_to_next(30).await - 30);
    assert!(service.check_factor(&app, &confirm).await.is_valid());
    listed("check that confirms a factor");
    let code = app.code_at(service.now().await);
    for _ in 0..2 {
        assert_status(&service.check_factor(&app, &code).await, 200);
        listed("check of a factor: right, wrong or replayed");
        service.subject("POST", "ann", "/unlock", None).await;
        listed("enrol, remove or unlock factors");
    }
    service.fail_factor_checks(&app, 2).await;
    proxied.forget_calls();
    assert_status(&service.check_factor(&app, &code).await, 429);
    listed("check of a factor with no attempt left");
    service.show_subject("ann").await;
    listed("show a subject; dry run");
    let decision = service.challenge("ann", "login").await;
    listed("decide, deny");
    service.call("DELETE", &decision.path, None).await;
    listed("decide, deny");
    service.call("DELETE", &app.path, None).await;
    listed("enrol, remove or unlock factors");
    service.subject("DELETE", "ann", "", None).await;
    listed("erase a subject without claims");
}

/// Write units of so many checks of one code, with `wrong` wrong codes before them.
async fn units_of_checks(budget: usize, wrong: usize, checks: usize) -> Vec<f64> {
    let variables = [("OTP_FACTOR_GUESS_BUDGET", &*budget.to_string())];
    let proxied = ProxiedService::start(&variables).await;
    let service = &proxied.service;
    let app = service.unconfirmed_totp("ann").await;
    service.fail_factor_checks(&app, wrong).await;
    let code = app.code_at(service.now().await);
    for _ in wrong..budget {
        assert_status(&service.check_factor(&app, &code).await, 200);
    }
    // Until then, checks are remembered for retries of the write, and take more units.
    service.advance(20).await;
    let mut units = vec![];
    for _ in 0..checks {
        proxied.forget_calls();
        assert_status(&service.check_factor(&app, &code).await, 200);
        let consumed = consumed_since_last_time(&proxied);
        assert_eq!(consumed.reads, 0);
        units.push(consumed.write_units);
    }
    units
}

#[tokio::test]
async fn full_log_is_settled_once_in_a_budget() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/costs.md"))
        .expect("docs/costs.md");
    let row = "| check of a factor that finds a log full of entries to settle | 3 | 0 |";
    assert!(page.lines().any(|line| line == row));
    let expected = [3.0, 1.0, 1.0, 1.0, 3.0];
    assert_eq!(units_of_checks(4, 0, 5).await, expected);
    let with_wrong_codes = [3.0, 3.0, 3.0];
    assert_eq!(units_of_checks(4, 3, 3).await, with_wrong_codes);
}

/// Opens a verification of an e-mail address. The worker does not get its dispatch.
async fn send_for(proxied: &ProxiedService, subject: Option<&str>) -> String {
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    let mut body = json!({"to": "ann@example.com", "channel": "email"});
    if let Some(subject) = subject {
        body["subject"] = json!(subject);
    }
    proxied.service.open_id(body).await
}

#[tokio::test]
async fn costs_page_lists_units_of_sends_with_a_subject() {
    for unique in ["off", "on"] {
        let variables = [
            ("OTP_UNIQUE_RECIPIENTS", unique),
            ("OTP_COOLDOWN_SECONDS", "0"),
        ];
        let proxied = ProxiedService::start(&variables).await;
        proxied.forget_calls();
        send_for(&proxied, Some("ann")).await;
        assert_listed(&proxied, "send to a new recipient");
        send_for(&proxied, Some("ann")).await;
        assert_listed(&proxied, "send to a known recipient");
        let service = &proxied.service;
        assert!(
            service
                .verify_for("ann", "ann@example.com")
                .await
                .is_valid()
        );
        proxied.forget_calls();
        let id = send_for(&proxied, None).await;
        match unique {
            "on" => assert_listed(&proxied, "send to a known recipient"),
            _ => assert_listed(
                &proxied,
                "send after an approval for a subject without owner",
            ),
        }
        assert_status(&service.show(&id).await, 200);
        assert_listed(&proxied, "get");
    }
}

#[tokio::test]
async fn costs_page_lists_the_units_of_reading_an_approval() {
    for (unique, operation) in [
        ("off", "get after an approval for a subject without owner"),
        ("on", "get"),
    ] {
        let proxied = ProxiedService::start(&[("OTP_UNIQUE_RECIPIENTS", unique)]).await;
        let service = &proxied.service;
        let (id, code) = service.open_for("ann", "ann@example.com").await;
        let body = json!({"code": code, "subject": "ann"});
        assert!(service.check_body(&id, body).await.is_valid());
        proxied.forget_calls();
        assert_status(&service.show(&id).await, 200);
        assert_listed(&proxied, operation);
    }
}

#[tokio::test]
async fn costs_page_lists_the_units_of_erasing_claims() {
    let variables = [
        ("OTP_UNIQUE_RECIPIENTS", "on"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "1000"),
    ];
    let proxied = ProxiedService::start(&variables).await;
    let service = &proxied.service;
    for address in ["ann@example.com", "ann@example.org"] {
        assert!(service.verify_for("ann", address).await.is_valid());
    }
    let shown = service.show_subject("ann").await;
    let id = shown["recipients"][0]["id"].as_str().expect("an id");
    proxied.forget_calls();
    let path = format!("/recipients/{id}");
    assert_status(&service.subject("DELETE", "ann", &path, None).await, 200);
    assert_listed(
        &proxied,
        "remove a recipient, or erase a subject, with one claim",
    );
    assert_status(&service.subject("DELETE", "ann", "", None).await, 200);
    assert_listed(
        &proxied,
        "remove a recipient, or erase a subject, with one claim",
    );
}

#[tokio::test]
async fn costs_page_lists_the_units_of_verified_recipients() {
    for (unique, operation) in [
        ("off", "check with `subject`, right"),
        ("on", "check with `subject` that makes it the owner"),
    ] {
        let proxied = ProxiedService::start(&[("OTP_UNIQUE_RECIPIENTS", unique)]).await;
        let service = &proxied.service;
        let (id, code) = service.open_for("ann", "ann@example.com").await;
        service.settle().await;
        proxied.forget_calls();
        let body = |code: String| json!({"code": code, "subject": "ann"});
        let wrong = service.check_body(&id, body(another_code(&code))).await;
        assert_eq!(wrong.body["reason"], "wrong_code");
        assert_listed(&proxied, "check with `subject`, wrong");
        let right = service.check_body(&id, body(code)).await;
        assert!(right.is_valid());
        assert_listed(&proxied, operation);
    }
}

#[tokio::test]
async fn costs_page_lists_the_units_of_twilio_requests() {
    const PERSON: &str = "ann@example.com";
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/costs.md"))
        .expect("docs/costs.md");
    let proxied = ProxiedService::start(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let assert_listed = |operation: &str| {
        let all = consumed_since_last_time(&proxied);
        let row = format!("| {operation} | {} | {} |", all.write_units, all.read_units);
        let is_listed = page.lines().any(|line| line == row);
        assert!(is_listed, "docs/costs.md does not list {row}");
    };
    let twilio = Twilio::of(&proxied.service, DEFAULT_KEY).await;
    assert_status(&twilio.raw("GET", &twilio.path(""), "").await, 200);
    assert_listed("service, and `GET /v1/app`");
    let to_email = [("Channel", "email")];
    for _ in 0..2 {
        proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
        assert_status(&twilio.create_with(PERSON, &to_email).await, 201);
        assert_listed("create, Twilio's dialect");
    }
    let sid = sid(&twilio.fetch("ann%40example.com").await);
    assert_listed("fetch");
    assert_status(&twilio.fetch(&sid).await, 200);
    assert_listed("fetch");
    assert_checked(&twilio.check(PERSON, "0000").await, "pending", false);
    assert_listed("check by `To`");
    assert_checked(&twilio.check_sid(&sid, "0000").await, "pending", false);
    assert_listed("check by `VerificationSid`");
    assert_status(&twilio.update(&sid, "approved").await, 200);
    assert_listed("update");
    proxied.queue.break_next("SendMessage", Fault::FakeSuccess);
    assert_status(&twilio.create_with(PERSON, &to_email).await, 201);
    proxied.forget_calls();
    assert_status(&twilio.update("ann%40example.com", "canceled").await, 200);
    assert_listed("update");
}
