//! Deliveries: carriers in order, what each kind of failure leads to, retries. The promise behind all of it: one text a
//! send, a second one only where nobody can know, and never one with a dead code.

mod story;

use serde_json::{Value, json};

use crate::carrier::{Behaviour, Carrier, service_with};
use crate::harness::{Service, seconds};

const TO: &str = "+12025550143";
/// Variables that let one recipient have many messages.
pub const OFTEN: [(&str, &str); 3] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_SENDS_PER_HOUR", "1000"),
    ("OTP_SENDS_PER_DAY", "1000"),
];

/// One of many phones, each with a prefix of its own.
pub fn phone(n: usize) -> String {
    format!("+1202{:03}0143", 200 + n % 800)
}

pub async fn sent(service: &Service, body: Value) -> String {
    let answer = service.call("POST", "/v1/verifications", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.id()
}

/// Status and carrier of each message, and nothing due any more.
pub async fn deliveries(service: &Service, id: &str) -> Vec<(String, Option<String>)> {
    service.settle().await;
    let shown = service.show(id).await.body;
    assert_eq!(
        shown["delivery"],
        *shown["deliveries"]
            .as_array()
            .and_then(|all| all.last())
            .expect("a delivery"),
        "the latest of all"
    );
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all = shown["deliveries"].as_array().expect("a list");
    all.iter()
        .map(|delivery| {
            (
                text(&delivery["status"]).expect("a status"),
                text(&delivery["carrier"]),
            )
        })
        .collect()
}

pub fn tells(status: &str, carrier: &str) -> (String, Option<String>) {
    (status.to_owned(), Some(carrier.to_owned()))
}

pub fn texts(messages: &[Value], field: &str) -> Vec<String> {
    messages
        .iter()
        .map(|message| message[field].as_str().unwrap_or_default().to_owned())
        .collect()
}

pub async fn queue_is_empty(service: &Service) {
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn the_first_carrier_takes_it_and_the_second_hears_nothing() {
    let service = Service::start().await;
    let id = sent(&service, json!({"to": TO})).await;
    assert_eq!(deliveries(&service, &id).await, [tells("sent", "sim-a")]);
    service.advance(600).await;
    let messages = service.messages(TO).await;
    assert_eq!(
        (
            texts(&messages, "carrier"),
            texts(&messages, "verification_id")
        ),
        (vec!["sim-a".to_owned()], vec![id])
    );
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn a_refusal_for_good_is_the_end_and_no_second_carrier_is_asked() {
    let service = Service::start().await;
    service.carrier("sim-a", json!({"mode": "reject"})).await;
    let id = sent(&service, json!({"to": TO})).await;
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("rejected", "sim-a")]
    );
    service.carrier("sim-a", json!({"mode": "ok"})).await;
    service.advance(600).await;
    assert_eq!(service.messages(TO).await, Vec::<Value>::new());
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("rejected", "sim-a")]
    );
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn a_carrier_that_takes_nothing_now_is_passed_over_at_once() {
    for mode in [
        json!({"mode": "throttle", "retry_after": 20}),
        json!({"mode": "throttle"}),
        json!({"mode": "error"}),
        json!({"mode": "down"}),
    ] {
        let service = Service::start().await;
        service.carrier("sim-a", mode.clone()).await;
        let before = service.now().await;
        let id = sent(&service, json!({"to": TO})).await;
        assert_eq!(
            deliveries(&service, &id).await,
            [tells("sent", "sim-b")],
            "{mode}: one message, one entry"
        );
        let messages = service.messages(TO).await;
        assert_eq!(texts(&messages, "carrier"), ["sim-b"], "{mode}");
        assert!(seconds(&messages[0]["at"]) - before <= 5, "{mode}: at once");
        service.carrier("sim-a", json!({"mode": "ok"})).await;
        service.advance(600).await;
        assert_eq!(
            service.messages(TO).await.len(),
            1,
            "{mode}: no second text later"
        );
        queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn each_status_of_a_carrier_has_its_class() {
    for (status, class) in [
        (408, "next"),
        (425, "next"),
        (429, "next"),
        (500, "next"),
        (503, "next"),
        (401, "next"),
        (402, "next"),
        (403, "next"),
    ]
    .into_iter()
    .chain([
        (400, "rejected"),
        (404, "rejected"),
        (422, "rejected"),
        (202, "sent"),
        (204, "sent"),
    ]) {
        let (first, second) = (
            Carrier::start("first").await,
            Carrier::start("second").await,
        );
        let service = service_with(&[&first, &second], &[]).await;
        first.behave(Behaviour::Answer(status, ""));
        let id = sent(&service, json!({"to": TO})).await;
        let expected = if class == "next" {
            tells("sent", "second")
        } else {
            tells(class, "first")
        };
        assert_eq!(deliveries(&service, &id).await, [expected], "{status}");
        assert_eq!(
            (first.handed().len(), second.handed().len()),
            (1, usize::from(class == "next")),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_carrier_is_handed_the_documented_message() {
    let carrier = Carrier::start("acme").await;
    let service = service_with(&[&carrier], &[("OTP_BRAND", "Shop")]).await;
    let id = sent(&service, json!({"to": "+33612345678", "ttl_seconds": 120})).await;
    service.settle().await;
    let handed = carrier.handed();
    assert_eq!(handed.len(), 1);
    let body = &handed[0].body;
    let header = |name: &str| {
        handed[0]
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        (header("authorization"), header("idempotency-key").as_str()),
        ("Bearer carrier-token".to_owned(), handed[0].reference())
    );
    assert_eq!(
        (
            &body["to"],
            &body["from"],
            &body["channel"],
            &body["locale"]
        ),
        (
            &json!("+33612345678"),
            &json!("Shop"),
            &json!("sms"),
            &json!("fr")
        )
    );
    assert!(
        (115..=120).contains(&body["validity_seconds"].as_i64().expect("seconds")),
        "{body}"
    );
    assert!(
        !handed[0].reference().contains(&id) && !body.to_string().contains(&id),
        "the carrier learns no id of ours"
    );
    assert!(service.check(&id, &handed[0].code()).await.body["valid"] == true);
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
async fn an_unknown_outcome_waits_and_then_one_other_carrier_gets_the_same_code() {
    let service = Service::start().await;
    service.carrier("sim-a", json!({"mode": "hang"})).await;
    let id = sent(&service, json!({"to": TO})).await;
    assert_eq!(deliveries(&service, &id).await, [tells("unknown", "sim-a")]);
    let since = seconds(&service.show(&id).await.body["delivery"]["updated_at"]);
    service.advance_to(since + 13).await;
    assert_eq!(
        service.messages_now(TO).await.len(),
        1,
        "it waits for the report"
    );
    service.advance_to(since + 17).await;
    let messages = service.messages(TO).await;
    assert_eq!(texts(&messages, "carrier"), ["sim-a", "sim-b"]);
    let codes = texts(&messages, "code");
    assert_eq!(codes[0], codes[1], "never a new code");
    assert!(
        (since + 15..=since + 16).contains(&seconds(&messages[1]["at"])),
        "after 15 s: {messages:?}"
    );
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("unknown", "sim-a"), tells("sent", "sim-b")]
    );
    service.advance(600).await;
    assert_eq!(service.messages(TO).await.len(), 2, "never a third");
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn two_unknown_outcomes_are_the_end() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "hang"})).await;
    }
    let id = sent(&service, json!({"to": TO})).await;
    service.advance(600).await;
    let messages = service.messages(TO).await;
    assert_eq!(texts(&messages, "carrier"), ["sim-a", "sim-b"]);
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("unknown", "sim-a"), tells("unknown", "sim-b")]
    );
}

#[tokio::test]
async fn a_carrier_that_hangs_up_without_an_answer_may_have_it() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    first.behave(Behaviour::Close);
    let id = sent(&service, json!({"to": TO})).await;
    assert_eq!(deliveries(&service, &id).await, [tells("unknown", "first")]);
    service.advance(16).await;
    assert_eq!((first.handed().len(), second.handed().len()), (1, 1));
    assert_eq!(first.handed()[0].code(), second.handed()[0].code());
    assert_ne!(
        first.handed()[0].reference(),
        second.handed()[0].reference(),
        "two messages, two names"
    );
}

#[tokio::test]
async fn a_report_within_the_wait_keeps_the_second_carrier_out() {
    for status in ["sent", "delivered"] {
        let service = Service::start().await;
        service.carrier("sim-a", json!({"mode": "hang"})).await;
        let id = sent(&service, json!({"to": TO})).await;
        let messages = service.messages(TO).await;
        assert_eq!(service.report(&messages[0], status).await, 200);
        service.advance(600).await;
        assert_eq!(service.messages(TO).await.len(), 1, "{status}");
        assert_eq!(deliveries(&service, &id).await, [tells(status, "sim-a")]);
        queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn a_report_that_overtakes_the_answer_counts() {
    let service = Service::start().await;
    service
        .carrier("sim-a", json!({"mode": "hang", "report": "delivered"}))
        .await;
    let id = sent(&service, json!({"to": TO})).await;
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("delivered", "sim-a")]
    );
    service.advance(600).await;
    assert_eq!(texts(&service.messages(TO).await, "carrier"), ["sim-a"]);
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn the_one_more_message_never_goes_back_to_the_carrier_that_may_have_the_first() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    first.behave(Behaviour::Hang);
    second.behave(Behaviour::Answer(500, ""));
    let id = sent(&service, json!({"to": TO})).await;
    service.settle().await;
    first.behave(Behaviour::Accept);
    service.advance(30).await;
    assert_eq!(
        first.handed().len(),
        1,
        "one more message, by another carrier"
    );
    second.behave(Behaviour::Accept);
    service.advance(200).await;
    assert_eq!(first.handed().len(), 1);
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("unknown", "first"), tells("sent", "second")]
    );
}

#[tokio::test]
async fn a_lost_message_is_the_carriers_word_against_nobodys() {
    let service = Service::start().await;
    service.carrier("sim-a", json!({"mode": "lose"})).await;
    let id = sent(&service, json!({"to": TO})).await;
    service.advance(600).await;
    assert_eq!(service.messages(TO).await, Vec::<Value>::new());
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("sent", "sim-a")],
        "it said that it took it"
    );
}

#[tokio::test]
async fn where_nobody_takes_it_the_rounds_back_off_until_the_code_is_nearly_dead() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    first.behave(Behaviour::Answer(500, ""));
    second.behave(Behaviour::Answer(503, ""));
    let id = sent(&service, json!({"to": TO})).await;
    let start = seconds(&service.show(&id).await.body["created_at"]);
    service.settle().await;
    assert!(
        ["queued", "sending"].contains(&deliveries(&service, &id).await[0].0.as_str()),
        "nobody has it, and it is not over"
    );
    service.advance(700).await;
    let offsets: Vec<i64> = first
        .handed()
        .iter()
        .map(|handed| handed.at - start)
        .collect();
    for (expected, at) in [0, 2, 6, 14, 30].into_iter().zip(&offsets) {
        assert!(
            (expected..=expected + 3).contains(at),
            "rounds at 0, 2, 6, 14, 30 and so on: {offsets:?}"
        );
    }
    assert!(
        offsets.windows(2).all(|pair| pair[1] - pair[0] <= 33),
        "at most 30 s apart: {offsets:?}"
    );
    assert!(
        offsets.iter().all(|at| *at <= 290) && offsets.last().is_some_and(|at| *at >= 255),
        "until 10 s before its end: {offsets:?}"
    );
    assert_eq!(second.handed().len(), offsets.len(), "each round asks both");
    assert_eq!(
        deliveries(&service, &id).await,
        [("failed".to_owned(), None)]
    );
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn the_same_message_keeps_its_name_from_round_to_round() {
    let carrier = Carrier::start("only").await;
    let service = service_with(&[&carrier], &[]).await;
    carrier.behave(Behaviour::Answer(500, ""));
    sent(&service, json!({"to": TO})).await;
    service.advance(10).await;
    let handed = carrier.handed();
    assert!(handed.len() >= 3);
    assert!(
        handed
            .iter()
            .all(|h| h.reference() == handed[0].reference() && h.code() == handed[0].code()),
        "its idempotency key and its code"
    );
}

#[tokio::test]
async fn a_carriers_retry_after_is_honoured() {
    let carrier = Carrier::start("only").await;
    let service = service_with(&[&carrier], &[]).await;
    carrier.behave(Behaviour::Answer(429, "50"));
    let id = sent(&service, json!({"to": TO})).await;
    service.settle().await;
    let start = carrier.handed()[0].at;
    carrier.behave(Behaviour::Accept);
    service.advance(300).await;
    let calls: Vec<i64> = carrier
        .handed()
        .iter()
        .map(|handed| handed.at - start)
        .collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!((50..=52).contains(&calls[1]), "{calls:?}");
    assert_eq!(deliveries(&service, &id).await, [tells("sent", "only")]);
}

#[tokio::test]
async fn a_long_retry_after_of_one_carrier_does_not_hold_back_the_other() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    first.behave(Behaviour::Answer(429, "3600"));
    second.behave(Behaviour::Answer(500, ""));
    let id = sent(&service, json!({"to": TO})).await;
    service.settle().await;
    second.behave(Behaviour::Accept);
    service.advance(100).await;
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("sent", "second")],
        "the second one is asked again after 2 s"
    );
    assert_eq!(first.handed().len(), 1, "and the first one is left alone");
}

#[tokio::test]
async fn recovery_before_the_end_sends_once() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "error"})).await;
    }
    let id = sent(&service, json!({"to": TO})).await;
    service.advance(100).await;
    service.carrier("sim-b", json!({"mode": "ok"})).await;
    service.advance(60).await;
    service.carrier("sim-a", json!({"mode": "ok"})).await;
    service.advance(600).await;
    let messages = service.messages(TO).await;
    assert_eq!(texts(&messages, "carrier"), ["sim-b"]);
    assert_eq!(deliveries(&service, &id).await, [tells("sent", "sim-b")]);
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn after_a_recovery_no_dead_code_is_sent() {
    let service = Service::start().await;
    for (n, recovers_after) in [5, 40, 250, 276, 284, 289, 291, 299, 300, 301, 900]
        .into_iter()
        .enumerate()
    {
        for name in ["sim-a", "sim-b"] {
            service.carrier(name, json!({"mode": "error"})).await;
        }
        let to = phone(n);
        let id = sent(&service, json!({"to": to})).await;
        let expires_at = seconds(&service.show(&id).await.body["expires_at"]);
        service.advance(recovers_after).await;
        for name in ["sim-a", "sim-b"] {
            service.carrier(name, json!({"mode": "ok"})).await;
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
                .all(|message| seconds(&message["at"]) <= expires_at - 10),
            "dead on arrival, {recovers_after}: {messages:?}"
        );
        let status = if messages.is_empty() {
            "failed"
        } else {
            "sent"
        };
        assert_eq!(
            deliveries(&service, &id).await[0].0,
            status,
            "recovered after {recovers_after} s"
        );
        assert_eq!(
            status == "sent",
            recovers_after <= 250,
            "recovered after {recovers_after} s"
        );
    }
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn an_ended_verification_sends_nothing_more() {
    let service = Service::start_with(&OFTEN).await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "error"})).await;
    }
    let canceled = sent(&service, json!({"to": phone(1)})).await;
    let superseded = sent(&service, json!({"to": phone(2)})).await;
    service.settle().await;
    assert_eq!(
        service
            .call("DELETE", &format!("/v1/verifications/{canceled}"), None)
            .await
            .status,
        200
    );
    let newer = sent(&service, json!({"to": phone(2)})).await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "ok"})).await;
    }
    service.advance(60).await;
    assert_eq!(service.messages(&phone(1)).await, Vec::<Value>::new());
    assert_eq!(
        texts(&service.messages(&phone(2)).await, "verification_id"),
        [newer]
    );
    assert_eq!(
        deliveries(&service, &canceled).await[0].0,
        "failed",
        "it will never go"
    );
    assert_eq!(
        deliveries(&service, &superseded).await[0].0,
        "failed",
        "it will never go"
    );
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn a_message_in_a_carriers_hands_is_not_told_as_failed_because_its_code_was_used() {
    for ending in ["approved", "superseded"] {
        let carrier = Carrier::start("slow").await;
        let mut entry = carrier.entry();
        entry["timeout_ms"] = json!(8000);
        let service =
            Service::start_with(&[("OTP_CARRIERS", &json!([entry]).to_string()), OFTEN[0]]).await;
        carrier.behave(Behaviour::Hold);
        let id = sent(&service, json!({"to": TO})).await;
        carrier.has_one().await;
        match ending {
            "approved" => assert_eq!(
                service.check(&id, &carrier.handed()[0].code()).await.body["valid"],
                true,
                "the phone was faster"
            ),
            _ => drop(sent(&service, json!({"to": TO})).await),
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
