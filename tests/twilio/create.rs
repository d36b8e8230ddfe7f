//! Create: what a verification is, and what its texts say.

use serde_json::json;

use crate::support::twilio::{assert_error, native_id, sid};
use crate::support::{
    TO, Twilio, assert_fields, assert_status, no_send_limits_and, phone, unix_seconds,
};

#[tokio::test]
async fn created_verification_is_pending() {
    let twilio = Twilio::start(&[]).await;
    let now = twilio.service.now().await;
    let created = twilio.create(TO).await;
    assert_status(&created, 201);
    let (sid, service) = (sid(&created), &twilio.service_sid);
    assert_fields(
        &created.body,
        json!({
            "service_sid": service, "account_sid": twilio.account_sid, "to": TO,
            "channel": "sms", "status": "pending", "valid": false, "lookup": {},
            "amount": null, "payee": null, "sna": null,
            "url": format!("{}/v2/Services/{service}/Verifications/{sid}", twilio.service.base),
        }),
    );
    let time = created.body["date_created"].as_str().expect("a time");
    assert_eq!(time.len(), "2026-11-21T20:00:00Z".len(), "{time}");
    assert!((now..now + 5).contains(&unix_seconds(&created.body["date_created"])));
    assert_eq!(created.body["date_updated"], created.body["date_created"]);
    let attempts = created.body["send_code_attempts"]
        .as_array()
        .expect("a list");
    assert_eq!(attempts.len(), 1);
    assert_fields(&attempts[0], json!({"time": time, "channel": "sms"}));
    let attempt = attempts[0]["attempt_sid"].as_str().expect("a sid");
    assert!(
        attempt.starts_with("VL") && attempt.len() == 34,
        "{attempt}"
    );
}

#[tokio::test]
async fn verification_is_the_same_in_both_dialects() {
    let twilio = Twilio::start(&[]).await;
    let (sid, code) = twilio.open(TO).await;
    let id = native_id(&sid);
    assert_fields(
        &twilio.service.show(&id).await.body,
        json!({"status": "pending", "to": TO}),
    );
    assert!(twilio.service.check(&id, &code).await.is_valid());
    assert_error(&twilio.fetch(&sid).await, 404, 20404, "not_found");
    let (native, _) = twilio.service.open(&phone(1)).await;
    let fetched = twilio.fetch("%2B33610010007").await;
    let fetched = fetched.body["sid"].as_str().expect("a sid");
    assert_eq!(native_id(fetched), native);
}

#[tokio::test]
async fn channels_have_the_words_of_twilio() {
    let twilio = Twilio::start(&[]).await;
    let service = &twilio.service;
    for (n, (word, shown, native)) in [
        ("sms", "sms", "sms"),
        ("call", "call", "voice"),
        ("whatsapp", "whatsapp", "whatsapp"),
        ("auto", "sms", "sms"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = phone(u32::try_from(n).expect("few") + 1);
        let created = twilio.create_with(&to, &[("Channel", word)]).await;
        assert_eq!(created.body["channel"], shown, "{created:?}");
        assert_eq!(service.messages(&to).await[0]["channel"], native, "{word}");
    }
    let to_email = [("To", "Ann@Example.com"), ("Channel", "email")];
    let created = twilio.post("/Verifications", &to_email).await;
    assert_fields(
        &created.body,
        json!({"channel": "email", "to": "Ann@example.com"}),
    );
}

#[tokio::test]
async fn auto_falls_back_to_voice_where_it_is_served() {
    let twilio = Twilio::start(&[]).await;
    let created = twilio.create_with(TO, &[("Channel", "auto")]).await;
    assert_status(&created, 201);
    twilio.service.advance(62).await;
    let channels: Vec<_> = twilio.service.messages(TO).await;
    let channels: Vec<_> = channels
        .iter()
        .map(|message| message["channel"].clone())
        .collect();
    assert_eq!(channels, ["sms", "voice"]);
    let fetched = twilio.fetch(&sid(&created)).await;
    assert_eq!(fetched.body["channel"], "sms");
    assert_eq!(
        fetched.body["send_code_attempts"].as_array().map(Vec::len),
        Some(1),
        "a fallback is not a create"
    );
    let sms_only = [("OTP_CARRIERS", r#"[{"kind":"sns"}]"#)];
    let twilio = Twilio::start(&sms_only).await;
    assert_status(&twilio.create_with(TO, &[("Channel", "auto")]).await, 201);
}

#[tokio::test]
async fn payment_is_shown_without_a_currency() {
    let twilio = Twilio::start(&[]).await;
    let payment = [("Amount", "€12.50"), ("Payee", "Example Books")];
    let created = twilio.create_with(TO, &payment).await;
    assert_fields(
        &created.body,
        json!({"amount": "€12.50", "payee": "Example Books"}),
    );
    let message = twilio.service.messages(TO).await.remove(0);
    let text = message["text"].as_str().expect("a text");
    assert!(text.contains("to pay €12.50 to Example Books,"), "{text}");
    let transaction = &twilio.service.show(&native_id(&sid(&created))).await.body["transaction"];
    assert_eq!(transaction["currency"], "");
}

#[tokio::test]
async fn brand_hash_and_language_are_those_of_the_verification() {
    let twilio = Twilio::start(&no_send_limits_and(&[])).await;
    let custom = [
        ("Locale", "fr"),
        ("CustomFriendlyName", "Chez Ann"),
        ("AppHash", "FA+9qCX9VSu"),
    ];
    assert_status(&twilio.create_with(TO, &custom).await, 201);
    let text = |messages: Vec<serde_json::Value>| {
        messages.last().expect("a message")["text"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    let first = text(twilio.service.messages(TO).await);
    assert!(first.contains("code Chez Ann"), "{first}");
    assert!(first.ends_with("FA+9qCX9VSu"), "{first}");
    let other = [("Locale", "de"), ("CustomFriendlyName", "Other")];
    assert_status(&twilio.create_with(TO, &other).await, 201);
    let second = text(twilio.service.messages(TO).await);
    assert_eq!(second, first, "a continued verification keeps them");
}

#[tokio::test]
async fn code_of_the_app_is_sent_if_allowed() {
    let variables = no_send_limits_and(&[("OTP_CALLER_CODES", "on"), ("OTP_RESEND_CODE", "fresh")]);
    let twilio = Twilio::start(&variables).await;
    let first = twilio.create_with(TO, &[("CustomCode", "4242")]).await;
    assert_eq!(twilio.service.code(TO).await, "4242");
    let second = twilio.create_with(TO, &[("CustomCode", "4242")]).await;
    assert_eq!(sid(&second), sid(&first));
    assert_status(&twilio.service.resend(&native_id(&sid(&first))).await, 200);
    assert_eq!(
        twilio.service.code(TO).await,
        "4242",
        "no fresh code replaces it"
    );
    let third = twilio.create_with(TO, &[("CustomCode", "737373")]).await;
    assert_ne!(
        sid(&third),
        sid(&first),
        "another code is another verification"
    );
    assert_eq!(twilio.check(TO, "737373").await.body["status"], "approved");
    for code in ["424", "42424242424", "42 42", "42a2"] {
        let created = twilio.create_with(TO, &[("CustomCode", code)]).await;
        assert_error(&created, 400, 60200, "invalid_code");
        assert_eq!(created.body["message"], "Invalid parameter `CustomCode`");
    }
}

#[tokio::test]
async fn client_address_counts_for_its_limit() {
    let variables = [
        ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
        ("OTP_PREFIX_SENDS", "1000/600"),
    ];
    let twilio = Twilio::start(&variables).await;
    let device = [("DeviceIp", "203.0.113.7")];
    assert_status(&twilio.create_with(&phone(1), &device).await, 201);
    let limits = [("RateLimits", r#"{"end_user_ip_address":"203.0.113.7"}"#)];
    let rejected = twilio.create_with(&phone(2), &limits).await;
    assert_error(&rejected, 429, 20429, "rate_limited");
    assert_eq!(rejected.body["details"]["limit"], "client");
    let both = [limits[0], ("DeviceIp", "203.0.113.8")];
    assert_status(&twilio.create_with(&phone(2), &both).await, 201);
}

#[tokio::test]
async fn test_number_gets_its_code_and_no_message() {
    let numbers = format!(r#"[{{"to":"{TO}","code":"424242","until":"2027-01-31"}}]"#);
    let twilio = Twilio::start(&[("OTP_TEST_NUMBERS", &numbers)]).await;
    let first = twilio.create(TO).await;
    let again = twilio.create(TO).await;
    assert_eq!((first.status, again.status), (201, 201), "{again:?}");
    assert_eq!(sid(&again), sid(&first));
    assert!(twilio.service.messages(TO).await.is_empty());
    assert_eq!(twilio.check(TO, "424242").await.body["status"], "approved");
}
