//! Handovers of one message whose outcome is not known: at most two, however many workers crash.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    BROKEN, Behaviour, Fault, HttpCarrier, ProxiedCall, ProxiedService, TO, assert_queue_is_empty,
    assert_status, deliveries_of, delivery,
};

/// Ends the invocation after each call of a carrier, and receives the dispatch again, until it is a
/// dead letter. Then a duplicate of the dispatch arrives.
async fn crash_after_each_call(proxied: &ProxiedService) -> String {
    proxied
        .table
        .break_by(|call| call.ends_step().then_some(BROKEN));
    let id = proxied.service.send(TO).await.id();
    for _ in 0..3 {
        proxied.service.advance(61).await;
    }
    proxied.clear_faults();
    let dispatch = proxied.take_dispatches().remove(0);
    proxied.enqueue(&dispatch).await;
    proxied.service.settle().await;
    id
}

#[tokio::test]
async fn crashes_after_each_acceptance_send_two_texts() {
    let only = HttpCarrier::start("only").await;
    let proxied = ProxiedService::start_with_carriers(&[&only], &[]).await;
    let id = crash_after_each_call(&proxied).await;
    let received = only.received();
    assert_eq!(received.len(), 2);
    assert_eq!(
        (received[0].reference(), received[0].code()),
        (received[1].reference(), received[1].code()),
    );
    assert_eq!(
        deliveries_of(&proxied.service, &id).await,
        [("unknown".to_owned(), None)]
    );
}

#[tokio::test]
async fn second_carrier_counts_as_a_handover() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    first.behave(Behaviour::Close);
    let proxied = ProxiedService::start_with_carriers(&[&first, &second], &[]).await;
    let id = proxied.service.send(TO).await.id();
    proxied.service.settle().await;
    proxied
        .table
        .break_by(|call| call.ends_step().then_some(BROKEN));
    for _ in 0..4 {
        proxied.service.advance(61).await;
    }
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    proxied.clear_faults();
    assert_eq!(
        deliveries_of(&proxied.service, &id).await[0],
        delivery("unknown", "first")
    );
}

#[tokio::test]
async fn fallback_has_handovers_of_its_own() {
    let only = HttpCarrier::start("only").await;
    let proxied = ProxiedService::start_with_carriers(&[&only], &[]).await;
    let service = &proxied.service;
    only.behave(Behaviour::Close);
    let id = service
        .open_id(json!({"to": TO, "fallback": ["voice"]}))
        .await;
    service.settle().await;
    only.behave(Behaviour::Accept);
    service.advance(61).await;
    let channels: Vec<_> = only
        .received()
        .iter()
        .map(|m| m.channel().to_owned())
        .collect();
    assert_eq!(channels, ["sms", "voice"]);
    assert_eq!(
        deliveries_of(service, &id).await,
        [delivery("unknown", "only"), delivery("sent", "only")]
    );
}

#[tokio::test]
async fn resend_has_handovers_of_its_own() {
    let only = HttpCarrier::start("only").await;
    let variables = [("OTP_COOLDOWN_SECONDS", "0")];
    let proxied = ProxiedService::start_with_carriers(&[&only], &variables).await;
    let id = crash_after_each_call(&proxied).await;
    assert_status(&proxied.service.resend(&id).await, 200);
    proxied.service.settle().await;
    assert_eq!(only.received().len(), 3);
    assert_eq!(
        deliveries_of(&proxied.service, &id).await[1],
        delivery("sent", "only")
    );
}

/// Nothing was handed over, so a later invocation still does it.
#[tokio::test]
async fn failed_read_before_a_call_is_no_handover() {
    let only = HttpCarrier::start("only").await;
    let proxied = ProxiedService::start_with_carriers(&[&only], &[]).await;
    proxied.keep_dispatches();
    let id = proxied.service.send(TO).await.id();
    let dispatch = proxied.take_dispatches().remove(0);
    proxied.clear_faults();
    // The claim is so old when its response arrives that the verification is read again.
    let is_read = |call: &ProxiedCall| call.operation == "GetItem" && !call.reads_breakers();
    proxied.table.break_by(move |call| match call {
        call if call.claims_step() => Some(Fault::DelayResponse(Duration::from_millis(200))),
        call if is_read(call) => Some(BROKEN),
        _ => None,
    });
    proxied.enqueue(&dispatch).await;
    proxied.service.settle().await;
    proxied.service.advance(61).await;
    assert_eq!(only.received().len(), 0);
    proxied.clear_faults();
    proxied.service.advance(61).await;
    assert_eq!(only.received().len(), 1, "the third time it is sent");
    assert_eq!(
        deliveries_of(&proxied.service, &id).await,
        [delivery("sent", "only")]
    );
    assert_queue_is_empty(&proxied.service).await;
}
