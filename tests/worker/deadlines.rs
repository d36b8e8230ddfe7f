//! The deadline of an invocation: a carrier is called only if its whole time-out and the writes
//! after it fit. Otherwise the step is given back, and another invocation goes on with it.

use std::time::Duration;

use otp::platform::deadline::Deadline;
use serde_json::json;

use super::harness::{NO_FAILURES, WorkerHarness, handle, handle_within};
use crate::support::deliveries::Delivery;
use crate::support::{
    Behaviour, Fault, HttpCarrier, ProxiedCall, ProxiedService, TO, american_phone,
    assert_queue_is_empty, assert_status, deliveries_of, delivery,
};

/// Below the time-out of one attempt, which is 1 s.
const SLOW: Duration = Duration::from_millis(700);

/// One invocation of the worker while every call to the table is slow.
struct SlowInvocation {
    proxied: ProxiedService,
    id: String,
    /// The dispatches that it enqueued, which the queue does not have yet.
    enqueued: Vec<String>,
    /// How often it gave a claimed step back.
    given_back: usize,
}

impl SlowInvocation {
    /// Of a message whose dispatch is in the queue.
    async fn run(carriers: &[&HttpCarrier]) -> Self {
        let proxied = ProxiedService::start_with_carriers(carriers, &[]).await;
        proxied.keep_dispatches();
        let id = proxied.service.send(TO).await.id();
        let dispatch = proxied.take_dispatches().remove(0);
        proxied.forget_calls();
        proxied.table.break_by(|_| Some(Fault::DelayRequest(SLOW)));
        proxied.enqueue(&dispatch).await;
        proxied.service.settle().await;
        proxied.clear_faults();
        let calls = proxied.table.take_calls().into_iter();
        let given_back = calls.filter(ProxiedCall::releases_claim).count();
        let enqueued = proxied.take_dispatches();
        Self {
            proxied,
            id,
            enqueued,
            given_back,
        }
    }

    /// Status and carrier of each delivery, after all that it enqueued has run.
    async fn deliveries_at_the_end(&self) -> Vec<Delivery> {
        for dispatch in &self.enqueued {
            self.proxied.enqueue(dispatch).await;
        }
        self.proxied.service.advance(200).await;
        assert_queue_is_empty(&self.proxied.service).await;
        deliveries_of(&self.proxied.service, &self.id).await
    }
}

#[tokio::test]
async fn slow_table_and_slow_failure_send_one_text() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let (first, second) = (first.with_timeout_ms(5000), second.with_timeout_ms(5000));
    let fails = Box::new(Behaviour::Respond(503, ""));
    first.behave(Behaviour::After(Duration::from_millis(4800), fails));
    let invocation = SlowInvocation::run(&[&first, &second]).await;
    assert_eq!((first.received().len(), second.received().len()), (1, 0));
    assert_eq!((invocation.given_back, invocation.enqueued.len()), (1, 1));
    assert_eq!(
        invocation.deliveries_at_the_end().await,
        [delivery("sent", "second")]
    );
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
}

#[tokio::test]
async fn dispatch_without_time_for_a_call_is_returned() {
    // Claim and read take 1.4 s. The call, at most 6.4 s, and 2.5 s for the writes after it do not
    // fit into the rest of 10 s.
    let only = HttpCarrier::start("only").await.with_timeout_ms(6400);
    let invocation = SlowInvocation::run(&[&only]).await;
    assert_eq!((invocation.given_back, invocation.enqueued.len()), (1, 1));
    assert_eq!(only.received().len(), 0);
    assert_eq!(
        deliveries_of(&invocation.proxied.service, &invocation.id).await,
        [("queued".to_owned(), None)],
        "as if the dispatch had never been received"
    );
    assert_eq!(
        invocation.deliveries_at_the_end().await,
        [delivery("sent", "only")]
    );
    assert_eq!(only.received().len(), 1);
}

/// The carrier takes so long that half of a batch has no time after the first half.
#[tokio::test]
async fn waiting_half_of_a_batch_is_returned() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let first = first.with_timeout_ms(6400);
    first.behave(Behaviour::Hold);
    let (proxied, _) = ProxiedService::start_processes(&[&first, &second], &[], 1).await;
    proxied.keep_dispatches();
    for n in 0..10 {
        assert_status(&proxied.service.send(&american_phone(n)).await, 201);
    }
    let dispatches = proxied.take_dispatches();
    let check_results = async {
        first.wait_for_messages(5).await;
        proxied.queue.wait_for_calls(5).await;
        first.release();
    };
    let (response, ()) = tokio::join!(proxied.invoke_worker(&dispatches), check_results);
    assert_eq!(response.body, json!({"batchItemFailures": []}));
    assert_eq!((first.received().len(), second.received().len()), (5, 0));
    let returned = proxied.take_dispatches();
    assert_eq!(returned.len(), 5, "{returned:?}");
    assert!(returned.iter().all(|body| dispatches.contains(body)));
    proxied.invoke_worker(&returned).await;
    let mut phones: Vec<_> = first.received().iter().map(|m| m.to().to_owned()).collect();
    phones.sort();
    assert_eq!(phones, (0..10).map(american_phone).collect::<Vec<_>>());
    assert_eq!(
        second.received().len(),
        0,
        "the first carrier has not failed"
    );
}

#[tokio::test]
async fn call_cut_short_opens_no_breaker() {
    let harness = WorkerHarness::start_with(json!({"timeout_ms": 8000}), &[]).await;
    let worker = harness.worker();
    harness.carrier.behave(Behaviour::Hang);
    let mut bodies = vec![];
    for n in 0..5 {
        bodies.push(harness.open_dispatch(&american_phone(n)).await.1);
    }
    let bodies: Vec<_> = bodies.iter().map(String::as_str).collect();
    // 0.5 s for each call.
    let deadline = Deadline::after(Duration::from_secs(4));
    assert_eq!(handle_within(&worker, &bodies, deadline).await, NO_FAILURES);
    assert_eq!(harness.carrier.received().len(), 5);
    harness.carrier.behave(Behaviour::Accept);
    let (id, body) = harness.open_dispatch(TO).await;
    assert_eq!(handle(&worker, &[&body]).await, NO_FAILURES);
    assert_eq!(harness.delivery_status(&id).await, "sent");
}
