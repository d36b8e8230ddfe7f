//! Conflicts on one recipient: a few retries, exact counts, then 503.

use std::time::Duration;

use serde_json::json;

use super::{NO_COOLDOWN, attempts_left, unavailable};
use crate::support::{
    Fault, NO_SEND_LIMITS, ProxiedCall, ProxiedService, Service, TO, TRANSACTION_CONFLICT,
    another_code, assert_approved, assert_fields, assert_status, at_once,
};

fn saves(proxied: &ProxiedService) -> usize {
    let calls = proxied.table.take_calls().into_iter();
    let saves = |call: &ProxiedCall| call.operation == "PutItem";
    calls.filter(saves).count()
}

#[tokio::test]
async fn request_that_always_conflicts_gets_503_after_four_tries() {
    let (proxied, id) = ProxiedService::start_with_one_send(&NO_COOLDOWN).await;
    let (service, code) = (&proxied.service, proxied.service.code(TO).await);
    // So that there is something to unlock.
    service.fail_checks(&id, &code, 1).await;
    let path = format!("/v1/verifications/{id}");
    for (method, path, body) in [
        ("POST", "/v1/verifications", Some(json!({"to": TO}))),
        ("POST", &format!("{path}/resend"), None),
        ("POST", "/v1/recipients/unlock", Some(json!({"to": TO}))),
        ("DELETE", &path, None),
    ] {
        proxied.forget_calls();
        proxied
            .table
            .break_by(|call| (call.operation == "PutItem").then_some(Fault::FailCondition));
        let response = service.call(method, path, body).await;
        unavailable(&response);
        assert!(response.took < Duration::from_secs(5), "{response:?}");
        assert_eq!(saves(&proxied), 4, "{method} {path}");
        proxied.clear_faults();
        let shown = service.show(&id).await.body;
        assert_fields(&shown, json!({"status": "pending", "sends_left": 4}));
    }
    assert_eq!(service.messages(TO).await.len(), 1);
    assert_approved(&service.check(&id, &code).await, 3);
}

#[tokio::test]
async fn transaction_conflict_changes_nothing() {
    let (proxied, id) = ProxiedService::start_with_one_send(&NO_COOLDOWN).await;
    let (service, code) = (&proxied.service, proxied.service.code(TO).await);
    proxied.table.break_all(TRANSACTION_CONFLICT);
    unavailable(&service.check(&id, &code).await);
    unavailable(&service.send(TO).await);
    unavailable(&service.resend(&id).await);
    unavailable(&service.cancel(&id).await);
    proxied.clear_faults();
    assert_eq!(attempts_left(service, &id).await, 5);
    assert_fields(&service.show(&id).await.body, json!({"sends_left": 4}));
    assert_approved(&service.check(&id, &code).await, 4);
}

#[tokio::test]
async fn reset_connections_count_nothing_twice() {
    let (proxied, id) = ProxiedService::start_with_one_send(&NO_COOLDOWN).await;
    let (service, code) = (&proxied.service, proxied.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    proxied.table.break_next("UpdateItem", Fault::Reset);
    assert_fields(
        &service.check(&id, &wrong).await.body,
        json!({"reason": "wrong_code", "attempts_left": 4}),
    );
    proxied.table.break_next("PutItem", Fault::Reset);
    proxied.queue.break_next("SendMessage", Fault::Reset);
    let resent = service.resend(&id).await;
    assert_status(&resent, 200);
    assert_fields(&resent.body, json!({"sends_left": 3}));
    assert_eq!(service.messages(TO).await.len(), 2);
    assert_approved(&service.check(&id, &code).await, 3);
}

/// Many sends, checks and unlocks of one recipient at once, on a table with conflicts of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflict_storm_leaves_exact_counts() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (id, code) = service.open(TO).await;
    let wrong = another_code(&code);
    let checks = at_once(20, |_| {
        let (service, id, wrong) = (service.clone(), id.clone(), wrong.clone());
        async move { service.check(&id, &wrong).await }
    });
    let resends = at_once(12, |_| {
        let (service, id) = (service.clone(), id.clone());
        async move { service.resend(&id).await }
    });
    let (checks, resends) = tokio::join!(checks, resends);
    let count = |status: u16| resends.iter().filter(|r| r.status == status).count();
    let (sent, ended, failed) = (count(200), count(409), count(503));
    assert_eq!(sent + ended + failed, 12, "{resends:?}");
    let is_wrong = |reason: &str| checks.iter().filter(|r| r.body["reason"] == reason).count();
    let unavailable = checks.iter().filter(|check| check.status == 503).count();
    assert_eq!(is_wrong("wrong_code"), 5, "{checks:?}");
    assert_eq!(is_wrong("exhausted") + unavailable, 15, "{checks:?}");
    let left = service.show(&id).await.body["sends_left"].clone();
    assert_eq!(left, json!(999 - sent), "each resend counts once");
    let texts = service.messages(TO).await.len();
    assert!(texts <= 1 + sent, "{texts} texts, {sent} resends");
}
