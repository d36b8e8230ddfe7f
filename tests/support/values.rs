//! Recipients, settings, times and JSON that many tests need.

use serde_json::Value;

/// A phone number for tests with one recipient. Its texts are in English.
pub const TO: &str = "+12025550143";

/// Variables that lift all limits on the sends of one recipient.
pub const NO_SEND_LIMITS: [(&str, &str); 3] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_SENDS_PER_HOUR", "1000"),
    ("OTP_SENDS_PER_DAY", "1000"),
];

/// [`NO_SEND_LIMITS`] and `more`.
pub fn no_send_limits_and<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [NO_SEND_LIMITS.as_slice(), more].concat()
}

/// A well-formed id of no verification.
pub const UNKNOWN_ID: &str = "ve_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A French mobile number for each `n` below 999; no two of them share a prefix.
pub fn phone(n: u32) -> String {
    format!("+3361{:07}", n * 10_007)
}

/// An American number for each `n` below 800; no two of them share a prefix.
pub fn american_phone(n: usize) -> String {
    format!("+1202{:03}0143", 200 + n % 800)
}

/// Another code of the same length, valid in either alphabet.
pub fn another_code(code: &str) -> String {
    let (start, last) = code.split_at(code.len() - 1);
    format!("{start}{}", if last == "2" { "3" } else { "2" })
}

/// An RFC 3339 time of a response in seconds since 1970.
pub fn unix_seconds(time: &Value) -> i64 {
    let text = time
        .as_str()
        .unwrap_or_else(|| panic!("{time} is not a time"));
    text.parse::<jiff::Timestamp>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .as_second()
}

/// Seconds since 1970 as a response writes them.
pub fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .expect("a time that can be written")
        .to_string()
}

/// `object` with the fields of `more`.
pub fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}
