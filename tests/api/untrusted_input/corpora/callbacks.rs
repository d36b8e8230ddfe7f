//! Reports of carriers and events of AWS. The first letter names the carrier, a line break ends the
//! query, and the body follows. Bodies for carriers of kind `http` are signed here: otherwise only
//! the signature would be tested. Invariants: no panic, and nothing unsigned is accepted.

use std::sync::LazyLock;

use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method};
use otp::carrier::{Callback, ConfiguredCarrier, read_carriers};
use otp::domain::time::Timestamp;
use standardwebhooks::Webhook;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_795_291_200;

static CARRIERS: LazyLock<Vec<ConfiguredCarrier>> = LazyLock::new(|| {
    let entries = serde_json::json!([
        {"kind": "http", "name": "a", "base_url": "http://h", "token": "t", "secret": SECRET},
        {"kind": "twilio", "account_sid": "AC1", "auth_token": "t", "from": "+15017122661"},
        {"kind": "vonage", "api_key": "k", "api_secret": "s", "signature_secret": "s"},
        {"kind": "smspartner", "api_key": "k"},
        {"kind": "smsbox", "api_key": "k", "callback_token": TOKEN},
        {"kind": "cm", "product_token": "t", "callback_token": TOKEN},
        {"kind": "smspm", "hash": "h", "token": "t"},
        {"kind": "labsmobile", "username": "u", "token": "t"},
        {"kind": "end_user_messaging", "origination_identity": "+12065550152"},
        {"kind": "ses", "from": "otp@example.com"},
    ]);
    let secrets = serde_json::Map::new();
    let (carriers, errors) = read_carriers(&entries.to_string(), &secrets, "eu-west-1");
    assert!(errors.is_empty(), "{errors:?}");
    carriers
});

fn signature(body: &[u8]) -> HeaderMap {
    let webhook = Webhook::new(SECRET).expect("a secret");
    let signature = webhook.sign("evt_1", NOW, body).expect("a signature");
    let headers = [
        ("webhook-id", "evt_1".to_owned()),
        ("webhook-timestamp", NOW.to_string()),
        ("webhook-signature", signature),
    ];
    let header = |(name, value): (&'static str, String)| {
        let value = HeaderValue::from_str(&value).expect("a value");
        (HeaderName::from_static(name), value)
    };
    headers.into_iter().map(header).collect()
}

/// Reads one input.
pub fn run(input: &[u8]) {
    let Some((letter, rest)) = input.split_first() else {
        return;
    };
    let number = usize::from(letter.wrapping_sub(b'a')) % CARRIERS.len();
    let carrier = &CARRIERS[number];
    let line_break = rest.iter().position(|byte| *byte == b'\n');
    let (query, body) = rest.split_at(line_break.unwrap_or(rest.len()));
    let body = body.get(1..).unwrap_or_default();
    let (Ok(query), now) = (std::str::from_utf8(query), Timestamp(NOW)) else {
        return;
    };
    // The other implementation signs text alone.
    let is_signed = number == 0 && query.is_empty() && std::str::from_utf8(body).is_ok();
    let headers = if is_signed {
        signature(body)
    } else {
        HeaderMap::new()
    };
    for method in [Method::POST, Method::GET] {
        let callback = Callback {
            method: &method,
            query,
            headers: &headers,
            body,
            url: "https://otp.example/callbacks",
        };
        let reports = carrier.report(&callback, now);
        let must_be_signed = number < 3 && !is_signed;
        assert!(
            !must_be_signed || reports.is_err(),
            "a report without a signature"
        );
    }
    if let Ok(message) = std::str::from_utf8(body) {
        let _ = carrier.event(message, now);
    }
}
