//! Sends and resends during faults of the table and the queue: one message each, and none that was
//! never enqueued stays counted.

use serde_json::json;

use super::{NO_COOLDOWN, unavailable};
use crate::support::{
    BROKEN, Behaviour, Fault, HttpCarrier, ProxiedService, THROTTLED, TO, assert_fields,
    assert_rejected, assert_status, stored_recipients,
};

#[tokio::test]
async fn send_with_a_lost_write_response_sends_once() {
    let proxied = ProxiedService::start(&NO_COOLDOWN).await;
    for sends in 1..=3 {
        // The second and third send find an item, so that their own write is the second one.
        let mut puts = 0;
        proxied.table.break_by(move |call| {
            puts += usize::from(call.operation == "PutItem");
            (call.operation == "PutItem" && puts == sends.min(2)).then_some(Fault::DropResponse)
        });
        let sent = proxied.service.send(TO).await;
        assert_status(&sent, 201);
        assert_fields(&sent.body, json!({"sends_left": 5 - sends}));
        proxied.clear_faults();
        let messages = proxied.service.messages(TO).await;
        assert_eq!(
            (
                messages.len(),
                messages[sends - 1]["verification_id"].as_str()
            ),
            (sends, Some(sent.id().as_str()))
        );
    }
}

#[tokio::test]
async fn transient_table_errors_are_retried() {
    let proxied = ProxiedService::start(&[]).await;
    proxied.table.break_next_calls(
        "PutItem",
        2,
        Fault::Error(500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
    );
    assert_status(&proxied.service.send(TO).await, 201);
    assert_eq!(proxied.service.messages(TO).await.len(), 1);
}

#[tokio::test]
async fn every_request_gets_503_without_the_table() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    proxied.table.break_all(BROKEN);
    let path = format!("/v1/verifications/{id}");
    for (method, path, body) in [
        ("POST", "/v1/verifications", Some(json!({"to": TO}))),
        ("POST", "/v1/recipients/unlock", Some(json!({"to": TO}))),
        ("POST", "/v1/recipients/forget", Some(json!({"to": TO}))),
        ("POST", &format!("{path}/resend"), None),
        (
            "POST",
            &format!("{path}/check"),
            Some(json!({"code": "123456"})),
        ),
        ("GET", &path, None),
        ("DELETE", &path, None),
    ] {
        let response = proxied.service.call(method, path, body).await;
        let (body, retry_after) = unavailable(&response);
        assert!(retry_after.is_some(), "{method} {path}");
        assert!(
            !body.to_string().contains("Validation") && !body.to_string().contains("127.0.0.1"),
            "the response must not reveal the cause: {body}"
        );
    }
    assert_status(&proxied.service.raw("GET", "/healthz", &[], "").await, 200);
}

#[tokio::test]
async fn same_key_sends_once_after_crash_before_enqueue() {
    let proxied = ProxiedService::start(&[]).await;
    let service = proxied.service.clone();
    proxied.queue.break_next("SendMessage", Fault::Freeze);
    let call = tokio::spawn({
        let service = service.clone();
        async move { service.send_with_key(json!({"to": TO}), "k").await }
    });
    proxied.queue.wait_for_held_call().await;
    // The connection closes, which drops the future of the function at this point.
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    let stored = stored_recipients(&service).await.len();
    assert_eq!(
        (stored, service.messages(TO).await.len()),
        (1, 0),
        "stored, but not enqueued"
    );
    let again = service.send_with_key(json!({"to": TO}), "k").await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (201, Some("true")),
        "{again:?}"
    );
    assert_eq!(
        service.send_with_key(json!({"to": TO}), "k").await.id(),
        again.id()
    );
    let messages = service.messages(TO).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(again.id().as_str()))
    );
    assert_eq!(
        service
            .check(&again.id(), &service.code(TO).await)
            .await
            .body["valid"],
        true
    );
}

#[tokio::test]
async fn send_that_was_never_enqueued_stops_counting() {
    let proxied = ProxiedService::start(&[]).await;
    let service = &proxied.service;
    proxied.crash_after_save();
    unavailable(&service.send(TO).await);
    proxied.clear_faults();
    let too_early = service.send(TO).await;
    // The message may still be in flight.
    assert_rejected(&too_early, "cooldown");
    service.advance(17).await;
    let sent = service.send(TO).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"sends_left": 4}));
    let messages = service.messages(TO).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(sent.id().as_str()))
    );
}

#[tokio::test]
async fn resend_that_was_never_enqueued_stops_counting() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let service = &proxied.service;
    service.advance(31).await;
    proxied.crash_after_save();
    unavailable(&service.resend(&id).await);
    proxied.clear_faults();
    service.advance(17).await;
    let resent = service.resend(&id).await;
    assert_status(&resent, 200);
    assert_fields(&resent.body, json!({"sends_left": 3}));
    assert_eq!(service.messages(TO).await.len(), 2);
}

#[tokio::test]
async fn enqueue_with_a_lost_response_sends_once() {
    let proxied = ProxiedService::start(&[]).await;
    proxied.queue.break_next("SendMessage", Fault::DropResponse);
    let sent = proxied.service.send(TO).await;
    assert_status(&sent, 201);
    assert_eq!(proxied.queue.take_calls().len(), 2, "it was retried");
    proxied.service.advance(120).await;
    assert_eq!(proxied.service.messages(TO).await.len(), 1);
    assert_eq!(proxied.service.state().await["queue"], json!([]));
}

#[tokio::test]
async fn enqueue_without_any_response_sends_one_valid_code() {
    for slow_carrier in [false, true] {
        let carrier = HttpCarrier::start("slow").await;
        let mut entry = carrier.entry();
        entry["timeout_ms"] = json!(8000);
        let proxied = ProxiedService::start(&[("OTP_CARRIERS", &json!([entry]).to_string())]).await;
        let service = &proxied.service;
        if slow_carrier {
            carrier.behave(Behaviour::Hold);
        }
        proxied.queue.break_all(Fault::DropResponse);
        let first = service.send_with_key(json!({"to": TO}), "k").await;
        assert_eq!(first.status, 201, "a worker has the message: {first:?}");
        proxied.clear_faults();
        carrier.release();
        let again = service.send_with_key(json!({"to": TO}), "k").await;
        assert_eq!(
            (
                again.status,
                again.header("idempotent-replayed"),
                again.id()
            ),
            (201, Some("true"), first.id()),
            "{again:?}"
        );
        service.advance(200).await;
        let received = carrier.received();
        assert_eq!(
            received.len(),
            1,
            "slow carrier: {slow_carrier}: {received:?}"
        );
        let checked = service.check(&again.id(), &received[0].code()).await;
        assert_eq!(
            checked.body["valid"], true,
            "slow carrier: {slow_carrier}: {checked:?}"
        );
    }
}

#[tokio::test]
async fn messages_are_sent_without_access_to_the_breakers() {
    let proxied = ProxiedService::start(&[]).await;
    let service = &proxied.service;
    proxied
        .table
        .break_by(|call| call.reads_breakers().then_some(BROKEN));
    let id = service.send(TO).await.id();
    assert_eq!(service.messages(TO).await.len(), 1);
    service.set_carrier("sim-a", json!({"mode": "error"})).await;
    proxied
        .table
        .break_by(|call| call.updates_breaker().then_some(THROTTLED));
    let second = service.send("+12025550199").await.id();
    assert_eq!(
        service.messages("+12025550199").await[0]["carrier"],
        "sim-b"
    );
    proxied.clear_faults();
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
    assert_eq!(
        service.show(&second).await.body["delivery"]["status"],
        "sent"
    );
}
