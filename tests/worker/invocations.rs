//! With `OTP_WORKER_URL`, `send` invokes the worker, and the queue gets what Lambda does not take:
//! each message is sent once.

use serde_json::json;

use crate::support::{
    BROKEN, Fault, FaultProxy, ProxiedService, TO, american_phone, assert_approved,
    assert_queue_is_empty, assert_status,
};

/// Several times the instances that a service has.
const SENDS: usize = 20;

/// A service whose `send` invokes the worker, through a proxy.
struct Invoking {
    proxied: ProxiedService,
    lambda: FaultProxy,
}

impl Invoking {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let lambda = FaultProxy::open().await;
        let url = lambda.url().expect("a URL");
        let url = format!("{url}/2015-03-31/functions/carrier-worker/invocations");
        let own = [("OTP_WORKER_URL", url.as_str())];
        let proxied = ProxiedService::start(&[&own, variables].concat()).await;
        lambda.set_target(&proxied.service.base);
        Self { proxied, lambda }
    }

    /// The operations of the calls of Lambda, then of the queue.
    fn calls(&self) -> Vec<String> {
        let calls = [self.lambda.take_calls(), self.proxied.queue.take_calls()];
        let calls = calls.into_iter().flatten();
        calls.map(|call| call.operation).collect()
    }

    /// Sends to [`TO`], with that fault at Lambda; the message arrives once. Returns the calls, of
    /// equal ones in a row the first.
    async fn send_despite(&self, fault: Fault) -> Vec<String> {
        self.lambda.break_all(fault);
        let service = &self.proxied.service;
        let sent = service.send(TO).await;
        assert_status(&sent, 201);
        self.lambda.release();
        service.advance(200).await;
        let messages = service.messages(TO).await;
        assert_eq!(messages.len(), 1, "{fault:?}");
        let code = messages[0]["code"].as_str().expect("a code");
        assert_approved(&service.check(&sent.id(), code).await, 4);
        assert_queue_is_empty(service).await;
        let mut calls = self.calls();
        calls.dedup();
        calls
    }
}

/// Asserts that the queue gets the dispatch as well, and that the message arrives once.
async fn assert_sent_once_despite(faults: &[Fault]) {
    for fault in faults {
        let invoking = Invoking::start(&[]).await;
        let calls = invoking.send_despite(*fault).await;
        assert_eq!(calls, ["Invoke", "SendMessage"], "{fault:?}");
    }
}

#[tokio::test]
async fn first_messages_and_resends_bypass_the_queue() {
    let invoking = Invoking::start(&[("OTP_COOLDOWN_SECONDS", "0")]).await;
    let service = &invoking.proxied.service;
    let id = service.send(TO).await.id();
    service.settle().await;
    assert_status(&service.resend(&id).await, 200);
    service.settle().await;
    assert_eq!(service.messages(TO).await.len(), 2);
    assert_eq!(invoking.calls(), ["Invoke", "Invoke"]);
    assert_queue_is_empty(service).await;
}

#[tokio::test]
async fn fallback_goes_through_the_queue() {
    let invoking = Invoking::start(&[]).await;
    let service = &invoking.proxied.service;
    let sent = service.send_body(json!({"to": TO, "fallback": ["voice"]}));
    assert_status(&sent.await, 201);
    service.settle().await;
    assert_eq!(invoking.calls(), ["Invoke", "SendMessage"]);
    service.advance(61).await;
    let messages = service.messages(TO).await;
    let channels: Vec<_> = messages.iter().map(|message| &message["channel"]).collect();
    assert_eq!(channels, ["sms", "voice"]);
}

#[tokio::test]
async fn queue_gets_what_lambda_refuses() {
    assert_sent_once_despite(&[
        Fault::Error(429, "TooManyRequestsException"),
        Fault::Error(403, "AccessDeniedException"),
        Fault::DropRequest,
        Fault::Freeze,
    ])
    .await;
}

#[tokio::test]
async fn failed_invocation_pauses_those_of_its_instance() {
    let invoking = Invoking::start(&[]).await;
    let service = &invoking.proxied.service;
    invoking.lambda.break_all(BROKEN);
    for n in 0..SENDS {
        assert_status(&service.send(&american_phone(n)).await, 201);
    }
    let invoked = invoking.lambda.take_calls().len();
    assert!((1..SENDS / 2).contains(&invoked), "{invoked} of {SENDS}");
    service.advance(31).await;
    assert_status(&service.send(TO).await, 201);
    assert_eq!(invoking.lambda.take_calls().len(), 1);
    for n in 0..SENDS {
        assert_eq!(service.messages(&american_phone(n)).await.len(), 1);
    }
}

#[tokio::test]
async fn invocation_and_dispatch_of_a_message_send_once() {
    assert_sent_once_despite(&[
        Fault::DropResponse,
        Fault::ReplaceResponse,
        Fault::HoldRequest,
    ])
    .await;
}

#[tokio::test]
async fn send_fails_without_lambda_and_queue() {
    let invoking = Invoking::start(&[]).await;
    let service = &invoking.proxied.service;
    invoking.lambda.break_all(BROKEN);
    invoking.proxied.queue.break_all(BROKEN);
    assert_status(&service.send(TO).await, 503);
    invoking.lambda.clear_faults();
    invoking.proxied.queue.clear_faults();
    // Nothing was counted: the cooldown would reject this one.
    assert_status(&service.send(TO).await, 201);
    service.settle().await;
    assert_eq!(service.messages(TO).await.len(), 1);
}

#[tokio::test]
async fn send_without_responses_is_accepted_once_claimed() {
    let invoking = Invoking::start(&[]).await;
    let (service, table) = (&invoking.proxied.service, &invoking.proxied.table);
    invoking.lambda.break_all(Fault::DropResponse);
    invoking.proxied.queue.break_all(BROKEN);
    table.break_by(|call| call.restores_recipient().then_some(Fault::HoldRequest));
    let worker_claims = async {
        table.wait_for_held_call().await;
        service.settle().await;
        table.release();
    };
    let (sent, ()) = tokio::join!(service.send(TO), worker_claims);
    assert_status(&sent, 201);
    service.settle().await;
    let messages = service.messages(TO).await;
    assert_eq!(messages.len(), 1);
    let code = messages[0]["code"].as_str().expect("a code");
    assert_approved(&service.check(&sent.id(), code).await, 4);
}

#[tokio::test]
async fn late_invocation_of_an_undone_send_does_nothing() {
    let invoking = Invoking::start(&[]).await;
    let service = &invoking.proxied.service;
    invoking.lambda.break_all(Fault::HoldRequest);
    invoking.proxied.queue.break_all(BROKEN);
    assert_status(&service.send(TO).await, 503);
    invoking.lambda.release();
    invoking.lambda.clear_faults();
    invoking.lambda.wait_for_calls(1).await;
    service.settle().await;
    assert_eq!(service.messages(TO).await.len(), 0);
    invoking.proxied.queue.clear_faults();
    // Nothing was counted: the cooldown would reject this one.
    let sent = service.send(TO).await;
    assert_status(&sent, 201);
    service.settle().await;
    let messages = service.messages(TO).await;
    assert_eq!(messages.len(), 1);
    let code = messages[0]["code"].as_str().expect("a code");
    assert_approved(&service.check(&sent.id(), code).await, 4);
}

#[tokio::test]
async fn failed_invocation_is_repeated_twice() {
    let invoking = Invoking::start(&[]).await;
    let (service, table) = (&invoking.proxied.service, &invoking.proxied.table);
    table.break_by(|call| call.claims_step().then_some(BROKEN));
    let id = service.send(TO).await.id();
    for (received, seconds) in [(1, 61), (2, 121)] {
        service.settle().await;
        let state = service.state().await;
        assert_eq!(state["queue"][0]["receives"], received);
        service.advance(seconds).await;
    }
    table.clear_faults();
    service.settle().await;
    let state = service.state().await;
    assert_eq!(state["queue"], json!([]));
    let body = state["dead_letters"][0]["body"].as_str();
    assert!(body.is_some_and(|body| body.contains(&id)), "{state}");
    assert_eq!(service.messages(TO).await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn repeated_invocation_sends_the_message() {
    let invoking = Invoking::start(&[]).await;
    let (service, table) = (&invoking.proxied.service, &invoking.proxied.table);
    table.break_by(|call| call.claims_step().then_some(BROKEN));
    assert_status(&service.send(TO).await, 201);
    service.settle().await;
    assert_eq!(service.messages(TO).await.len(), 0);
    table.clear_faults();
    service.advance(61).await;
    assert_eq!(service.messages(TO).await.len(), 1);
    assert_queue_is_empty(service).await;
}

#[tokio::test]
async fn event_that_is_no_dispatch_becomes_a_dead_letter() {
    let invoking = Invoking::start(&[]).await;
    let service = &invoking.proxied.service;
    let path = "/2015-03-31/functions/carrier-worker/invocations";
    let kind = [("x-amz-invocation-type", "Event")];
    for event in [r#"{"v":2}"#, "[]", "1"] {
        let accepted = service.raw("POST", path, &kind, event).await;
        assert_status(&accepted, 202);
    }
    assert_status(&service.send(TO).await, 201);
    service.advance(181).await;
    let state = service.state().await;
    let dead = state["dead_letters"].as_array().map(Vec::len);
    assert_eq!((&state["queue"], dead), (&json!([]), Some(3)));
    assert_eq!(service.messages(TO).await.len(), 1);
}
