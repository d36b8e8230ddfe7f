//! Fallback channels: the same code by another way when the first one ended badly or nobody heard of it in time, and only
//! while somebody still waits for it.

use serde_json::{Value, json};

use crate::carrier::{Behaviour, Carrier, Handed, service_with};
use crate::delivery::{OFTEN, deliveries, queue_is_empty, sent, tells, texts};
use crate::harness::{Service, seconds};

const TO: &str = "+12025550143";

#[tokio::test]
async fn a_fallback_channel_is_tried_when_nothing_was_delivered_in_time() {
    let service = Service::start().await;
    let id = sent(&service, json!({"to": TO, "fallback": ["voice"]})).await;
    service.settle().await;
    let start = seconds(&service.messages_now(TO).await[0]["at"]);
    service.advance_to(start + 57).await;
    assert_eq!(service.messages(TO).await.len(), 1);
    service.advance_to(start + 62).await;
    let messages = service.messages(TO).await;
    assert_eq!(texts(&messages, "channel"), ["sms", "voice"]);
    assert_eq!(messages[0]["code"], messages[1]["code"], "the same code");
    assert!((start + 60..=start + 62).contains(&seconds(&messages[1]["at"])));
    let shown = service.show(&id).await.body;
    assert_eq!(
        (&shown["channel"], &shown["delivery"]["channel"]),
        (&json!("sms"), &json!("voice")),
        "`channel` is the one asked for"
    );
    assert_eq!(
        (
            &shown["sends_left"],
            shown["deliveries"].as_array().map(Vec::len)
        ),
        (&json!(4), Some(2)),
        "it belongs to its send"
    );
    service.advance(600).await;
    assert_eq!(service.messages(TO).await.len(), 2);
    queue_is_empty(&service).await;
}

#[tokio::test]
async fn fallback_channels_take_their_turns() {
    let service = Service::start_with(&[("OTP_FALLBACK_SECONDS", "20")]).await;
    sent(
        &service,
        json!({"to": TO, "fallback": ["voice", "whatsapp", "sms"]}),
    )
    .await;
    service.advance(200).await;
    let messages = service.messages(TO).await;
    assert_eq!(
        texts(&messages, "channel"),
        ["sms", "voice", "whatsapp", "sms"]
    );
    let times: Vec<i64> = messages
        .iter()
        .map(|message| seconds(&message["at"]))
        .collect();
    assert!(
        times
            .windows(2)
            .all(|pair| (20..=22).contains(&(pair[1] - pair[0]))),
        "{times:?}"
    );
}

#[tokio::test]
async fn a_bad_report_brings_the_fallback_at_once() {
    for status in ["undelivered", "rejected", "expired"] {
        let service = Service::start().await;
        let id = sent(&service, json!({"to": TO, "fallback": ["voice"]})).await;
        let first = service.messages(TO).await.remove(0);
        assert_eq!(service.report(&first, status).await, 200);
        let messages = service.messages(TO).await;
        assert_eq!(texts(&messages, "channel"), ["sms", "voice"], "{status}");
        assert!(
            seconds(&messages[1]["at"]) - seconds(&first["at"]) < 10,
            "{status}: at once"
        );
        assert_eq!(
            deliveries(&service, &id).await,
            [tells(status, "sim-a"), tells("sent", "sim-a")]
        );
        assert_eq!(service.report(&first, status).await, 200);
        service.advance(600).await;
        assert_eq!(
            service.messages(TO).await.len(),
            2,
            "{status}: a repeated report brings no third"
        );
        queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn a_bad_report_that_overtakes_the_carriers_answer_brings_the_fallback_at_once() {
    let (texting, calling) = (
        Carrier::start("texting").await,
        Carrier::start("calling").await,
    );
    let service = service_with(&[&texting, &calling], &[]).await;
    texting.behave(Behaviour::ReportFirst("undelivered"));
    let id = sent(&service, json!({"to": TO, "fallback": ["voice"]})).await;
    service.settle().await;
    let start = texting.handed()[0].at;
    service.advance(5).await;
    let calls: Vec<Handed> = texting.handed().into_iter().skip(1).collect();
    assert_eq!(
        calls.iter().map(Handed::channel).collect::<Vec<_>>(),
        ["voice"],
        "not only after OTP_FALLBACK_SECONDS"
    );
    assert!(calls[0].at - start <= 5);
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("undelivered", "texting"), tells("sent", "texting")]
    );
}

#[tokio::test]
async fn a_refusal_for_good_brings_the_fallback_at_once() {
    let (texting, calling) = (
        Carrier::start("texting").await,
        Carrier::start("calling").await,
    );
    let entries = [texting.entry(), calling.entry()]
        .into_iter()
        .zip(["sms", "voice"])
        .map(|(mut entry, channel)| {
            entry["channels"] = json!([channel]);
            entry
        });
    let entries = Value::from_iter(entries).to_string();
    let service = Service::start_with(&[("OTP_CARRIERS", &entries)]).await;
    texting.behave(Behaviour::Answer(400, ""));
    let id = sent(&service, json!({"to": TO, "fallback": ["voice"]})).await;
    assert_eq!(
        deliveries(&service, &id).await,
        [tells("rejected", "texting"), tells("sent", "calling")]
    );
    assert_eq!((texting.handed().len(), calling.handed().len()), (1, 1));
}

#[tokio::test]
async fn what_was_delivered_or_is_over_needs_no_fallback() {
    for ending in ["delivered", "approved", "canceled", "superseded"] {
        let service = Service::start_with(&OFTEN).await;
        let id = sent(&service, json!({"to": TO, "fallback": ["voice"]})).await;
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
            "canceled" => assert_eq!(
                service
                    .call("DELETE", &format!("/v1/verifications/{id}"), None)
                    .await
                    .status,
                200
            ),
            _ => drop(sent(&service, json!({"to": TO})).await),
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
        queue_is_empty(&service).await;
    }
}

#[tokio::test]
async fn a_fallback_that_would_arrive_dead_is_left_out() {
    let service = Service::start_with(&[("OTP_FALLBACK_SECONDS", "55")]).await;
    sent(
        &service,
        json!({"to": TO, "fallback": ["voice"], "ttl_seconds": 60}),
    )
    .await;
    service.advance(600).await;
    assert_eq!(
        service.messages(TO).await.len(),
        1,
        "five seconds before the end nobody can use it"
    );
    queue_is_empty(&service).await;
}
