//! Parameters: which are required, read, refused and ignored; bodies in every form.

use serde_json::json;

use crate::support::twilio::{assert_error, sid};
use crate::support::{NO_SEND_LIMITS, TO, Twilio, assert_status, phone};

#[tokio::test]
async fn all_wrong_parameters_are_named() {
    let twilio = Twilio::start(&[]).await;
    let rejected = twilio
        .post(
            "/Verifications",
            &[("Locale", "e"), ("DeviceIp", "here"), ("Amount", "1")],
        )
        .await;
    assert_error(&rejected, 400, 60200, "invalid_request");
    assert_eq!(rejected.body["message"], "Missing required parameter `To`");
    let errors = rejected.body["details"]["errors"]
        .as_array()
        .expect("errors");
    let fields: Vec<_> = errors.iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["To", "Channel", "Locale", "Payee", "DeviceIp"]);
    let rejected = twilio.create_with("+1202", &[("Channel", "pigeon")]).await;
    assert_eq!(rejected.body["message"], "Invalid parameter `To`");
}

#[tokio::test]
async fn one_wrong_parameter_gives_the_message() {
    let twilio = Twilio::start(&[]).await;
    for (name, value) in [
        ("Channel", "voice"),
        ("Channel", "SMS"),
        ("Locale", "x"),
        ("CustomFriendlyName", "\u{200b}"),
        ("AppHash", "short"),
        ("DeviceIp", "203.0.113.7, 203.0.113.8"),
        ("RateLimits", "[]"),
        ("RateLimits", "{"),
        ("RateLimits", r#"{"end_user_ip_address":1}"#),
    ] {
        let rejected = twilio.create_with(TO, &[(name, value)]).await;
        assert_error(&rejected, 400, 60200, "invalid_request");
        let message = format!("Invalid parameter `{name}`");
        assert_eq!(rejected.body["message"], message, "{value}");
    }
    let long = "x".repeat(65);
    let rejected = twilio
        .create_with(TO, &[("Amount", &long), ("Payee", "Shop")])
        .await;
    assert_error(&rejected, 400, 60200, "invalid_request");
    for parameters in [[("Amount", "1")], [("Payee", "Shop")]] {
        let rejected = twilio.create_with(TO, &parameters).await;
        assert_error(&rejected, 400, 60206, "invalid_request");
    }
    assert!(twilio.service.messages(TO).await.is_empty());
}

#[tokio::test]
async fn only_e164_and_ascii_addresses_are_recipients() {
    let twilio = Twilio::start(&[]).await;
    for to in [
        "0012025550143",
        "2025550143",
        "+33 0612345678",
        "+1202555014",
        "x",
        "a@b.example",
    ] {
        let rejected = twilio.create(to).await;
        assert_error(&rejected, 400, 60200, "invalid_number");
        assert_eq!(rejected.body["message"], "Invalid parameter `To`");
    }
    for to in [
        TO,
        "ann@b\u{fc}cher.example",
        "Ann <ann@example.com>",
        "ann",
    ] {
        let rejected = twilio.create_with(to, &[("Channel", "email")]).await;
        assert_error(&rejected, 400, 60200, "invalid_email");
    }
    let rejected = twilio.check("12025550143", "123456").await;
    assert_error(&rejected, 400, 60200, "invalid_number");
    let rejected = twilio
        .post("/VerificationCheck", &[("Code", "123456")])
        .await;
    assert_error(&rejected, 400, 60200, "invalid_request");
    assert_eq!(rejected.body["message"], "Missing required parameter `To`");
    let rejected = twilio.post("/VerificationCheck", &[("To", TO)]).await;
    assert_eq!(
        rejected.body["message"],
        "Missing required parameter `Code`"
    );
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let twilio = Twilio::start(&[]).await;
    for (name, value, code) in [
        ("Channel", "sna", "channel_not_configured"),
        ("CustomCode", "424242", "invalid_request"),
        ("SendDigits", "1", "invalid_request"),
        ("RateLimits", r#"{"session":"1"}"#, "invalid_request"),
    ] {
        let refused = twilio.create_with(TO, &[(name, value)]).await;
        assert_error(&refused, 403, 60204, code);
        assert_eq!(
            refused.body["message"],
            "Service does not support this feature"
        );
    }
    let both = [("SendDigits", "1"), ("Locale", "x")];
    let rejected = twilio.create_with(TO, &both).await;
    assert_error(&rejected, 400, 60200, "invalid_request");
}

#[tokio::test]
async fn parameters_without_an_effect_are_ignored() {
    let twilio = Twilio::start(&[]).await;
    let ignored = [
        ("Tags", "{"),
        ("RiskCheck", "disable"),
        ("RiskCheck", "enable"),
        ("ChannelConfiguration", "{}"),
        ("TemplateSid", "HJ1"),
        ("TemplateCustomSubstitutions", "x"),
        ("Templates", "x"),
        ("CustomMessage", "x"),
        ("EnableSnaClientToken", "true"),
        ("Unknown", "x"),
        ("CustomCode", ""),
        ("SendDigits", ""),
    ];
    assert_status(&twilio.create_with(TO, &ignored).await, 201);
    let rejected = twilio.create_with(TO, &[("RiskCheck", "disable")]).await;
    assert_error(&rejected, 429, 20429, "rate_limited");
}

#[tokio::test]
async fn parameter_given_twice_is_malformed() {
    let twilio = Twilio::start(&[]).await;
    let other = phone(1);
    let rejected = twilio.create_with(TO, &[("To", &other)]).await;
    assert_error(&rejected, 400, 60200, "malformed_request");
    assert_eq!(rejected.body["message"], "Invalid parameter `To`");
    for (body, message) in [
        ("To=%2B1&Channel=%zz", "Invalid parameter `Channel`"),
        ("To=%2B1&Channel=%ff", "Invalid parameter `Channel`"),
        ("%zz=1", "Invalid request body"),
        ("Unknown=%f", "Invalid request body"),
    ] {
        let rejected = twilio
            .raw("POST", &twilio.path("/Verifications"), body)
            .await;
        assert_error(&rejected, 400, 60200, "malformed_request");
        assert_eq!(rejected.body["message"], message, "{body}");
    }
    let bytes = b"To=\xff".to_vec();
    let rejected = twilio
        .raw("POST", &twilio.path("/Verifications"), bytes)
        .await;
    assert_eq!(rejected.body["message"], "Invalid request body");
}

#[tokio::test]
async fn idempotency_key_is_not_read() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let authorization = Twilio::basic(&twilio.account_sid, &twilio.key);
    let headers = [
        ("authorization", authorization.as_str()),
        (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        ("idempotency-key", "k"),
    ];
    let path = twilio.path("/Verifications");
    let mut sids = vec![];
    for _ in 0..2 {
        let body = Twilio::form(&[("To", TO), ("Channel", "sms")]);
        let created = twilio.service.raw("POST", &path, &headers, body).await;
        assert_status(&created, 201);
        assert_eq!(created.header("idempotent-replayed"), None);
        sids.push(sid(&created));
        // A create before the message is picked up would ask for the same message again.
        twilio.service.settle().await;
    }
    assert_eq!(sids[0], sids[1]);
    assert_eq!(twilio.service.messages(TO).await.len(), 2);
}

#[tokio::test]
async fn bodies_are_checked_in_order() {
    let twilio = Twilio::start(&[]).await;
    let authorization = Twilio::basic(&twilio.account_sid, &twilio.key);
    let path = twilio.path("/VerificationCheck");
    let raw = async |path: &str, content_type: &str, body: String| {
        let mut headers = vec![("authorization", authorization.as_str())];
        if !content_type.is_empty() {
            headers.push(("content-type", content_type));
        }
        twilio.service.raw("POST", path, &headers, body).await
    };
    let large = format!("Code=1&x={}", "x".repeat(16 * 1024));
    assert_error(
        &raw(&path, "", large.clone()).await,
        413,
        20413,
        "body_too_large",
    );
    for content_type in ["", "application/json", "text/plain"] {
        let rejected = raw(&path, content_type, "{}".to_owned()).await;
        assert_error(&rejected, 415, 20415, "unsupported_media_type");
        assert_eq!(rejected.body["message"], "Unsupported media type");
    }
    let other = format!("/v2/Services/VA{}/VerificationCheck", "0".repeat(32));
    assert_error(&raw(&other, "", large).await, 404, 20404, "not_found");
    assert_eq!(
        raw(&path, "", String::new()).await.body["details"]["errors"],
        json!(null)
    );
}

#[tokio::test]
async fn arbitrary_bodies_are_rejected_in_the_dialect() {
    let twilio = Twilio::start(&[]).await;
    let parts: [&[u8]; 14] = [
        b"To=",
        b"Channel=sms",
        b"Code=123456",
        b"&",
        b"=",
        b"%2B1",
        b"%",
        b"%zz",
        b"+",
        b"\0",
        b"\xff",
        b"2025550143",
        b"VerificationSid=VE",
        b"Amount=1",
    ];
    let mut state: usize = 7;
    for _ in 0..300 {
        let mut body = vec![];
        for _ in 0..8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            body.extend(parts[(state >> 33) % parts.len()]);
        }
        let path = twilio.path("/VerificationCheck");
        let response = twilio.raw("POST", &path, body.clone()).await;
        let shown = String::from_utf8_lossy(&body);
        assert!(
            [400, 404].contains(&response.status),
            "{shown}: {response:?}"
        );
    }
}
