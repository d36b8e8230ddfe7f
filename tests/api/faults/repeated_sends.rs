//! Repetitions of an acknowledged send while the queue fails: its text is not lost.

use serde_json::json;

use super::unavailable;
use crate::support::{
    BROKEN, ProxiedService, Service, TO, TestResponse, assert_approved, assert_queue_is_empty,
    assert_replays_send, assert_status,
};

async fn send(service: &Service) -> TestResponse {
    service.send_with_key(json!({"to": TO}), "k").await
}

/// An acknowledged send, and its dispatch, which no worker has received yet.
async fn acknowledged(proxied: &ProxiedService) -> (String, String) {
    proxied.keep_dispatches();
    let sent = send(&proxied.service).await;
    assert_status(&sent, 201);
    (sent.id(), proxied.take_dispatches().remove(0))
}

async fn assert_sent_once(proxied: &ProxiedService, id: &str) {
    let service = &proxied.service;
    service.advance(130).await;
    let messages = service.messages(TO).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    let code = service.code_of(TO, id).await;
    assert_approved(&service.check(id, &code).await, 4);
    assert_queue_is_empty(service).await;
}

#[tokio::test]
async fn queued_dispatch_survives_failed_repetitions() {
    for at_once in [false, true] {
        let proxied = ProxiedService::start(&[]).await;
        let service = &proxied.service;
        let (id, dispatch) = acknowledged(&proxied).await;
        proxied.queue.break_all(BROKEN);
        if at_once {
            let (one, other) = tokio::join!(send(service), send(service));
            unavailable(&one);
            unavailable(&other);
        } else {
            unavailable(&send(service).await);
            unavailable(&send(service).await);
        }
        proxied.clear_faults();
        proxied.enqueue(&dispatch).await;
        assert_sent_once(&proxied, &id).await;
    }
}

#[tokio::test]
async fn dispatches_of_all_repetitions_send_once() {
    let proxied = ProxiedService::start(&[]).await;
    let (id, first) = acknowledged(&proxied).await;
    for _ in 0..2 {
        assert_replays_send(&send(&proxied.service).await, &id);
    }
    let mut dispatches = proxied.take_dispatches();
    assert_eq!(dispatches.len(), 2, "{dispatches:?}");
    dispatches.push(first);
    proxied.clear_faults();
    for dispatch in &dispatches {
        proxied.enqueue(dispatch).await;
    }
    assert_sent_once(&proxied, &id).await;
}

/// A worker has the message while the repetition meets a failing queue.
#[tokio::test]
async fn repetition_after_the_text_enqueues_nothing() {
    let proxied = ProxiedService::start(&[]).await;
    let sent = send(&proxied.service).await;
    proxied.service.settle().await;
    proxied.queue.break_all(BROKEN);
    assert_replays_send(&send(&proxied.service).await, &sent.id());
    proxied.clear_faults();
    assert_sent_once(&proxied, &sent.id()).await;
}
