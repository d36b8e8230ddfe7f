//! Writes of which it is not known whether they were stored: a send ends as 201 with its text, or
//! as 503 with everything as it was.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NO_COOLDOWN, unavailable};
use crate::support::{
    BROKEN, Fault, ProxiedCall, ProxiedService, Service, TO, TRANSACTION_CONFLICT, assert_approved,
    assert_fields, assert_status,
};

/// A service with a verification whose code is on the phone.
async fn start_with_live_code() -> (ProxiedService, String, String) {
    let (proxied, id) = ProxiedService::start_with_one_send(&NO_COOLDOWN).await;
    let code = proxied.service.code(TO).await;
    (proxied, id, code)
}

fn saves_recipient(call: &ProxiedCall) -> bool {
    call.operation == "PutItem" && !call.restores_recipient()
}

/// Asserts that the earlier verification is as it was, and that no further message comes.
async fn assert_as_before(service: &Service, id: &str, code: &str) {
    service.advance(130).await;
    assert_eq!(service.messages(TO).await.len(), 1, "no second text");
    let shown = service.show(id).await.body;
    assert_fields(&shown, json!({"status": "pending", "sends_left": 4}));
    assert_approved(&service.check(id, code).await, 4);
}

#[tokio::test]
async fn save_whose_answers_are_late_or_lost_is_sent() {
    for fault in [
        Fault::ReplaceResponse,
        Fault::DropResponse,
        Fault::DelayResponse(Duration::from_millis(1200)),
    ] {
        let (proxied, earlier, code) = start_with_live_code().await;
        let service = &proxied.service;
        proxied
            .table
            .break_by(move |call| saves_recipient(call).then_some(fault));
        let sent = service.send(TO).await;
        proxied.clear_faults();
        assert_status(&sent, 201);
        let messages = service.messages(TO).await;
        assert_eq!(messages.len(), 2, "{fault:?}");
        assert_eq!(messages[1]["verification_id"], *sent.id(), "{fault:?}");
        let stale = service.check(&earlier, &code).await;
        assert_eq!(stale.check_result().reason, "superseded", "{fault:?}");
        let code = service.code_of(TO, &sent.id()).await;
        assert_approved(&service.check(&sent.id(), &code).await, 4);
    }
}

#[tokio::test]
async fn save_that_cannot_be_read_back_is_undone() {
    for fault in [Fault::ReplaceResponse, BROKEN, TRANSACTION_CONFLICT] {
        let (proxied, id, code) = start_with_live_code().await;
        let mut is_saved = false;
        // Nothing is known of the save; then the table works again.
        proxied.table.break_by(move |call| match call {
            call if call.restores_recipient() => None,
            call if saves_recipient(call) => {
                is_saved = true;
                Some(fault)
            }
            call => (is_saved && call.operation == "GetItem").then_some(BROKEN),
        });
        unavailable(&proxied.service.send(TO).await);
        proxied.clear_faults();
        assert_as_before(&proxied.service, &id, &code).await;
    }
}

#[tokio::test]
async fn save_that_arrives_after_its_rollback_changes_nothing() {
    let (proxied, id, code) = start_with_live_code().await;
    proxied
        .table
        .break_by(|call| saves_recipient(call).then_some(Fault::HoldRequest));
    unavailable(&proxied.service.send(TO).await);
    proxied.clear_faults();
    proxied.forget_calls();
    proxied.table.release();
    proxied.table.wait_for_calls(1).await;
    let late = proxied.table.take_calls();
    assert!(late.iter().all(|call| call.condition_failed), "{late:?}");
    assert_as_before(&proxied.service, &id, &code).await;
}

#[tokio::test]
async fn first_save_that_arrives_late_changes_nothing() {
    let proxied = ProxiedService::start(&[]).await;
    let service = &proxied.service;
    proxied
        .table
        .break_by(|call| saves_recipient(call).then_some(Fault::HoldRequest));
    unavailable(&service.send(TO).await);
    proxied.clear_faults();
    proxied.forget_calls();
    proxied.table.release();
    proxied.table.wait_for_calls(1).await;
    service.advance(130).await;
    assert_eq!(service.messages(TO).await.len(), 0);
    let sent = service.send(TO).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"sends_left": 4}));
}

#[tokio::test]
async fn rollback_whose_answers_are_lost_is_complete() {
    for fault in [Fault::ReplaceResponse, Fault::DropResponse] {
        let (proxied, id, code) = start_with_live_code().await;
        proxied.queue.break_all(BROKEN);
        proxied
            .table
            .break_by(move |call| call.restores_recipient().then_some(fault));
        unavailable(&proxied.service.send(TO).await);
        unavailable(&proxied.service.resend(&id).await);
        proxied.clear_faults();
        assert_as_before(&proxied.service, &id, &code).await;
    }
}

#[tokio::test]
async fn two_sends_with_one_key_without_queue_change_nothing() {
    let (proxied, id, code) = start_with_live_code().await;
    let service = &proxied.service;
    for _ in 0..5 {
        proxied.queue.break_all(BROKEN);
        let body = || json!({"to": TO});
        let (one, other) = tokio::join!(
            service.send_with_key(body(), "k"),
            service.send_with_key(body(), "k"),
        );
        for response in [one, other] {
            let is_in_progress = response.problem() == (409, "in_progress");
            assert!(is_in_progress || response.status == 503, "{response:?}");
        }
        proxied.clear_faults();
    }
    assert_as_before(service, &id, &code).await;
}

#[tokio::test]
async fn two_sends_without_queue_change_nothing() {
    let (proxied, id, code) = start_with_live_code().await;
    for _ in 0..5 {
        proxied.queue.break_all(BROKEN);
        let service = &proxied.service;
        let (one, other) = tokio::join!(service.send(TO), service.send(TO));
        unavailable(&one);
        unavailable(&other);
        proxied.clear_faults();
    }
    assert_as_before(&proxied.service, &id, &code).await;
}

#[tokio::test]
async fn send_with_a_key_stores_nothing_when_it_fails() {
    let (proxied, ..) = start_with_live_code().await;
    let service = &proxied.service;
    proxied.queue.break_all(BROKEN);
    unavailable(&service.send_with_key(json!({"to": TO}), "k").await);
    proxied.clear_faults();
    let body = json!({"to": TO, "purpose": "another"});
    let sent = service.send_with_key(body, "k").await;
    assert_eq!((sent.status, sent.is_replayed()), (201, false), "{sent:?}");
    let ids: Vec<Value> = service
        .messages(TO)
        .await
        .iter()
        .map(|m| m["verification_id"].clone())
        .collect();
    assert_eq!(ids[1..], [json!(sent.id())]);
}
