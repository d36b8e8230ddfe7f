//! Variables with wrong values.

use serde_json::json;

use super::{ROLES, WRONG_URLS, assert_all_start, assert_all_stop, read};

/// The variables that an app can override, with wrong values.
const WRONG_POLICY_VALUES: [(&str, &[&str]); 24] = [
    (
        "OTP_BRAND",
        &[
            " ",
            "\u{7}",
            "a\u{7}b",
            "a\nb",
            "\u{200b}",
            "\u{2060} \u{feff}",
            "\u{fffd}",
            "@",
        ],
    ),
    (
        "OTP_LOCALE",
        &[
            "!",
            "x",
            "en-x",
            "x-",
            "en US",
            "e",
            "en\nfr",
            "en-x-12345678-12345678-12345678-1234",
        ],
    ),
    (
        "OTP_CODE_LENGTH",
        &[
            "3",
            "11",
            "0",
            "-6",
            "+6",
            "6.5",
            "six",
            " 6",
            "0x6",
            "99999999999999999999",
        ],
    ),
    ("OTP_CODE_ALPHABET", &["Digits", "hex", " digits"]),
    ("OTP_CODE_TTL_SECONDS", &["59", "1801", "5m", "-300"]),
    ("OTP_MAX_ATTEMPTS", &["0", "11", "-1", "five"]),
    ("OTP_GUESS_BUDGET", &["0", "101", "1e1x"]),
    ("OTP_RESEND_CODE", &["Same", "new"]),
    ("OTP_CALLER_CODES", &["yes", "1"]),
    (
        "OTP_COOLDOWN_SECONDS",
        &[
            "soon", "30,", ",30", "30,,60", "-1", "30;60", "86401", "[30]", "3 0",
        ],
    ),
    ("OTP_SENDS_PER_HOUR", &["0", "1001", "-5"]),
    ("OTP_SENDS_PER_DAY", &["0", "1001", "many"]),
    ("OTP_CLIENT_SENDS_PER_HOUR", &["0", "1000001", "x"]),
    (
        "OTP_PREFIX_SENDS",
        &[
            "20", "20/", "/600", "0/600", "20/0", "20/600/1", "20/-1", "1e1/600",
        ],
    ),
    (
        "OTP_SPEND_PER_DAY",
        &[
            "0",
            "-1",
            "x",
            "1.",
            ".5",
            "1,5",
            "1e3x",
            "inf",
            "NaN",
            "0.0000001",
            "99999999999999999999999",
        ],
    ),
    (
        "OTP_CONVERSION_MIN",
        &[
            "10", "10/", "0/100", "101/100", "10/9", "10/1001", "10%/100",
        ],
    ),
    (
        "OTP_ALLOWED_COUNTRIES",
        &["France", "F R", "FR,", ",FR", "XX", "FR;DE", "*,FR"],
    ),
    (
        "OTP_BLOCKED_PREFIXES",
        &["33", "+", "+33,", "+3a", "0033", "+0", "+1234567890123456"],
    ),
    (
        "OTP_SENDER_ID",
        &["12345", "twelve chars", "Shop!", "Ümlaut", " "],
    ),
    (
        "OTP_WEB_DOMAIN",
        &[
            "shop",
            "https://shop.example",
            "shop.example/",
            "shop..example",
            "-shop.example",
            "shop-.example",
            "127.0.0.1",
            "a b.example",
        ],
    ),
    (
        "OTP_ANDROID_HASH",
        &["short", "FA+9qCX9VS=", "FA+9qCX9VSuu"],
    ),
    ("OTP_GSM7", &["maybe", "Off"]),
    ("OTP_TEXT_REFERENCE", &["yes", "On", "true"]),
    ("OTP_TEXT_TIME", &["yes", "On", "1"]),
];

const WRONG_TEST_NUMBERS: [&str; 4] = [
    "{}",
    "[",
    r#"[{"to":"+12025550143","code":"424242"}]"#,
    r#"[{"to":"+12025550143","code":"424242","until":"2090-01-31"}]"#,
];

#[test]
fn wrong_policy_value_stops_every_function() {
    for (name, wrong) in WRONG_POLICY_VALUES {
        for value in wrong {
            assert_all_stop(name, &[(name, value)]);
            let field = name.trim_start_matches("OTP_").to_lowercase();
            assert_all_stop(
                "OTP_APPS",
                &[("OTP_APPS", &json!({"shop": {field: value}}).to_string())],
            );
        }
    }
}

#[test]
fn wrong_value_of_any_variable_stops_every_function() {
    let wrong_values: [(&str, &[&str]); 14] = [
        (
            "OTP_APPS",
            &[
                "[]",
                "x",
                "{",
                "{}{}",
                r#"{"shop":{}, "shop":{}}"#,
                r#"{"shop":[]}"#,
                r#"{"shop":null}"#,
                r#"{"":{}}"#,
                r#"{"a b":{}}"#,
            ],
        ),
        (
            "OTP_APPS",
            &[
                r#"{"shop":{"colour":"red"}}"#,
                r#"{"shop":{"brand":true}}"#,
                r#"{"shop":{"brand":null}}"#,
                r#"{"shop":{"brand":""}}"#,
            ],
        ),
        (
            "OTP_APPS",
            &[
                r#"{"shop":{"code_length":6.5}}"#,
                r#"{"shop":{"code_length":4}}"#,
                r#"{"shop":{"dispatch":"sns"}}"#,
            ],
        ),
        ("OTP_TEST_NUMBERS", &WRONG_TEST_NUMBERS),
        ("OTP_DISPATCH", &["pigeon", "Queue", "sqs"]),
        ("OTP_FALLBACK_SECONDS", &["0", "-60", "1m", "901", "60.5"]),
        ("OTP_UNKNOWN_WAIT_SECONDS", &["0", "never", "601"]),
        ("OTP_TABLE", &["no", "a table", "table/x", TABLE_TOO_LONG]),
        (
            "AWS_REGION",
            &["eu west", "eu-west-1.evil.example", "eu/west"],
        ),
        ("OTP_PUBLIC_URL", &WRONG_URLS),
        ("OTP_QUEUE_URL", &WRONG_URLS),
        ("OTP_WORKER_URL", &WRONG_URLS),
        ("AWS_ENDPOINT_URL", &WRONG_URLS),
        ("AWS_ENDPOINT_URL_SQS", &WRONG_URLS),
    ];
    for (name, wrong) in wrong_values {
        wrong
            .iter()
            .for_each(|value| assert_all_stop(name, &[(name, value)]));
    }
}

const TABLE_TOO_LONG: &str = "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt\
    tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt";

#[test]
fn all_wrong_variables_are_reported_together() {
    let mut wrong: Vec<(&str, &str)> = WRONG_POLICY_VALUES
        .iter()
        .map(|(name, wrong)| (*name, wrong[0]))
        .collect();
    wrong.extend([
        ("OTP_APPS", "[]"),
        ("OTP_DISPATCH", "pigeon"),
        ("OTP_FALLBACK_SECONDS", "0"),
        ("OTP_UNKNOWN_WAIT_SECONDS", "0"),
        ("OTP_TABLE", "no"),
        ("OTP_SECRETS", "{}"),
        ("OTP_CARRIERS", "[]"),
        ("OTP_PUBLIC_URL", "x"),
        ("OTP_QUEUE_URL", "x"),
        ("OTP_WORKER_URL", "x"),
        ("AWS_REGION", "x y"),
        ("AWS_ENDPOINT_URL", "x"),
    ]);
    for role in ROLES {
        let problems = read(role, &wrong).err().unwrap_or_default();
        for (name, _) in &wrong {
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.starts_with(&format!("{name}: "))),
                "{role:?}: {name} in {problems:?}"
            );
        }
    }
}

#[test]
fn whole_numbers_are_accepted_in_any_notation() {
    assert_all_start(&[
        ("OTP_CARRIERS", r#"[{"kind":"sns","price":0.05}]"#),
        (
            "OTP_APPS",
            r#"{"shop":{"code_length":8.0,"sends_per_hour":3e0,"spend_per_day":12.5}}"#,
        ),
    ]);
    assert_all_start(&[(
        "OTP_CARRIERS",
        r#"[{"kind":"sns","timeout_ms":2e3,"price":{"FR":0.045,"*":1e-2}}]"#,
    )]);
}
