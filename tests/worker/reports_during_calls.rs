//! Reports that arrive while carriers are being called: `delivered` counts from every carrier, any
//! other report only from the carrier that has the message.

use serde_json::json;

use crate::support::{
    Behaviour, HttpCarrier, ReceivedMessage, Service, TO, assert_status, deliveries_of, delivery,
};

async fn report(service: &Service, carrier: &HttpCarrier, status: &str) {
    let message = carrier.received().pop().expect("a message");
    report_about(service, carrier, &message, status).await;
}

async fn report_about(
    service: &Service,
    carrier: &HttpCarrier,
    message: &ReceivedMessage,
    status: &str,
) {
    let report = carrier.report(message, status, service.now().await);
    assert_status(&report.send(service).await, 200);
}

#[tokio::test]
async fn report_of_a_failed_carrier_is_ignored() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::ReportThenRespond("undelivered", 503));
    let body = json!({"to": TO, "fallback": ["voice"]});
    let id = service.open_id(body).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "second")]
    );
    // Late ones as well.
    for status in ["undelivered", "rejected", "sent"] {
        report(&service, &first, status).await;
        assert_eq!(
            deliveries_of(&service, &id).await,
            [delivery("sent", "second")],
            "{status}"
        );
    }
    report(&service, &second, "delivered").await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("delivered", "second")]
    );
    service.advance(200).await;
    let channels: Vec<_> = [first.received(), second.received()].concat();
    assert_eq!(channels.len(), 2, "no call: {channels:?}");
}

#[tokio::test]
async fn delivery_by_a_failed_carrier_counts() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(503, ""));
    let body = json!({"to": TO, "fallback": ["voice"]});
    let id = service.open_id(body).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "second")]
    );
    report(&service, &first, "delivered").await;
    for (carrier, status) in [(&second, "undelivered"), (&second, "delivered")] {
        report(&service, carrier, status).await;
        assert_eq!(
            deliveries_of(&service, &id).await,
            [delivery("delivered", "first")]
        );
    }
    service.advance(200).await;
    let calls = [first.received(), second.received()].concat();
    assert_eq!(calls.len(), 2, "no fallback: {calls:?}");
}

#[tokio::test]
async fn early_failure_of_a_failed_carrier_is_ignored() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let second = second.with_timeout_ms(8000);
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(503, ""));
    second.behave(Behaviour::Hold);
    let body = json!({"to": TO, "fallback": ["voice"]});
    let id = service.open_id(body).await;
    second.wait_for_messages(1).await;
    report(&service, &first, "undelivered").await;
    let status = service.show(&id).await.body["delivery"]["status"].clone();
    assert!(status == "queued" || status == "sending", "{status}");
    second.release();
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "second")]
    );
    report(&service, &second, "delivered").await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("delivered", "second")]
    );
}

/// A message that a held carrier is accepting, with its reports in this order; returns the final
/// deliveries.
async fn reported_during_the_call(statuses: &[&str]) -> Vec<(String, Option<String>)> {
    let only = HttpCarrier::start("only").await.with_timeout_ms(8000);
    let service = Service::start_with_carriers(&[&only], &[]).await;
    only.behave(Behaviour::Hold);
    let id = service.open_id(json!({"to": TO})).await;
    only.wait_for_messages(1).await;
    for status in statuses {
        report(&service, &only, status).await;
    }
    only.release();
    deliveries_of(&service, &id).await
}

#[tokio::test]
async fn report_during_the_call_counts_after_the_acceptance() {
    for (statuses, last) in [
        (["sent", "undelivered"], "undelivered"),
        (["undelivered", "sent"], "undelivered"),
        (["undelivered", "queued"], "undelivered"),
        (["undelivered", "delivered"], "delivered"),
        (["delivered", "undelivered"], "delivered"),
    ] {
        assert_eq!(
            reported_during_the_call(&statuses).await,
            [delivery(last, "only")],
            "{statuses:?}"
        );
    }
}
