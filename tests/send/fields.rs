//! The fields of a send and of a resend: their bounds, and that nothing is guessed.

use serde_json::{Value, json};

use crate::given::{NO_SEND_LIMITS, phone, seconds, with};
use crate::harness::{DEFAULT_KEY, Service};

/// One more than the longest text.
fn long(length: usize) -> String {
    "x".repeat(length + 1)
}

#[tokio::test]
async fn a_value_within_its_bounds_is_taken() {
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
        json!({"locale": "zh-Hant-TW"}),
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

#[tokio::test]
async fn a_value_outside_its_bounds_is_refused_and_its_field_named() {
    let service = Service::start().await;
    let transaction = |amount: &str, currency: &str, payee: &str| json!({"amount": amount, "currency": currency, "payee": payee});
    let cases = [
        ("channel", json!("fax")),
        ("channel", json!("SMS")),
        ("channel", json!("")),
        ("country", json!("FRA")),
        ("country", json!("ZZ")),
        ("country", json!("")),
        ("locale", json!("fr_FR")),
        ("locale", json!("")),
        ("locale", json!("not a language")),
        ("locale", json!("x")),
        ("locale", json!("en-x")),
        ("locale", json!("x-")),
        ("locale", json!("en-x-12345678-12345678-12345678-1234")),
        ("purpose", json!("")),
        ("purpose", json!(long(32))),
        ("purpose", json!("Login")),
        ("purpose", json!("log in")),
        ("purpose", json!("é")),
        ("transaction.amount", transaction("", "EUR", "P")),
        ("transaction.currency", transaction("1", "", "P")),
        ("transaction.payee", transaction("1", "EUR", "")),
        ("transaction.amount", transaction(&long(64), "EUR", "P")),
        ("transaction.payee", transaction("1", "EUR", &long(64))),
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
        ("client_ip", json!("203.0.113.7:80")),
        ("client_ip", json!("203.0.113.0/24")),
        ("fallback", json!(["fax"])),
        ("fallback", json!(["voice", "whatsapp", "sms", "voice"])),
        ("reference", json!(long(64))),
    ];
    for (field, value) in cases {
        let name = field.split('.').next().unwrap_or_default();
        let answer = service
            .send_body(with(json!({"to": phone(1)}), &json!({name: value})))
            .await;
        assert_eq!(
            answer.problem(),
            (422, "invalid_request"),
            "{field}: {value}"
        );
        let named: Vec<_> = answer.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|error| error["field"].as_str())
            .collect();
        assert_eq!(named, [field], "{value}: {answer:?}");
    }
    let sent = service.send(&phone(1)).await;
    assert_eq!(
        (sent.status, &sent.body["sends_left"]),
        (201, &json!(4)),
        "what was refused counts for nothing"
    );
}

#[tokio::test]
async fn a_value_of_another_type_or_an_unknown_field_is_never_guessed_at() {
    let service = Service::start().await;
    let to = phone(1);
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
    for body in bodies {
        let answer = service.send_body(body.clone()).await;
        assert!(
            matches!(
                answer.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{body}: {answer:?}"
        );
    }
    assert_eq!(service.messages(&to).await.len(), 0);
}

#[tokio::test]
async fn a_whole_number_is_whole_however_it_is_written() {
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
            seconds(&sent.body["expires_at"]) - seconds(&sent.body["created_at"]),
            ttl,
            "{number}"
        );
    }
    for number in [
        "120.5",
        "1.2e1",
        "1e300",
        "1e400",
        "-120.0",
        "1e-400",
        "\"120.0\"",
    ] {
        let answer = service
            .raw(
                "POST",
                "/v1/verifications",
                &headers,
                format!("{{\"to\":\"{}\",\"ttl_seconds\":{number}}}", phone(5)),
            )
            .await;
        assert!(
            matches!(
                answer.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{number}: {answer:?}"
        );
    }
    for (number, status) in [
        ("0.0", 200),
        ("-0", 200),
        ("6e1", 200),
        ("1.5", 400),
        ("-1.0", 400),
        ("4294967296.0", 400),
        ("1e400", 400),
        ("1e300", 400),
    ] {
        let answer = service
            .raw(
                "POST",
                "/local/clock",
                &[],
                format!("{{\"advance_seconds\":{number}}}"),
            )
            .await;
        assert_eq!(answer.status, status, "{number}: {answer:?}");
    }
}

#[tokio::test]
async fn the_clock_ends_where_its_times_could_not_be_written() {
    let service = Service::start().await;
    let longest = r#"{"advance_seconds":4294967295}"#;
    let mut advanced = service.raw("POST", "/local/clock", &[], longest).await;
    while advanced.status == 200 {
        advanced = service.raw("POST", "/local/clock", &[], longest).await;
    }
    assert_eq!(advanced.status, 400, "{advanced:?}");
    let sent = service.send(&phone(1)).await;
    assert!(
        seconds(&sent.body["expires_at"]) > seconds(&sent.body["created_at"]),
        "{sent:?}"
    );
    assert!(
        sent.body["created_at"]
            .as_str()
            .is_some_and(|time| time > "9000"),
        "{sent:?}"
    );
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let service = Service::start().await;
    let answer = service
        .send_body(json!({"to": phone(1), "ttl_seconds": 1, "code_length": 99, "purpose": "?"}))
        .await;
    let mut named: Vec<_> = answer.body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["field"].as_str())
        .collect();
    named.sort_unstable();
    assert_eq!(
        (answer.problem(), named),
        (
            (422, "invalid_request"),
            vec!["code_length", "purpose", "ttl_seconds"]
        )
    );
}

#[tokio::test]
async fn the_code_has_the_length_that_was_asked_for_and_never_less_than_the_policy() {
    let service = Service::start_with(&[("OTP_CODE_LENGTH", "7")]).await;
    for (n, length) in [(1, 7), (2, 8), (3, 9), (4, 10)] {
        assert_eq!(
            service
                .send_body(json!({"to": phone(n), "code_length": length}))
                .await
                .status,
            201
        );
        assert_eq!(service.code(&phone(n)).await.len(), length);
    }
    assert_eq!(
        service
            .send_body(json!({"to": phone(5), "code_length": 6}))
            .await
            .problem(),
        (422, "invalid_request")
    );
    assert_eq!(service.send(&phone(5)).await.status, 201);
    assert_eq!(service.code(&phone(5)).await.len(), 7);
}

#[tokio::test]
async fn the_life_of_a_code_is_the_one_asked_for() {
    let service = Service::start().await;
    for (n, ttl) in [(1, 60), (2, 301), (3, 1800)] {
        let sent = service
            .send_body(json!({"to": phone(n), "ttl_seconds": ttl}))
            .await;
        assert_eq!(
            seconds(&sent.body["expires_at"]) - seconds(&sent.body["created_at"]),
            ttl
        );
    }
}

#[tokio::test]
async fn a_resend_takes_a_channel_and_a_client_and_nothing_else() {
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
        let answer = service.resend_body(&id, body.clone()).await;
        assert!(
            matches!(
                answer.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{body}: {answer:?}"
        );
    }
    assert_eq!(service.resend_body(&id, json!([])).await.status, 400);
    assert_eq!(
        service.show(&id).await.body["deliveries"]
            .as_array()
            .map(Vec::len),
        Some(4)
    );
}
