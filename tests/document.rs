//! What shared/openapi.yaml says of requests, held against what the functions take: a document that asks for less than they do
//! is as wrong as one that asks for more.

use serde_json::{Value, json};

use crate::contract::CONTRACT;
use crate::given::{phone, with};
use crate::harness::Service;

#[tokio::test]
async fn a_send_is_taken_where_its_body_fits_the_document() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1000/600")]).await;
    let longest = "en-x-12345678-12345678-12345678-123";
    let too_long = format!("{longest}4");
    let tags = [
        "en",
        "fr-CA",
        "zh-Hant-TW",
        "es-419",
        "sl-rozaj-biske",
        "en-US-u-hc-h12",
        "x-house",
        "de-x-1",
        "i-klingon",
        "abcdefgh",
        longest,
    ];
    let no_tags = [
        "",
        "x",
        "x-",
        "en-x",
        "en-",
        "en_US",
        "e",
        "123",
        "abcdefghi",
        "en-a",
        "i-nothing",
        "en-US-FR",
        "a-b",
        "en US",
        &too_long,
    ];
    let locales = tags
        .into_iter()
        .chain(no_tags)
        .map(|tag| json!({"locale": tag}));
    let bodies = [
        json!({"ttl_seconds": 60}),
        json!({"ttl_seconds": 120.0}),
        json!({"ttl_seconds": 120.5}),
        json!({"ttl_seconds": 1801}),
        json!({"ttl_seconds": null}),
        json!({"code_length": 11}),
        json!({"code_length": "6"}),
        json!({"purpose": ""}),
        json!({"purpose": null}),
        json!({"reference": "x".repeat(65)}),
        json!({"reference": ""}),
        json!({"country": "fr"}),
        json!({"fallback": ["sms", "sms", "sms", "sms"]}),
        json!({"fallback": []}),
        json!({"transaction": {"amount": "1", "currency": "EUR", "payee": ""}}),
        json!({"transaction": {"amount": "1", "currency": "EUR", "payee": "x".repeat(65)}}),
        json!({"transaction": {"amount": "1", "currency": "EUR"}}),
        json!({"transaction": null}),
        json!({"channel": "fax"}),
        json!({"extra": null}),
    ];
    for (n, more) in locales.chain(bodies).enumerate() {
        let body = with(
            json!({"to": phone(u32::try_from(n).expect("few") + 1)}),
            &more,
        );
        let sent = service.send_body(body.clone()).await;
        assert_eq!(
            sent.status == 201,
            CONTRACT.takes("CreateVerification", &body),
            "{more}: {sent:?}"
        );
    }
}

#[test]
fn the_schema_of_a_request_is_one_that_refuses() {
    let refused: [(&str, Value); 4] = [
        ("CreateVerification", json!({})),
        ("Resend", json!({"to": "x"})),
        ("Check", json!({"code": 1})),
        ("RecipientRequest", json!({"to": ["x"]})),
    ];
    for (name, body) in refused {
        assert!(!CONTRACT.takes(name, &body), "{name}: {body}");
    }
}
