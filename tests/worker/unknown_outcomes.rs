//! Unknown outcomes: a carrier that did not respond may have the message. One more message goes
//! out, by another carrier and with the same code.

use serde_json::{Value, json};

use crate::support::{
    Behaviour, HttpCarrier, Service, TO, assert_queue_is_empty, deliveries_of, delivery,
    field_of_each, unix_seconds,
};

#[tokio::test]
async fn unknown_outcome_sends_the_same_code_by_another_carrier() {
    let service = Service::start().await;
    service.set_carrier("sim-a", json!({"mode": "hang"})).await;
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("unknown", "sim-a")]
    );
    let since = unix_seconds(&service.show(&id).await.body["delivery"]["updated_at"]);
    service.advance_to(since + 13).await;
    assert_eq!(
        service.messages_now(TO).await.len(),
        1,
        "it waits for the report"
    );
    service.advance_to(since + 17).await;
    let messages = service.messages(TO).await;
    assert_eq!(field_of_each(&messages, "carrier"), ["sim-a", "sim-b"]);
    let codes = field_of_each(&messages, "code");
    assert_eq!(codes[0], codes[1], "never a new code");
    assert!(
        (since + 15..=since + 16).contains(&unix_seconds(&messages[1]["at"])),
        "after 15 s: {messages:?}"
    );
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("unknown", "sim-a"), delivery("sent", "sim-b")]
    );
    service.advance(600).await;
    assert_eq!(service.messages(TO).await.len(), 2, "never a third");
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn two_unknown_outcomes_are_not_retried() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "hang"})).await;
    }
    let id = service.open_id(json!({"to": TO})).await;
    service.advance(600).await;
    let messages = service.messages(TO).await;
    assert_eq!(field_of_each(&messages, "carrier"), ["sim-a", "sim-b"]);
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("unknown", "sim-a"), delivery("unknown", "sim-b")]
    );
}

#[tokio::test]
async fn closed_connection_is_an_unknown_outcome() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Close);
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("unknown", "first")]
    );
    service.advance(16).await;
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    assert_eq!(first.received()[0].code(), second.received()[0].code());
    assert_ne!(
        first.received()[0].reference(),
        second.received()[0].reference(),
        "two messages have two references"
    );
}

#[tokio::test]
async fn report_in_time_prevents_the_second_message() {
    for status in ["sent", "delivered"] {
        let service = Service::start().await;
        service.set_carrier("sim-a", json!({"mode": "hang"})).await;
        let id = service.open_id(json!({"to": TO})).await;
        let messages = service.messages(TO).await;
        assert_eq!(service.report(&messages[0], status).await, 200);
        service.advance(600).await;
        assert_eq!(service.messages(TO).await.len(), 1, "{status}");
        assert_eq!(
            deliveries_of(&service, &id).await,
            [delivery(status, "sim-a")]
        );
        assert_queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn report_before_the_carrier_response_is_kept() {
    let service = Service::start().await;
    service
        .set_carrier("sim-a", json!({"mode": "hang", "report": "delivered"}))
        .await;
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("delivered", "sim-a")]
    );
    service.advance(600).await;
    assert_eq!(
        field_of_each(&service.messages(TO).await, "carrier"),
        ["sim-a"]
    );
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn second_message_never_goes_to_the_first_carrier() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Hang);
    second.behave(Behaviour::Respond(500, ""));
    let id = service.open_id(json!({"to": TO})).await;
    service.settle().await;
    first.behave(Behaviour::Accept);
    service.advance(30).await;
    assert_eq!(
        first.received().len(),
        1,
        "the second message goes to another carrier"
    );
    second.behave(Behaviour::Accept);
    service.advance(200).await;
    assert_eq!(first.received().len(), 1);
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("unknown", "first"), delivery("sent", "second")]
    );
}

#[tokio::test]
async fn accepted_message_that_is_lost_stays_sent() {
    let service = Service::start().await;
    service.set_carrier("sim-a", json!({"mode": "lose"})).await;
    let id = service.open_id(json!({"to": TO})).await;
    service.advance(600).await;
    assert_eq!(service.messages(TO).await, Vec::<Value>::new());
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "sim-a")],
        "the carrier accepted it"
    );
}
