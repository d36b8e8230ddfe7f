//! Carriers with wrong fields and credentials.

use serde_json::{Value, json};

use super::Role;
use super::{WRONG_URLS, assert_all_start, assert_all_stop, read, secrets};

#[test]
fn url_with_a_port_and_a_path_is_accepted() {
    for url in [
        "http://127.0.0.1:8080",
        "https://otp.example",
        "https://otp.example/",
        "https://otp.example:8443/stage/",
        "http://[::1]:9000",
        "http://localhost",
    ] {
        assert_all_start(&[
            ("OTP_PUBLIC_URL", url),
            ("OTP_QUEUE_URL", url),
            ("AWS_ENDPOINT_URL", url),
        ]);
        assert_all_start(&[(
            "OTP_CARRIERS",
            &json!([{"kind": "http", "base_url": url, "token": "t", "secret": WEBHOOK_SECRET}])
                .to_string(),
        )]);
    }
}

/// `whsec_` and 16 bytes.
pub(super) const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==";

/// Asserts that no function starts with a carrier of kind `http` with this change.
#[track_caller]
fn assert_carrier_stops_all(change: Value) {
    let mut entry = json!({"kind": "http", "base_url": "https://carrier.example", "token": "t", "secret": WEBHOOK_SECRET});
    assert_all_start(&[("OTP_CARRIERS", &json!([entry]).to_string())]);
    for (name, value) in change.as_object().into_iter().flatten() {
        entry[name] = value.clone();
    }
    assert_all_stop(
        "OTP_CARRIERS",
        &[("OTP_CARRIERS", &json!([entry]).to_string())],
    );
}

/// Fields of a carrier with wrong values.
fn wrong_fields() -> Vec<(&'static str, Value)> {
    let urls = WRONG_URLS.iter().map(|url| json!(url));
    vec![
        ("kind", json!(["pigeon", "HTTP", "", 1, null, ["http"]])),
        (
            "name",
            json!(["Acme", "", "a b", "a".repeat(33), 1, "é", "a_b"]),
        ),
        (
            "countries",
            json!(["FR", ["France"], ["fr"], [1], {"FR": 1}, [null]]),
        ),
        (
            "channels",
            json!(["sms", ["fax"], ["SMS"], [1], {"sms": true}]),
        ),
        (
            "sender",
            json!(["", " ", "a\nb", "a".repeat(33), 1, "\u{200b}", ["Acme"]]),
        ),
        (
            "price",
            json!([-1, "free", {"FR": -1}, {"France": 1}, {"fr": 1}, [1], {"*": "1"}, true]),
        ),
        ("timeout_ms", json!([0, -1, "5000", 99, 8001, 500.5, 1e300])),
        (
            "base_url",
            urls.chain([json!(""), json!(1), Value::Null]).collect(),
        ),
        ("colour", json!(["red", 1])),
        ("+33612345678", json!([1])),
    ]
}

#[test]
fn wrong_carrier_field_stops_every_function() {
    for (name, values) in wrong_fields() {
        for value in values.as_array().expect("a list") {
            assert_carrier_stops_all(json!({name: value}));
        }
    }
    for carriers in [
        "x",
        "{}",
        "[]",
        "[1]",
        "[{}]",
        "[[]]",
        "null",
        r#"[{"kind":"sns"},{"kind":"sns"}]"#,
        r#"[{"kind":"sns","kind":"sns"}]"#,
    ] {
        assert_all_stop("OTP_CARRIERS", &[("OTP_CARRIERS", carriers)]);
    }
    assert_all_stop(
        "OTP_CARRIERS",
        &[("OTP_CARRIERS", r#"[{"kind":"sns"}],"more":[]"#)],
    );
    assert_all_stop(
        "OTP_CARRIERS",
        &[("OTP_CARRIERS", r#"[{"kind":"sns","channels":["voice"]}]"#)],
    );
    assert_all_stop(
        "OTP_CARRIERS",
        &[(
            "OTP_CARRIERS",
            &json!(vec![json!({"kind": "sns"}); 21]).to_string(),
        )],
    );
}

#[test]
fn wrong_credential_stops_every_function() {
    for secret in [
        "",
        "whsec_",
        "whsec_!",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZg",
        "MDEyMzQ1Njc4OWFiY2RlZg==",
    ] {
        assert_carrier_stops_all(json!({"secret": secret}));
    }
    for token in [json!(""), json!("a b"), json!("a\nb"), json!("é"), json!(1)] {
        assert_carrier_stops_all(json!({"token": token}));
    }
    for (kind, entry) in [
        ("ses", json!({"from": "@"})),
        ("ses", json!({"from": "Acme <otp@>"})),
        ("ses", json!({"from": "a@b.example, c@d.example"})),
        (
            "twilio",
            json!({"account_sid": "AC1", "auth_token": "t", "from": " "}),
        ),
        (
            "twilio",
            json!({"account_sid": "A/C", "auth_token": "t", "from": "+15017122661"}),
        ),
        (
            "vonage",
            json!({"api_key": "a:b", "api_secret": "s", "signature_secret": "s"}),
        ),
        (
            "cm",
            json!({"product_token": "p", "callback_token": "short"}),
        ),
    ] {
        let mut entry = entry;
        entry["kind"] = kind.into();
        assert_all_stop(
            "OTP_CARRIERS",
            &[("OTP_CARRIERS", &json!([entry]).to_string())],
        );
    }
}

#[test]
fn missing_credential_stops_functions_that_need_it() {
    let http = r#"[{"kind":"http","base_url":"https://carrier.example"}]"#;
    for (role, starts) in [
        (Role::Send, true),
        (Role::Verify, true),
        (Role::DeliveryCallback, false),
        (Role::CarrierWorker, false),
    ] {
        assert_eq!(
            read(role, &[("OTP_CARRIERS", http)]).is_ok(),
            starts,
            "{role:?}"
        );
    }
    assert_all_stop(
        "OTP_CARRIERS",
        &[(
            "OTP_CARRIERS",
            r#"[{"kind":"http","token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}]"#,
        )],
    );
    let mut with_carriers = secrets();
    with_carriers["carriers"] =
        json!({"http": {"token": "t", "secret": WEBHOOK_SECRET}, "retired": {"token": "t"}});
    assert_all_start(&[
        ("OTP_CARRIERS", http),
        ("OTP_SECRETS", &with_carriers.to_string()),
    ]);
}

#[test]
fn signatures_over_the_url_require_the_public_url() {
    let twilio = r#"[{"kind":"sns"},{"kind":"twilio","account_sid":"AC1","auth_token":"t","from":"+15017122661"}]"#;
    let problems = |role, carriers| {
        read(role, &[("OTP_PUBLIC_URL", ""), ("OTP_CARRIERS", carriers)])
            .err()
            .unwrap_or_default()
    };
    for role in [Role::DeliveryCallback, Role::CarrierWorker] {
        assert_eq!(
            problems(role, twilio),
            ["OTP_PUBLIC_URL: must be set"],
            "{role:?}"
        );
    }
    for (role, carriers) in [
        (Role::Send, twilio),
        (Role::Verify, twilio),
        (Role::DeliveryCallback, r#"[{"kind":"sns"}]"#),
    ] {
        assert_eq!(problems(role, carriers), Vec::<String>::new(), "{role:?}");
    }
}
