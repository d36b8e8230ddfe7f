//! Attacks by input that a parser or a log does not expect.

use serde_json::json;
use support::{DEFAULT_KEY, LocalProcess, Service, TO, assert_status};

use crate::attack::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "panicking_parsers",
        published: "A phone number makes the parser panic (CVE-2023-42444, CVE-2024-39697)",
        tried: "`phone-context`, extensions, separators without digits, 16,000 characters, letters, other scripts",
        bound: "0 panics, 0 messages",
        run: || Box::pin(panicking_parsers()),
    },
    Attack {
        name: "injected_logs",
        published: "Escape sequences and line breaks in user text forge log records (tracing-subscriber RUSTSEC-2025-0055)",
        tried: "terminal escapes, line breaks and JSON in fields, paths, queries and headers of requests that are accepted or rejected",
        bound: "0 forged records, 0 escapes",
        run: || Box::pin(injected_logs()),
    },
];

async fn panicking_parsers() -> String {
    let service = Service::start().await;
    let long = "9".repeat(16_000);
    let separators = "-".repeat(200);
    for to in [
        ";phone-context=",
        "+12025550143;phone-context=",
        ".;phone-context=",
        "+;phone-context=+",
        "tel:+1-202-555-0143;isub=1;phone-context=example.com",
        "+1202555;ext=",
        "+1 202 555 0143 ext. 99999999999999999999",
        "+99999999999999999999",
        "+",
        "++",
        "+0",
        "00",
        "（",
        "+1\u{0}2025550143",
        "+\u{1d7ce}\u{1d7cf}",
        "0x1p-2",
        "+1-800-FLOWERS",
        &long,
        &separators,
    ] {
        for country in [None, Some("US"), Some("DE"), Some("AQ")] {
            let response = service
                .send_body(json!({"to": to, "country": country}))
                .await;
            assert!(
                [400, 413, 422].contains(&response.status),
                "{to:.40}: {response:?}"
            );
        }
    }
    assert_status(&service.send(TO).await, 201);
    assert_eq!(service.messages(TO).await.len(), 1);
    "422 for each (413 where the body is over 16 KiB); the next send is accepted".to_owned()
}

async fn injected_logs() -> String {
    const FORGED: &str = "forged-record";
    let process = LocalProcess::start(&[], None).await;
    let service = &process.service;
    let texts = [
        format!("\u{1b}[2J\u{1b}]0;{FORGED}\u{7}"),
        format!("x\n2026-01-01T00:00:00Z ERROR {FORGED}"),
        format!("x\r\n{{\"level\":\"ERROR\",\"message\":\"{FORGED}\"}}"),
        format!("\u{9b}31m{FORGED}"),
    ];
    for text in &texts {
        for field in [
            "to",
            "purpose",
            "reference",
            "locale",
            "country",
            "client_ip",
            text,
        ] {
            let mut body = json!({"to": TO});
            body[field] = text.as_str().into();
            let response = service.send_body(body).await;
            assert!(response.status < 500, "{response:?}");
        }
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for path in [
            format!("/v1/verifications/{encoded}"),
            format!("/v1/callbacks/{encoded}/{encoded}?q={encoded}"),
            format!("/{encoded}"),
        ] {
            let response = service.call("GET", &path, None).await;
            assert!((400..500).contains(&response.status), "{response:?}");
        }
        let printable: String = text
            .chars()
            .filter(|c| *c == '\t' || !c.is_control())
            .collect();
        let headers = [
            ("user-agent", printable.as_str()),
            ("idempotency-key", &printable),
        ];
        let body = Some(json!({"to": TO}));
        let response = service
            .call_as(DEFAULT_KEY, "POST", "/v1/verifications", body, &headers)
            .await;
        assert!(response.status < 500, "{response:?}");
    }
    let log = process.kill().await;
    assert!(log.lines().count() > 10, "{log}");
    let is_forged = |line: &&str| line.contains(FORGED) && line.starts_with(['2', '{', 'x']);
    assert_eq!(log.lines().find(is_forged), None, "{log}");
    let is_escape = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!log.contains(is_escape), "{log:?}");
    "nothing of it is logged as a record of its own; no control character".to_owned()
}
