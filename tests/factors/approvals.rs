//! The writes of an approval for a subject: a repetition, a read or the next send writes what is
//! missing after a crash, and the owner is in effect from the first write on.

use serde_json::json;

use crate::support::{BROKEN, ProxiedService, Service, TestResponse, no_send_limits_and, phone};

/// A service whose check is cut after its first `writes` writes.
async fn cut_after(writes: usize) -> (ProxiedService, String, String) {
    let variables = no_send_limits_and(&[("OTP_UNIQUE_RECIPIENTS", "on")]);
    let proxied = ProxiedService::start(&variables).await;
    let (id, code) = proxied.service.open_for("ann", &phone(1)).await;
    proxied.service.settle().await;
    let mut left = writes;
    proxied.table.break_by(move |call| {
        if !call.is_write() {
            return None;
        }
        let is_allowed = left > 0;
        left = left.saturating_sub(1);
        (!is_allowed).then_some(BROKEN)
    });
    let checked = check(&proxied.service, &id, &code).await;
    assert_eq!(checked.problem(), (503, "unavailable"), "{writes}");
    proxied.table.clear_faults();
    (proxied, id, code)
}

async fn check(service: &Service, id: &str, code: &str) -> TestResponse {
    let body = json!({"code": code, "subject": "ann"});
    service.check_with_key(id, body, "k").await
}

async fn assert_recorded(service: &Service) {
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown["recipients"][0]["unique"], true);
    let taken = service.verify_for("bob", &phone(1)).await;
    assert_eq!(taken.body["reason"], "recipient_taken");
    let again = service.verify_for("ann", &phone(1)).await;
    assert!(again.is_valid());
}

#[tokio::test]
async fn repeated_check_completes_an_approval() {
    for writes in [0, 1, 2] {
        let (proxied, id, code) = cut_after(writes).await;
        let again = check(&proxied.service, &id, &code).await;
        assert!(again.is_valid(), "{writes}: {again:?}");
        assert_recorded(&proxied.service).await;
    }
}

#[tokio::test]
async fn read_of_the_verification_completes_an_approval() {
    for writes in [1, 2] {
        let (proxied, id, _) = cut_after(writes).await;
        let shown = proxied.service.show(&id).await;
        assert_eq!(shown.body["status"], "approved", "{writes}");
        assert_recorded(&proxied.service).await;
    }
}

#[tokio::test]
async fn next_send_completes_an_approval() {
    for writes in [1, 2] {
        let (proxied, ..) = cut_after(writes).await;
        let taken = proxied.service.verify_for("bob", &phone(1)).await;
        assert_eq!(taken.body["reason"], "recipient_taken", "{writes}");
        assert_recorded(&proxied.service).await;
    }
}

#[tokio::test]
async fn send_without_subject_completes_an_approval() {
    let (proxied, ..) = cut_after(1).await;
    let (id, code) = proxied.service.open(&phone(1)).await;
    assert!(proxied.service.check(&id, &code).await.is_valid());
    assert_recorded(&proxied.service).await;
}

#[tokio::test]
async fn release_completes_an_approval_first() {
    let (proxied, ..) = cut_after(1).await;
    let service = &proxied.service;
    let body = Some(json!({"to": phone(1)}));
    let released = service.call("POST", "/v1/recipients/release", body).await;
    assert_eq!(released.status, 200);
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"], json!([]));
    assert!(service.verify_for("bob", &phone(1)).await.is_valid());
}
