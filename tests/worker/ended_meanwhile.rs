//! Verifications that end while a worker is about to call a carrier: nothing is handed over after
//! the app's request was answered.

use std::time::Duration;

use crate::support::{
    Behaviour, Fault, HttpCarrier, ProxiedCall, ProxiedService, TO, assert_status, deliveries_of,
};

/// Longer than a snapshot may be old when a carrier is called.
const SLOW: Duration = Duration::from_millis(150);

#[tokio::test]
async fn slow_worker_does_not_hand_over_a_canceled_code() {
    let only = HttpCarrier::start("only").await;
    let proxied = ProxiedService::start_with_carriers(&[&only], &[]).await;
    proxied.keep_dispatches();
    let id = proxied.service.send(TO).await.id();
    let dispatch = proxied.take_dispatches().remove(0);
    proxied.clear_faults();
    // The claim is stored, its response waits, and the cancel takes two slow calls.
    let is_claimed = |call: &ProxiedCall| call.claims_step().then_some(Fault::HoldResponse);
    proxied.table.break_by(move |call| match call {
        call if call.reads_breakers() => None,
        call => is_claimed(call).or(Some(Fault::DelayRequest(SLOW))),
    });
    proxied.enqueue(&dispatch).await;
    proxied.table.wait_for_held_call().await;
    assert_status(&proxied.service.cancel(&id).await, 200);
    proxied.table.release();
    let deliveries = deliveries_of(&proxied.service, &id).await;
    assert_eq!(only.received().len(), 0, "the cancel was acknowledged");
    assert_eq!(deliveries, [("failed".to_owned(), None)]);
}

#[tokio::test]
async fn canceled_code_is_not_failed_over() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let proxied = ProxiedService::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(500, ""));
    proxied
        .table
        .break_by(|call| call.updates_breaker().then_some(Fault::HoldRequest));
    let id = proxied.service.send(TO).await.id();
    proxied.table.wait_for_held_call().await;
    assert_status(&proxied.service.cancel(&id).await, 200);
    proxied.table.release();
    proxied.service.settle().await;
    assert_eq!((first.received().len(), second.received().len()), (1, 0));
    assert_eq!(
        proxied.service.show(&id).await.body["delivery"]["status"],
        "failed"
    );
}
