//! Settings: every variable and every field of a carrier with values that cannot work. Each of them stops the start of every
//! function, on a line that names the variable, and so does each alone beside others that are wrong.

use std::collections::HashMap;

use data_encoding::BASE64;
use otp::config::{CallbackConfig, SendConfig, VerifyConfig, WorkerConfig};
use serde_json::{Value, json};

/// A function, by the configuration that it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Send,
    Verify,
    DeliveryCallback,
    CarrierWorker,
}

const ROLES: [Role; 4] = [
    Role::Send,
    Role::Verify,
    Role::DeliveryCallback,
    Role::CarrierWorker,
];

fn secrets() -> Value {
    let key = BASE64.encode(&[7; 32]);
    json!({"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key, "api_keys": [{"app": "shop", "sha256": "ab".repeat(32)}]})
}

/// What starts, with these changes.
fn read(role: Role, changes: &[(&str, &str)]) -> Result<(), Vec<String>> {
    let secrets = secrets().to_string();
    let values = [
        ("OTP_SECRETS", secrets.as_str()),
        ("OTP_TABLE", "otp"),
        (
            "OTP_QUEUE_URL",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/otp",
        ),
        ("OTP_PUBLIC_URL", "https://otp.example/stage/"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    let values: HashMap<&str, &str> = values.into_iter().chain(changes.iter().copied()).collect();
    let lookup = |name: &str| values.get(name).map(|value| (*value).to_owned());
    let read = match role {
        Role::Send => SendConfig::read(&lookup).map(drop),
        Role::Verify => VerifyConfig::read(&lookup).map(drop),
        Role::DeliveryCallback => CallbackConfig::read(&lookup).map(drop),
        Role::CarrierWorker => WorkerConfig::read(&lookup).map(drop),
    };
    read.map_err(|error| error.0)
}

/// Holds that no function starts with these changes, and that each says so of `name` and of nothing else.
#[track_caller]
fn stops_all(name: &str, changes: &[(&str, &str)]) {
    for role in ROLES {
        let problems = read(role, changes).err().unwrap_or_default();
        assert!(!problems.is_empty(), "{role:?} starts with {changes:?}");
        assert!(
            problems
                .iter()
                .all(|problem| problem.starts_with(&format!("{name}: "))),
            "{role:?}: {changes:?}: {problems:?}"
        );
    }
}

#[track_caller]
fn starts_all(changes: &[(&str, &str)]) {
    for role in ROLES {
        assert_eq!(read(role, changes).err(), None, "{role:?}: {changes:?}");
    }
}

/// What an app can have of its own, with values that are wrong for anybody.
const OF_APPS: [(&str, &[&str]); 21] = [
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
            "en_US",
            "e",
            " en",
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
        &["France", "fr", "FR,", ",FR", "XX", "FR;DE", "*,FR"],
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
];

#[test]
fn no_function_starts_with_a_wrong_value_of_a_policy() {
    for (name, wrong) in OF_APPS {
        for value in wrong {
            stops_all(name, &[(name, value)]);
            let row = name.trim_start_matches("OTP_").to_lowercase();
            stops_all(
                "OTP_APPS",
                &[("OTP_APPS", &json!({"shop": {row: value}}).to_string())],
            );
        }
    }
}

#[test]
fn no_function_starts_with_a_wrong_value_of_anything_else() {
    let not_of_apps: [(&str, &[&str]); 12] = [
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
        ("OTP_DISPATCH", &["pigeon", "Queue", "sqs"]),
        ("OTP_FALLBACK_SECONDS", &["0", "-60", "1m", "901", "60.5"]),
        ("OTP_UNKNOWN_WAIT_SECONDS", &["0", "never", "601"]),
        ("OTP_TABLE", &["no", "a table", "table/x", TABLE_TOO_LONG]),
        (
            "AWS_REGION",
            &["eu west", "eu-west-1.evil.example", "eu/west"],
        ),
        ("OTP_PUBLIC_URL", &NO_URLS),
        ("OTP_QUEUE_URL", &NO_URLS),
        ("AWS_ENDPOINT_URL", &NO_URLS),
        ("AWS_ENDPOINT_URL_SQS", &NO_URLS),
    ];
    for (name, wrong) in not_of_apps {
        wrong
            .iter()
            .for_each(|value| stops_all(name, &[(name, value)]));
    }
}

const TABLE_TOO_LONG: &str = "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt\
    tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt";

/// Nobody can be called at these, or not behind them.
const NO_URLS: [&str; 23] = [
    "x",
    "otp.example",
    "ftp://otp.example",
    "https:/otp.example",
    "https://",
    "http://",
    "https:///path",
    "https://:8443",
    "https://?x=1",
    "https://otp.example?x=1",
    "https://otp.example/path?x=1",
    "https://otp.example/#top",
    "https://otp.example#",
    "https://user@otp.example",
    "https://user:password@otp.example/",
    "https://otp.example:port",
    "https://otp.example:0",
    "https://otp.example:65536",
    "https://otp..example",
    "https://otp example",
    "https://otp.example/a b",
    "https://ötp.example",
    "https://[::1",
];

#[test]
fn a_url_may_have_a_port_and_a_path() {
    for url in [
        "http://127.0.0.1:8080",
        "https://otp.example",
        "https://otp.example/",
        "https://otp.example:8443/stage/",
        "http://[::1]:9000",
        "http://localhost",
    ] {
        starts_all(&[
            ("OTP_PUBLIC_URL", url),
            ("OTP_QUEUE_URL", url),
            ("AWS_ENDPOINT_URL", url),
        ]);
        starts_all(&[(
            "OTP_CARRIERS",
            &json!([{"kind": "http", "base_url": url, "token": "t", "secret": WEBHOOK_SECRET}])
                .to_string(),
        )]);
    }
}

/// `whsec_` and 16 bytes.
const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==";

/// Holds that no function starts with a carrier of kind `http` with this change.
#[track_caller]
fn stops_carrier(change: Value) {
    let mut entry = json!({"kind": "http", "base_url": "https://carrier.example", "token": "t", "secret": WEBHOOK_SECRET});
    starts_all(&[("OTP_CARRIERS", &json!([entry]).to_string())]);
    for (name, value) in change.as_object().into_iter().flatten() {
        entry[name] = value.clone();
    }
    stops_all(
        "OTP_CARRIERS",
        &[("OTP_CARRIERS", &json!([entry]).to_string())],
    );
}

#[test]
fn no_function_starts_with_a_wrong_field_of_a_carrier() {
    let wrong_values: [(&str, Vec<Value>); 10] = [
        (
            "kind",
            vec![
                json!("pigeon"),
                json!("HTTP"),
                json!(""),
                json!(1),
                Value::Null,
                json!(["http"]),
            ],
        ),
        (
            "name",
            vec![
                json!("Acme"),
                json!(""),
                json!("a b"),
                json!("a".repeat(33)),
                json!(1),
                json!("é"),
                json!("a_b"),
            ],
        ),
        (
            "countries",
            vec![
                json!("FR"),
                json!(["France"]),
                json!(["fr"]),
                json!([1]),
                json!({"FR": 1}),
                json!([null]),
            ],
        ),
        (
            "channels",
            vec![
                json!("sms"),
                json!(["fax"]),
                json!(["SMS"]),
                json!([1]),
                json!({"sms": true}),
            ],
        ),
        (
            "sender",
            vec![
                json!(""),
                json!(" "),
                json!("a\nb"),
                json!("a".repeat(33)),
                json!(1),
                json!("\u{200b}"),
                json!(["Acme"]),
            ],
        ),
        (
            "price",
            vec![
                json!(-1),
                json!("free"),
                json!({"FR": -1}),
                json!({"France": 1}),
                json!({"fr": 1}),
                json!([1]),
                json!({"*": "1"}),
                json!(true),
            ],
        ),
        (
            "timeout_ms",
            vec![
                json!(0),
                json!(-1),
                json!("5000"),
                json!(99),
                json!(8001),
                json!(500.5),
                json!(1e300),
            ],
        ),
        (
            "base_url",
            NO_URLS
                .iter()
                .map(|url| json!(url))
                .chain([json!(""), json!(1), Value::Null])
                .collect(),
        ),
        ("colour", vec![json!("red"), json!(1)]),
        ("+33612345678", vec![json!(1)]),
    ];
    for (name, values) in wrong_values {
        values
            .into_iter()
            .for_each(|value| stops_carrier(json!({name: value})));
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
        stops_all("OTP_CARRIERS", &[("OTP_CARRIERS", carriers)]);
    }
    stops_all(
        "OTP_CARRIERS",
        &[("OTP_CARRIERS", r#"[{"kind":"sns"}],"more":[]"#)],
    );
    stops_all(
        "OTP_CARRIERS",
        &[("OTP_CARRIERS", r#"[{"kind":"sns","channels":["voice"]}]"#)],
    );
    stops_all(
        "OTP_CARRIERS",
        &[(
            "OTP_CARRIERS",
            &json!(vec![json!({"kind": "sns"}); 21]).to_string(),
        )],
    );
}

#[test]
fn no_function_starts_with_a_credential_that_is_there_and_wrong() {
    for secret in [
        "",
        "whsec_",
        "whsec_!",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZg",
        "MDEyMzQ1Njc4OWFiY2RlZg==",
    ] {
        stops_carrier(json!({"secret": secret}));
    }
    for token in [json!(""), json!("a b"), json!("a\nb"), json!("é"), json!(1)] {
        stops_carrier(json!({"token": token}));
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
        stops_all(
            "OTP_CARRIERS",
            &[("OTP_CARRIERS", &json!([entry]).to_string())],
        );
    }
}

#[test]
fn only_those_who_need_a_credential_miss_it() {
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
    stops_all(
        "OTP_CARRIERS",
        &[(
            "OTP_CARRIERS",
            r#"[{"kind":"http","token":"t","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}]"#,
        )],
    );
    let mut with_carriers = secrets();
    with_carriers["carriers"] =
        json!({"http": {"token": "t", "secret": WEBHOOK_SECRET}, "retired": {"token": "t"}});
    starts_all(&[
        ("OTP_CARRIERS", http),
        ("OTP_SECRETS", &with_carriers.to_string()),
    ]);
}

#[test]
fn reports_that_are_signed_over_their_url_need_the_url() {
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

#[test]
fn no_function_starts_with_wrong_secrets() {
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
        stops_all("OTP_SECRETS", &[("OTP_SECRETS", &wrong.to_string())]);
    }
    for wrong in ["", "x", "[]", "null", "{}", r#"{"lookup":1,"lookup":1}"#] {
        stops_all("OTP_SECRETS", &[("OTP_SECRETS", wrong)]);
    }
    let mut without_keys = secrets();
    without_keys
        .as_object_mut()
        .and_then(|secrets| secrets.remove("api_keys"));
    starts_all(&[("OTP_SECRETS", &without_keys.to_string())]);
}

#[test]
fn whole_numbers_of_json_may_have_a_fraction_of_nothing() {
    starts_all(&[(
        "OTP_APPS",
        r#"{"shop":{"code_length":8.0,"sends_per_hour":3e0,"spend_per_day":12.5}}"#,
    )]);
    starts_all(&[(
        "OTP_CARRIERS",
        r#"[{"kind":"sns","timeout_ms":2e3,"price":{"FR":0.045,"*":1e-2}}]"#,
    )]);
}

#[test]
fn every_wrong_variable_is_named_at_once() {
    let mut wrong: Vec<(&str, &str)> = OF_APPS
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
