//! Errors: paths, methods and every limit, as Twilio's errors.

use serde_json::json;

use crate::support::twilio::assert_error;
use crate::support::{
    BROKEN, DEFAULT_KEY, NO_SEND_LIMITS, ProxiedService, TO, Twilio, american_phone, another_code,
    assert_fields, assert_status, no_send_limits_and, phone,
};

#[tokio::test]
async fn other_paths_are_not_found() {
    let twilio = Twilio::start(&[]).await;
    let service = twilio.service_sid.as_str();
    for (method, path, shown) in [
        ("GET", "/v2".to_owned(), String::new()),
        ("GET", "/v2/Services".into(), "/Services".into()),
        ("POST", "/v2/Services".into(), "/Services".into()),
        ("POST", twilio.path(""), format!("/Services/{service}")),
        ("DELETE", twilio.path(""), format!("/Services/{service}")),
        (
            "GET",
            twilio.path("/RateLimits"),
            format!("/Services/{service}/RateLimits"),
        ),
        (
            "POST",
            twilio.path("/Entities/ann/Factors"),
            format!("/Services/{service}/Entities/-/Factors"),
        ),
        ("GET", "/v2/Attempts".into(), "/Attempts".into()),
        (
            "GET",
            "/v2/SafeList/Numbers/%2B12025550143".into(),
            "/SafeList/Numbers/-".into(),
        ),
        (
            "GET",
            twilio.path("/Verifications/VE1/x"),
            format!("/Services/{service}/Verifications/-/-"),
        ),
    ] {
        let response = twilio.raw(method, &path, "").await;
        assert_error(&response, 404, 20404, "not_found");
        let message = format!("The requested resource {shown} was not found");
        assert_eq!(response.body["message"], message);
        let stranger = twilio.service.raw(method, &path, &[], "").await;
        assert_error(&stranger, 404, 20404, "not_found");
    }
    let like = twilio.service.raw("GET", "/v2x/Services", &[], "").await;
    assert_eq!(
        like.header("content-type"),
        Some("application/problem+json")
    );
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let twilio = Twilio::start(&[]).await;
    for (method, rest, allowed) in [
        ("GET", "/Verifications", "POST"),
        ("DELETE", "/Verifications", "POST"),
        ("GET", "/VerificationCheck", "POST"),
        ("DELETE", "/Verifications/VE1", "GET, HEAD, POST"),
        ("PUT", "", "GET, HEAD"),
    ] {
        let response = twilio
            .service
            .raw(method, &twilio.path(rest), &[], "")
            .await;
        assert_error(&response, 405, 20004, "method_not_allowed");
        assert_eq!(response.header("allow"), Some(allowed), "{method} {rest}");
    }
}

#[tokio::test]
async fn numbers_that_get_no_message_are_refused() {
    let variables = no_send_limits_and(&[
        ("OTP_ALLOWED_COUNTRIES", "FR,US"),
        ("OTP_BLOCKED_PREFIXES", "+3362"),
    ]);
    let twilio = Twilio::start(&variables).await;
    for (to, channel, number, code) in [
        ("+33142685300", "sms", 60205, "number_not_allowed"),
        ("+33142685300", "auto", 60205, "number_not_allowed"),
        ("+33142685300", "whatsapp", 60205, "number_not_allowed"),
        ("+33899701234", "sms", 60410, "number_not_allowed"),
        ("+33620000000", "sms", 60410, "number_not_allowed"),
        ("+4915112345678", "sms", 60605, "country_not_allowed"),
    ] {
        let refused = twilio.create_with(to, &[("Channel", channel)]).await;
        assert_error(&refused, 403, number, code);
        assert!(
            refused.body["details"]["retry_after"].is_null(),
            "{refused:?}"
        );
    }
    let called = twilio
        .create_with("+33142685300", &[("Channel", "call")])
        .await;
    assert_status(&called, 201);
    let email_only = [("OTP_CARRIERS", r#"[{"kind":"sns"}]"#)];
    let twilio = Twilio::start(&email_only).await;
    let refused = twilio.create_with(TO, &[("Channel", "whatsapp")]).await;
    assert_error(&refused, 403, 60204, "channel_not_configured");
}

#[tokio::test]
async fn limits_of_the_recipient_have_their_numbers() {
    let twilio = Twilio::start(&[
        ("OTP_COOLDOWN_SECONDS", "0"),
        ("OTP_SENDS_PER_HOUR", "2"),
        ("OTP_SENDS_PER_DAY", "3"),
        ("OTP_GUESS_BUDGET", "5"),
    ])
    .await;
    for _ in 0..2 {
        assert_status(&twilio.create(TO).await, 201);
    }
    let hour = twilio.create(TO).await;
    assert_error(&hour, 429, 60203, "rate_limited");
    assert_fields(&hour.body["details"], json!({"limit": "recipient_hour"}));
    assert_eq!(hour.body["message"], "Max send attempts reached");
    twilio.service.advance(3600).await;
    assert_status(&twilio.create(TO).await, 201);
    let day = twilio.create(TO).await;
    assert_error(&day, 429, 60203, "rate_limited");
    let wait = day.body["details"]["retry_after"]
        .as_i64()
        .expect("seconds");
    assert!(wait > 3600, "{wait}");
    let other = phone(1);
    let (_, code) = twilio.open(&other).await;
    for _ in 0..5 {
        assert_status(&twilio.check(&other, &another_code(&code)).await, 200);
    }
    let budget = twilio.create(&other).await;
    assert_error(&budget, 429, 60202, "rate_limited");
    assert_fields(&budget.body["details"], json!({"limit": "guess_budget"}));
}

#[tokio::test]
async fn shared_limits_have_their_numbers() {
    let twilio = Twilio::start(&[
        ("OTP_PREFIX_SENDS", "1/600"),
        ("OTP_SPEND_PER_DAY", "1"),
        ("OTP_CARRIERS", r#"[{"kind":"sns","price":0.5}]"#),
    ])
    .await;
    // The spend cap of a day ends in no test.
    twilio.service.advance_to_next(86_400).await;
    assert_status(&twilio.create("+12025550143").await, 201);
    let prefix = twilio.create("+12025550144").await;
    assert_error(&prefix, 403, 60410, "rate_limited");
    assert_fields(&prefix.body["details"], json!({"limit": "prefix"}));
    let wait = prefix.body["details"]["retry_after"]
        .as_i64()
        .expect("seconds");
    assert!((590..=600).contains(&wait), "{wait}");
    assert_eq!(
        prefix.header("ratelimit-policy"),
        Some("\"prefix\";q=1;w=600")
    );
    assert_status(&twilio.create(&american_phone(1)).await, 201);
    let spend = twilio.create(&american_phone(2)).await;
    assert_error(&spend, 429, 20429, "rate_limited");
    assert_fields(&spend.body["details"], json!({"limit": "spend"}));
}

#[tokio::test]
async fn failure_of_the_table_changes_nothing() {
    let proxied = ProxiedService::start(&NO_SEND_LIMITS).await;
    let twilio = Twilio::of(&proxied.service, DEFAULT_KEY).await;
    let (first, code) = twilio.open(TO).await;
    proxied.table.break_all(BROKEN);
    for response in [
        twilio.create(TO).await,
        twilio.check(TO, &code).await,
        twilio.check_sid(&first, &code).await,
        twilio.fetch(&first).await,
        twilio.update(&first, "approved").await,
    ] {
        assert_error(&response, 503, 20503, "unavailable");
    }
    proxied.table.clear_faults();
    assert_eq!(twilio.check(TO, &code).await.body["valid"], true);
}
