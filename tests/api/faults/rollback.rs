//! Sends and resends that cannot be enqueued are rolled back, unless the record has changed
//! meanwhile.

use std::future::Future;

use serde_json::{Value, json};

use super::{NO_COOLDOWN, unavailable};
use crate::support::{
    BROKEN, Fault, ProxiedService, Service, TO, another_code, assert_approved, assert_fields,
    assert_status,
};

#[tokio::test]
async fn send_that_cannot_be_enqueued_is_rolled_back() {
    let proxied = ProxiedService::start(&[]).await;
    proxied.queue.break_all(BROKEN);
    unavailable(&proxied.service.send(TO).await);
    proxied.clear_faults();
    let sent = proxied.service.send(TO).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"sends_left": 4}));
    let messages = proxied.service.messages(TO).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(sent.id().as_str()))
    );
}

#[tokio::test]
async fn failed_enqueue_restores_the_previous_verification() {
    let (proxied, id) = ProxiedService::start_with_one_send(&NO_COOLDOWN).await;
    let service = &proxied.service;
    service.check(&id, &service.wrong_code(TO).await).await;
    // Without a cooldown `resend_at` is the current time, so it is left out.
    let shown = async || {
        Value::from_iter(
            service
                .show(&id)
                .await
                .body
                .as_object()
                .cloned()
                .unwrap_or_default()
                .into_iter()
                .filter(|(name, _)| name != "resend_at"),
        )
    };
    let before = shown().await;
    proxied.queue.break_all(BROKEN);
    unavailable(&service.send(TO).await);
    unavailable(&service.resend(&id).await);
    unavailable(&service.send_with_key(json!({"to": TO}), "k").await);
    proxied.clear_faults();
    assert_eq!(shown().await, before);
    assert_eq!(
        service.check(&id, &service.code(TO).await).await.body["valid"],
        true
    );
    let sent = service
        .send_with_key(json!({"to": TO, "purpose": "other"}), "k")
        .await;
    assert_eq!(
        (sent.status, sent.header("idempotent-replayed")),
        (201, None),
        "a failed send is not stored under its key"
    );
}

/// Freezes a resend before its dispatch, runs `event`, lets the resend fail, and returns the
/// verification.
async fn during_a_failing_resend<E: Future<Output = ()>>(
    event: impl FnOnce(Service, String, Value) -> E,
) -> Value {
    let (proxied, id) = ProxiedService::start_with_one_send(&NO_COOLDOWN).await;
    let service = proxied.service.clone();
    let message = service.messages(TO).await.remove(0);
    proxied.queue.break_all(Fault::Freeze);
    let resend = tokio::spawn({
        let (service, id) = (service.clone(), id.clone());
        async move { service.resend(&id).await }
    });
    proxied.queue.wait_for_held_call().await;
    event(service.clone(), id.clone(), message).await;
    unavailable(&resend.await.expect("a response"));
    proxied.clear_faults();
    service.show(&id).await.body
}

#[tokio::test]
async fn attempt_during_a_failing_resend_stays_counted() {
    let shown = during_a_failing_resend(async |service, id, message| {
        let wrong = another_code(message["code"].as_str().expect("a code"));
        assert_eq!(
            service.check(&id, &wrong).await.body["reason"],
            "wrong_code"
        );
    });
    let shown = shown.await;
    assert_fields(&shown, json!({"attempts_left": 4, "sends_left": 4}));
    let deliveries = shown["deliveries"].as_array().map(Vec::len);
    assert_eq!(deliveries, Some(1), "the failed message is undone: {shown}");
}

#[tokio::test]
async fn approval_during_a_failing_resend_is_final() {
    let shown = during_a_failing_resend(async |service, id, message| {
        assert_eq!(
            service
                .check(&id, message["code"].as_str().expect("a code"))
                .await
                .body["valid"],
            true
        );
    });
    assert_eq!(shown.await["status"], "approved");
}

#[tokio::test]
async fn report_during_a_failing_resend_is_kept() {
    let shown = during_a_failing_resend(async |service, _, message| {
        assert_eq!(service.report(&message, "delivered").await, 200)
    });
    assert_eq!(
        shown.await["deliveries"][0]["status"],
        "delivered",
        "the status of a delivery never goes back"
    );
}

#[tokio::test]
async fn report_during_a_failing_send_is_kept() {
    let (proxied, id) = ProxiedService::start_with_one_send(&NO_COOLDOWN).await;
    let service = proxied.service.clone();
    let message = service.messages(TO).await.remove(0);
    proxied.queue.break_all(Fault::Freeze);
    let send = tokio::spawn({
        let service = service.clone();
        async move { service.send(TO).await }
    });
    proxied.queue.wait_for_held_call().await;
    assert_eq!(service.report(&message, "delivered").await, 200);
    unavailable(&send.await.expect("a response"));
    proxied.clear_faults();
    let shown = service.show(&id).await.body;
    assert_eq!(shown["status"], "pending", "{shown}");
    assert_eq!(shown["deliveries"][0]["status"], "delivered", "{shown}");
    let code = message["code"].as_str().expect("a code");
    assert_approved(&service.check(&id, code).await, 4);
}

/// After a wrong attempt freezes a send before its dispatch, runs `event` with the ids of the
/// earlier verification and of the new one, and lets the send fail.
async fn during_a_failing_send<E: Future<Output = ()>>(
    variables: &[(&str, &str)],
    event: impl FnOnce(Service, String, String) -> E,
) -> (ProxiedService, String) {
    let (proxied, id) = ProxiedService::start_with_one_send(variables).await;
    let service = proxied.service.clone();
    service.check(&id, &service.wrong_code(TO).await).await;
    proxied.queue.break_all(Fault::Freeze);
    let send = tokio::spawn({
        let service = service.clone();
        async move { service.send(TO).await }
    });
    proxied.queue.wait_for_held_call().await;
    let found = service.lookup(TO).await;
    let new = found.body["verifications"][0]["id"].as_str();
    let new = new.expect("the new verification").to_owned();
    assert_ne!(new, id);
    event(service, id.clone(), new).await;
    unavailable(&send.await.expect("a response"));
    proxied.clear_faults();
    (proxied, id)
}

#[tokio::test]
async fn attempts_during_a_failing_send_stay_counted() {
    let variables = [("OTP_COOLDOWN_SECONDS", "0"), ("OTP_GUESS_BUDGET", "8")];
    let (proxied, id) = during_a_failing_send(&variables, async |service, _, new| {
        for code in ["000001", "000002", "000003", "000004"] {
            let wrong = service.check(&new, code).await;
            assert_eq!(wrong.body["reason"], "wrong_code", "{wrong:?}");
        }
    })
    .await;
    let service = &proxied.service;
    assert_eq!(service.lookup(TO).await.body["failures_24h"], 5);
    let shown = service.show(&id).await.body;
    assert_fields(&shown, json!({"status": "pending", "attempts_left": 3}));
    let code = service.code(TO).await;
    service.fail_checks(&id, &code, 3).await;
    assert_eq!(
        service.check(&id, &code).await.body["reason"],
        "exhausted",
        "no guess beyond the budget"
    );
}

#[tokio::test]
async fn unlock_during_a_failing_send_is_kept() {
    let (proxied, _) = during_a_failing_send(&NO_COOLDOWN, async |service, id, new| {
        let superseded = service.check(&id, "000001").await;
        assert_eq!(superseded.body["reason"], "superseded");
        service.check(&new, "000001").await;
        assert_status(&service.unlock(TO).await, 200);
    })
    .await;
    let found = proxied.service.lookup(TO).await;
    assert_eq!(found.body["failures_24h"], 0, "{found:?}");
}

#[tokio::test]
async fn step_of_a_restored_verification_is_enqueued_again() {
    let proxied = ProxiedService::start(&NO_COOLDOWN).await;
    let service = proxied.service.clone();
    proxied.keep_dispatches();
    let id = service.send(TO).await.id();
    proxied.take_dispatches();
    proxied.queue.break_all(BROKEN);
    // The response to the restore is lost. Its repetition arrives after an attempt.
    let mut restores = 0;
    proxied.table.break_by(move |call| {
        restores += usize::from(call.restores_recipient());
        match (call.restores_recipient(), restores) {
            (true, 1) => Some(Fault::DropResponse),
            (true, 2) => Some(Fault::HoldRequest),
            _ => None,
        }
    });
    let send = tokio::spawn({
        let service = service.clone();
        async move { service.send(TO).await }
    });
    proxied.table.wait_for_held_call().await;
    service.check(&id, "000001").await;
    proxied.table.release();
    unavailable(&send.await.expect("a response"));
    let dispatches = proxied.take_dispatches();
    assert_eq!(dispatches.len(), 2, "{dispatches:?}");
    assert!(dispatches[1].contains(&id), "{dispatches:?}");
}

#[tokio::test]
async fn cancel_during_a_failing_resend_is_kept() {
    let shown = during_a_failing_resend(async |service, id, _| {
        assert_status(&service.cancel(&id).await, 200);
    });
    assert_eq!(
        shown.await["status"],
        "canceled",
        "the cancel was acknowledged"
    );
}

#[tokio::test]
async fn unlock_during_a_failing_resend_is_kept() {
    let shown = during_a_failing_resend(async |service, id, message| {
        let wrong = another_code(message["code"].as_str().expect("a code"));
        for _ in 0..2 {
            assert_eq!(
                service.check(&id, &wrong).await.body["reason"],
                "wrong_code"
            );
        }
        assert_status(&service.unlock(TO).await, 200);
    });
    assert_eq!(
        shown.await["attempts_left"],
        3,
        "an unlock does not restore the attempts of the verification"
    );
}
