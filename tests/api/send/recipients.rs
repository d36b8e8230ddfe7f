//! Recipients: notations of phone numbers and e-mail addresses, and those that are rejected.

use serde_json::json;

use crate::support::{
    NO_SEND_LIMITS, Service, assert_fields, assert_problem, assert_rejected, assert_status, phone,
    unix_seconds,
};

#[tokio::test]
async fn common_notations_are_stored_as_e164() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let cases = [
        (json!({"to": "+33 6 12-34-56-78"}), "+33612345678"),
        (json!({"to": "0033612345678"}), "+33612345678"),
        (json!({"to": "+33 (6) 12.34.56.78"}), "+33612345678"),
        (json!({"to": "+1 (234) 567-8901"}), "+12345678901"),
        (
            json!({"to": "06 12 34 56 78", "country": "FR"}),
            "+33612345678",
        ),
        (
            json!({"to": "0033612345678", "country": "FR"}),
            "+33612345678",
        ),
        (
            json!({"to": "+33612345678", "country": "DE"}),
            "+33612345678",
        ),
        (
            json!({"to": "(202) 555-0143", "country": "US"}),
            "+12025550143",
        ),
        (
            json!({"to": "0491 570 156", "country": "AU"}),
            "+61491570156",
        ),
    ];
    for (body, e164) in cases {
        let sent = service.send_body(body.clone()).await;
        assert_eq!(
            (sent.status, &sent.body["to"]),
            (201, &json!(e164)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn pasted_numbers_are_stored_as_e164() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let marks = "\u{200b}\u{200e}\u{2060}\u{feff}\u{fe0f}";
    let mut cases: Vec<_> = [
        "\u{202a}+33\u{a0}6\u{2011}12\u{2013}34\u{2212}56\u{202c}78",
        "\u{2066}+33 6\t12 34 56 78\u{2069}\r\n",
        "+33/6/12345678",
        "(+33) 6.12.34.56.78",
        "＋３３６１２３４５６７８",
        "+٣٣٦١٢٣٤٥٦٧٨",
        "+۳۳۶۱۲۳۴۵۶۷۸",
        "+३३६१२३४५६७८",
    ]
    .map(|to| json!({"to": to}))
    .into();
    cases.push(json!({"to": format!("{marks}+33{marks}612345678{marks}")}));
    cases.push(json!({"to": "٠٦ ١٢ ٣٤ ٥٦ ٧٨\n", "country": "fr"}));
    for body in cases {
        let sent = service.send_body(body.clone()).await;
        assert_eq!(sent.status, 201, "{body}: {sent:?}");
        assert_eq!(sent.body["to"], "+33612345678", "{body}");
    }
}

#[tokio::test]
async fn email_address_is_trimmed_for_every_request() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for to in ["carl@example.com ", "\t carl@example.com\u{a0}\r\n"] {
        let sent = service
            .send_body(json!({"to": to, "channel": "email"}))
            .await;
        assert_status(&sent, 201);
        assert_fields(&sent.body, json!({"to": "carl@example.com"}));
        for response in [service.unlock(to).await, service.forget(to).await] {
            assert_status(&response, 200);
            assert_fields(&response.body, json!({"to": "carl@example.com"}));
        }
        assert_status(&service.show(&sent.id()).await, 404);
    }
}

#[tokio::test]
async fn all_notations_of_a_number_share_its_limits() {
    let service = Service::start().await;
    let sent = service.send("+33612345678").await;
    let until = unix_seconds(&sent.body["created_at"]) + 30;
    for body in [
        json!({"to": "+33 6 12 34 56 78"}),
        json!({"to": "0033 6-12-34-56-78"}),
        json!({"to": "+33 (6) 12.34.56.78"}),
        json!({"to": "0612345678", "country": "FR"}),
        json!({"to": "+33612345678", "channel": "voice"}),
        json!({"to": "+33612345678", "purpose": "other"}),
    ] {
        service
            .assert_rejects("cooldown", until, async || {
                service.send_body(body.clone()).await
            })
            .await;
    }
    assert_eq!(service.messages("+33612345678").await.len(), 1);
}

#[tokio::test]
async fn invalid_number_is_rejected() {
    let service = Service::start().await;
    for to in [
        "",
        " ",
        "+",
        "00",
        "0612345678",
        "33612345678",
        "+33 6 12 34 56",
        "+336123456789012345",
        "tel:+33612345678",
        "+33612345678;ext=5",
        "+33612345678 x5",
        "+33612345678,+33612345679",
        "+33612345678 +33612345679",
        "+1800FLOWERS",
        "+336123\n45678",
        "+336123\u{2028}45678",
        "+33612345678\n+33612345679",
        "+33612345678/+33612345679",
        "++33612345678",
        "+00123",
        "112",
        "ada@example.com",
    ] {
        let response = service.send(to).await;
        assert_eq!(
            (response.problem(), &response.body["errors"][0]["field"]),
            ((422, "invalid_number"), &json!("to")),
            "{to:?}"
        );
    }
    let foreign = service
        .send_body(json!({"to": "0612345678", "country": "US"}))
        .await;
    // It is not a number of that country.
    assert_problem(&foreign, 422, "invalid_number");
}

#[tokio::test]
async fn premium_and_unreachable_numbers_are_rejected() {
    let service = Service::start().await;
    for (kind, to) in [
        ("premium rate", "+33899123456"),
        ("premium rate", "+19002345678"),
        ("shared cost", "+448451234567"),
        ("toll-free", "+18005550143"),
        ("toll-free", "+33800123456"),
        ("pager", "+447640123456"),
        ("universal", "+443031231234"),
        ("satellite", "+870773111632"),
        ("satellite", "+881612345678"),
        ("global network", "+882161234567"),
        ("global network", "+883510012345"),
        ("international premium", "+979123456789"),
    ] {
        for channel in ["sms", "voice"] {
            let response = service
                .send_body(json!({"to": to, "channel": channel}))
                .await;
            assert_eq!(
                response.problem(),
                (403, "number_not_allowed"),
                "{kind} {to} {channel}: {response:?}"
            );
        }
    }
}

#[tokio::test]
async fn fixed_line_accepts_calls_only() {
    let service = Service::start().await;
    for channel in ["sms", "whatsapp"] {
        let response = service
            .send_body(json!({"to": "+33142685300", "channel": channel}))
            .await;
        assert_eq!(response.problem(), (403, "number_not_allowed"), "{channel}");
    }
    assert_status(
        &service
            .send_body(json!({"to": "+33142685300", "channel": "voice"}))
            .await,
        201,
    );
}

#[tokio::test]
async fn resend_by_text_to_a_fixed_line_is_rejected() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let sent = service
        .send_body(json!({"to": "+33142685300", "channel": "voice"}))
        .await;
    for channel in ["sms", "whatsapp"] {
        let response = service
            .resend_body(&sent.id(), json!({"channel": channel}))
            .await;
        assert_eq!(
            response.problem(),
            (403, "number_not_allowed"),
            "{channel}: {response:?}"
        );
    }
    assert!(
        service
            .messages("+33142685300")
            .await
            .iter()
            .all(|message| message["channel"] == "voice")
    );
}

#[tokio::test]
async fn text_fallback_for_a_fixed_line_is_rejected() {
    let service = Service::start().await;
    let response = service
        .send_body(json!({"to": "+33142685300", "channel": "voice", "fallback": ["sms"]}))
        .await;
    assert_problem(&response, 403, "number_not_allowed");
    service.advance(120).await;
    assert!(
        service
            .messages("+33142685300")
            .await
            .iter()
            .all(|message| message["channel"] == "voice")
    );
}

#[tokio::test]
async fn countries_and_prefixes_outside_the_policy_are_rejected() {
    let service = Service::start_with(&[
        ("OTP_ALLOWED_COUNTRIES", "FR,US"),
        ("OTP_BLOCKED_PREFIXES", "+33612,+1234"),
    ])
    .await;
    for (to, expected) in [
        ("+4915123456789", (403, "country_not_allowed")),
        ("+14165550143", (403, "country_not_allowed")),
        ("+33612345678", (403, "number_not_allowed")),
        ("0033 6 12 99 99 99", (403, "number_not_allowed")),
        ("+12345678901", (403, "number_not_allowed")),
        ("+33611345678", (201, "")),
        ("+12025550143", (201, "")),
    ] {
        assert_eq!(service.send(to).await.problem(), expected, "{to}");
    }
    let by_country = service
        .send_body(json!({"to": "0151 23456789", "country": "DE"}))
        .await;
    assert_problem(&by_country, 403, "country_not_allowed");
    let email = service
        .send_body(json!({"to": "ada@example.com", "channel": "email"}))
        .await;
    // An e-mail address has no country.
    assert_status(&email, 201);
}

#[tokio::test]
async fn email_limits_ignore_the_case_of_an_address() {
    let service = Service::start().await;
    let sent = service
        .send_body(json!({"to": "Ada.Lovelace+otp@Example.COM", "channel": "email"}))
        .await;
    assert_status(&sent, 201);
    assert_fields(
        &sent.body,
        json!({"to": "Ada.Lovelace+otp@example.com", "channel": "email"}),
    );
    let messages = service.messages("Ada.Lovelace+otp@example.com").await;
    assert_eq!(
        (messages.len(), &messages[0]["channel"]),
        (1, &json!("email"))
    );
    let until = unix_seconds(&sent.body["created_at"]) + 30;
    for to in [
        "ada.lovelace+otp@example.com",
        "ADA.LOVELACE+OTP@EXAMPLE.COM",
    ] {
        service
            .assert_rejects("cooldown", until, async || {
                service
                    .send_body(json!({"to": to, "channel": "email"}))
                    .await
            })
            .await;
    }
    let code = messages[0]["code"].as_str().unwrap_or_default();
    assert!(service.check(&sent.id(), code).await.is_valid());
}

#[tokio::test]
async fn unicode_and_ascii_domain_are_one_recipient() {
    let service = Service::start().await;
    let sent = service
        .send_body(json!({"to": "ann@bücher.example", "channel": "email"}))
        .await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"to": "ann@xn--bcher-kva.example"}));
    let again = service
        .send_body(json!({"to": "ann@xn--bcher-kva.example", "channel": "email"}))
        .await;
    assert_rejected(&again, "cooldown");
}

#[tokio::test]
async fn invalid_email_address_is_rejected() {
    let service = Service::start().await;
    for to in [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "ada@@example.com",
        "a@b@example.com",
        "a b@example.com",
        "ada@example.com bob@example.com",
        "ada\u{a0}@example.com",
        "\u{200b}ada@example.com",
        "ada\n@example.com",
        "ada@example.com,bob@example.com",
        "ada@example.com;bob@example.com",
        "Ada <ada@example.com>",
        "\"ada\"@example.com",
        "ada@[127.0.0.1]",
        "ada@example..com",
        "ada@example.com\r\nBcc: bob@example.com",
        "+33612345678",
    ] {
        let response = service
            .send_body(json!({"to": to, "channel": "email"}))
            .await;
        assert_eq!(response.problem(), (422, "invalid_email"), "{to:?}");
    }
    let list = service
        .send_body(json!({"to": ["ada@example.com", "bob@example.com"], "channel": "email"}))
        .await;
    assert!(matches!(list.status, 400 | 422));
    assert_eq!(
        service.raw("GET", "/local/messages", &[], "").await.body["messages"],
        json!([])
    );
}

#[tokio::test]
async fn recipient_has_one_pending_verification_over_all_channels() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let first = service.send(&phone(1)).await;
    let second = service
        .send_body(json!({"to": phone(1), "channel": "voice", "purpose": "other"}))
        .await;
    assert_status(&second, 201);
    assert_eq!(service.show(&first.id()).await.body["status"], "superseded");
}
