//! The deliveries that a verification shows: the latest eight in order, each with its latest
//! status.

use serde_json::json;

use crate::support::{
    NO_SEND_LIMITS, Service, TO, assert_fields, assert_queue_is_empty, assert_status,
    deliveries_of, delivery, field_of_each, no_send_limits_and,
};

#[tokio::test]
async fn deliveries_list_the_last_eight_messages_in_order() {
    let service = Service::start_with(&no_send_limits_and(&[("OTP_FALLBACK_SECONDS", "30")])).await;
    let id = service
        .open_id(json!({"to": TO, "fallback": ["whatsapp"]}))
        .await;
    for (n, channel) in ["voice", "sms", "voice", "sms", "voice", "sms", "voice"]
        .into_iter()
        .enumerate()
    {
        service.settle().await;
        let resent = service.resend_body(&id, json!({"channel": channel})).await;
        assert_eq!(
            (
                resent.status,
                resent.body["deliveries"].as_array().map(Vec::len)
            ),
            (200, Some(n + 2)),
            "{resent:?}"
        );
    }
    service.advance(60).await;
    let shown = service.show(&id).await.body;
    let channels = field_of_each(shown["deliveries"].as_array().expect("a list"), "channel");
    assert_eq!(
        channels,
        [
            "voice", "sms", "voice", "sms", "voice", "sms", "voice", "whatsapp"
        ],
        "only the latest eight are shown"
    );
    let messages = service.messages(TO).await;
    assert_eq!(messages.len(), 9, "all were sent");
    assert!(
        messages
            .iter()
            .all(|message| message["code"] == messages[0]["code"])
    );
    assert_eq!(
        service.report(&messages[0], "delivered").await,
        200,
        "a report about a delivery that is not shown"
    );
    assert_eq!(service.report(&messages[8], "delivered").await, 200);
    assert_eq!(
        service.show(&id).await.body["delivery"]["status"],
        "delivered"
    );
}

#[tokio::test]
async fn delivery_status_never_goes_back() {
    let service = Service::start().await;
    let id = service.open_id(json!({"to": TO})).await;
    let message = service.messages(TO).await.remove(0);
    for (report, then) in [
        ("queued", "sent"),
        ("sent", "sent"),
        ("undelivered", "undelivered"),
        ("sent", "undelivered"),
        ("rejected", "undelivered"),
        ("expired", "undelivered"),
        ("delivered", "delivered"),
        ("undelivered", "delivered"),
        ("rejected", "delivered"),
        ("delivered", "delivered"),
    ] {
        assert_eq!(service.report(&message, report).await, 200, "{report}");
        assert_eq!(
            deliveries_of(&service, &id).await,
            [delivery(then, "sim-a")],
            "after {report}"
        );
    }
    let shown = service.show(&id).await.body;
    // A report changes nothing else.
    assert_fields(&shown, json!({"status": "pending", "attempts_left": 5}));
}

#[tokio::test]
async fn replaced_message_is_not_shown_as_sending() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "error"})).await;
    }
    let id = service.open_id(json!({"to": TO})).await;
    assert_eq!(
        deliveries_of(&service, &id).await,
        [("sending".to_owned(), None)]
    );
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "ok"})).await;
    }
    assert_status(&service.resend(&id).await, 200);
    assert_eq!(
        deliveries_of(&service, &id).await.pop(),
        Some(delivery("sent", "sim-a"))
    );
    service.advance(60).await;
    assert_queue_is_empty(&service).await;
    assert_eq!(service.messages(TO).await.len(), 1, "one message");
    let first = deliveries_of(&service, &id).await.remove(0).0;
    assert!(
        !["queued", "sending"].contains(&first.as_str()),
        "it will not be sent any more: {first}"
    );
}
