//! The functions accept exactly the requests that match shared/openapi.yaml.

use serde_json::{Value, json};

use crate::support::{CONTRACT, Service, phone, with};

const LANGUAGE_TAGS: [&str; 12] = [
    "en",
    "en_US",
    "zh_Hant_TW",
    "fr-CA",
    "zh-Hant-TW",
    "es-419",
    "sl-rozaj-biske",
    "en-US-u-hc-h12",
    "x-house",
    "de-x-1",
    "i-klingon",
    "abcdefgh",
];

const INVALID_TAGS: [&str; 13] = [
    "",
    "x",
    "x-",
    "en-x",
    "en-",
    "e",
    "123",
    "abcdefghi",
    "en-a",
    "i-nothing",
    "en-US-FR",
    "a-b",
    "en US",
];

/// A tag of the greatest length.
const LONGEST_TAG: &str = "en-x-12345678-12345678-12345678-123";

/// Values of the other fields, valid and invalid.
fn other_fields() -> Vec<Value> {
    vec![
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
        json!({"country": "FRA"}),
        json!({"client_ip": "203.0.113.7:5678"}),
        json!({"client_ip": "[2001:db8::1]:443"}),
        json!({"client_ip": "203.0.113.7, 203.0.113.8"}),
        json!({"client_ip": "fe80::1%eth0"}),
        json!({"fallback": ["sms", "sms", "sms", "sms"]}),
        json!({"fallback": []}),
        json!({"transaction": {"amount": "1", "currency": "EUR", "payee": ""}}),
        json!({"transaction": {"amount": "1", "currency": "EUR", "payee": "x".repeat(65)}}),
        json!({"transaction": {"amount": "1", "currency": "EUR"}}),
        json!({"transaction": null}),
        json!({"channel": "fax"}),
        json!({"extra": null}),
    ]
}

#[tokio::test]
async fn send_is_accepted_if_its_body_matches_the_document() {
    let service = Service::start_with(&[("OTP_PREFIX_SENDS", "1000/600")]).await;
    let too_long = format!("{LONGEST_TAG}4");
    let locales = LANGUAGE_TAGS
        .into_iter()
        .chain(INVALID_TAGS)
        .chain([LONGEST_TAG, &too_long])
        .map(|tag| json!({"locale": tag}));
    for (n, more) in locales.chain(other_fields()).enumerate() {
        let body = with(
            json!({"to": phone(u32::try_from(n).expect("few") + 1)}),
            &more,
        );
        let sent = service.send_body(body.clone()).await;
        assert_eq!(
            sent.status == 201,
            CONTRACT.accepts("CreateVerification", &body),
            "{more}: {sent:?}"
        );
    }
}

#[test]
fn request_schemas_reject_invalid_bodies() {
    let invalid: [(&str, Value); 4] = [
        ("CreateVerification", json!({})),
        ("Resend", json!({"to": "x"})),
        ("Check", json!({"code": 1})),
        ("RecipientRequest", json!({"to": ["x"]})),
    ];
    for (name, body) in invalid {
        assert!(!CONTRACT.accepts(name, &body), "{name}: {body}");
    }
}
