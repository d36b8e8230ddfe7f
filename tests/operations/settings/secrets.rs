//! `OTP_SECRETS` with wrong values.

use data_encoding::BASE64;
use serde_json::json;

use super::{assert_all_start, assert_all_stop, secrets};

#[test]
fn wrong_secrets_stop_every_function() {
    let key = BASE64.encode(&[7; 32]);
    let changes = [
        json!({"seal": 7}),
        json!({"seal": {"current": "k2", "keys": {"k1": key}}}),
        json!({"seal": {"current": "k1", "keys": {"k1": BASE64.encode(&[7; 31])}}}),
        json!({"seal": {"current": "k1", "keys": {"k1": key}, "next": "k2"}}),
        json!({"seal": {"current": "k1", "keys": {"k1": key, "": key}}}),
        json!({"seal": {"current": "k1", "keys": [key]}}),
        json!({"lookup": BASE64.encode(&[7; 33])}),
        json!({"lookup": 7}),
        json!({"api_keys": 7}),
        json!({"api_keys": null}),
        json!({"api_keys": "otp_test_0000000000000000"}),
        json!({"api_keys": {"app": "shop", "sha256": "ab".repeat(32)}}),
        json!({"api_keys": ["ab".repeat(32)]}),
        json!({"api_keys": [null]}),
        json!({"api_keys": [{"app": "shop"}]}),
        json!({"api_keys": [{"sha256": "ab".repeat(32)}]}),
        json!({"api_keys": [{"app": "", "sha256": "ab".repeat(32)}]}),
        json!({"api_keys": [{"app": "a b", "sha256": "ab".repeat(32)}]}),
        json!({"api_keys": [{"app": "shop", "sha256": "ab".repeat(31)}]}),
        json!({"api_keys": [{"app": "shop", "sha256": "ab".repeat(33)}]}),
        json!({"api_keys": [{"app": "shop", "sha256": "xy".repeat(32)}]}),
        json!({"api_keys": [{"app": "shop", "sha256": ""}]}),
        json!({"api_keys": [{"app": "shop", "sha256": "ab".repeat(32), "note": "x"}]}),
        json!({"api_keys": [{"app": "shop", "sha256": "ab".repeat(32)}, {"app": "bank", "sha256": "AB".repeat(32)}]}),
        json!({"carriers": 7}),
        json!({"carriers": []}),
        json!({"carriers": {"twilio": "t"}}),
        json!({"carriers": {"twilio": ["t"]}}),
        json!({"carriers": {"Twilio": {"auth_token": "t"}}}),
        json!({"carriers": {"twilio": {"auth_token": "t", "channels": ["voice"]}}}),
        json!({"extra": 1}),
    ];
    for change in changes {
        let mut wrong = secrets();
        change
            .as_object()
            .into_iter()
            .flatten()
            .for_each(|(name, value)| wrong[name] = value.clone());
        assert_all_stop("OTP_SECRETS", &[("OTP_SECRETS", &wrong.to_string())]);
    }
    for wrong in ["", "x", "[]", "null", "{}", r#"{"lookup":1,"lookup":1}"#] {
        assert_all_stop("OTP_SECRETS", &[("OTP_SECRETS", wrong)]);
    }
    let mut without_keys = secrets();
    without_keys
        .as_object_mut()
        .and_then(|secrets| secrets.remove("api_keys"));
    assert_all_start(&[("OTP_SECRETS", &without_keys.to_string())]);
}
