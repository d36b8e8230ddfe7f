//! Attacks on who receives a code, and on who is known to the service.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{
    DEFAULT_KEY, NO_SEND_LIMITS, ProxiedService, SHOP_KEY, Service, TO, TestResponse, UNKNOWN_ID,
    assert_approved, assert_rejected, assert_status, phone,
};

use crate::attack::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "several_recipients",
        published: "The recipient is a list, and the code goes to all of them (GitLab CVE-2023-7028)",
        tried: "`to` as a list, an object, two numbers in one string, a number with a second header line, and as a repeated field",
        bound: "1 recipient; 0 messages",
        run: || Box::pin(several_recipients()),
    },
    Attack {
        name: "enumeration",
        published: "Answers differ for registered and unknown users (Authy CVE-2024-39891)",
        tried: "sends, `unlock` and `forget` for known and unknown numbers; 4 requests each for unknown ids and those of another app",
        bound: "the same answers; for ids after the same calls to the table",
        run: || Box::pin(enumeration()),
    },
    Attack {
        name: "spellings",
        published: "Another spelling of a number escapes its limits",
        tried: "one number in 9 spellings: separators, `00`, national form, wide and Arabic digits, invisible characters",
        bound: "1 recipient: 1 message",
        run: || Box::pin(spellings()),
    },
    Attack {
        name: "lockout_of_the_owner",
        published: "Strangers use up the attempts of a code that another person waits for",
        tried: "100 checks with guessed ids, with the ids of other verifications, and with the API key of another app",
        bound: "0 attempts of the owner",
        run: || Box::pin(lockout_of_the_owner()),
    },
];

async fn several_recipients() -> String {
    let service = Service::start().await;
    let (first, second) = (phone(1), phone(2));
    let values = [
        json!([first, second]),
        json!([first]),
        json!({"0": first, "1": second}),
        json!({"to": first}),
        json!(format!("{first},{second}")),
        json!(format!("{first};{second}")),
        json!(format!("{first} {second}")),
        json!(format!("{first}\n{second}")),
        json!(format!("{first}\r\nBcc: {second}")),
        json!("ada@example.com,eve@example.com"),
        json!("ada@example.com\nBcc: eve@example.com"),
        json!("<ada@example.com> eve@example.com"),
    ];
    let repeated = [
        format!(r#"{{"to":"{first}","to":"{second}"}}"#),
        format!(r#"{{"to":"{first}","\u0074o":"{second}"}}"#),
        format!(r#"{{"to":"{first}","TO":"{second}"}}"#),
    ];
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let bodies = values.map(|to| {
        let channel = if to.to_string().contains("example") {
            "email"
        } else {
            "sms"
        };
        json!({"to": to, "channel": channel}).to_string()
    });
    for body in bodies.into_iter().chain(repeated) {
        let response = service
            .raw("POST", "/v1/verifications", &headers, body.clone())
            .await;
        assert!(
            [400, 422].contains(&response.status),
            "{body}: {response:?}"
        );
    }
    service.settle().await;
    let messages = service.raw("GET", "/local/messages", &[], "").await;
    assert_eq!(messages.body["messages"], json!([]));
    "400 or 422 for each; no message".to_owned()
}

/// The status and the body of a response without what differs between any two responses.
fn comparable(response: &TestResponse) -> (u16, Value) {
    let mut body = response.body.clone();
    if let Some(fields) = body.as_object_mut() {
        for name in [
            "request_id",
            "id",
            "to",
            "locale",
            "created_at",
            "expires_at",
            "resend_at",
        ] {
            fields.remove(name);
        }
        // The app's own limits, which only its own sends change.
        for name in ["sends_left", "delivery", "deliveries"] {
            fields.remove(name);
        }
    }
    (response.status, body)
}

async fn enumeration() -> String {
    let proxied = ProxiedService::start(&NO_SEND_LIMITS).await;
    let service = &proxied.service;
    let (known, unknown) = ("+12025550143", "+12025550144");
    let foreign = service.send_as(SHOP_KEY, known).await.id();
    service.send(known).await;
    service.settle().await;
    for (method, path) in [
        ("POST", "/v1/verifications"),
        ("POST", "/v1/recipients/unlock"),
        ("POST", "/v1/recipients/forget"),
    ] {
        let mut answers = vec![];
        for to in [known, unknown] {
            proxied.forget_calls();
            answers.push(comparable(
                &service.call(method, path, Some(json!({"to": to}))).await,
            ));
            service.settle().await;
        }
        assert_eq!(answers[0], answers[1], "{path}");
    }
    let body = Some(json!({"code": "123456"}));
    for (method, end, body) in [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/check", body),
        ("POST", "/resend", None),
    ] {
        let mut answers = vec![];
        for id in [UNKNOWN_ID, &foreign] {
            proxied.forget_calls();
            let path = format!("/v1/verifications/{id}{end}");
            let response = service.call(method, &path, body.clone()).await;
            let calls = proxied.table.take_calls();
            let calls: Vec<_> = calls.iter().map(|call| call.operation.clone()).collect();
            answers.push((comparable(&response), calls));
        }
        assert_eq!(answers[0].0.0, 404, "{method} {end}");
        assert_eq!(answers[0], answers[1], "{method} {end}");
    }
    "identical, but for request id, times and the app's own counts; ids: 404 `not_found`".to_owned()
}

async fn spellings() -> String {
    let service = Service::start().await;
    assert_status(&service.send(TO).await, 201);
    let spellings = [
        json!({"to": "+1 (202) 555-0143"}),
        json!({"to": "+1.202.555.0143"}),
        json!({"to": "0012025550143"}),
        json!({"to": "(202) 555-0143", "country": "US"}),
        json!({"to": "＋１２０２５５５０１４３"}),
        json!({"to": "+١٢٠٢٥٥٥٠١٤٣"}),
        json!({"to": "\u{202a}+12025550143\u{202c}"}),
        json!({"to": "+1202\u{200b}5550143"}),
        json!({"to": "+1\u{a0}202\u{2011}555\u{2011}0143"}),
    ];
    let mut statuses = BTreeSet::new();
    for body in spellings {
        let response = service.send_body(body.clone()).await;
        assert!(
            [422, 429].contains(&response.status),
            "{body}: {response:?}"
        );
        if response.status == 429 {
            assert_rejected(&response, "cooldown");
        }
        statuses.insert(response.status);
    }
    assert!(statuses.contains(&429));
    assert_eq!(service.messages(TO).await.len(), 1);
    "429 `cooldown`, or 422 for a spelling that is not accepted; 1 message".to_owned()
}

async fn lockout_of_the_owner() -> String {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let (id, code) = service.open(TO).await;
    let other = service.open(&phone(1)).await.0;
    for n in 0..98_usize {
        let mut guessed = id.clone().into_bytes();
        let at = 3 + n % 26;
        guessed[at] = if guessed[at] == b'a' { b'b' } else { b'a' };
        let guessed = String::from_utf8(guessed).expect("ASCII");
        let response = service.check(&guessed, &code).await;
        assert_eq!(response.problem(), (404, "not_found"), "{response:?}");
    }
    let path = format!("/v1/verifications/{id}/check");
    let body = Some(json!({"code": code}));
    let foreign = service.call_as(SHOP_KEY, "POST", &path, body, &[]).await;
    assert_eq!(foreign.problem(), (404, "not_found"));
    assert!(!service.check(&other, &code).await.is_valid());
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
    assert_approved(&service.check(&id, &code).await, 4);
    "404 for each; the owner has all 5 attempts".to_owned()
}
