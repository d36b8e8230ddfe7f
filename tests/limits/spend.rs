//! The money of a day: charged when a send is accepted, and for further messages when they are handed over.

use serde_json::{Value, json};

use super::{Data, american, at_once, counts, neighbour, word, words};
use crate::carrier::{Behaviour, Carrier, service_with};
use crate::given::{NO_SEND_LIMITS, phone, with};
use crate::harness::Service;

const DAY_SECONDS: i64 = 86_400;

/// A service with these carriers, each with these fields more, and this much to spend.
async fn service(carriers: &[(&Carrier, Value)], spend: &str) -> Service {
    let entries: Value = carriers
        .iter()
        .map(|(carrier, more)| with(carrier.entry(), more))
        .collect();
    let entries = entries.to_string();
    let [cooldown, hour, day] = NO_SEND_LIMITS;
    let variables = [
        ("OTP_CARRIERS", entries.as_str()),
        cooldown,
        hour,
        day,
        ("OTP_PREFIX_SENDS", "1000/600"),
        ("OTP_SPEND_PER_DAY", spend),
    ];
    Service::start_with(&variables).await
}

#[tokio::test]
async fn an_app_spends_its_money_by_country_and_no_more_until_midnight() {
    let carrier = Carrier::start("only").await;
    let service = service(&[(&carrier, json!({"price": {"FR": 0.4, "*": 2}}))], "3.2").await;
    for to in [phone(1), american(1), phone(2), phone(3)] {
        assert_eq!(word(&service.send(&to).await), "sent", "{to}");
    }
    let midnight = (service.now().await / DAY_SECONDS + 1) * DAY_SECONDS;
    assert_eq!(
        service.send(&phone(4)).await.header("ratelimit-policy"),
        Some("\"spend\";q=3;w=86400")
    );
    service
        .refuses_until("spend", midnight, 201, async || {
            service.send(&phone(4)).await
        })
        .await;
    assert_eq!(
        [
            word(&service.send(&american(2)).await),
            word(&service.send(&american(3)).await)
        ],
        ["sent", "spend"]
    );
    assert_eq!(
        word(&service.send(&phone(5)).await),
        "sent",
        "what is left is enough for a cheaper one"
    );
}

#[tokio::test]
async fn a_hundred_parallel_sends_spend_what_there_is() {
    let carrier = Carrier::start("only").await;
    // It runs in this test, which has a hundred calls to make.
    let service = service(
        &[(&carrier, json!({"price": 0.1, "timeout_ms": 8000}))],
        "0.7",
    )
    .await;
    let answers = at_once(&service, (0..100).map(|n| json!({"to": phone(n)}))).await;
    assert_eq!(
        words(&answers),
        counts([("sent", 7), ("spend", 93)]),
        "three tenths are three tenths"
    );
    service.settle().await;
    assert_eq!(carrier.handed().len(), 7);
}

#[tokio::test]
async fn a_send_that_there_is_no_money_for_takes_nothing_else() {
    let carrier = Carrier::start("only").await;
    let entries = json!([with(carrier.entry(), &json!({"price": {"FR": 1}}))]).to_string();
    let variables = [
        ("OTP_CARRIERS", entries.as_str()),
        ("OTP_PREFIX_SENDS", "3/86400"),
        ("OTP_SPEND_PER_DAY", "1"),
    ];
    let service = Service::start_with(&variables).await;
    assert_eq!(word(&service.send(&neighbour(1)).await), "sent");
    for n in 2..20 {
        assert_eq!(word(&service.send(&neighbour(n)).await), "spend");
    }
    service
        .advance_to((service.now().await / DAY_SECONDS + 1) * DAY_SECONDS)
        .await;
    let sent = service.send(&neighbour(2)).await;
    assert_eq!((sent.status, &sent.body["sends_left"]), (201, &json!(4)));
    let state = service.state().await;
    let sends: Vec<_> = state["table"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["t1"]["N"].as_str())
        .collect();
    assert!(
        sends.len() == 1 && sends != ["0"],
        "two sends in the prefix: {sends:?}"
    );
}

#[tokio::test]
async fn a_price_above_all_the_money_is_never_paid_and_no_price_costs_nothing() {
    let (dear, free) = (Carrier::start("dear").await, Carrier::start("free").await);
    let carriers = [
        (&dear, json!({"price": 5, "channels": ["voice"]})),
        (&free, json!({"channels": ["sms"]})),
    ];
    let service = service(&carriers, "4.99").await;
    assert_eq!(
        word(
            &service
                .send_body(json!({"to": phone(1), "channel": "voice"}))
                .await
        ),
        "spend"
    );
    for n in 0..20 {
        assert_eq!(word(&service.send(&phone(n)).await), "sent");
    }
}

#[tokio::test]
async fn the_money_that_was_spent_outlives_a_restart() {
    let (data, carrier) = (Data::new(), Carrier::start("only").await);
    let entries = json!([with(carrier.entry(), &json!({"price": 1}))]).to_string();
    let variables = [
        ("OTP_CARRIERS", entries.as_str()),
        ("OTP_SPEND_PER_DAY", "2"),
    ];
    {
        let service = data.start(&variables).await;
        assert_eq!(word(&service.send(&phone(1)).await), "sent");
    }
    let service = data.start(&variables).await;
    assert_eq!(
        [
            word(&service.send(&phone(2)).await),
            word(&service.send(&phone(3)).await)
        ],
        ["sent", "spend"]
    );
}

#[tokio::test]
async fn an_app_has_money_of_its_own() {
    let carrier = Carrier::start("only").await;
    let entries = json!([with(carrier.entry(), &json!({"price": 1}))]).to_string();
    let variables = [
        ("OTP_CARRIERS", entries.as_str()),
        ("OTP_APPS", r#"{"shop":{"spend_per_day":1.5}}"#),
    ];
    let service = Service::start_with(&variables).await;
    let as_shop = async |n| {
        service
            .call_as(
                crate::harness::SHOP_KEY,
                "POST",
                "/v1/verifications",
                Some(json!({"to": phone(n)})),
                &[],
            )
            .await
    };
    assert_eq!(
        [word(&as_shop(1).await), word(&as_shop(2).await)],
        ["sent", "spend"]
    );
    for n in 0..5 {
        assert_eq!(
            word(&service.send(&phone(n)).await),
            "sent",
            "the other app has no end to it"
        );
    }
}

#[tokio::test]
async fn passing_over_a_carrier_that_took_nothing_charges_nothing() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    first.behave(Behaviour::Answer(500, ""));
    let service = service(
        &[
            (&first, json!({"price": 1})),
            (&second, json!({"price": 3})),
        ],
        "2",
    )
    .await;
    for n in 1..=2 {
        assert_eq!(word(&service.send(&phone(n)).await), "sent");
        service.settle().await;
    }
    assert_eq!(word(&service.send(&phone(3)).await), "spend");
    assert_eq!(second.handed().len(), 2);
}

#[tokio::test]
async fn a_second_carriers_message_is_charged_when_it_is_handed_over() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    first.behave(Behaviour::Close);
    let service = service(
        &[
            (&first, json!({"price": 1})),
            (&second, json!({"price": 1.5})),
        ],
        "3.5",
    )
    .await;
    assert_eq!(word(&service.send(&phone(1)).await), "sent");
    service.advance(16).await;
    assert_eq!(second.handed().len(), 1);
    first.behave(Behaviour::Accept);
    assert_eq!(
        [
            word(&service.send(&phone(2)).await),
            word(&service.send(&phone(3)).await)
        ],
        ["sent", "spend"],
        "1 + 1.5 + 1 is all"
    );
}

#[tokio::test]
async fn a_second_carriers_message_is_left_out_once_nothing_is_left() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
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
        (second.handed().len(), &shown.body["delivery"]["status"]),
        (0, &json!("unknown"))
    );
    assert_eq!(shown.body["deliveries"].as_array().map(Vec::len), Some(1));
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn a_fallback_that_there_is_no_money_for_gives_way_to_one_that_there_is() {
    let (text, call, chat) = (
        Carrier::start("text").await,
        Carrier::start("call").await,
        Carrier::start("chat").await,
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
    assert_eq!((call.handed().len(), chat.handed().len()), (0, 1));
    service.advance(200).await;
    let channels: Vec<_> = service.show(&id).await.body["deliveries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|d| d["channel"].clone())
        .collect();
    assert_eq!(channels, ["sms", "whatsapp"], "and nothing after it");
    assert_eq!(word(&service.send(&phone(2)).await), "spend");
}

#[tokio::test]
async fn where_the_second_carrier_is_too_dear_the_fallback_has_its_turn() {
    let (first, second, call) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
        Carrier::start("call").await,
    );
    first.behave(Behaviour::Close);
    let carriers = [
        (&first, json!({"price": 1, "channels": ["sms"]})),
        (&second, json!({"price": 9, "channels": ["sms"]})),
        (&call, json!({"channels": ["voice"]})),
    ];
    let service = service(&carriers, "2").await;
    service
        .send_body(json!({"to": phone(1), "fallback": ["voice"]}))
        .await;
    service.advance(55).await;
    assert_eq!((second.handed().len(), call.handed().len()), (0, 0));
    service.advance(6).await;
    assert_eq!((second.handed().len(), call.handed().len()), (0, 1));
}

#[tokio::test]
async fn a_further_message_that_nobody_takes_is_not_charged() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    first.behave(Behaviour::Close);
    second.behave(Behaviour::Answer(500, ""));
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
    assert!(!second.handed().is_empty());
    first.behave(Behaviour::Accept);
    assert_eq!(
        [
            word(&service.send(&phone(2)).await),
            word(&service.send(&phone(3)).await)
        ],
        ["sent", "spend"]
    );
}

#[tokio::test]
async fn a_resend_is_charged_at_the_price_of_its_channel() {
    let (text, call) = (Carrier::start("text").await, Carrier::start("call").await);
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
        async |channel: &str| word(&service.resend_body(&id, json!({"channel": channel})).await);
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
async fn without_a_price_nothing_is_counted() {
    let carrier = Carrier::start("only").await;
    let service = service_with(&[&carrier], &[("OTP_SPEND_PER_DAY", "0.01")]).await;
    for n in 0..10 {
        assert_eq!(word(&service.send(&phone(n)).await), "sent");
    }
    assert!(!service.state().await["table"].to_string().contains("spent"));
}
