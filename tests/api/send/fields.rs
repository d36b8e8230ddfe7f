//! The fields of a send and of a resend: their bounds. Invalid values are rejected, never guessed.

use serde_json::{Value, json};

use crate::support::{
    DEFAULT_KEY, NO_SEND_LIMITS, Service, assert_fields, assert_problem, assert_status, phone,
    unix_seconds, with,
};

/// One character more than the maximum.
fn too_long(length_max: usize) -> String {
    "x".repeat(length_max + 1)
}

#[tokio::test]
async fn value_within_its_bounds_is_accepted() {
    let service = Service::start().await;
    let most =
        json!({"amount": "9".repeat(64), "currency": "C".repeat(64), "payee": "P".repeat(64)});
    let least = json!({"amount": "9", "currency": "€", "payee": "P"});
    let bodies = [
        json!({"channel": "sms"}),
        json!({"channel": "voice"}),
        json!({"channel": "whatsapp"}),
        json!({"country": "FR"}),
        json!({"country": "US"}),
        json!({"country": "de"}),
        json!({"country": "gB\n"}),
        json!({"locale": "zh-Hant-TW"}),
        json!({"locale": "fr_FR"}),
        json!({"locale": " pt_br\u{200b}"}),
        json!({"purpose": "a"}),
        json!({"purpose": "abcdefghijklmnopqrstuvwxyz_-0189"}),
        json!({"transaction": most}),
        json!({"transaction": least}),
        json!({"code_length": 6}),
        json!({"code_length": 10}),
        json!({"ttl_seconds": 60}),
        json!({"ttl_seconds": 1800}),
        json!({"ttl_seconds": 120.0, "code_length": 8.0}),
        json!({"client_ip": "203.0.113.7"}),
        json!({"client_ip": "2001:db8::1"}),
        json!({"client_ip": "203.0.113.8:5678"}),
        json!({"client_ip": "[2001:db8:1::1]:443"}),
        json!({"client_ip": "\u{feff}203.0.113.9 "}),
        json!({"fallback": []}),
        json!({"fallback": ["voice"]}),
        json!({"fallback": ["voice", "whatsapp", "sms"]}),
        json!({"reference": ""}),
        json!({"reference": "x".repeat(64)}),
        json!({"reference": "<b>\"order\" № 1 \\ ☂</b>"}),
    ];
    for (n, more) in bodies.into_iter().enumerate() {
        let sent = service
            .send_body(with(json!({"to": phone(n as u32 + 1)}), &more))
            .await;
        assert_eq!(sent.status, 201, "{more}: {sent:?}");
        for echoed in ["channel", "purpose", "transaction", "reference"] {
            assert!(
                more.get(echoed)
                    .is_none_or(|value| *value == sent.body[echoed]),
                "{more}: {sent:?}"
            );
        }
    }
}

/// Fields with values outside their bounds.
fn invalid_values() -> Vec<(&'static str, Value)> {
    let mut all = invalid_transactions();
    all.extend([
        ("channel", json!("fax")),
        ("channel", json!("SMS")),
        ("channel", json!("")),
        ("country", json!("FRA")),
        ("country", json!("ZZ")),
        ("country", json!("d e")),
        ("country", json!("")),
        ("locale", json!("fr FR")),
        ("locale", json!("fr_FR.UTF-8")),
        ("locale", json!("")),
        ("locale", json!("not a language")),
        ("locale", json!("x")),
        ("locale", json!("en-x")),
        ("locale", json!("x-")),
        ("locale", json!("en-x-12345678-12345678-12345678-1234")),
        ("purpose", json!("")),
        ("purpose", json!(too_long(32))),
        ("purpose", json!("Login")),
        ("purpose", json!("log in")),
        ("purpose", json!("é")),
        ("code_length", json!(5)),
        ("code_length", json!(11)),
        ("code_length", json!(0)),
        ("code_length", json!(-6)),
        ("ttl_seconds", json!(59)),
        ("ttl_seconds", json!(1801)),
        ("ttl_seconds", json!(-60)),
        ("client_ip", json!("300.1.1.1")),
        ("client_ip", json!("localhost")),
        ("client_ip", json!("")),
        ("client_ip", json!("203.0.113.7, 203.0.113.8")),
        ("client_ip", json!("fe80::1%eth0")),
        ("client_ip", json!("[fe80::1%1]:443")),
        ("client_ip", json!("203.0.113.0/24")),
        ("push_to", json!("")),
        ("push_to", json!("a\nb")),
        ("push_to", json!(too_long(2048))),
        ("fallback", json!(["fax"])),
        ("fallback", json!(["voice", "whatsapp", "sms", "voice"])),
        ("reference", json!(too_long(64))),
    ]);
    all
}

fn invalid_transactions() -> Vec<(&'static str, Value)> {
    let transaction = |amount: &str, currency: &str, payee: &str| json!({"amount": amount, "currency": currency, "payee": payee});
    vec![
        ("transaction.amount", transaction("", "EUR", "P")),
        ("transaction.currency", transaction("1", "", "P")),
        ("transaction.payee", transaction("1", "EUR", "")),
        ("transaction.amount", transaction(&too_long(64), "EUR", "P")),
        ("transaction.payee", transaction("1", "EUR", &too_long(64))),
        (
            "transaction.payee",
            json!({"amount": "1", "currency": "EUR"}),
        ),
        ("transaction.amount", transaction("\u{2060}", "EUR", "P")),
        (
            "transaction.currency",
            transaction("1", "\u{feff}\u{202e}", "P"),
        ),
        ("transaction.payee", transaction("1", "EUR", " ")),
        ("transaction.payee", transaction("1", "EUR", "\u{200b}")),
        (
            "transaction.payee",
            transaction("1", "EUR", "\u{2060} \u{a0}\u{200b}\n"),
        ),
        (
            "transaction.payee",
            transaction("1", "EUR", "\u{fffe}\u{ffff}\u{fdd0}\u{1fffe}"),
        ),
        ("transaction.payee", transaction("1", "EUR", "@")),
    ]
}

#[tokio::test]
async fn value_outside_its_bounds_is_rejected_with_its_field() {
    let service = Service::start().await;
    for (field, value) in invalid_values() {
        let name = field.split('.').next().unwrap_or_default();
        let response = service
            .send_body(with(json!({"to": phone(1)}), &json!({name: value})))
            .await;
        assert_eq!(
            response.problem(),
            (422, "invalid_request"),
            "{field}: {value}"
        );
        assert_eq!(response.error_fields(), [field], "{value}: {response:?}");
    }
    let sent = service.send(&phone(1)).await;
    // Rejected sends are not counted.
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"sends_left": 4}));
}

/// Bodies with a value of another type, or with an unknown field.
fn bodies_with_wrong_types(to: &str) -> Vec<Value> {
    let wrong = [json!(1), json!(true), json!([]), json!({}), json!([to])];
    let fields = [
        "to",
        "channel",
        "country",
        "locale",
        "purpose",
        "client_ip",
        "reference",
    ];
    let mut bodies: Vec<Value> = fields
        .iter()
        .flat_map(|name| {
            wrong
                .iter()
                .map(|value| with(json!({"to": to}), &json!({*name: value})))
        })
        .collect();
    for (name, value) in [
        ("transaction", json!("1 EUR P")),
        ("transaction", json!(["1", "EUR", "P"])),
        (
            "transaction",
            json!({"amount": 1, "currency": "EUR", "payee": "P"}),
        ),
        (
            "transaction",
            json!({"amount": "1", "currency": "EUR", "payee": "P", "iban": "x"}),
        ),
        ("transaction", json!({})),
        ("code_length", json!("6")),
        ("code_length", json!(6.5)),
        ("ttl_seconds", json!("60")),
        ("ttl_seconds", json!(60.5)),
        ("ttl_seconds", json!(u64::MAX)),
        ("fallback", json!("voice")),
        ("fallback", json!({"0": "voice"})),
        ("fallback", json!(["voice", 1])),
        ("fallback", json!([null])),
        ("fallback", json!([["voice"]])),
        ("code", json!("123456")),
        ("To", json!(to)),
        ("", json!("")),
    ] {
        bodies.push(with(json!({"to": to}), &json!({name: value})));
    }
    bodies.extend([json!({}), json!({"to": null}), json!({"channel": "sms"})]);
    bodies
}

#[tokio::test]
async fn value_of_another_type_is_rejected() {
    let service = Service::start().await;
    let to = phone(1);
    for body in bodies_with_wrong_types(&to) {
        let response = service.send_body(body.clone()).await;
        assert!(
            matches!(
                response.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{body}: {response:?}"
        );
    }
    assert_eq!(service.messages(&to).await.len(), 0);
}

#[tokio::test]
async fn whole_number_is_accepted_in_any_notation() {
    let service = Service::start().await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    for (n, number, ttl) in [
        (1, "120.0", 120),
        (2, "1.2e2", 120),
        (3, "6E1", 60),
        (4, "1800.000", 1800),
    ] {
        let sent = service
            .raw(
                "POST",
                "/v1/verifications",
                &headers,
                format!("{{\"to\":\"{}\",\"ttl_seconds\":{number}}}", phone(n)),
            )
            .await;
        assert_eq!(sent.status, 201, "{number}: {sent:?}");
        assert_eq!(
            unix_seconds(&sent.body["expires_at"]) - unix_seconds(&sent.body["created_at"]),
            ttl,
            "{number}"
        );
    }
}

#[tokio::test]
async fn number_with_a_fraction_is_rejected() {
    let service = Service::start().await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    for number in [
        "120.5",
        "1.2e1",
        "1e300",
        "1e400",
        "-120.0",
        "1e-400",
        "\"120.0\"",
    ] {
        let response = service
            .raw(
                "POST",
                "/v1/verifications",
                &headers,
                format!("{{\"to\":\"{}\",\"ttl_seconds\":{number}}}", phone(5)),
            )
            .await;
        assert!(
            matches!(
                response.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{number}: {response:?}"
        );
    }
}

#[tokio::test]
async fn all_invalid_fields_are_reported_together() {
    let service = Service::start().await;
    let response = service
        .send_body(json!({"to": phone(1), "ttl_seconds": 1, "code_length": 99, "purpose": "?"}))
        .await;
    assert_problem(&response, 422, "invalid_request");
    let mut fields = response.error_fields();
    fields.sort_unstable();
    assert_eq!(fields, ["code_length", "purpose", "ttl_seconds"]);
}

#[tokio::test]
async fn code_length_is_at_least_that_of_the_policy() {
    let service = Service::start_with(&[("OTP_CODE_LENGTH", "7")]).await;
    for (n, length) in [(1, 7), (2, 8), (3, 9), (4, 10)] {
        assert_status(
            &service
                .send_body(json!({"to": phone(n), "code_length": length}))
                .await,
            201,
        );
        assert_eq!(service.code(&phone(n)).await.len(), length);
    }
    assert_problem(
        &service
            .send_body(json!({"to": phone(5), "code_length": 6}))
            .await,
        422,
        "invalid_request",
    );
    assert_status(&service.send(&phone(5)).await, 201);
    assert_eq!(service.code(&phone(5)).await.len(), 7);
}

#[tokio::test]
async fn code_expires_after_the_requested_ttl() {
    let service = Service::start().await;
    for (n, ttl) in [(1, 60), (2, 301), (3, 1800)] {
        let sent = service
            .send_body(json!({"to": phone(n), "ttl_seconds": ttl}))
            .await;
        assert_eq!(
            unix_seconds(&sent.body["expires_at"]) - unix_seconds(&sent.body["created_at"]),
            ttl
        );
    }
}

#[tokio::test]
async fn resend_accepts_channel_and_client_only() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let id = service.send(&phone(1)).await.id();
    for body in [
        json!({}),
        json!({"channel": null, "client_ip": null}),
        json!({"channel": "voice", "client_ip": "2001:db8::1"}),
    ] {
        assert_eq!(
            service.resend_body(&id, body.clone()).await.status,
            200,
            "{body}"
        );
    }
    for body in [
        json!({"channel": "fax"}),
        json!({"channel": 1}),
        json!({"client_ip": "x"}),
        json!({"to": phone(1)}),
        json!({"code_length": 6}),
    ] {
        let response = service.resend_body(&id, body.clone()).await;
        assert!(
            matches!(
                response.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{body}: {response:?}"
        );
    }
    assert_status(&service.resend_body(&id, json!([])).await, 400);
    assert_eq!(
        service.show(&id).await.body["deliveries"]
            .as_array()
            .map(Vec::len),
        Some(4)
    );
}
