//! Claims: a step belongs to the worker that claimed it, and is redelivered if that one crashes.

use serde_json::{Value, json};

use crate::support::{BROKEN, Behaviour, Fault, HttpCarrier, ProxiedService, THROTTLED, TO};

#[tokio::test]
async fn crashed_worker_is_replaced_after_the_visibility_timeout() {
    let proxied = ProxiedService::start(&[]).await;
    let service = &proxied.service;
    // The claim is stored, its response is an error, and it cannot be read: the worker gives up.
    let mut claims = 0;
    proxied.table.break_by(move |call| match call {
        call if call.claims_step() => {
            claims += 1;
            (claims == 1).then_some(Fault::ReplaceResponse)
        }
        call => (claims == 1 && call.operation == "GetItem").then_some(BROKEN),
    });
    let id = service.send(TO).await.id();
    service.settle().await;
    proxied.clear_faults();
    assert_eq!(
        (
            service.messages(TO).await.len(),
            &service.show(&id).await.body["delivery"]["status"]
        ),
        (0, &json!("sending"))
    );
    service.advance(62).await;
    assert_eq!(
        service.messages(TO).await.len(),
        1,
        "after the visibility timeout of the queue"
    );
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
}

#[tokio::test]
async fn worker_crash_after_handover_repeats_the_same_message() {
    let carrier = HttpCarrier::start("only").await;
    let proxied =
        ProxiedService::start(&[("OTP_CARRIERS", &json!([carrier.entry()]).to_string())]).await;
    let service = &proxied.service;
    let mut ends = 0;
    proxied.table.break_by(move |call| {
        let is_end = call.ends_step();
        ends += usize::from(is_end);
        (is_end && ends == 1).then_some(BROKEN)
    });
    let id = service.send(TO).await.id();
    service.advance(200).await;
    let received = carrier.received();
    assert_eq!(
        received.len(),
        2,
        "the outcome is unknown, so it is handed over again"
    );
    assert_eq!(
        (received[0].reference(), received[0].code()),
        (received[1].reference(), received[1].code()),
        "with the same reference, so that the carrier can recognize it"
    );
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
    assert_eq!(service.state().await["queue"], json!([]));
}

/// Breaks the next `count` claims.
fn break_claims(proxied: &ProxiedService, count: usize, fault: Fault) {
    let mut claims = 0;
    proxied.table.break_by(move |call| {
        let is_claim = call.claims_step();
        claims += usize::from(is_claim);
        (is_claim && claims <= count).then_some(fault)
    });
}

#[tokio::test]
async fn throttled_claim_is_retried_later() {
    let proxied = ProxiedService::start(&[]).await;
    break_claims(&proxied, 3, THROTTLED);
    proxied.service.send(TO).await;
    proxied.service.advance(62).await;
    assert_eq!(proxied.service.messages(TO).await.len(), 1);
}

#[tokio::test]
async fn claim_with_a_lost_response_is_kept() {
    let proxied = ProxiedService::start(&[]).await;
    break_claims(&proxied, 1, Fault::DropResponse);
    let id = proxied.service.send(TO).await.id();
    let before = proxied.service.now().await;
    assert_eq!(proxied.service.messages(TO).await.len(), 1);
    assert!(proxied.service.now().await - before < 10, "at once");
    assert_eq!(
        proxied.service.show(&id).await.body["delivery"]["status"],
        "sent"
    );
}

#[tokio::test]
async fn claim_without_any_response_is_read_and_kept() {
    let proxied = ProxiedService::start(&[]).await;
    break_claims(&proxied, 1, Fault::ReplaceResponse);
    let id = proxied.service.send(TO).await.id();
    let before = proxied.service.now().await;
    assert_eq!(proxied.service.messages(TO).await.len(), 1);
    assert!(proxied.service.now().await - before < 10, "at once");
    assert_eq!(
        proxied.service.show(&id).await.body["delivery"]["status"],
        "sent"
    );
}

/// Breaks the next write that stores the outcome of a step.
fn break_first_end(proxied: &ProxiedService, fault: Fault) {
    let mut ends = 0;
    proxied.table.break_by(move |call| {
        let is_end = call.ends_step();
        ends += usize::from(is_end);
        (is_end && ends == 1).then_some(fault)
    });
}

#[tokio::test]
async fn fallback_is_planned_despite_a_lost_response() {
    let proxied = ProxiedService::start(&[]).await;
    break_first_end(&proxied, Fault::DropResponse);
    proxied
        .service
        .send_body(json!({"to": TO, "fallback": ["voice"]}))
        .await
        .id();
    proxied.service.advance(90).await;
    let channels: Vec<Value> = proxied
        .service
        .messages(TO)
        .await
        .into_iter()
        .map(|m| m["channel"].clone())
        .collect();
    assert_eq!(channels, [json!("sms"), json!("voice")]);
}

#[tokio::test]
async fn unknown_outcome_is_followed_up_despite_lost_response() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let proxied = ProxiedService::start(&[(
        "OTP_CARRIERS",
        &json!([first.entry(), second.entry()]).to_string(),
    )])
    .await;
    first.behave(Behaviour::Hang);
    break_first_end(&proxied, Fault::DropResponse);
    proxied.service.send(TO).await;
    proxied.service.advance(40).await;
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
}

#[tokio::test]
async fn step_that_cannot_be_enqueued_is_redelivered() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let proxied = ProxiedService::start(&[(
        "OTP_CARRIERS",
        &json!([first.entry(), second.entry()]).to_string(),
    )])
    .await;
    first.behave(Behaviour::Hang);
    let mut enqueued = 0;
    proxied.queue.break_by(move |_| {
        enqueued += 1;
        (enqueued == 2).then_some(BROKEN)
    });
    proxied.service.send(TO).await;
    proxied.service.advance(90).await;
    assert_eq!(
        (first.received().len(), second.received().len()),
        (1, 1),
        "by the previous dispatch, which is redelivered"
    );
    assert_eq!(proxied.service.state().await["queue"], json!([]));
}
