//! What the local server offers to the end-to-end tests of an app: waiting for a message, empty
//! phones, a reset, wide limits, and the state of the carriers.

use serde_json::{Value, json};

use crate::support::{
    LocalProcess, NO_SEND_LIMITS, Service, TO, TempDirectory, american_phone, assert_fields,
    assert_problem, assert_status,
};

/// `TO` as a part of a query.
const TO_IN_QUERY: &str = "%2B12025550143";

async fn get(service: &Service, path: &str) -> Value {
    let response = service.raw("GET", path, &[], "").await;
    assert_status(&response, 200);
    response.body
}

#[tokio::test]
async fn wait_returns_once_the_message_arrives() {
    let service = Service::start().await;
    let path = format!("/local/messages?to={TO_IN_QUERY}&wait=30");
    let (waiting, sent) = tokio::join!(get(&service, &path), service.send(TO));
    assert_eq!(waiting["messages"][0]["verification_id"], sent.id());
    let again = get(&service, &path).await;
    assert_eq!(
        again, waiting,
        "a message that is there is returned at once"
    );
    let all = get(&service, "/local/messages?wait=30").await;
    assert_eq!(all, waiting);
}

#[tokio::test]
async fn wait_without_a_message_ends() {
    let service = Service::start().await;
    for wait in ["0", "1"] {
        let path = format!("/local/messages?to={TO_IN_QUERY}&wait={wait}");
        assert_eq!(get(&service, &path).await, json!({"messages": []}));
    }
    for wait in ["31", "-1", "1.5", "soon", ""] {
        let path = format!("/local/messages?wait={wait}");
        assert_status(&service.raw("GET", &path, &[], "").await, 400);
    }
}

#[tokio::test]
async fn deleted_messages_are_gone_from_all_phones() {
    let service = Service::start().await;
    let (id, code) = service.open(TO).await;
    service.open(&american_phone(1)).await;
    let deleted = service.raw("DELETE", "/local/messages", &[], "").await;
    assert_status(&deleted, 200);
    assert_eq!(deleted.body, json!({"deleted": 2}));
    for path in ["/local/messages", "/local/messages?to=%2B12025550143"] {
        assert_eq!(get(&service, path).await, json!({"messages": []}));
    }
    // The verification is still there.
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
}

#[tokio::test]
async fn reset_leaves_the_server_as_at_its_start() {
    let service = Service::start().await;
    let (start, at) = (service.state().await, service.now().await);
    let (id, _) = service.open(TO).await;
    service
        .set_carrier("sim-a", json!({"mode": "reject"}))
        .await;
    service.set_carrier("sim-b", json!({"mode": "down"})).await;
    service.advance(86_400).await;
    let fallback = json!({"to": american_phone(1), "fallback": ["voice"]});
    assert_status(&service.send_body(fallback).await, 201);
    let reset = service.raw("POST", "/local/reset", &[], "").await;
    assert_status(&reset, 200);
    assert_eq!(service.state().await, start);
    assert_eq!(
        get(&service, "/local/messages").await,
        json!({"messages": []})
    );
    assert!((at..at + 600).contains(&service.now().await));
    for name in ["sim-a", "sim-b"] {
        let carrier = get(&service, &format!("/local/carriers/{name}")).await;
        assert_fields(
            &carrier,
            json!({"mode": "ok", "report": null, "delay_ms": null}),
        );
    }
    assert_problem(&service.show(&id).await, 404, "not_found");
    // No cooldown is left, and a message arrives.
    let (id, code) = service.open(TO).await;
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
}

#[tokio::test]
async fn reset_outlives_a_restart() {
    let data = TempDirectory::new();
    let process = LocalProcess::start(&[], Some(data.path())).await;
    process.service.open(TO).await;
    process.service.advance(3600).await;
    let at = process.service.now().await - 3600;
    let reset = process.service.raw("POST", "/local/reset", &[], "").await;
    assert_status(&reset, 200);
    process.kill().await;
    let process = LocalProcess::start(&[], Some(data.path())).await;
    assert!((at..at + 600).contains(&process.service.now().await));
    let empty = json!({"table": [], "queue": [], "dead_letters": []});
    assert_eq!(process.service.state().await, empty);
    assert_status(&process.service.send(TO).await, 201);
}

#[tokio::test]
async fn carriers_are_listed_with_mode_and_breaker() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let states = |a: Value, b: Value| json!({"carriers": [a, b]});
    let state = |name: &str, mode: &str, breaker: &str| json!({"name": name, "mode": mode, "breaker": breaker});
    assert_eq!(
        get(&service, "/local/carriers").await,
        states(
            state("sim-a", "ok", "closed"),
            state("sim-b", "ok", "closed")
        )
    );
    service.set_carrier("sim-a", json!({"mode": "error"})).await;
    for n in 0..5 {
        service.open(&american_phone(n)).await;
    }
    assert_eq!(
        get(&service, "/local/carriers").await,
        states(
            state("sim-a", "error", "open"),
            state("sim-b", "ok", "closed")
        )
    );
    service.set_carrier("sim-a", json!({"mode": "ok"})).await;
    service.advance(31).await;
    service.open(&american_phone(5)).await;
    assert_eq!(
        get(&service, "/local/carriers").await,
        states(
            state("sim-a", "ok", "closed"),
            state("sim-b", "ok", "closed")
        ),
        "the probe has succeeded"
    );
}

#[tokio::test]
async fn real_carriers_have_no_mode() {
    let twilio =
        json!({"kind": "twilio", "account_sid": "AC1", "auth_token": "t", "from": "+15017122661"});
    let carriers = json!([twilio, {"kind": "sns", "name": "aws"}]).to_string();
    let process = LocalProcess::start_with_arguments(&[], &[("OTP_CARRIERS", &carriers)]).await;
    let listed = get(&process.service, "/local/carriers").await;
    assert_eq!(
        listed["carriers"],
        json!([
            {"name": "twilio", "mode": null, "breaker": "closed"},
            {"name": "aws", "mode": "ok", "breaker": "closed"},
        ])
    );
    let service = &process.service;
    service.set_carrier("aws", json!({"mode": "down"})).await;
    let aws = get(service, "/local/carriers/aws").await;
    assert_eq!(aws["mode"], "down");
    for method in ["GET", "POST"] {
        let body = json!({"mode": "ok"}).to_string();
        let response = service
            .raw(method, "/local/carriers/twilio", &[], body)
            .await;
        assert_status(&response, 404);
    }
    let printed = process.kill().await;
    let warning = printed.lines().find(|line| line.contains("real carriers"));
    assert!(
        warning.is_some_and(|line| line.contains("twilio") && !line.contains("aws")),
        "{printed}"
    );
}

#[tokio::test]
async fn preset_for_tests_lifts_the_send_limits() {
    let arguments = ["--preset", "e2e"];
    let process = LocalProcess::start_with_arguments(&arguments, &[]).await;
    for n in 0..120 {
        // Neighbouring numbers of one client, none of which is approved.
        let to = format!("+1202555{:04}", 100 + n % 60);
        let body = json!({"to": to, "client_ip": "203.0.113.7"});
        let sent = process.call("POST", "/v1/verifications", Some(body)).await;
        assert_status(&sent, 201);
        assert_fields(
            &sent.body,
            json!({"sends_left": 999 - n / 60, "attempts_left": 5}),
        );
    }
}

#[tokio::test]
async fn explicit_variable_overrides_the_preset() {
    let arguments = ["--preset", "e2e"];
    let cooldown = [("OTP_COOLDOWN_SECONDS", "60")];
    let process = LocalProcess::start_with_arguments(&arguments, &cooldown).await;
    let send = || process.call("POST", "/v1/verifications", Some(json!({"to": TO})));
    assert_status(&send().await, 201);
    assert_eq!(send().await.body["limit"], "cooldown");
}
