//! Fallback channels: the same code by another channel if the message failed or was not delivered
//! in time, as long as the verification is pending.

use serde_json::{Value, json};

use crate::support::{
    Behaviour, HttpCarrier, NO_SEND_LIMITS, ReceivedMessage, Service, TO, assert_fields,
    assert_queue_is_empty, assert_status, deliveries_of, delivery, field_of_each, unix_seconds,
};

#[tokio::test]
async fn fallback_is_sent_without_delivery_in_time() {
    let service = Service::start().await;
    let id = service
        .open_id(json!({"to": TO, "fallback": ["voice"]}))
        .await;
    service.settle().await;
    let start = unix_seconds(&service.messages_now(TO).await[0]["at"]);
    service.advance_to(start + 57).await;
    assert_eq!(service.messages(TO).await.len(), 1);
    service.advance_to(start + 62).await;
    let messages = service.messages(TO).await;
    assert_eq!(field_of_each(&messages, "channel"), ["sms", "voice"]);
    assert_eq!(messages[0]["code"], messages[1]["code"], "the same code");
    assert!((start + 60..=start + 62).contains(&unix_seconds(&messages[1]["at"])));
    let shown = service.show(&id).await.body;
    // `channel` is the requested one.
    assert_fields(
        &shown,
        json!({"channel": "sms", "delivery": {"channel": "voice"}}),
    );
    assert_eq!(
        (
            &shown["sends_left"],
            shown["deliveries"].as_array().map(Vec::len)
        ),
        (&json!(4), Some(2)),
        "a fallback is not another send"
    );
    service.advance(600).await;
    assert_eq!(service.messages(TO).await.len(), 2);
    assert_queue_is_empty(&service).await;
}

#[tokio::test]
async fn fallback_channels_are_sent_one_by_one() {
    let service = Service::start_with(&[("OTP_FALLBACK_SECONDS", "20")]).await;
    service
        .open_id(json!({"to": TO, "fallback": ["voice", "whatsapp", "sms"]}))
        .await;
    service.advance(200).await;
    let messages = service.messages(TO).await;
    assert_eq!(
        field_of_each(&messages, "channel"),
        ["sms", "voice", "whatsapp", "sms"]
    );
    let times: Vec<i64> = messages
        .iter()
        .map(|message| unix_seconds(&message["at"]))
        .collect();
    assert!(
        times
            .windows(2)
            .all(|pair| (20..=22).contains(&(pair[1] - pair[0]))),
        "{times:?}"
    );
}

#[tokio::test]
async fn failure_report_sends_the_fallback_at_once() {
    for status in ["undelivered", "rejected", "expired"] {
        let service = Service::start().await;
        let id = service
            .open_id(json!({"to": TO, "fallback": ["voice"]}))
            .await;
        let first = service.messages(TO).await.remove(0);
        assert_eq!(service.report(&first, status).await, 200);
        let messages = service.messages(TO).await;
        assert_eq!(
            field_of_each(&messages, "channel"),
            ["sms", "voice"],
            "{status}"
        );
        assert!(
            unix_seconds(&messages[1]["at"]) - unix_seconds(&first["at"]) < 10,
            "{status}: at once"
        );
        assert_eq!(
            deliveries_of(&service, &id).await,
            [delivery(status, "sim-a"), delivery("sent", "sim-a")]
        );
        assert_eq!(service.report(&first, status).await, 200);
        service.advance(600).await;
        assert_eq!(
            service.messages(TO).await.len(),
            2,
            "{status}: a repeated report sends no third message"
        );
        assert_queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn early_failure_report_sends_the_fallback_at_once() {
    let (texting, calling) = HttpCarrier::start_two("texting", "calling").await;
    let service = Service::start_with_carriers(&[&texting, &calling], &[]).await;
    texting.behave(Behaviour::ReportFirst("undelivered"));
    let id = service
        .open_id(json!({"to": TO, "fallback": ["voice"]}))
        .await;
    service.settle().await;
    let start = texting.received()[0].at;
    service.advance(5).await;
    let calls: Vec<ReceivedMessage> = texting.received().into_iter().skip(1).collect();
    assert_eq!(
        calls
            .iter()
            .map(ReceivedMessage::channel)
            .collect::<Vec<_>>(),
        ["voice"],
        "not only after OTP_FALLBACK_SECONDS"
    );
    assert!(calls[0].at - start <= 5);
    assert_eq!(
        deliveries_of(&service, &id).await,
        [
            delivery("undelivered", "texting"),
            delivery("sent", "texting")
        ]
    );
}

#[tokio::test]
async fn permanent_rejection_sends_the_fallback_at_once() {
    let (texting, calling) = HttpCarrier::start_two("texting", "calling").await;
    let entries = [texting.entry(), calling.entry()]
        .into_iter()
        .zip(["sms", "voice"])
        .map(|(mut entry, channel)| {
            entry["channels"] = json!([channel]);
            entry
        });
    let entries = Value::from_iter(entries).to_string();
    let service = Service::start_with(&[("OTP_CARRIERS", &entries)]).await;
    texting.behave(Behaviour::Respond(400, ""));
    let id = service
        .open_id(json!({"to": TO, "fallback": ["voice"]}))
        .await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [delivery("rejected", "texting"), delivery("sent", "calling")]
    );
    assert_eq!((texting.received().len(), calling.received().len()), (1, 1));
}

#[tokio::test]
async fn delivered_or_ended_verification_needs_no_fallback() {
    for ending in ["delivered", "approved", "canceled", "superseded"] {
        let service = Service::start_with(&NO_SEND_LIMITS).await;
        let id = service
            .open_id(json!({"to": TO, "fallback": ["voice"]}))
            .await;
        let first = service.messages(TO).await.remove(0);
        match ending {
            "delivered" => assert_eq!(service.report(&first, "delivered").await, 200),
            "approved" => assert_eq!(
                service
                    .check(&id, first["code"].as_str().expect("a code"))
                    .await
                    .body["valid"],
                true
            ),
            "canceled" => assert_status(&service.cancel(&id).await, 200),
            _ => drop(service.open_id(json!({"to": TO})).await),
        }
        service.advance(61).await;
        if ending != "delivered" {
            assert_eq!(service.report(&first, "undelivered").await, 200);
        }
        service.advance(600).await;
        let messages = service.messages(TO).await;
        assert!(
            messages.iter().all(|message| message["channel"] == "sms"),
            "{ending}: {messages:?}"
        );
        assert_queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn fallback_near_expiry_is_skipped() {
    let service = Service::start_with(&[("OTP_FALLBACK_SECONDS", "55")]).await;
    service
        .open_id(json!({"to": TO, "fallback": ["voice"], "ttl_seconds": 60}))
        .await;
    service.advance(600).await;
    assert_eq!(
        service.messages(TO).await.len(),
        1,
        "five seconds before expiry is too late"
    );
    assert_queue_is_empty(&service).await;
}
