//! The send function: a verification opened, resent and superseded, and what callers see of it. A file per theme below.

mod apps;
mod desk;
mod fields;
mod idempotency;
mod limits;
mod order;
mod recipients;
mod resend;
mod sns;
mod unsettled;

use serde_json::json;

use crate::given::{NO_SEND_LIMITS, moment, phone, seconds, with};
use crate::harness::Service;

#[tokio::test]
async fn a_send_answers_the_whole_verification_object() {
    let service = Service::start().await;
    let transaction = json!({"amount": "49.90", "currency": "EUR", "payee": "Example Books"});
    let asked = json!({"to": "+33 6 12-34-56-78", "purpose": "payment", "transaction": transaction, "reference": "order-7781"});
    let sent = service.send_body(asked).await;
    let created = seconds(&sent.body["created_at"]);
    let delivery = json!({"status": "queued", "channel": "sms", "carrier": null, "updated_at": moment(created)});
    let expected = json!({
        "id": sent.id(), "status": "pending", "to": "+33612345678", "channel": "sms", "purpose": "payment", "locale": "fr",
        "created_at": moment(created), "expires_at": moment(created + 300), "attempts_left": 5,
        "resend_at": moment(created + 30), "sends_left": 4, "delivery": delivery, "deliveries": [delivery],
        "transaction": transaction, "reference": "order-7781",
    });
    assert_eq!((sent.status, &sent.body), (201, &expected));
    assert_eq!(
        sent.header("location"),
        Some(format!("/v1/verifications/{}", sent.id()).as_str())
    );
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.header("idempotent-replayed"), None);
    let text = service.messages("+33612345678").await[0]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        text.contains("49.90 EUR") && text.contains("Example Books"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_left_out_has_its_default() {
    let service = Service::start().await;
    let sent = service.send(&phone(1)).await;
    let defaults = json!({"channel": "sms", "purpose": "default", "transaction": null, "reference": null, "attempts_left": 5, "sends_left": 4});
    assert_eq!(with(sent.body.clone(), &defaults), sent.body);
    assert_eq!(service.code(&phone(1)).await.len(), 6);
    let nulls = [
        "channel",
        "country",
        "locale",
        "purpose",
        "transaction",
        "code_length",
        "ttl_seconds",
        "client_ip",
        "fallback",
        "reference",
    ];
    let body = nulls.iter().fold(json!({"to": phone(2)}), |body, name| {
        with(body, &json!({*name: null}))
    });
    let sent = service.send_body(body).await;
    assert_eq!(
        (sent.status, with(sent.body.clone(), &defaults)),
        (201, sent.body)
    );
}

#[tokio::test]
async fn a_verification_is_shown_as_it_is_now() {
    let service = Service::start().await;
    let sent = service.send(&phone(1)).await;
    service.settle().await;
    let shown = service.show(&sent.id()).await;
    assert_eq!(
        (
            shown.status,
            &shown.body["delivery"]["status"],
            &shown.body["delivery"]["carrier"]
        ),
        (200, &json!("sent"), &json!("sim-a"))
    );
    assert_eq!(shown.body["deliveries"], json!([shown.body["delivery"]]));
    let same = [
        "id",
        "to",
        "channel",
        "purpose",
        "locale",
        "created_at",
        "expires_at",
        "attempts_left",
        "resend_at",
        "sends_left",
        "transaction",
    ];
    for name in same {
        assert_eq!(shown.body[name], sent.body[name], "{name}");
    }
    let message = &service.messages(&phone(1)).await[0];
    assert_eq!(service.report(message, "delivered").await, 200);
    assert_eq!(
        service.show(&sent.id()).await.body["delivery"]["status"],
        "delivered"
    );
}

#[tokio::test]
async fn a_new_verification_supersedes_the_old_one_and_gives_no_attempts_back() {
    let service =
        Service::start_with(&[NO_SEND_LIMITS.as_slice(), &[("OTP_GUESS_BUDGET", "7")]].concat())
            .await;
    let (first, first_code) = service.sent(&phone(1)).await;
    service.fail(&first, &first_code, 4).await;
    let second = service.send(&phone(1)).await;
    assert_eq!(
        (second.status, &second.body["attempts_left"]),
        (201, &json!(3)),
        "7 in a day, less 4"
    );
    let shown = service.show(&first).await;
    assert_eq!(
        (
            &shown.body["status"],
            &shown.body["resend_at"],
            &shown.body["attempts_left"]
        ),
        (&json!("superseded"), &json!(null), &json!(1))
    );
    assert_eq!(
        service.check(&first, &first_code).await.outcome(),
        (false, "superseded", "superseded", 1)
    );
    let code = service.code(&phone(1)).await;
    assert_eq!(service.check(&second.id(), &code).await.outcome().0, true);
}

#[tokio::test]
async fn the_last_five_verifications_stay_readable_for_two_days_and_older_ones_are_gone() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ids = vec![];
    for _ in 0..8 {
        ids.push(service.sent(&phone(1)).await.0);
    }
    for id in &ids[3..] {
        assert_eq!(service.show(id).await.status, 200);
    }
    for id in &ids[..2] {
        assert_eq!(service.show(id).await.problem(), (404, "not_found"));
        assert_eq!(
            service.check(id, "123456").await.problem(),
            (404, "not_found")
        );
        assert_eq!(service.resend(id).await.problem(), (404, "not_found"));
        assert_eq!(service.cancel(id).await.problem(), (404, "not_found"));
    }
    service.advance(48 * 3600 - 60).await;
    for id in &ids[3..] {
        assert_eq!(service.show(id).await.status, 200);
    }
    service.advance(48 * 3600).await;
    for id in &ids {
        assert_eq!(service.show(id).await.problem(), (404, "not_found"));
    }
}

#[tokio::test]
async fn the_language_is_the_one_asked_for_else_that_of_the_country_else_that_of_the_app_else_english()
 {
    let service = Service::start_with(&[("OTP_LOCALE", "de")]).await;
    let cases = [
        (json!({"to": phone(1)}), "fr", "est votre code"),
        (json!({"to": phone(2), "locale": "es"}), "es", "Example"),
        (
            json!({"to": phone(3), "locale": "de-AT"}),
            "de",
            "ist Ihr Code",
        ),
        (
            json!({"to": phone(4), "locale": "tlh"}),
            "fr",
            "est votre code",
        ),
        (
            json!({"to": "ada@example.com", "channel": "email"}),
            "de",
            "Ihr Code",
        ),
        (
            json!({"to": "bob@example.com", "channel": "email", "locale": "fr"}),
            "fr",
            "Votre code",
        ),
    ];
    for (body, locale, words) in cases {
        let sent = service.send_body(body.clone()).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let shown = sent.body["locale"].as_str().unwrap_or_default();
        assert_eq!(shown.split('-').next(), Some(locale), "{body}");
        let messages = service
            .messages(body["to"].as_str().unwrap_or_default())
            .await;
        let text = messages[0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(words), "{body}: {text}");
    }
    let english = Service::start().await;
    for body in [
        json!({"to": "ada@example.com", "channel": "email"}),
        json!({"to": "+12025550143", "locale": "tlh"}),
    ] {
        assert_eq!(english.send_body(body).await.body["locale"], "en");
    }
}

#[tokio::test]
async fn the_text_names_the_brand_and_the_minutes() {
    let service =
        Service::start_with(&[("OTP_BRAND", "Acme Bank"), ("OTP_CODE_TTL_SECONDS", "420")]).await;
    let sent = service.send("+12025550143").await;
    assert_eq!(
        seconds(&sent.body["expires_at"]) - seconds(&sent.body["created_at"]),
        420
    );
    let code = service.code("+12025550143").await;
    let text = service.messages("+12025550143").await[0]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        text.contains("Acme Bank") && text.contains(&code) && text.contains('7'),
        "{text}"
    );
}

#[tokio::test]
async fn the_health_of_the_service_needs_no_key() {
    let service = Service::start().await;
    let health = service.raw("GET", "/healthz", &[], "").await;
    assert_eq!((health.status, health.body), (200, json!({"status": "ok"})));
}
