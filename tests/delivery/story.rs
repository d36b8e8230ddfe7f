//! The deliveries of a verification tell the whole story, in order, and each only ever more.

use super::*;

#[tokio::test]
async fn deliveries_tell_the_last_eight_messages_in_order() {
    let service =
        Service::start_with(&[("OTP_FALLBACK_SECONDS", "30"), OFTEN[0], OFTEN[1], OFTEN[2]]).await;
    let id = sent(&service, json!({"to": TO, "fallback": ["whatsapp"]})).await;
    for (n, channel) in ["voice", "sms", "voice", "sms", "voice", "sms", "voice"]
        .into_iter()
        .enumerate()
    {
        service.settle().await;
        let resent = service
            .call(
                "POST",
                &format!("/v1/verifications/{id}/resend"),
                Some(json!({"channel": channel})),
            )
            .await;
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
    let channels = texts(shown["deliveries"].as_array().expect("a list"), "channel");
    assert_eq!(
        channels,
        [
            "voice", "sms", "voice", "sms", "voice", "sms", "voice", "whatsapp"
        ],
        "past eight the oldest is dropped"
    );
    let messages = service.messages(TO).await;
    assert_eq!(messages.len(), 9, "though each was sent");
    assert!(
        messages
            .iter()
            .all(|message| message["code"] == messages[0]["code"])
    );
    assert_eq!(
        service.report(&messages[0], "delivered").await,
        200,
        "a report of the dropped one is genuine"
    );
    assert_eq!(service.report(&messages[8], "delivered").await, 200);
    assert_eq!(
        service.show(&id).await.body["delivery"]["status"],
        "delivered"
    );
}

#[tokio::test]
async fn states_of_a_message_only_move_up() {
    let service = Service::start().await;
    let id = sent(&service, json!({"to": TO})).await;
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
            deliveries(&service, &id).await,
            [tells(then, "sim-a")],
            "after {report}"
        );
    }
    let shown = service.show(&id).await.body;
    assert_eq!(
        (&shown["status"], &shown["attempts_left"]),
        (&json!("pending"), &json!(5)),
        "a report moves nothing else"
    );
}

#[tokio::test]
async fn a_message_that_a_resend_replaced_is_not_told_as_being_sent() {
    let service = Service::start_with(&OFTEN).await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "error"})).await;
    }
    let id = sent(&service, json!({"to": TO})).await;
    assert_eq!(
        deliveries(&service, &id).await,
        [("sending".to_owned(), None)]
    );
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "ok"})).await;
    }
    assert_eq!(service.resend(&id).await.status, 200);
    assert_eq!(
        deliveries(&service, &id).await.pop(),
        Some(tells("sent", "sim-a"))
    );
    service.advance(60).await;
    queue_is_empty(&service).await;
    assert_eq!(service.messages(TO).await.len(), 1, "one text says it all");
    let first = deliveries(&service, &id).await.remove(0).0;
    assert!(
        !["queued", "sending"].contains(&first.as_str()),
        "nobody will ever send it: {first}"
    );
}
