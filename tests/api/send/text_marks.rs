//! `OTP_TEXT_REFERENCE` and `OTP_TEXT_TIME`: what texts show to people who receive several codes.

use serde_json::json;

use crate::support::{NO_SEND_LIMITS, Service, assert_status, phone};

const ON: [(&str, &str); 2] = [("OTP_TEXT_REFERENCE", "on"), ("OTP_TEXT_TIME", "on")];

async fn start(changes: &[(&str, &str)]) -> Service {
    Service::start_with(&[&NO_SEND_LIMITS, &ON[..], changes].concat()).await
}

/// The text of the last message to `to`.
async fn text(service: &Service, to: &str) -> String {
    let messages = service.messages(to).await;
    let last = messages.last().expect("a message");
    last["text"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn every_code_has_another_reference_in_its_text() {
    let service = start(&[]).await;
    let mut previous = json!(null);
    for channel in ["sms", "whatsapp", "sms", "voice", "sms", "sms"] {
        let sent = service
            .send_body(json!({"to": phone(1), "channel": channel}))
            .await;
        assert_status(&sent, 201);
        let reference = sent.body["text_reference"].clone();
        let letters = reference.as_str().expect("a reference");
        assert_ne!(reference, previous);
        let shown = match channel {
            "voice" => letters.split("").collect::<Vec<_>>()[1..3].join(", "),
            _ => letters.to_owned(),
        };
        let text = text(&service, &phone(1)).await;
        assert!(text.contains(&shown), "{channel} {letters}: {text}");
        assert_eq!(
            service.show(&sent.id()).await.body["text_reference"],
            reference
        );
        previous = reference;
    }
    let found = service.lookup(&phone(1)).await;
    let past = &found.body["verifications"][1]["text_reference"];
    assert!(past.is_string() && *past != previous, "{found:?}");
}

#[tokio::test]
async fn resend_keeps_the_reference_of_the_same_code() {
    for (policy, is_kept) in [("same", true), ("fresh", false)] {
        let service = start(&[("OTP_RESEND_CODE", policy)]).await;
        let sent = service.send(&phone(1)).await;
        let resent = service.resend(&sent.id()).await;
        let references = [&sent, &resent].map(|response| response.body["text_reference"].clone());
        assert_eq!(references[0] == references[1], is_kept, "{references:?}");
        let text = text(&service, &phone(1)).await;
        assert!(
            text.contains(references[1].as_str().expect("a reference")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn time_is_that_of_the_country_or_utc() {
    let service = start(&[]).await;
    let now = jiff::Timestamp::from_second(service.now().await).expect("a time");
    let minute = now.strftime("%M").to_string();
    for (to, has_mark) in [("+33612345678", false), ("+12025550143", true)] {
        service.send_body(json!({"to": to, "locale": "en"})).await;
        let text = text(&service, to).await;
        assert_eq!(text.contains(" UTC"), has_mark, "{text}");
        let next = format!(":{:02}", (minute.parse::<u8>().expect("minutes") + 1) % 60);
        assert!(
            text.contains(&format!(":{minute}")) || text.contains(&next),
            "{text}"
        );
    }
}

#[tokio::test]
async fn locale_without_room_has_neither_reference_nor_time() {
    let service = start(&[("OTP_BRAND", "Example Inc")]).await;
    let sent = service
        .send_body(json!({"to": "+33612345678", "locale": "ru"}))
        .await;
    assert_eq!(sent.body["text_reference"], json!(null));
    let text = text(&service, "+33612345678").await;
    let messages = service.messages("+33612345678").await;
    assert!(!text.contains(':'), "{text}");
    assert_eq!(
        service.show(&sent.id()).await.body["delivery"]["parts"],
        1,
        "{messages:?}"
    );
}

#[tokio::test]
async fn verification_has_no_reference_while_switched_off() {
    let service = Service::start().await;
    let sent = service.send(&phone(1)).await;
    assert!(sent.body.get("text_reference").is_none(), "{sent:?}");
}
