//! Dispatches as a queue delivers them, given to workers of the test: copied, out of order,
//! malformed, late. A dispatch is only a reminder: the claim in the table decides which worker acts
//! on it.

use serde_json::json;
use tokio::task::JoinSet;

use super::harness::{NO_FAILURES, WorkerHarness, dispatch, handle};
use crate::support::{TO, american_phone, assert_fields, assert_status};

#[tokio::test]
async fn malformed_record_fails_alone() {
    let harness = WorkerHarness::start().await;
    let mut bodies = vec![];
    for n in 0..6 {
        bodies.push(harness.open_dispatch(&american_phone(n)).await.1);
    }
    for malformed in [
        "",
        "malformed",
        "{}",
        "[]",
        "null",
        "{\"v\":1}",
        &dispatch("ve_nonsense", 1),
        &bodies[0].replace("\"v\":1", "\"v\":2"),
    ] {
        let mut with_malformed: Vec<&str> = bodies.iter().map(String::as_str).collect();
        with_malformed.insert(3, malformed);
        let failures = handle(&harness.worker(), &with_malformed).await;
        assert_eq!(failures, ["m3"], "{malformed}");
        let mut phones: Vec<String> = harness
            .carrier
            .received()
            .iter()
            .map(|message| message.to().to_owned())
            .collect();
        phones.sort();
        assert_eq!(
            phones,
            (0..6).map(american_phone).collect::<Vec<_>>(),
            "each message once, over all batches"
        );
    }
}

#[tokio::test]
async fn parallel_copies_of_a_dispatch_send_once() {
    let harness = WorkerHarness::start().await;
    for n in 0..10 {
        let (_, body) = harness.open_dispatch(&american_phone(n)).await;
        let mut running = JoinSet::new();
        for _ in 0..8 {
            let (worker, body) = (harness.worker(), body.clone());
            running.spawn(async move { handle(&worker, &[&body, &body]).await });
        }
        assert!(running.join_all().await.iter().all(Vec::is_empty));
        let calls = harness
            .carrier
            .received()
            .iter()
            .filter(|message| message.to() == american_phone(n))
            .count();
        assert_eq!(calls, 1, "phone {n}: one worker claims the step");
    }
}

#[tokio::test]
async fn dispatches_out_of_order_send_the_current_message() {
    let harness = WorkerHarness::start().await;
    let (id, first) = harness.open_dispatch(TO).await;
    assert_status(&harness.proxied.service.resend(&id).await, 200);
    let second = harness.proxied.queue.take_calls()[0].body["MessageBody"]
        .as_str()
        .expect("a dispatch")
        .to_owned();
    let worker = harness.worker();
    for body in [&second, &first, &second, &first] {
        assert_eq!(handle(&worker, &[body]).await, NO_FAILURES);
    }
    let received = harness.carrier.received();
    assert_eq!(received.len(), 1, "the first dispatch is stale");
    assert_eq!(
        harness
            .proxied
            .service
            .check(&id, &received[0].code())
            .await
            .body["valid"],
        true
    );
}

#[tokio::test]
async fn redriven_dispatch_after_expiry_sends_nothing() {
    let harness = WorkerHarness::start().await;
    let (id, body) = harness.open_dispatch(TO).await;
    harness.proxied.service.advance(301).await;
    harness.advance(301);
    let failures = handle(&harness.worker(), &[&body]).await;
    assert_eq!(failures, NO_FAILURES, "the dispatch is acknowledged");
    assert_eq!(harness.carrier.received().len(), 0);
    let shown = harness.proxied.service.show(&id).await.body;
    assert_fields(
        &shown,
        json!({"status": "expired", "delivery": {"status": "failed"}}),
    );
}

#[tokio::test]
async fn dispatch_just_before_expiry_sends_nothing() {
    for (seconds, messages) in [(280, 1), (294, 0)] {
        let harness = WorkerHarness::start().await;
        let (_, body) = harness.open_dispatch(TO).await;
        harness.advance(seconds);
        assert_eq!(handle(&harness.worker(), &[&body]).await, NO_FAILURES);
        assert_eq!(
            harness.carrier.received().len(),
            messages,
            "{seconds} s after the send: the code expires after 300 s"
        );
    }
}

#[tokio::test]
async fn dispatch_of_an_unknown_verification_is_dropped() {
    let harness = WorkerHarness::start().await;
    let (_, body) = harness.open_dispatch(TO).await;
    let of_shop = body.replace("\"default\"", "\"shop\"");
    let failures = handle(&harness.worker(), &[&of_shop]).await;
    assert_eq!(
        (failures.len(), harness.carrier.received().len()),
        (0, 0),
        "the other app has no such verification"
    );
    assert_status(&harness.proxied.service.forget(TO).await, 200);
    let failures = handle(&harness.worker(), &[&body]).await;
    assert_eq!(
        (failures.len(), harness.carrier.received().len()),
        (0, 0),
        "forgotten"
    );
}
