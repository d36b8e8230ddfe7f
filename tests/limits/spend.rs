//! The spend cap of a day: charged when a send is accepted, and for further messages when they are
//! handed over.

use serde_json::{Value, json};

use super::{count_outcomes, neighbor, outcome, outcomes, send_all};
use crate::support::{
    Behaviour, HttpCarrier, SHOP_KEY, Service, TempDirectory, american_phone, assert_fields,
    assert_status, no_send_limits_and, phone, stored_items::stored_windows, with,
};

const DAY_SECONDS: i64 = 86_400;

/// A service with these carriers, each with these additional fields, and this spend cap. A day
/// has begun, so that none ends in the test.
async fn service(carriers: &[(&HttpCarrier, Value)], spend: &str) -> Service {
    let entries: Value = carriers
        .iter()
        .map(|(carrier, more)| with(carrier.entry(), more))
        .collect();
    let entries = entries.to_string();
    let variables = no_send_limits_and(&[
        ("OTP_CARRIERS", entries.as_str()),
        ("OTP_PREFIX_SENDS", "1000/600"),
        ("OTP_SPEND_PER_DAY", spend),
    ]);
    let service = Service::start_with(&variables).await;
    service.advance_to_next(DAY_SECONDS).await;
    service
}

#[tokio::test]
async fn spend_cap_counts_prices_by_country_until_midnight() {
    let carrier = HttpCarrier::start("only").await;
    let service = service(&[(&carrier, json!({"price": {"FR": 0.4, "*": 2}}))], "3.2").await;
    for to in [phone(1), american_phone(1), phone(2), phone(3)] {
        assert_eq!(outcome(&service.send(&to).await), "sent", "{to}");
    }
    let midnight = (service.now().await / DAY_SECONDS + 1) * DAY_SECONDS;
    assert_eq!(
        service.send(&phone(4)).await.header("ratelimit-policy"),
        Some("\"spend\";q=3;w=86400")
    );
    service
        .assert_rejects_until("spend", midnight, 201, async || {
            service.send(&phone(4)).await
        })
        .await;
    assert_eq!(
        [
            outcome(&service.send(&american_phone(2)).await),
            outcome(&service.send(&american_phone(3)).await)
        ],
        ["sent", "spend"]
    );
    assert_eq!(
        outcome(&service.send(&phone(5)).await),
        "sent",
        "the rest is enough for a cheaper send"
    );
}

#[tokio::test]
async fn parallel_sends_spend_the_cap_exactly() {
    let carrier = HttpCarrier::start("only").await;
    // The carrier runs in this test, which makes a hundred requests.
    let service = service(
        &[(&carrier, json!({"price": 0.1, "timeout_ms": 8000}))],
        "0.7",
    )
    .await;
    let responses = send_all(&service, (0..100).map(|n| json!({"to": phone(n)}))).await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 7), ("spend", 93)]),
        "amounts are exact decimals"
    );
    service.settle().await;
    assert_eq!(carrier.received().len(), 7);
}

#[tokio::test]
async fn send_rejected_by_the_cap_counts_nowhere_else() {
    let carrier = HttpCarrier::start("only").await;
    let entries = json!([with(carrier.entry(), &json!({"price": {"FR": 1}}))]).to_string();
    let variables = [
        ("OTP_CARRIERS", entries.as_str()),
        ("OTP_PREFIX_SENDS", "3/86400"),
        ("OTP_SPEND_PER_DAY", "1"),
    ];
    let service = Service::start_with(&variables).await;
    service.advance_to_next(DAY_SECONDS).await;
    assert_eq!(outcome(&service.send(&neighbor(1)).await), "sent");
    for n in 2..20 {
        assert_eq!(outcome(&service.send(&neighbor(n)).await), "spend");
    }
    service.advance_to_next(DAY_SECONDS).await;
    let sent = service.send(&neighbor(2)).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"sends_left": 4}));
    let windows = stored_windows(&service).await;
    let slots: Vec<_> = windows.iter().map(|window| window.slots).collect();
    assert_eq!(slots, [2], "two sends in the prefix");
}

#[tokio::test]
async fn price_above_the_cap_is_always_rejected() {
    let (expensive, free) = HttpCarrier::start_two("expensive", "free").await;
    let carriers = [
        (&expensive, json!({"price": 5, "channels": ["voice"]})),
        (&free, json!({"price": 0, "channels": ["sms"]})),
    ];
    let service = service(&carriers, "4.99").await;
    assert_eq!(
        outcome(
            &service
                .send_body(json!({"to": phone(1), "channel": "voice"}))
                .await
        ),
        "spend"
    );
    for n in 0..20 {
        assert_eq!(outcome(&service.send(&phone(n)).await), "sent");
    }
}

#[tokio::test]
async fn spent_amount_survives_a_restart() {
    let (data, carrier) = (TempDirectory::new(), HttpCarrier::start("only").await);
    let entries = json!([with(carrier.entry(), &json!({"price": 1}))]).to_string();
    let variables = [
        ("OTP_CARRIERS", entries.as_str()),
        ("OTP_SPEND_PER_DAY", "2"),
    ];
    {
        let service = Service::start_in(&data, &variables).await;
        service.advance_to_next(DAY_SECONDS).await;
        assert_eq!(outcome(&service.send(&phone(1)).await), "sent");
    }
    let service = Service::start_in(&data, &variables).await;
    assert_eq!(
        [
            outcome(&service.send(&phone(2)).await),
            outcome(&service.send(&phone(3)).await)
        ],
        ["sent", "spend"]
    );
}

#[tokio::test]
async fn app_has_a_spend_cap_of_its_own() {
    let carrier = HttpCarrier::start("only").await;
    let entries = json!([with(carrier.entry(), &json!({"price": 1}))]).to_string();
    let variables = [
        ("OTP_CARRIERS", entries.as_str()),
        ("OTP_APPS", r#"{"shop":{"spend_per_day":1.5}}"#),
    ];
    let service = Service::start_with(&variables).await;
    service.advance_to_next(DAY_SECONDS).await;
    let as_shop = async |n| service.send_as(SHOP_KEY, &phone(n)).await;
    assert_eq!(
        [outcome(&as_shop(1).await), outcome(&as_shop(2).await)],
        ["sent", "spend"]
    );
    for n in 0..5 {
        assert_eq!(
            outcome(&service.send(&phone(n)).await),
            "sent",
            "the other app has no cap"
        );
    }
}

#[tokio::test]
async fn failover_from_a_failed_carrier_is_not_charged() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    first.behave(Behaviour::Respond(500, ""));
    let service = service(
        &[
            (&first, json!({"price": 1})),
            (&second, json!({"price": 3})),
        ],
        "2",
    )
    .await;
    for n in 1..=2 {
        assert_eq!(outcome(&service.send(&phone(n)).await), "sent");
        service.settle().await;
    }
    assert_eq!(outcome(&service.send(&phone(3)).await), "spend");
    assert_eq!(second.received().len(), 2);
}

#[tokio::test]
async fn message_of_the_second_carrier_is_charged_at_handover() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    first.behave(Behaviour::Close);
    let service = service(
        &[
            (&first, json!({"price": 1})),
            (&second, json!({"price": 1.5})),
        ],
        "3.5",
    )
    .await;
    assert_eq!(outcome(&service.send(&phone(1)).await), "sent");
    service.advance(16).await;
    assert_eq!(second.received().len(), 1);
    first.behave(Behaviour::Accept);
    assert_eq!(
        [
            outcome(&service.send(&phone(2)).await),
            outcome(&service.send(&phone(3)).await)
        ],
        ["sent", "spend"],
        "1 + 1.5 + 1 is the whole cap"
    );
}

#[tokio::test]
async fn second_carrier_is_skipped_once_the_cap_is_spent() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    first.behave(Behaviour::Close);
    let service = service(
        &[
            (&first, json!({"price": 1})),
            (&second, json!({"price": 1})),
        ],
        "1.9",
    )
    .await;
    let id = service.send(&phone(1)).await.id();
    service.advance(200).await;
    let shown = service.show(&id).await;
    assert_eq!(
        (second.received().len(), &shown.body["delivery"]["status"]),
        (0, &json!("unknown"))
    );
    assert_eq!(shown.body["deliveries"].as_array().map(Vec::len), Some(1));
    let state = service.state().await;
    assert_fields(&state, json!({"queue": [], "dead_letters": []}));
}

#[tokio::test]
async fn unaffordable_fallback_is_skipped_for_the_next_one() {
    let (text, call, chat) = (
        HttpCarrier::start("text").await,
        HttpCarrier::start("call").await,
        HttpCarrier::start("chat").await,
    );
    let carriers = [
        (&text, json!({"price": 1, "channels": ["sms"]})),
        (&call, json!({"price": 9, "channels": ["voice"]})),
        (&chat, json!({"price": 1, "channels": ["whatsapp"]})),
    ];
    let service = service(&carriers, "2").await;
    let body = json!({"to": phone(1), "fallback": ["voice", "whatsapp"]});
    let id = service.send_body(body.clone()).await.id();
    service.advance(61).await;
    assert_eq!((call.received().len(), chat.received().len()), (0, 1));
    service.advance(200).await;
    let channels: Vec<_> = service.show(&id).await.body["deliveries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|d| d["channel"].clone())
        .collect();
    assert_eq!(channels, ["sms", "whatsapp"], "no further fallback");
    assert_eq!(outcome(&service.send(&phone(2)).await), "spend");
}

#[tokio::test]
async fn unaffordable_second_carrier_is_skipped_for_the_fallback() {
    let (first, second, call) = (
        HttpCarrier::start("first").await,
        HttpCarrier::start("second").await,
        HttpCarrier::start("call").await,
    );
    first.behave(Behaviour::Close);
    let carriers = [
        (&first, json!({"price": 1, "channels": ["sms"]})),
        (&second, json!({"price": 9, "channels": ["sms"]})),
        (&call, json!({"price": 0, "channels": ["voice"]})),
    ];
    let service = service(&carriers, "2").await;
    service
        .send_body(json!({"to": phone(1), "fallback": ["voice"]}))
        .await;
    service.advance(55).await;
    assert_eq!((second.received().len(), call.received().len()), (0, 0));
    service.advance(6).await;
    assert_eq!((second.received().len(), call.received().len()), (0, 1));
}

#[tokio::test]
async fn further_message_without_a_carrier_is_not_charged() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    first.behave(Behaviour::Close);
    second.behave(Behaviour::Respond(500, ""));
    let service = service(
        &[
            (&first, json!({"price": 1})),
            (&second, json!({"price": 1})),
        ],
        "2",
    )
    .await;
    service.send(&phone(1)).await;
    service.advance(400).await;
    assert!(!second.received().is_empty());
    first.behave(Behaviour::Accept);
    assert_eq!(
        [
            outcome(&service.send(&phone(2)).await),
            outcome(&service.send(&phone(3)).await)
        ],
        ["sent", "spend"]
    );
}

#[tokio::test]
async fn resend_is_charged_at_the_price_of_its_channel() {
    let (text, call) = HttpCarrier::start_two("text", "call").await;
    let service = service(
        &[
            (&text, json!({"price": 1, "channels": ["sms"]})),
            (&call, json!({"price": 2, "channels": ["voice"]})),
        ],
        "4",
    )
    .await;
    let id = service.send(&phone(1)).await.id();
    let resend =
        async |channel: &str| outcome(&service.resend_body(&id, json!({"channel": channel})).await);
    assert_eq!(
        [
            resend("voice").await,
            resend("voice").await,
            resend("sms").await,
            resend("sms").await
        ],
        ["sent", "spend", "sent", "spend"]
    );
}

#[tokio::test]
async fn send_without_a_price_is_not_counted() {
    let carrier = HttpCarrier::start("only").await;
    let service = service(&[(&carrier, json!({"price": {"US": 1}}))], "0.01").await;
    for n in 0..10 {
        assert_eq!(outcome(&service.send(&phone(n)).await), "sent");
    }
    assert!(!service.state().await["table"].to_string().contains("spent"));
}
