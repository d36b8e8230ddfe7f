//! Workers whose table is slow, or that are aborted while a carrier responds slowly: they hand over
//! no message that has become useless meanwhile, and they block no carrier.

use serde_json::{Value, json};

use super::harness::{NO_FAILURES, Worker, WorkerHarness, dispatch, handle};
use crate::support::{BROKEN, Behaviour, Fault, ProxiedCall, TO, american_phone, assert_status};

/// Each send and each fallback costs 1, and the spend cap is 2.
async fn start_with_spend_cap() -> WorkerHarness {
    WorkerHarness::start_with(json!({"price": 1}), &[("OTP_SPEND_PER_DAY", "2")]).await
}

/// Which calls to the table are slow.
type CallFilter = Box<dyn FnMut(&ProxiedCall) -> bool + Send>;

/// The read after the claim, which is that of the breakers.
fn reads_breakers() -> CallFilter {
    let mut claimed = String::new();
    Box::new(move |call| {
        if call.claims_step() {
            call.key().clone_into(&mut claimed);
        }
        call.operation == "GetItem" && call.key() != claimed
    })
}

impl WorkerHarness {
    /// Gives `body` to a worker, holds its slow calls, runs `meanwhile`, and releases them.
    async fn handle_slowly(
        &self,
        body: &str,
        mut is_slow: CallFilter,
        fault: Fault,
        meanwhile: impl Future<Output = ()>,
    ) {
        let worker = self.proxied_worker();
        self.proxied
            .table
            .break_by(move |call| is_slow(call).then_some(fault));
        let body = body.to_owned();
        let running = tokio::spawn(async move { handle(&worker, &[&body]).await });
        self.proxied.table.wait_for_held_call().await;
        meanwhile.await;
        self.proxied.table.release();
        assert_eq!(running.await.expect("a response"), NO_FAILURES);
    }
}

#[tokio::test]
async fn message_delayed_until_near_expiry_is_not_handed_over() {
    for is_slow in [
        Box::new(ProxiedCall::claims_step) as CallFilter,
        reads_breakers(),
    ] {
        let harness = start_with_spend_cap().await;
        let (id, body) = harness.open_dispatch(TO).await;
        harness
            .handle_slowly(&body, is_slow, Fault::HoldRequest, async {
                harness.advance(294)
            })
            .await;
        assert_eq!(
            (
                harness.carrier.received().len(),
                harness.delivery_status(&id).await
            ),
            (0, json!("failed"))
        );
    }
}

#[tokio::test]
async fn delayed_message_is_not_handed_over_after_cancel() {
    for is_slow in [
        Box::new(ProxiedCall::claims_step) as CallFilter,
        reads_breakers(),
    ] {
        let harness = start_with_spend_cap().await;
        let (id, body) = harness.open_dispatch(TO).await;
        let meanwhile = async {
            assert_status(&harness.proxied.service.cancel(&id).await, 200);
            harness.advance(3);
        };
        harness
            .handle_slowly(&body, is_slow, Fault::HoldResponse, meanwhile)
            .await;
        assert_eq!(
            (
                harness.carrier.received().len(),
                harness.delivery_status(&id).await
            ),
            (0, json!("failed"))
        );
    }
}

#[tokio::test]
async fn stalled_worker_leaves_its_message_to_another_worker() {
    let harness = start_with_spend_cap().await;
    let (id, body) = harness.open_dispatch(TO).await;
    let meanwhile = async {
        harness.advance(16);
        assert_eq!(handle(&harness.worker(), &[&body]).await, NO_FAILURES);
    };
    harness
        .handle_slowly(&body, reads_breakers(), Fault::HoldRequest, meanwhile)
        .await;
    assert_eq!(
        (
            harness.carrier.received().len(),
            harness.delivery_status(&id).await
        ),
        (1, json!("sent"))
    );
}

/// A worker whose carrier responds with `late` after another worker has taken the step over, and
/// before that one ends it. Returns the status at the end.
async fn status_after_a_late_response(late: Behaviour) -> Value {
    let harness = WorkerHarness::start_with(json!({"timeout_ms": 6000}), &[]).await;
    let (id, body) = harness.open_dispatch(TO).await;
    harness.carrier.behave(Behaviour::HoldThen(Box::new(late)));
    let run = |worker: Worker| {
        let body = body.clone();
        tokio::spawn(async move { handle(&worker, &[&body]).await })
    };
    let stalled = run(harness.worker());
    harness.carrier.wait_for_messages(1).await;
    harness.advance(16);
    harness.carrier.behave(Behaviour::Accept);
    harness
        .proxied
        .table
        .break_by(|call| call.ends_step().then_some(Fault::HoldRequest));
    let other = run(harness.proxied_worker());
    harness.proxied.table.wait_for_held_call().await;
    harness.carrier.release();
    assert_eq!(stalled.await.expect("a response"), NO_FAILURES);
    let stored = harness.proxied.service.show(&id).await.body;
    assert_eq!(stored["delivery"]["status"], "sending", "the step is held");
    // When a retry round of the stalled worker would be due.
    harness.advance(3);
    let next = dispatch(&id, 2);
    assert_eq!(handle(&harness.worker(), &[&next]).await, NO_FAILURES);
    assert_eq!(harness.carrier.received().len(), 2, "no next step");
    harness.proxied.table.release();
    assert_eq!(other.await.expect("a response"), NO_FAILURES);
    assert_eq!(harness.carrier.received().len(), 2);
    harness.delivery_status(&id).await
}

#[tokio::test]
async fn stalled_worker_cannot_end_a_step_taken_over() {
    for late in [Behaviour::Respond(503, ""), Behaviour::Respond(429, "20")] {
        assert_eq!(status_after_a_late_response(late).await, "sent");
    }
}

async fn assert_fallback_failed(harness: &WorkerHarness, id: &str) {
    let shown = harness.proxied.service.show(id).await.body;
    let states: Vec<_> = shown["deliveries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|d| (d["channel"].clone(), d["status"].clone()))
        .collect();
    assert_eq!(
        states,
        [
            (json!("sms"), json!("sent")),
            (json!("voice"), json!("failed"))
        ],
        "{shown}"
    );
}

#[tokio::test]
async fn delayed_fallback_of_an_ended_verification_costs_nothing() {
    for ending in ["canceled", "approved", "forgotten", "late"] {
        let harness = start_with_spend_cap().await;
        let (id, body) = harness
            .open_dispatch_with(json!({"to": TO, "fallback": ["voice"]}))
            .await;
        assert_eq!(handle(&harness.worker(), &[&body]).await, NO_FAILURES);
        let code = harness.carrier.received()[0].code();
        harness.advance(61);
        let meanwhile = async {
            match ending {
                "canceled" => assert_status(&harness.proxied.service.cancel(&id).await, 200),
                "approved" => assert_eq!(
                    harness.proxied.service.check(&id, &code).await.body["valid"],
                    true
                ),
                "forgotten" => assert_status(&harness.proxied.service.forget(TO).await, 200),
                _ => harness.advance(233),
            }
        };
        harness
            .handle_slowly(
                &dispatch(&id, 2),
                Box::new(ProxiedCall::adds_delivery),
                Fault::HoldRequest,
                meanwhile,
            )
            .await;
        assert_eq!(
            harness.carrier.received().len(),
            1,
            "{ending}: only the text"
        );
        if ending != "forgotten" {
            assert_fallback_failed(&harness, &id).await;
        }
        assert_eq!(
            harness
                .proxied
                .service
                .send(&american_phone(7))
                .await
                .status,
            201,
            "{ending}: the fallback is not charged"
        );
    }
}

#[tokio::test]
async fn fallback_that_cannot_be_stored_is_charged_once() {
    let harness = start_with_spend_cap().await;
    let (id, body) = harness
        .open_dispatch_with(json!({"to": TO, "fallback": ["voice"]}))
        .await;
    assert_eq!(handle(&harness.worker(), &[&body]).await, NO_FAILURES);
    harness.advance(61);
    let worker = harness.proxied_worker();
    harness
        .proxied
        .table
        .break_by(|call| call.adds_delivery().then_some(BROKEN));
    assert_eq!(
        handle(&worker, &[&dispatch(&id, 2)]).await,
        ["m0"],
        "the dispatch is redelivered"
    );
    harness.proxied.clear_faults();
    harness.advance(16);
    assert_eq!(handle(&worker, &[&dispatch(&id, 2)]).await, NO_FAILURES);
    assert_eq!(
        harness.carrier.received().len(),
        2,
        "the spend cap still admits it"
    );
}

#[tokio::test]
async fn copied_dispatch_does_not_fail_a_message_in_flight() {
    let harness = WorkerHarness::start_with(json!({"timeout_ms": 8000}), &[]).await;
    let (id, body) = harness.open_dispatch(TO).await;
    harness.carrier.behave(Behaviour::Hold);
    let running = tokio::spawn({
        let (worker, body) = (harness.worker(), body.clone());
        async move { handle(&worker, &[&body]).await }
    });
    harness.carrier.wait_for_messages(1).await;
    assert_status(&harness.proxied.service.cancel(&id).await, 200);
    assert_eq!(handle(&harness.worker(), &[&body]).await, NO_FAILURES);
    harness.carrier.release();
    assert_eq!(running.await.expect("a response"), NO_FAILURES);
    assert_eq!(
        (
            harness.carrier.received().len(),
            harness.delivery_status(&id).await
        ),
        (1, json!("sent"))
    );
}

#[tokio::test]
async fn aborted_calls_do_not_open_the_breaker() {
    let harness = WorkerHarness::start_with(json!({"timeout_ms": 8000}), &[]).await;
    let worker = harness.worker();
    let mut bodies = vec![];
    for n in 0..5 {
        bodies.push(harness.open_dispatch(&american_phone(n)).await.1);
    }
    harness.carrier.behave(Behaviour::Hang);
    let running = tokio::spawn({
        let worker = worker.clone();
        async move {
            handle(
                &worker,
                &bodies.iter().map(String::as_str).collect::<Vec<_>>(),
            )
            .await
        }
    });
    harness.carrier.wait_for_messages(5).await;
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    harness.carrier.behave(Behaviour::Accept);
    let (id, body) = harness.open_dispatch(TO).await;
    assert_eq!(handle(&worker, &[&body]).await, NO_FAILURES);
    assert_eq!(
        (
            harness.carrier.received().len(),
            harness.delivery_status(&id).await
        ),
        (6, json!("sent"))
    );
}

#[tokio::test]
async fn superseded_message_without_a_carrier_is_failed() {
    for superseded_by in ["a resend", "a send"] {
        let harness = WorkerHarness::start_with(json!({}), &[]).await;
        let (id, body) = harness.open_dispatch(TO).await;
        harness.carrier.behave(Behaviour::Respond(500, ""));
        let meanwhile = async {
            let response = if superseded_by == "a send" {
                harness.proxied.service.send(TO).await
            } else {
                harness.proxied.service.resend(&id).await
            };
            assert!(response.status < 300, "{response:?}");
        };
        harness
            .handle_slowly(
                &body,
                Box::new(ProxiedCall::updates_breaker),
                Fault::HoldRequest,
                meanwhile,
            )
            .await;
        let shown = harness.proxied.service.show(&id).await.body;
        assert_eq!(
            shown["deliveries"][0]["status"], "failed",
            "{superseded_by}: no worker has it: {shown}"
        );
    }
}

#[tokio::test]
async fn superseded_message_of_a_crashed_worker_is_unknown() {
    for superseded_by in ["a resend", "a send"] {
        let harness = WorkerHarness::start_with(json!({"timeout_ms": 8000}), &[]).await;
        let (id, body) = harness.open_dispatch(TO).await;
        harness.carrier.behave(Behaviour::Hang);
        let running = tokio::spawn({
            let (worker, body) = (harness.worker(), body.clone());
            async move { handle(&worker, &[&body]).await }
        });
        harness.carrier.wait_for_messages(1).await;
        running.abort();
        assert!(running.await.is_err_and(|error| error.is_cancelled()));
        let response = if superseded_by == "a send" {
            harness.proxied.service.send(TO).await
        } else {
            harness.proxied.service.resend(&id).await
        };
        assert!(response.status < 300, "{response:?}");
        let first = async || {
            harness.proxied.service.show(&id).await.body["deliveries"][0]["status"].clone()
        };
        assert_eq!(first().await, "sending", "{superseded_by}");
        harness.advance(60);
        assert_eq!(handle(&harness.worker(), &[&body]).await, NO_FAILURES);
        assert_eq!(
            first().await,
            "unknown",
            "{superseded_by}: it may have been sent"
        );
    }
}
