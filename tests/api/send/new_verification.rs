//! A new verification: the object that apps get, its text, and what becomes of the one before.

use serde_json::json;

use crate::support::{
    NO_SEND_LIMITS, Service, assert_check, assert_fields, assert_problem, assert_status,
    no_send_limits_and, phone, rfc3339, unix_seconds, with,
};

#[tokio::test]
async fn send_returns_the_whole_verification() {
    let service = Service::start().await;
    let transaction = json!({"amount": "49.90", "currency": "EUR", "payee": "Example Books"});
    let request = json!({"to": "+33 6 12-34-56-78", "purpose": "payment", "transaction": transaction, "reference": "order-7781"});
    let sent = service.send_body(request).await;
    let created = unix_seconds(&sent.body["created_at"]);
    let delivery = json!({"status": "queued", "channel": "sms", "carrier": null, "updated_at": rfc3339(created)});
    let expected = json!({
        "id": sent.id(), "status": "pending", "to": "+33612345678", "channel": "sms", "purpose": "payment", "locale": "fr",
        "created_at": rfc3339(created), "expires_at": rfc3339(created + 300), "attempts_left": 5,
        "resend_at": rfc3339(created + 30), "sends_left": 4, "delivery": delivery, "deliveries": [delivery],
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
async fn omitted_fields_have_their_defaults() {
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
async fn get_returns_the_current_state() {
    let service = Service::start().await;
    let sent = service.send(&phone(1)).await;
    service.settle().await;
    let shown = service.show(&sent.id()).await;
    assert_status(&shown, 200);
    assert_fields(
        &shown.body,
        json!({"delivery": {"status": "sent", "carrier": "sim-a"}}),
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
async fn new_verification_supersedes_the_pending_one() {
    let service = Service::start_with(&no_send_limits_and(&[("OTP_GUESS_BUDGET", "7")])).await;
    let (first, first_code) = service.open(&phone(1)).await;
    service.fail_checks(&first, &first_code, 4).await;
    let second = service.send(&phone(1)).await;
    // A budget of 7, less 4 failures.
    assert_status(&second, 201);
    assert_fields(&second.body, json!({"attempts_left": 3}));
    let shown = service.show(&first).await;
    assert_fields(
        &shown.body,
        json!({"status": "superseded", "resend_at": null, "attempts_left": 1}),
    );
    assert_check(
        &service.check(&first, &first_code).await,
        "superseded",
        "superseded",
        1,
    );
    let code = service.code(&phone(1)).await;
    assert!(service.check(&second.id(), &code).await.is_valid());
}

#[tokio::test]
async fn last_five_verifications_stay_readable_for_two_days() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ids = vec![];
    for _ in 0..8 {
        ids.push(service.open(&phone(1)).await.0);
    }
    for id in &ids[3..] {
        assert_status(&service.show(id).await, 200);
    }
    for id in &ids[..2] {
        assert_problem(&service.show(id).await, 404, "not_found");
        assert_problem(&service.check(id, "123456").await, 404, "not_found");
        assert_problem(&service.resend(id).await, 404, "not_found");
        assert_problem(&service.cancel(id).await, 404, "not_found");
    }
    service.advance(48 * 3600 - 60).await;
    for id in &ids[3..] {
        assert_status(&service.show(id).await, 200);
    }
    service.advance(48 * 3600).await;
    for id in &ids {
        assert_problem(&service.show(id).await, 404, "not_found");
    }
}

#[tokio::test]
async fn locale_comes_from_request_country_app_or_english() {
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
        assert_status(&sent, 201);
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
async fn text_contains_brand_code_and_minutes() {
    let service =
        Service::start_with(&[("OTP_BRAND", "Acme Bank"), ("OTP_CODE_TTL_SECONDS", "420")]).await;
    let sent = service.send("+12025550143").await;
    assert_eq!(
        unix_seconds(&sent.body["expires_at"]) - unix_seconds(&sent.body["created_at"]),
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
async fn health_check_needs_no_api_key() {
    let service = Service::start().await;
    let health = service.raw("GET", "/healthz", &[], "").await;
    assert_eq!((health.status, health.body), (200, json!({"status": "ok"})));
}
