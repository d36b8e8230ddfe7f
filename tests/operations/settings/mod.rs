//! Settings: every variable and every field of a carrier with wrong values. Each of them stops the
//! start of every function with a message that starts with the name of the variable; several are
//! reported together.

mod advice;
mod carriers;
mod secrets;
mod senders;
mod variables;

use std::collections::HashMap;

use data_encoding::BASE64;
use otp::config::{CallbackConfig, FactorsConfig, Reader, SendConfig, VerifyConfig, WorkerConfig};
use serde_json::{Value, json};

/// A function, by the configuration that it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Send,
    Verify,
    Factors,
    DeliveryCallback,
    CarrierWorker,
}

const ROLES: [Role; 5] = [
    Role::Send,
    Role::Verify,
    Role::Factors,
    Role::DeliveryCallback,
    Role::CarrierWorker,
];

fn secrets() -> Value {
    let key = BASE64.encode(&[7; 32]);
    json!({"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key, "api_keys": [{"app": "shop", "sha256": "ab".repeat(32)}]})
}

/// Reads the configuration of a function with these changes to valid variables.
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
    let result = match role {
        Role::Send => SendConfig::read(Reader::of(&lookup)).map(drop),
        Role::Verify => VerifyConfig::read(Reader::of(&lookup)).map(drop),
        Role::Factors => FactorsConfig::read(Reader::of(&lookup)).map(drop),
        Role::DeliveryCallback => CallbackConfig::read(Reader::of(&lookup)).map(drop),
        Role::CarrierWorker => WorkerConfig::read(Reader::of(&lookup)).map(drop),
    };
    result.map_err(|error| error.0)
}

/// Asserts that no function starts with these changes, and that each reports the variable `name`
/// only.
#[track_caller]
fn assert_all_stop(name: &str, changes: &[(&str, &str)]) {
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
fn assert_all_start(changes: &[(&str, &str)]) {
    for role in ROLES {
        assert_eq!(read(role, changes).err(), None, "{role:?}: {changes:?}");
    }
}

/// Texts that are not base URLs.
const WRONG_URLS: [&str; 23] = [
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
