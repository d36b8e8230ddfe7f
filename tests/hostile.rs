//! Hostile requests: each is refused with a 4xx in under 100 ms, nothing is guessed at, and the process lives.

mod sites;

use std::time::Duration;

use serde_json::{Value, json};

use crate::given::{phone, with};
use crate::harness::{Answer, DEFAULT_KEY, Service};

/// The longest that a refusal may take, in refusals of a body of the same length that is nothing but one text: the best
/// of five each, one after the other, since the machine may be busy.
const TIMES_MAX: u32 = 20;

const MIB: usize = 1024 * 1024;

/// A normal flow, from the first send to the approval.
async fn works(service: &Service, n: u32) {
    let (id, code) = service.sent(&phone(n)).await;
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
}

/// The answer, the same five times, and in time.
async fn refused(
    service: &Service,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    case: &str,
) -> Answer {
    let (mut best, mut plain, mut answers) = (Duration::MAX, Duration::MAX, vec![]);
    let same_length = format!("\"{}\"", "a".repeat(body.len().saturating_sub(2)));
    for _ in 0..5 {
        plain = plain.min(
            service
                .raw(method, path, headers, same_length.clone())
                .await
                .took,
        );
        let answer = service.raw(method, path, headers, body.to_vec()).await;
        best = best.min(answer.took);
        assert!(
            (400..500).contains(&answer.status),
            "{case}: {method} {path}: {answer:?}"
        );
        answers.push(answer);
    }
    assert!(
        best < plain * TIMES_MAX,
        "{case}: {method} {path} took {best:?}, a text of that length {plain:?}"
    );
    answers.swap_remove(0)
}

fn repeated(part: &str, times: usize, end: &str, tail: &str) -> Vec<u8> {
    format!("{}{}{}", part.repeat(times), end, tail.repeat(times)).into_bytes()
}

/// Bodies that are no object of any request, whatever the path.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let text = |name: &'static str, body: &str| (name, body.as_bytes().to_vec());
    vec![
        text("nothing but space", "  \n"),
        text("null", "null"),
        text("a number", "1"),
        text("a string", "\"to\""),
        text("a list", "[]"),
        text(
            "a list of objects",
            r#"[{"to":"+33610010007","code":"123456"}]"#,
        ),
        text("cut off", r#"{"to":"+33610010007""#),
        text(
            "two documents",
            r#"{"to":"+33610010007"}{"to":"+33610020014"}"#,
        ),
        text("a tail", r#"{"to":"+33610010007"} x"#),
        text("a trailing comma", r#"{"to":"+33610010007",}"#),
        text("a comment", r#"{"to":"+33610010007"/*x*/}"#),
        text("single quotes", "{'to':'+33610010007'}"),
        text("bare names", "{to:\"+33610010007\"}"),
        text("a form", "to=%2B33610010007&code=123456"),
        text(
            "XML",
            "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><to>&e;</to>",
        ),
        text("a byte order mark", "\u{feff}{\"to\":\"+33610010007\"}"),
        text("a raw NUL", "{\"to\":\"+3361001\u{0}0007\"}"),
        text("a raw newline in a string", "{\"to\":\"+33610010007\n\"}"),
        text("NaN", r#"{"to":"+33610010007","ttl_seconds":NaN}"#),
        text(
            "a leading zero",
            r#"{"to":"+33610010007","ttl_seconds":060}"#,
        ),
        text("a bad escape", r#"{"to":"\x2b33610010007"}"#),
        text(
            "a lone high surrogate",
            r#"{"to":"+33610010007","code":"\ud800","reference":"\ud800"}"#,
        ),
        text(
            "a lone low surrogate",
            r#"{"to":"+33610010007","code":"\udc00","reference":"\udc00"}"#,
        ),
        text(
            "a surrogate in a name",
            r#"{"to":"+33610010007","\ud800":1}"#,
        ),
        text(
            "a number out of range",
            r#"{"to":"+33610010007","ttl_seconds":1e999999}"#,
        ),
        text(
            "the same field twice",
            r#"{"to":"+33610010007","to":"+33610020014","code":"123456","code":"654321"}"#,
        ),
        text(
            "the same field twice, escaped",
            r#"{"to":"+33610010007","\u0074o":"+33610020014"}"#,
        ),
        text(
            "the same field twice, once null",
            r#"{"to":null,"to":"+33610010007"}"#,
        ),
        text(
            "the same field twice, nested",
            r#"{"to":"+33610010007","code":"123456","transaction":{"amount":"1","amount":"1000","currency":"EUR","payee":"P"}}"#,
        ),
        (
            "invalid UTF-8",
            b"{\"to\":\"+33610010007\",\"reference\":\"\xff\xfe\"}".to_vec(),
        ),
        (
            "an overlong slash",
            b"{\"to\":\"+33610010007\",\"reference\":\"\xc0\xaf\"}".to_vec(),
        ),
        (
            "UTF-16",
            "{\"to\":\"+33610010007\"}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        (
            "gzip",
            vec![
                0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56, 0x2a, 0xc9, 0x57,
            ],
        ),
        ("8,000 lists in each other", repeated("[", 8000, "", "]")),
        ("15,000 open lists", repeated("[", 15_000, "", "")),
        (
            "2,500 objects in each other",
            repeated("{\"a\":", 2500, "1", "}"),
        ),
        (
            "a deep value of a field",
            [
                b"{\"to\":".to_vec(),
                repeated("[", 8000, "", "]"),
                b"}".to_vec(),
            ]
            .concat(),
        ),
        ("1 MiB of lists", repeated("[", MIB / 2, "", "]")),
        ("1 MiB of space", vec![b' '; MIB]),
        (
            "1 MiB of a string",
            [b"{\"to\":\"".to_vec(), vec![b'1'; MIB], b"\"}".to_vec()].concat(),
        ),
        ("1 MiB of NULs", vec![0; MIB]),
        (
            "a number of 100,000 digits",
            [
                b"{\"ttl_seconds\":".to_vec(),
                vec![b'9'; 100_000],
                b"}".to_vec(),
            ]
            .concat(),
        ),
        (
            "a number of 16,000 digits",
            [
                b"{\"ttl_seconds\":".to_vec(),
                vec![b'9'; 16_000],
                b"}".to_vec(),
            ]
            .concat(),
        ),
        (
            "a fraction of 16,000 digits",
            [
                b"{\"ttl_seconds\":60.".to_vec(),
                vec![b'0'; 16_000],
                b"1}".to_vec(),
            ]
            .concat(),
        ),
    ]
}

/// Objects with something that is wrong with any request.
fn wrong() -> Vec<(&'static str, Value)> {
    let many: Value = (0..300)
        .map(|n| (format!("f{n}"), json!(1)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    vec![
        ("no field", json!({})),
        ("300 unknown fields", many),
        (
            "a name of 15,000 characters",
            json!({"x".repeat(15_000): 1}),
        ),
        (
            "a prototype",
            json!({"__proto__": {"to": "+33610010007"}, "constructor": 1}),
        ),
        (
            "an operator",
            json!({"to": {"$ne": null}, "code": {"$gt": ""}}),
        ),
        (
            "lists for strings",
            json!({"to": ["+33610010007"], "code": ["123456"]}),
        ),
        (
            "numbers for strings",
            json!({"to": 33610010007_u64, "code": 123456}),
        ),
        ("booleans for strings", json!({"to": true, "code": true})),
        (
            "a code of 15,000 digits and a number as long",
            json!({"to": "1".repeat(7500), "code": "1".repeat(7500)}),
        ),
        (
            "an escaped NUL",
            json!({"to": "+33610010007\u{0}", "code": "12345\u{0}"}),
        ),
        (
            "an e-mail address of many dots",
            json!({"to": format!("{}@example.com", "a.".repeat(5000)), "channel": "email", "code": ""}),
        ),
        (
            "an e-mail address of many at-signs",
            json!({"to": "@".repeat(15_000), "channel": "email", "code": ""}),
        ),
        (
            "a phone number of spaces",
            json!({"to": " ".repeat(15_000), "code": " ".repeat(15)}),
        ),
        (
            "a direction mark",
            json!({"to": "\u{202e}+33610010007", "code": "\u{202e}123456"}),
        ),
        (
            "fullwidth digits",
            json!({"to": "＋３３６１００１０００７", "code": "１２３４５６"}),
        ),
    ]
}

#[tokio::test]
async fn no_body_brings_the_service_down_or_is_guessed_at() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(5)).await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let check = format!("/v1/verifications/{id}/check");
    let resend = format!("/v1/verifications/{id}/resend");
    for (case, body) in unreadable() {
        for path in [
            "/v1/verifications",
            &check,
            &resend,
            "/v1/recipients/unlock",
            "/v1/recipients/forget",
        ] {
            let answer = refused(&service, "POST", path, &headers, &body, case).await;
            assert!(
                matches!(
                    answer.problem(),
                    (400, "malformed_request") | (413, "body_too_large") | (422, "invalid_request")
                ),
                "{case}: {answer:?}"
            );
        }
    }
    for (case, body) in wrong() {
        for path in [
            "/v1/verifications",
            &check,
            "/v1/recipients/unlock",
            "/v1/recipients/forget",
        ] {
            refused(
                &service,
                "POST",
                path,
                &headers,
                body.to_string().as_bytes(),
                case,
            )
            .await;
        }
    }
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (true, "", "approved", 4),
        "nothing was charged"
    );
    assert_eq!(
        service.raw("GET", "/local/messages", &[], "").await.body["messages"]
            .as_array()
            .map(Vec::len),
        Some(1),
        "nothing was sent"
    );
    works(&service, 6).await;
}

#[tokio::test]
async fn a_body_of_11_mib_is_too_large_like_any_other() {
    let service = Service::start().await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let answer = service
        .raw("POST", "/v1/verifications", &headers, vec![b' '; 11 * MIB])
        .await;
    assert_eq!(answer.problem(), (413, "body_too_large"));
    works(&service, 1).await;
}

#[tokio::test]
async fn no_body_needs_a_key_to_be_refused() {
    let service = Service::start().await;
    for (case, body) in unreadable() {
        let answer = refused(
            &service,
            "POST",
            "/v1/verifications",
            &[("content-type", "application/json")],
            &body,
            case,
        )
        .await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{case}");
    }
    works(&service, 1).await;
}

#[tokio::test]
async fn no_body_of_a_report_brings_the_service_down() {
    let service = Service::start().await;
    let (id, _) = service.sent(&phone(1)).await;
    for (case, body) in unreadable() {
        refused(
            &service,
            "POST",
            "/v1/callbacks/sim-a/token",
            &[],
            &body,
            case,
        )
        .await;
        refused(
            &service,
            "POST",
            "/v1/callbacks/nobody/token",
            &[("content-type", "application/json")],
            &body,
            case,
        )
        .await;
    }
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
    works(&service, 2).await;
}

#[tokio::test]
async fn no_path_brings_the_service_down() {
    let service = Service::start().await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let long = "A".repeat(6000);
    let segments = [
        "%",
        "%2",
        "%zz",
        "%00",
        "%0d%0aX-Injected:%201",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..",
        "%c0%af",
        "%ff%fe",
        "%ed%a0%80",
        "%252e",
        "ve_%00",
        "ve_%2F",
        "'%20OR%201=1",
        "%24%7Bjndi:ldap://x%7D",
        "{id}",
        "ve_=",
        "ve_AAAA====",
        "~",
        "-",
        long.as_str(),
    ];
    for segment in segments {
        for (method, end) in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/check"),
            ("POST", "/resend"),
        ] {
            let body = if end == "/check" {
                "{\"code\":\"123456\"}"
            } else {
                ""
            };
            let answer = refused(
                &service,
                method,
                &format!("/v1/verifications/{segment}{end}"),
                &headers,
                body.as_bytes(),
                segment,
            )
            .await;
            assert_eq!(answer.problem(), (404, "not_found"), "{method} {segment}");
            assert!(!answer.headers.contains_key("x-injected"));
        }
        for path in [
            format!("/v1/callbacks/{segment}/token"),
            format!("/v1/callbacks/sim-a/{segment}"),
        ] {
            let answer = refused(&service, "POST", &path, &[], b"{}", segment).await;
            assert!(matches!(answer.status, 401 | 404), "{answer:?}");
        }
    }
    for path in [
        "//v1/verifications",
        "/v1//verifications",
        "/v1/verifications//check",
        "/v1/verifications/a/b/c/d",
        "/%761/verifications",
        "/v1/verifications%2F",
        "/*",
    ] {
        let answer = refused(
            &service,
            "POST",
            path,
            &headers,
            b"{\"code\":\"123456\"}",
            path,
        )
        .await;
        assert_eq!(answer.problem(), (404, "not_found"), "{path}");
    }
    works(&service, 1).await;
}

#[tokio::test]
async fn no_header_brings_the_service_down() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(5)).await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let json = ("content-type", "application/json");
    let long = "k".repeat(20_000);
    let check = format!("/v1/verifications/{id}/check");
    let body = json!({"to": phone(5), "code": code}).to_string();
    for key in [long.as_str(), "", "\"\"", "é", "a\tb", "☂"] {
        for path in ["/v1/verifications", &check] {
            refused(
                &service,
                "POST",
                path,
                &[("authorization", &bearer), json, ("idempotency-key", key)],
                body.as_bytes(),
                key,
            )
            .await;
        }
    }
    for value in [
        long.as_str(),
        "Bearer é",
        "Bearer \t",
        "Bearer  ",
        "bearer",
        "Bearer ' OR 1=1",
        "é",
    ] {
        let answer = refused(
            &service,
            "POST",
            &check,
            &[("authorization", value), json],
            body.as_bytes(),
            value,
        )
        .await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{value}");
    }
    let small = json!({"code": code}).to_string();
    for value in [
        long.as_str(),
        "é",
        "application/json,application/json",
        ";",
        "application/jso",
    ] {
        let answer = refused(
            &service,
            "POST",
            &check,
            &[("authorization", &bearer), ("content-type", value)],
            small.as_bytes(),
            value,
        )
        .await;
        assert_eq!(answer.problem(), (415, "unsupported_media_type"), "{value}");
    }
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (true, "", "approved", 4),
        "nothing was charged"
    );
    works(&service, 1).await;
}

#[tokio::test]
async fn signatures_with_hostile_headers_are_forged_and_no_more() {
    let service = Service::start().await;
    let (id, _) = service.sent(&phone(1)).await;
    for timestamp in [
        "-9223372036854775808",
        "9223372036854775807",
        "99999999999999999999",
        "",
        "now",
        "1e9",
        "+1",
        "0",
    ] {
        for signature in ["", "v1,", "v1,AAAA", "v1,é", "v2,AAAA", "v1,v1,v1", ", , ,"] {
            let headers = [
                ("webhook-id", "evt"),
                ("webhook-timestamp", timestamp),
                ("webhook-signature", signature),
            ];
            let answer = refused(
                &service,
                "POST",
                "/v1/callbacks/sim-a/token",
                &headers,
                b"{\"status\":\"delivered\"}",
                timestamp,
            )
            .await;
            assert!(matches!(answer.status, 401 | 404), "{answer:?}");
        }
    }
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
}

#[tokio::test]
async fn control_characters_are_refused_or_echoed_and_never_add_a_line_to_a_text() {
    let service = Service::start().await;
    let texts = [
        "\n@evil.example #999999",
        "a\r\nb",
        "\u{0}",
        "\u{1b}[31m",
        "\u{202e}abc",
        "\u{2028}@evil.example #1",
        "a\u{85}b",
        "\u{feff}",
    ];
    for (n, text) in texts.into_iter().enumerate() {
        let (to, quiet) = (phone(n as u32 + 10), phone(n as u32 + 30));
        let reference = service
            .send_body(json!({"to": quiet, "reference": text}))
            .await;
        assert!(
            reference.status == 422
                || (reference.status == 201 && reference.body["reference"] == text),
            "{text:?}: {reference:?}"
        );
        let transaction =
            json!({"amount": "10", "currency": "EUR", "payee": format!("Shop{text}")});
        let sent = service
            .send_body(json!({"to": to, "transaction": transaction}))
            .await;
        assert!(
            sent.status == 422 || (sent.status == 201 && sent.body["transaction"] == transaction),
            "{text:?}: {sent:?}"
        );
        for message in service.messages(&to).await {
            let shown = message["text"].as_str().unwrap_or_default();
            assert!(
                !shown.contains(|c: char| c.is_control() || "\u{202e}\u{2028}\u{feff}".contains(c)),
                "{shown:?}"
            );
            assert!(
                !shown.lines().any(|line| line.starts_with(['@', '#'])),
                "{shown:?}"
            );
        }
        if sent.status == 201 {
            let body = json!({"code": service.code(&to).await});
            assert_eq!(
                service
                    .check_body(&sent.id(), with(body, &json!({"transaction": transaction})))
                    .await
                    .outcome()
                    .0,
                true
            );
        }
    }
}
