//! `Retry-After` in a carrier's response delays the message of that recipient. The carrier itself
//! is skipped once a second recipient got the same response.

use std::ops::Range;

use serde_json::json;

use crate::support::{
    Behaviour, HttpCarrier, Service, american_phone, assert_queue_is_empty, assert_status,
    deliveries_of, delivery,
};

async fn send_all(service: &Service, phones: Range<usize>) -> Vec<String> {
    let mut ids = vec![];
    for n in phones {
        ids.push(service.open_id(json!({"to": american_phone(n)})).await);
        service.settle().await;
    }
    ids
}

#[tokio::test]
async fn retry_after_of_one_number_delays_no_other() {
    let only = HttpCarrier::start("only").await;
    let service = Service::start_with_carriers(&[&only], &[]).await;
    only.behave_to(&american_phone(0), Behaviour::Respond(429, "1800"));
    let ids = send_all(&service, 0..5).await;
    for id in &ids[1..] {
        assert_eq!(
            deliveries_of(&service, id).await,
            [delivery("sent", "only")]
        );
    }
    service.advance(60).await;
    let calls = only.received();
    let calls = calls.iter().filter(|m| m.to() == american_phone(0)).count();
    assert_eq!(calls, 1, "its own message waits for half an hour");
    service.advance(600).await;
    assert_eq!(
        deliveries_of(&service, &ids[0]).await,
        [("failed".to_owned(), None)]
    );
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn delayed_recipient_keeps_using_the_other_carrier() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let variables = [("OTP_COOLDOWN_SECONDS", "0")];
    let service = Service::start_with_carriers(&[&first, &second], &variables).await;
    first.behave_to(&american_phone(0), Behaviour::Respond(429, "1800"));
    let id = send_all(&service, 0..1).await.remove(0);
    assert_status(&service.resend(&id).await, 200);
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "second"), delivery("sent", "second")]
    );
    assert_eq!(first.received().len(), 1, "it asked for half an hour");
}

#[tokio::test]
async fn second_delayed_recipient_opens_the_breaker_until_a_probe() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    for n in 0..2 {
        first.behave_to(&american_phone(n), Behaviour::Respond(429, "1800"));
    }
    send_all(&service, 0..3).await;
    assert_eq!(
        (first.received().len(), second.received().len()),
        (2, 3),
        "the third message skips it"
    );
    service.advance(25).await;
    send_all(&service, 3..4).await;
    assert_eq!(first.received().len(), 2, "not before 30 s are over");
    service.advance(6).await;
    send_all(&service, 4..6).await;
    assert_eq!(
        (first.received().len(), second.received().len()),
        (4, 4),
        "the probe after 30 s succeeded, whatever it asked for"
    );
}

#[tokio::test]
async fn rate_limited_carrier_is_probed_every_30_seconds() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(429, "1800"));
    send_all(&service, 0..2).await;
    for round in 0..3 {
        service.advance(31).await;
        send_all(&service, 10 + round * 4..14 + round * 4).await;
        assert_eq!(first.received().len(), 3 + round, "one probe each time");
    }
    assert_eq!(second.received().len(), 14, "every message arrives");
}
