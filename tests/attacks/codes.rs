//! Attacks on the code itself: how it is chosen, read and kept.

use serde_json::{Value, json};
use support::{
    LocalProcess, NO_SEND_LIMITS, Service, TO, TestResponse, another_code, assert_approved,
    assert_status, no_send_limits_and, phone,
};

use crate::attack::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "empty_and_loose_codes",
        published: "An empty code, `true` or `0` equals the stored one (CVE-2025-12374, CVE-2026-7458)",
        tried: "no code, an empty one, `null`, `true`, numbers, lists, objects, parts of the right code, the right code with a NUL",
        bound: "0 successes, 0 attempts",
        run: || Box::pin(empty_and_loose_codes()),
    },
    Attack {
        name: "parsed_codes",
        published: "A code is parsed to a number: `+00123` is 123, leading zeros are lost",
        tried: "signs, exponents, hexadecimal, superscripts, circled digits; a code that starts with 0 without its zeros",
        bound: "a code equals itself only",
        run: || Box::pin(parsed_codes()),
    },
    Attack {
        name: "predictable_codes",
        published: "Codes are predictable: a seeded generator, `byte % 10`, repeated codes",
        tried: "200 codes: length, first digits, repetitions, chi-squared test of the digits at each position",
        bound: "N = 1,000,000 codes of equal probability",
        run: || Box::pin(predictable_codes()),
    },
    Attack {
        name: "readable_codes",
        published: "The code is in a response, in a log or in the arguments of a queued job",
        tried: "a send, a resend, wrong and right checks, errors; then a search in all responses, stored items, the queue and the log",
        bound: "0 places",
        run: || Box::pin(readable_codes()),
    },
];

async fn empty_and_loose_codes() -> String {
    let service = Service::start().await;
    let (id, code) = service.open(TO).await;
    let number: u64 = code.parse().expect("digits");
    let values = [
        json!(""),
        json!(" "),
        json!("\u{200b}"),
        Value::Null,
        json!(true),
        json!(false),
        json!(0),
        json!(number),
        json!([code]),
        json!([[]]),
        json!({"0": code}),
        json!(code[..3]),
        json!(format!("{code}\u{0}")),
        json!(format!("{code}'--")),
        json!(format!("{code}00000")),
    ];
    let bodies = values.map(|value| json!({"code": value}));
    for body in bodies.into_iter().chain([json!({})]) {
        let response = service.check_body(&id, body.clone()).await;
        assert!(
            [400, 422].contains(&response.status),
            "{body}: {response:?}"
        );
    }
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
    assert_approved(&service.check(&id, &code).await, 4);
    "400 or 422 for each; no attempt is used".to_owned()
}

async fn parsed_codes() -> String {
    let more = [("OTP_PREFIX_SENDS", "1000/600")];
    let service = Service::start_with(&no_send_limits_and(&more)).await;
    let (id, _) = service.open(TO).await;
    for code in [
        "+12345",
        "1e5000",
        "0x1f2e",
        "12.345",
        "1_2345",
        "¹²³⁴⁵⁶",
        "①②③④⑤⑥",
        "ⅠⅡⅢⅣⅤⅥ",
    ] {
        let response = service.check(&id, code).await;
        assert_eq!(
            response.problem(),
            (422, "invalid_code"),
            "{code}: {response:?}"
        );
    }
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
    let (id, code) = open_with_leading_zero(&service).await;
    for part in [&code[1..], code.trim_start_matches('0')] {
        if part.len() >= 4 {
            assert_eq!(
                service.check(&id, part).await.check_result().reason,
                "wrong_code"
            );
        }
    }
    assert!(service.check(&id, &code).await.is_valid());
    "422 without an attempt; `wrong_code` without the zeros; valid with them".to_owned()
}

/// A verification whose code starts with 0.
async fn open_with_leading_zero(service: &Service) -> (String, String) {
    for _ in 0..500 {
        let (id, code) = service.open(TO).await;
        if code.starts_with('0') {
            return (id, code);
        }
    }
    panic!("none of 500 codes starts with 0");
}

async fn predictable_codes() -> String {
    const CODES: usize = 200;
    /// Of chi-squared with 9 degrees of freedom: exceeded by a fair generator once in 10^8 times.
    const CHI_SQUARED_MAX: f64 = 56.0;
    let more = [
        ("OTP_PREFIX_SENDS", "1000/600"),
        ("OTP_CONVERSION_MIN", "0"),
    ];
    let service = Service::start_with(&no_send_limits_and(&more)).await;
    for n in 0..CODES {
        assert_status(
            &service.send(&phone(u32::try_from(n).expect("small"))).await,
            201,
        );
    }
    service.settle().await;
    let messages = service.raw("GET", "/local/messages", &[], "").await;
    let messages = messages.body["messages"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let codes: Vec<String> = messages
        .iter()
        .filter_map(|message| message["code"].as_str())
        .map(str::to_owned)
        .collect();
    assert_eq!(codes.len(), CODES);
    assert!(codes.iter().all(|code| code.len() == 6), "{codes:?}");
    let repeated = codes.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(repeated, 0, "the same code twice in a row");
    for position in 0..6 {
        let mut counts = [0_u32; 10];
        for code in &codes {
            counts[usize::from(code.as_bytes()[position] - b'0')] += 1;
        }
        let expected = 20.0;
        let difference = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
        let chi_squared: f64 = counts.iter().map(difference).sum();
        assert!(
            chi_squared < CHI_SQUARED_MAX,
            "position {position}: {counts:?}"
        );
    }
    "6 digits each, with leading zeros; the digits at each position are uniform".to_owned()
}

async fn readable_codes() -> String {
    let process = LocalProcess::start(&NO_SEND_LIMITS, None).await;
    let service = &process.service;
    let sent = service.send(TO).await;
    let (id, code) = (sent.id(), service.code_of(TO, &sent.id()).await);
    let mut responses = vec![sent];
    responses.push(service.resend(&id).await);
    responses.push(service.check(&id, &another_code(&code)).await);
    responses.push(service.check(&id, &format!("{code}x")).await);
    responses.push(
        service
            .check_body(&id, json!({"code": code, "unknown": code}))
            .await,
    );
    responses.push(service.show(&id).await);
    responses.push(service.check(&id, &code).await);
    responses.push(service.check(&id, &code).await);
    responses.push(service.cancel(&id).await);
    let state = service.state().await.to_string();
    responses.push(service.forget(TO).await);
    let contains = |response: &&TestResponse| contains_word(&format!("{response:?}"), &code);
    let leaking: Vec<_> = responses.iter().filter(contains).collect();
    assert!(leaking.is_empty(), "{leaking:?}");
    assert!(!contains_word(&state, &code), "{state}");
    let log = process.kill().await;
    assert!(
        log.lines().count() > 3 && !contains_word(&log, &code),
        "{log}"
    );
    "in none of them".to_owned()
}

/// Whether `text` contains `code` and not as a part of a longer number.
fn contains_word(text: &str, code: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(code).any(|(at, _)| {
        let after = text[at + code.len()..].chars().next();
        !is_word(text[..at].chars().next_back()) && !is_word(after)
    })
}
