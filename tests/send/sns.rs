//! `OTP_DISPATCH=sns`: the send function itself publishes, and answers with what came of it.

use serde_json::json;

use crate::given::{phone, seconds};
use crate::harness::Service;

async fn start() -> Service {
    Service::start_with(&[("OTP_DISPATCH", "sns")]).await
}

#[tokio::test]
async fn a_message_is_on_the_phone_with_the_answer() {
    let service = start().await;
    let to = phone(1);
    let sent = service.send(&to).await;
    assert_eq!((sent.status, &sent.body["delivery"]["status"], &sent.body["delivery"]["carrier"]), (201, &json!("sent"), &json!("sns")));
    let messages = service.messages_now(&to).await;
    assert_eq!((messages.len(), &messages[0]["carrier"], &messages[0]["channel"]), (1, &json!("sns"), &json!("sms")));
    let text = messages[0]["text"].as_str().unwrap_or_default();
    let code: String = text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    assert_eq!(service.check(&sent.id(), &code).await.outcome().0, true);
    assert_eq!(service.state().await["queue"], json!([]), "nothing was left for a worker");
    assert_eq!(service.messages(&to).await.len(), 1);
}

#[tokio::test]
async fn a_resend_is_published_as_well() {
    let service = start().await;
    let to = phone(1);
    let id = service.send(&to).await.id();
    service.advance(30).await;
    let resent = service.resend(&id).await;
    assert_eq!((resent.status, &resent.body["delivery"]["status"]), (200, &json!("sent")));
    let texts: Vec<_> = service.messages(&to).await.iter().map(|m| m["text"].as_str().map(|text| text[..6].to_owned())).collect();
    assert_eq!((texts.len(), &texts[0]), (2, &texts[1]), "the same code");
}

#[tokio::test]
async fn a_permanent_refusal_is_a_rejected_delivery() {
    let service = start().await;
    service.carrier("sns", json!({"mode": "reject"})).await;
    let sent = service.send(&phone(1)).await;
    assert_eq!((sent.status, &sent.body["delivery"]["status"], &sent.body["status"]), (201, &json!("rejected"), &json!("pending")));
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
    let until = seconds(&sent.body["created_at"]) + 30;
    service.refuses("cooldown", until, async || service.send(&phone(1)).await).await;
}

#[tokio::test]
async fn a_failure_of_sns_is_told_and_charges_nothing() {
    for mode in ["error", "throttle"] {
        let service = start().await;
        let to = phone(1);
        service.carrier("sns", json!({"mode": mode})).await;
        let refused = service.send_with_key(json!({"to": to}), "k").await;
        assert_eq!(refused.problem(), (503, "unavailable"), "{mode}");
        service.carrier("sns", json!({"mode": "ok"})).await;
        let sent = service.send_with_key(json!({"to": to, "purpose": "other"}), "k").await;
        assert_eq!((sent.status, sent.is_replayed(), &sent.body["sends_left"]), (201, false, &json!(4)), "{mode}: {sent:?}");
        assert_eq!(service.messages(&to).await.len(), 1);
    }
}

#[tokio::test]
async fn a_failed_resend_leaves_the_verification_as_it_was() {
    let service = start().await;
    let to = phone(1);
    let id = service.send(&to).await.id();
    let wrong = service.check(&id, "0000000").await;
    assert_eq!(wrong.outcome().1, "wrong_code");
    service.advance(30).await;
    service.carrier("sns", json!({"mode": "error"})).await;
    assert_eq!(service.resend(&id).await.problem(), (503, "unavailable"));
    let shown = service.show(&id).await;
    assert_eq!((&shown.body["status"], &shown.body["attempts_left"], &shown.body["sends_left"]), (&json!("pending"), &json!(4), &json!(4)));
    service.carrier("sns", json!({"mode": "ok"})).await;
    assert_eq!(service.resend(&id).await.status, 200);
}

#[tokio::test]
async fn a_channel_that_no_carrier_serves_is_not_configured() {
    let service = start().await;
    for channel in ["voice", "whatsapp"] {
        let answer = service.send_body(json!({"to": phone(1), "channel": channel})).await;
        assert_eq!(answer.problem(), (422, "channel_not_configured"), "{channel}");
    }
    let email = service.send_body(json!({"to": "ada@example.com", "channel": "email"})).await;
    assert_eq!(email.problem(), (422, "channel_not_configured"));
    let id = service.send(&phone(1)).await.id();
    service.advance(30).await;
    assert_eq!(service.resend_body(&id, json!({"channel": "voice"})).await.problem(), (422, "channel_not_configured"));
}
