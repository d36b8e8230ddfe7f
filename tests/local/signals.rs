//! Processes of functions that are killed or frozen by signals, as Lambda does it.

use crate::support::{
    Behaviour, HttpCarrier, ProxiedService, TO, assert_approved, assert_queue_is_empty,
};

#[tokio::test]
async fn worker_killed_after_each_acceptance_sends_two_texts() {
    let carrier = HttpCarrier::start("only").await;
    let carrier = carrier.with_timeout_ms(8000);
    let (proxied, processes) = ProxiedService::start_processes(&[&carrier], &[], 1).await;
    let mut service = proxied.service.clone();
    service.allows_gateway_errors = true;
    carrier.behave(Behaviour::Hold);
    let id = service.send(TO).await.id();
    for handovers in [1, 2] {
        carrier.wait_for_messages(handovers).await;
        processes.signal("KILL", "carrier-worker").await;
        // The next handover waits, and the clock with it.
        let service = service.clone();
        tokio::spawn(async move { service.advance(62).await });
    }
    service.settle().await;
    service.advance(200).await;
    let received = carrier.received();
    assert_eq!(received.len(), 2, "the second one is the last");
    assert_eq!(received[0].code(), received[1].code());
    assert_eq!(received[0].reference(), received[1].reference());
    let shown = service.show(&id).await.body;
    assert_eq!(shown["delivery"]["status"], "unknown", "{shown}");
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn frozen_process_recovers_with_the_current_time() {
    let carrier = HttpCarrier::start("only").await;
    let (proxied, processes) = ProxiedService::start_processes(&[&carrier], &[], 1).await;
    let service = &proxied.service;
    let first = service.send(TO).await.id();
    service.settle().await;
    let code = carrier.received()[0].code();
    service.show(&first).await;
    for function in ["send", "verify", "carrier-worker"] {
        processes.signal("STOP", function).await;
    }
    proxied.table.close_connections();
    proxied.queue.close_connections();
    service.advance(301).await;
    for function in ["send", "verify", "carrier-worker"] {
        processes.signal("CONT", function).await;
    }
    let late = service.check(&first, &code).await;
    assert_eq!(late.body["reason"], "expired", "{late:?}");
    let second = service.send(TO).await.id();
    service.settle().await;
    let code = carrier.received()[1].code();
    assert_approved(&service.check(&second, &code).await, 4);
}
