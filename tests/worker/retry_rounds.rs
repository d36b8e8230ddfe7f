//! Retry rounds: while no carrier accepts a message, all are tried again until shortly before its
//! code expires.

use serde_json::json;

use crate::support::{
    Behaviour, HttpCarrier, Service, TO, american_phone, assert_queue_is_empty, deliveries_of,
    delivery, field_of_each, unix_seconds,
};

#[tokio::test]
async fn retry_rounds_back_off_until_shortly_before_expiry() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(500, ""));
    second.behave(Behaviour::Respond(503, ""));
    let id = service.open_id(json!({"to": TO})).await;
    let start = unix_seconds(&service.show(&id).await.body["created_at"]);
    service.settle().await;
    assert!(
        ["queued", "sending"].contains(&deliveries_of(&service, &id).await[0].0.as_str()),
        "no carrier has it yet"
    );
    service.advance(700).await;
    let offsets: Vec<i64> = first
        .received()
        .iter()
        .map(|message| message.at - start)
        .collect();
    for (expected, at) in [0, 2, 6, 14, 30].into_iter().zip(&offsets) {
        assert!(
            (expected..=expected + 3).contains(at),
            "rounds at 0, 2, 6, 14, 30 s and so on: {offsets:?}"
        );
    }
    assert!(
        offsets.windows(2).all(|pair| pair[1] - pair[0] <= 33),
        "at most 30 s apart: {offsets:?}"
    );
    assert!(
        offsets.iter().all(|at| *at <= 290) && offsets.last().is_some_and(|at| *at >= 255),
        "until 10 s before expiry: {offsets:?}"
    );
    assert_eq!(
        second.received().len(),
        offsets.len(),
        "each round tries both carriers"
    );
    assert_eq!(
        deliveries_of(&service, &id).await,
        [("failed".to_owned(), None)]
    );
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn retry_keeps_reference_and_code() {
    let carrier = HttpCarrier::start("only").await;
    let service = Service::start_with_carriers(&[&carrier], &[]).await;
    carrier.behave(Behaviour::Respond(500, ""));
    service.open_id(json!({"to": TO})).await;
    service.advance(10).await;
    let received = carrier.received();
    assert!(received.len() >= 3);
    assert!(
        received
            .iter()
            .all(|h| h.reference() == received[0].reference() && h.code() == received[0].code()),
        "reference and code are the same"
    );
}

#[tokio::test]
async fn retry_after_of_a_carrier_is_respected() {
    let carrier = HttpCarrier::start("only").await;
    let service = Service::start_with_carriers(&[&carrier], &[]).await;
    carrier.behave(Behaviour::Respond(429, "50"));
    let id = service.open_id(json!({"to": TO})).await;
    service.settle().await;
    let start = carrier.received()[0].at;
    carrier.behave(Behaviour::Accept);
    service.advance(300).await;
    let calls: Vec<i64> = carrier
        .received()
        .iter()
        .map(|message| message.at - start)
        .collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!((50..=52).contains(&calls[1]), "{calls:?}");
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "only")]
    );
}

#[tokio::test]
async fn long_retry_after_does_not_delay_other_carriers() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(429, "3600"));
    second.behave(Behaviour::Respond(500, ""));
    let id = service.open_id(json!({"to": TO})).await;
    service.settle().await;
    second.behave(Behaviour::Accept);
    service.advance(100).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "second")],
        "the second carrier is retried after 2 s"
    );
    assert_eq!(
        first.received().len(),
        1,
        "the first carrier is not retried"
    );
}

#[tokio::test]
async fn recovered_carrier_gets_the_message_once() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "error"})).await;
    }
    let id = service.open_id(json!({"to": TO})).await;
    service.advance(100).await;
    service.set_carrier("sim-b", json!({"mode": "ok"})).await;
    service.advance(60).await;
    service.set_carrier("sim-a", json!({"mode": "ok"})).await;
    service.advance(600).await;
    let messages = service.messages(TO).await;
    assert_eq!(field_of_each(&messages, "carrier"), ["sim-b"]);
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "sim-b")]
    );
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn no_expiring_code_is_sent_after_a_recovery() {
    let service = Service::start().await;
    for (n, recovers_after) in [5, 40, 250, 276, 284, 289, 291, 299, 300, 301, 900]
        .into_iter()
        .enumerate()
    {
        for name in ["sim-a", "sim-b"] {
            service.set_carrier(name, json!({"mode": "error"})).await;
        }
        let to = american_phone(n);
        let id = service.open_id(json!({"to": to})).await;
        let expires_at = unix_seconds(&service.show(&id).await.body["expires_at"]);
        service.advance(recovers_after).await;
        for name in ["sim-a", "sim-b"] {
            service.set_carrier(name, json!({"mode": "ok"})).await;
        }
        service.advance(900).await;
        let messages = service.messages(&to).await;
        assert!(
            messages.len() <= 1,
            "recovered after {recovers_after} s: {messages:?}"
        );
        assert!(
            messages
                .iter()
                .all(|message| unix_seconds(&message["at"]) <= expires_at - 10),
            "sent too late, recovered after {recovers_after} s: {messages:?}"
        );
        let status = if messages.is_empty() {
            "failed"
        } else {
            "sent"
        };
        assert_eq!(
            deliveries_of(&service, &id).await[0].0,
            status,
            "recovered after {recovers_after} s"
        );
        assert_eq!(
            status == "sent",
            recovers_after <= 250,
            "recovered after {recovers_after} s"
        );
    }
    assert_queue_is_empty(&service).await;
}
