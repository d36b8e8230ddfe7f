//! The queue delivers dispatches more than once, in parallel, out of order, late, and beside
//! malformed ones: each message is sent once.

use serde_json::json;

use super::harness::dispatch;
use crate::support::deliveries::enqueue;
use crate::support::{
    Behaviour, HttpCarrier, ProxiedService, Service, TO, american_phone, assert_approved,
    assert_fields, assert_queue_is_empty, assert_status, at_once,
};

#[tokio::test]
async fn malformed_record_is_dead_lettered_after_three_receives() {
    let service = Service::start().await;
    enqueue(&service, "malformed", 0).await;
    let ids = [
        service.send(TO).await.id(),
        service.send(&american_phone(1)).await.id(),
    ];
    for received in 1..=3 {
        service.settle().await;
        let state = service.state().await;
        assert_eq!(
            (
                state["queue"][0]["receives"].as_u64(),
                &state["dead_letters"]
            ),
            (Some(received), &json!([]))
        );
        service.advance(61).await;
    }
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"][0]["body"]),
        (&json!([]), &json!("malformed"))
    );
    assert_eq!(state["dead_letters"][0]["receives"], 3);
    service.advance(3600).await;
    assert_eq!(
        service.state().await["dead_letters"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    for (to, id) in [TO, &american_phone(1)].into_iter().zip(ids) {
        let messages = service.messages(to).await;
        assert_eq!(
            (messages.len(), messages[0]["verification_id"].as_str()),
            (1, Some(id.as_str())),
            "the other messages are sent once"
        );
    }
}

#[tokio::test]
async fn late_copies_of_a_dispatch_send_nothing() {
    let service = Service::start_with(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let id = service.send(TO).await.id();
    service.settle().await;
    for sequence in 0..5 {
        for delay in [0, 0, 1, 20, 70] {
            enqueue(&service, &dispatch(&id, sequence), delay).await;
        }
    }
    service.advance(200).await;
    assert_eq!(service.messages(TO).await.len(), 1);
    assert_status(&service.resend(&id).await, 200);
    service.settle().await;
    for sequence in 0..9 {
        enqueue(&service, &dispatch(&id, sequence), 0).await;
    }
    service.advance(200).await;
    assert_eq!(
        service.messages(TO).await.len(),
        2,
        "one message for each send"
    );
    service.advance(1200).await;
    assert_eq!(service.messages(TO).await.len(), 2);
    let state = service.state().await;
    // All copies were acknowledged.
    assert_fields(&state, json!({"queue": [], "dead_letters": []}));
}

#[tokio::test]
async fn early_copies_during_backoff_call_no_carrier() {
    let carrier = HttpCarrier::start("only").await;
    let service = Service::start_with_carriers(&[&carrier], &[]).await;
    carrier.behave(Behaviour::Respond(500, ""));
    let id = service.send(TO).await.id();
    // The breaker opens after five failures: until then only the claim keeps the copies back.
    // Up to the middle between two rounds, because real time passes as well.
    service.advance(22).await;
    let rounds = carrier.received().len();
    assert_eq!(rounds, 4, "at 0, 2, 6 and 14 s; the next is at 30 s");
    for sequence in 0..20 {
        enqueue(&service, &dispatch(&id, sequence), 0).await;
    }
    service.settle().await;
    assert_eq!(carrier.received().len(), rounds);
    carrier.behave(Behaviour::Accept);
    service.advance(200).await;
    assert_eq!(carrier.received().len(), rounds + 1);
    assert_queue_is_empty(&service).await;
}

/// A service with one carrier, whose dispatches stay with the test.
async fn start_keeping_dispatches() -> (ProxiedService, HttpCarrier) {
    let carrier = HttpCarrier::start("only").await;
    let variables = [("OTP_COOLDOWN_SECONDS", "0")];
    let proxied = ProxiedService::start_with_carriers(&[&carrier], &variables).await;
    proxied.keep_dispatches();
    (proxied, carrier)
}

#[tokio::test]
async fn parallel_copies_from_the_queue_send_once() {
    let (proxied, carrier) = start_keeping_dispatches().await;
    proxied.service.send(TO).await;
    let body = proxied.take_dispatches().remove(0);
    at_once(30, |_| {
        let (service, body) = (proxied.service.clone(), body.clone());
        async move { enqueue(&service, &body, 0).await }
    })
    .await;
    proxied.clear_faults();
    proxied.service.advance(120).await;
    assert_eq!(carrier.received().len(), 1, "one worker claims the step");
    assert_queue_is_empty(&proxied.service).await;
}

#[tokio::test]
async fn dispatches_from_the_queue_in_any_order_send_once() {
    let (proxied, carrier) = start_keeping_dispatches().await;
    let service = &proxied.service;
    let id = service.send(TO).await.id();
    assert_status(&service.resend(&id).await, 200);
    let [first, second] = proxied
        .take_dispatches()
        .try_into()
        .expect("two dispatches");
    proxied.clear_faults();
    for body in [&second, &first, &second, &first] {
        proxied.enqueue(body).await;
        service.settle().await;
    }
    service.advance(120).await;
    let received = carrier.received();
    assert_eq!(received.len(), 1, "the first dispatch is stale");
    assert_approved(&service.check(&id, &received[0].code()).await, 4);
    assert_queue_is_empty(service).await;
}

#[tokio::test]
async fn redriven_dispatch_of_an_expired_code_sends_nothing() {
    let (proxied, carrier) = start_keeping_dispatches().await;
    let service = &proxied.service;
    let id = service.send(TO).await.id();
    let body = proxied.take_dispatches().remove(0);
    proxied.clear_faults();
    service.advance(301).await;
    proxied.enqueue(&body).await;
    service.settle().await;
    assert_eq!(carrier.received().len(), 0);
    let shown = service.show(&id).await.body;
    assert_fields(
        &shown,
        json!({"status": "expired", "delivery": {"status": "failed"}}),
    );
    assert_queue_is_empty(service).await;
}

#[tokio::test]
async fn malformed_record_of_a_batch_fails_alone() {
    let carrier = HttpCarrier::start("only").await;
    let (proxied, _) = ProxiedService::start_processes(&[&carrier], &[], 1).await;
    proxied.keep_dispatches();
    for n in 0..6 {
        assert_status(&proxied.service.send(&american_phone(n)).await, 201);
    }
    let mut batch = proxied.take_dispatches();
    batch.insert(3, "malformed".to_owned());
    let response = proxied.invoke_worker(&batch).await;
    let failures = json!({"batchItemFailures": [{"itemIdentifier": "m3"}]});
    assert_eq!(response.body, failures, "{response:?}");
    let mut phones: Vec<_> = carrier
        .received()
        .iter()
        .map(|m| m.to().to_owned())
        .collect();
    phones.sort();
    assert_eq!(phones, (0..6).map(american_phone).collect::<Vec<_>>());
}
