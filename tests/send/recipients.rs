//! Recipients: spellings of phone numbers and e-mail addresses, and those that are never sent to.

use serde_json::json;

use crate::given::{phone, seconds};
use crate::harness::Service;

#[tokio::test]
async fn common_spellings_are_kept_as_e164() {
    let service = Service::start_with(&crate::given::NO_SEND_LIMITS).await;
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
async fn all_spellings_of_a_number_share_its_limits() {
    let service = Service::start().await;
    let sent = service.send("+33612345678").await;
    let until = seconds(&sent.body["created_at"]) + 30;
    for body in [
        json!({"to": "+33 6 12 34 56 78"}),
        json!({"to": "0033 6-12-34-56-78"}),
        json!({"to": "+33 (6) 12.34.56.78"}),
        json!({"to": "0612345678", "country": "FR"}),
        json!({"to": "+33612345678", "channel": "voice"}),
        json!({"to": "+33612345678", "purpose": "other"}),
    ] {
        service
            .refuses("cooldown", until, async || {
                service.send_body(body.clone()).await
            })
            .await;
    }
    assert_eq!(service.messages("+33612345678").await.len(), 1);
}

#[tokio::test]
async fn what_is_not_one_valid_number_is_refused() {
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
        "+３３６１２３４５６７８",
        "+٣٣٦١٢٣٤٥٦٧٨",
        "\u{202e}+33612345678",
        "++33612345678",
        "+00123",
        "112",
        "ada@example.com",
    ] {
        let answer = service.send(to).await;
        assert_eq!(
            (answer.problem(), &answer.body["errors"][0]["field"]),
            ((422, "invalid_number"), &json!("to")),
            "{to:?}"
        );
    }
    let foreign = service
        .send_body(json!({"to": "0612345678", "country": "US"}))
        .await;
    assert_eq!(
        foreign.problem(),
        (422, "invalid_number"),
        "not a number of that country"
    );
}

#[tokio::test]
async fn numbers_that_earn_money_or_reach_nobody_are_refused() {
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
            let answer = service
                .send_body(json!({"to": to, "channel": channel}))
                .await;
            let is_told = matches!(answer.problem(), (403, "number_not_allowed"));
            assert!(is_told, "{kind} {to} {channel}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_fixed_line_takes_calls_only() {
    let service = Service::start().await;
    for channel in ["sms", "whatsapp"] {
        let answer = service
            .send_body(json!({"to": "+33142685300", "channel": channel}))
            .await;
        assert_eq!(answer.problem(), (403, "number_not_allowed"), "{channel}");
    }
    assert_eq!(
        service
            .send_body(json!({"to": "+33142685300", "channel": "voice"}))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_resend_sends_no_text_to_a_fixed_line_either() {
    let service = Service::start_with(&crate::given::NO_SEND_LIMITS).await;
    let sent = service
        .send_body(json!({"to": "+33142685300", "channel": "voice"}))
        .await;
    for channel in ["sms", "whatsapp"] {
        let answer = service
            .resend_body(&sent.id(), json!({"channel": channel}))
            .await;
        assert_eq!(
            answer.problem(),
            (403, "number_not_allowed"),
            "{channel}: {answer:?}"
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
async fn a_fallback_sends_no_text_to_a_fixed_line_either() {
    let service = Service::start().await;
    let answer = service
        .send_body(json!({"to": "+33142685300", "channel": "voice", "fallback": ["sms"]}))
        .await;
    assert_eq!(answer.problem(), (403, "number_not_allowed"), "{answer:?}");
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
async fn countries_and_prefixes_outside_the_policy_are_refused() {
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
    assert_eq!(by_country.problem(), (403, "country_not_allowed"));
    let email = service
        .send_body(json!({"to": "ada@example.com", "channel": "email"}))
        .await;
    assert_eq!(email.status, 201, "an e-mail address has no country");
}

#[tokio::test]
async fn an_email_goes_to_one_plain_address_whose_case_does_not_matter_to_limits() {
    let service = Service::start().await;
    let sent = service
        .send_body(json!({"to": "Ada.Lovelace+otp@Example.COM", "channel": "email"}))
        .await;
    assert_eq!(
        (sent.status, &sent.body["to"], &sent.body["channel"]),
        (201, &json!("Ada.Lovelace+otp@example.com"), &json!("email"))
    );
    let messages = service.messages("Ada.Lovelace+otp@example.com").await;
    assert_eq!(
        (messages.len(), &messages[0]["channel"]),
        (1, &json!("email"))
    );
    let until = seconds(&sent.body["created_at"]) + 30;
    for to in [
        "ada.lovelace+otp@example.com",
        "ADA.LOVELACE+OTP@EXAMPLE.COM",
    ] {
        service
            .refuses("cooldown", until, async || {
                service
                    .send_body(json!({"to": to, "channel": "email"}))
                    .await
            })
            .await;
    }
    let code = messages[0]["code"].as_str().unwrap_or_default();
    assert_eq!(service.check(&sent.id(), code).await.outcome().0, true);
}

#[tokio::test]
async fn two_spellings_of_an_international_domain_are_one_recipient() {
    let service = Service::start().await;
    let sent = service
        .send_body(json!({"to": "ann@bücher.example", "channel": "email"}))
        .await;
    assert_eq!(
        (sent.status, &sent.body["to"]),
        (201, &json!("ann@xn--bcher-kva.example"))
    );
    let again = service
        .send_body(json!({"to": "ann@xn--bcher-kva.example", "channel": "email"}))
        .await;
    assert_eq!(
        (again.problem(), &again.body["limit"]),
        ((429, "rate_limited"), &json!("cooldown"))
    );
}

#[tokio::test]
async fn what_is_not_one_plain_address_is_refused() {
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
        "ada@example.com,bob@example.com",
        "ada@example.com;bob@example.com",
        "Ada <ada@example.com>",
        "\"ada\"@example.com",
        "ada@[127.0.0.1]",
        "ada@example..com",
        "ada@example.com\r\nBcc: bob@example.com",
        "+33612345678",
    ] {
        let answer = service
            .send_body(json!({"to": to, "channel": "email"}))
            .await;
        assert_eq!(answer.problem(), (422, "invalid_email"), "{to:?}");
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
async fn a_recipient_is_pending_once_whatever_the_channel() {
    let service = Service::start_with(&crate::given::NO_SEND_LIMITS).await;
    let first = service.send(&phone(1)).await;
    let second = service
        .send_body(json!({"to": phone(1), "channel": "voice", "purpose": "other"}))
        .await;
    assert_eq!(second.status, 201);
    assert_eq!(service.show(&first.id()).await.body["status"], "superseded");
}
