//! Which carrier gets a message: the first one that accepts it.

use serde_json::{Value, json};

use crate::support::{
    Behaviour, HttpCarrier, NO_SEND_LIMITS, Service, TO, american_phone, assert_fields,
    assert_queue_is_empty, assert_status, deliveries_of, delivery, field_of_each, unix_seconds,
};

#[tokio::test]
async fn first_carrier_alone_gets_the_message() {
    let service = Service::start().await;
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("sent", "sim-a")]
    );
    service.advance(600).await;
    let messages = service.messages(TO).await;
    assert_eq!(
        (
            field_of_each(&messages, "carrier"),
            field_of_each(&messages, "verification_id")
        ),
        (vec!["sim-a".to_owned()], vec![id])
    );
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn permanent_rejection_is_not_retried() {
    let service = Service::start().await;
    service
        .set_carrier("sim-a", json!({"mode": "reject"}))
        .await;
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("rejected", "sim-a")]
    );
    service.set_carrier("sim-a", json!({"mode": "ok"})).await;
    service.advance(600).await;
    assert_eq!(service.messages(TO).await, Vec::<Value>::new());
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("rejected", "sim-a")]
    );
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn temporary_failure_fails_over_at_once() {
    for mode in [
        json!({"mode": "throttle", "retry_after": 20}),
        json!({"mode": "throttle"}),
        json!({"mode": "error"}),
        json!({"mode": "down"}),
    ] {
        let service = Service::start().await;
        service.set_carrier("sim-a", mode.clone()).await;
        let before = service.now().await;
        let id = service.open_id(json!({"to": TO})).await;
        assert_eq!(
            deliveries_of(&service, &id).await,
            [delivery("sent", "sim-b")],
            "{mode}: one delivery"
        );
        let messages = service.messages(TO).await;
        assert_eq!(field_of_each(&messages, "carrier"), ["sim-b"], "{mode}");
        assert!(
            unix_seconds(&messages[0]["at"]) - before <= 5,
            "{mode}: at once"
        );
        service.set_carrier("sim-a", json!({"mode": "ok"})).await;
        service.advance(600).await;
        assert_eq!(
            service.messages(TO).await.len(),
            1,
            "{mode}: no second message later"
        );
        assert_queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn carrier_status_decides_failover_or_rejection() {
    for (status, class) in [
        (408, "failover"),
        (425, "failover"),
        (429, "failover"),
        (500, "failover"),
        (503, "failover"),
        (401, "failover"),
        (402, "failover"),
        (403, "failover"),
    ]
    .into_iter()
    .chain([
        (400, "rejected"),
        (404, "rejected"),
        (422, "rejected"),
        (202, "sent"),
        (204, "sent"),
    ]) {
        let (first, second) = HttpCarrier::start_two("first", "second").await;
        let service = Service::start_with_carriers(&[&first, &second], &[]).await;
        first.behave(Behaviour::Respond(status, ""));
        let id = service.open_id(json!({"to": TO})).await;
        let expected = if class == "failover" {
            delivery("sent", "second")
        } else {
            delivery(class, "first")
        };
        assert_eq!(deliveries_of(&service, &id).await, [expected], "{status}");
        assert_eq!(
            (first.received().len(), second.received().len()),
            (1, usize::from(class == "failover")),
            "{status}"
        );
    }
}

#[tokio::test]
async fn carrier_receives_the_documented_message() {
    let carrier = HttpCarrier::start("acme").await;
    let service = Service::start_with_carriers(&[&carrier], &[("OTP_BRAND", "Shop")]).await;
    let id = service
        .open_id(json!({"to": "+33612345678", "ttl_seconds": 120}))
        .await;
    service.settle().await;
    let received = carrier.received();
    assert_eq!(received.len(), 1);
    let body = &received[0].body;
    let header = |name: &str| {
        received[0]
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        (header("authorization"), header("idempotency-key").as_str()),
        ("Bearer carrier-token".to_owned(), received[0].reference())
    );
    assert_fields(
        body,
        json!({"to": "+33612345678", "from": "Shop", "channel": "sms", "locale": "fr"}),
    );
    assert!(
        (115..=120).contains(&body["validity_seconds"].as_i64().expect("seconds")),
        "{body}"
    );
    assert!(
        !received[0].reference().contains(&id) && !body.to_string().contains(&id),
        "the carrier does not learn the id of the verification"
    );
    assert!(service.check(&id, &received[0].code()).await.body["valid"] == true);
    let mut fields: Vec<_> = body
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "callback_url",
            "channel",
            "from",
            "locale",
            "reference",
            "text",
            "to",
            "validity_seconds"
        ]
    );
}

#[tokio::test]
async fn ended_verification_sends_no_message() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "error"})).await;
    }
    let canceled = service.open_id(json!({"to": american_phone(1)})).await;
    let superseded = service.open_id(json!({"to": american_phone(2)})).await;
    service.settle().await;
    assert_status(&service.cancel(&canceled).await, 200);
    let newer = service.open_id(json!({"to": american_phone(2)})).await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "ok"})).await;
    }
    service.advance(60).await;
    assert_eq!(
        service.messages(&american_phone(1)).await,
        Vec::<Value>::new()
    );
    assert_eq!(
        field_of_each(
            &service.messages(&american_phone(2)).await,
            "verification_id"
        ),
        [newer]
    );
    assert_eq!(
        deliveries_of(&service, &canceled).await[0].0,
        "failed",
        "the message will not be sent"
    );
    assert_eq!(
        deliveries_of(&service, &superseded).await[0].0,
        "failed",
        "the message will not be sent"
    );
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn message_in_flight_is_not_marked_as_failed() {
    for ending in ["approved", "superseded"] {
        let carrier = HttpCarrier::start("slow").await;
        let mut entry = carrier.entry();
        entry["timeout_ms"] = json!(8000);
        let service = Service::start_with(&[
            ("OTP_CARRIERS", &json!([entry]).to_string()),
            NO_SEND_LIMITS[0],
        ])
        .await;
        carrier.behave(Behaviour::Hold);
        let id = service.open_id(json!({"to": TO})).await;
        carrier.wait_for_messages(1).await;
        match ending {
            "approved" => assert_eq!(
                service.check(&id, &carrier.received()[0].code()).await.body["valid"],
                true,
                "the phone got the message before the carrier responded"
            ),
            _ => drop(service.open_id(json!({"to": TO})).await),
        }
        let before = service.show(&id).await.body["delivery"]["status"].clone();
        assert!(
            ["sending", "unknown"].contains(&before.as_str().unwrap_or_default()),
            "{ending}: {before}"
        );
        carrier.release();
        service.settle().await;
        let after = service.show(&id).await.body["delivery"]["status"].clone();
        assert!(
            ["sent", "unknown"].contains(&after.as_str().unwrap_or_default()),
            "{ending}: {after}"
        );
    }
}
