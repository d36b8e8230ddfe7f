//! What the start says about settings beyond "wrong": what was cut, what has no effect, which item,
//! where secrets belong. Warnings are logged once.

use serde_json::json;

use super::carriers::WEBHOOK_SECRET;
use super::{Role, assert_all_start, assert_all_stop, read};
use crate::support::LocalProcess;
use crate::support::local_process::{run_to_end, stderr};

/// The problems of the worker, which reads everything.
fn problems(changes: &[(&str, &str)]) -> Vec<String> {
    read(Role::CarrierWorker, changes).err().unwrap_or_default()
}

#[test]
fn cut_json_is_explained() {
    for (name, value) in [
        ("OTP_CARRIERS", "[{"),
        ("OTP_CARRIERS", "["),
        ("OTP_CARRIERS", r#"[{"kind":"sns"#),
        ("OTP_APPS", "{"),
        ("OTP_APPS", r#"{"shop":{"brand":"#),
        ("OTP_SECRETS", "{"),
        ("OTP_SECRETS", r#"{"seal":{"current":"k1""#),
    ] {
        assert_all_stop(name, &[(name, value)]);
        let problems = problems(&[(name, value)]);
        assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
        assert!(problems[0].contains("it was cut"), "{problems:?}");
        assert!(problems[0].contains("single quotes"), "{problems:?}");
        assert!(!problems[0].contains("current"), "{problems:?}");
    }
    let wrong = problems(&[("OTP_CARRIERS", "[{}]]")]);
    assert!(!wrong[0].contains("it was cut"), "{wrong:?}");
}

#[test]
fn changed_json_is_explained() {
    for (name, value, advice) in [
        ("OTP_CARRIERS", "[{kind:sns}]", "has no quotation marks"),
        ("OTP_APPS", "{shop:{brand:Shop}}", "has no quotation marks"),
        (
            "OTP_SECRETS",
            "{seal:{current:k1}}",
            "has no quotation marks",
        ),
        (
            "OTP_TEST_NUMBERS",
            "[{to:+12025550143}]",
            "has no quotation marks",
        ),
        ("OTP_CARRIERS", r#"[{\"kind\":\"sns\"}]"#, "has backslashes"),
        (
            "OTP_CARRIERS",
            "[{'kind':'sns'}]",
            "has single quotation marks",
        ),
        (
            "OTP_APPS",
            "'{}'",
            "around the JSON are a part of the value",
        ),
        (
            "OTP_CARRIERS",
            "[{\u{201c}kind\u{201d}:1}]",
            "character 3 is U+201C",
        ),
        (
            "OTP_APPS",
            "\u{feff}{}",
            "character 1 is U+FEFF (byte order mark)",
        ),
    ] {
        assert_all_stop(name, &[(name, value)]);
        let problems = problems(&[(name, value)]);
        assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
        assert!(problems[0].contains(advice), "{problems:?}");
    }
    let rules = read(Role::Factors, &[("OTP_RULES", "[{name:rest}]")]).err();
    let rules = rules.unwrap_or_default();
    assert!(rules[0].contains("has no quotation marks"), "{rules:?}");
}

#[test]
fn character_that_does_not_show_is_named() {
    let mut secrets = super::secrets();
    secrets["carriers"] = json!({"smspartner": {"api_key": "k\u{200b}"}});
    let secrets = secrets.to_string();
    let partner = r#"[{"kind":"smspartner"}]"#;
    for (changes, expected) in [
        (
            &[("OTP_CODE_LENGTH", "6\u{200b}")][..],
            "OTP_CODE_LENGTH: must be a whole number from 4 to 10; character 2 is U+200B (zero width \
             space)",
        ),
        (
            &[("OTP_RESEND_CODE", "\u{201c}same\u{201d}")],
            "OTP_RESEND_CODE: must be `same` or `fresh` (did you mean `same`?); character 1 is \
             U+201C (typographic quotation mark)",
        ),
        (
            &[("OTP_TABLE", "otp\n")],
            "OTP_TABLE: must be the name of a table (3 to 255 letters, digits, hyphens, underscores \
             and dots) or its ARN; character 4 is U+000A (line feed)",
        ),
        (
            &[(
                "OTP_APPS",
                "{\"shop\":{\"code_length\":\"6\u{a0}\",\"brand\":\"A\u{a0}b\"}}",
            )],
            "OTP_APPS: shop.code_length must be a whole number from 4 to 10; \
             OTP_APPS.shop.code_length: character 2 is U+00A0 (no-break space)",
        ),
        (
            &[("OTP_CARRIERS", partner), ("OTP_SECRETS", &secrets)],
            "OTP_CARRIERS: carrier 1 (smspartner): api_key must be 1 to 256 printable ASCII \
             characters; OTP_SECRETS.carriers.smspartner.api_key: character 2 is U+200B (zero width \
             space)",
        ),
    ] {
        assert_eq!(problems(changes), [expected]);
    }
}

#[test]
fn spend_limit_without_prices_does_not_start() {
    let (limit, priced) = (
        ("OTP_SPEND_PER_DAY", "0.01"),
        r#"[{"kind":"sns","price":0.05}]"#,
    );
    let mixed = r#"[{"kind":"sns","price":0.05},{"kind":"sns","name":"other"}]"#;
    assert_all_stop("OTP_SPEND_PER_DAY", &[limit]);
    assert_all_stop("OTP_SPEND_PER_DAY", &[limit, ("OTP_CARRIERS", mixed)]);
    let named = problems(&[limit, ("OTP_CARRIERS", mixed)]);
    assert!(named[0].contains("no price: other. "), "{named:?}");
    let of_app = ("OTP_APPS", r#"{"shop":{"spend_per_day":5}}"#);
    assert_all_stop("OTP_APPS", &[of_app]);
    for carriers in [
        priced,
        r#"[{"kind":"sns","price":{"FR":0.05}}]"#,
        r#"[{"kind":"sns","price":0}]"#,
    ] {
        assert_all_start(&[limit, of_app, ("OTP_CARRIERS", carriers)]);
    }
}

#[tokio::test]
async fn simulated_carriers_have_no_price_either() {
    let output = run_to_end(&["--port", "0"], &[("OTP_SPEND_PER_DAY", "0.01")]).await;
    assert_eq!(output.status.code(), Some(1));
    let printed = stderr(&output);
    assert!(
        printed.starts_with("OTP_SPEND_PER_DAY: ") && printed.contains("sim-a, sim-b"),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

#[test]
fn wrong_item_of_a_list_is_named() {
    for (name, value, item) in [
        (
            "OTP_ALLOWED_COUNTRIES",
            "FR,UK",
            "item 2 of the list, `UK`, must be",
        ),
        ("OTP_ALLOWED_COUNTRIES", "FR,UK", "`GB`"),
        (
            "OTP_ALLOWED_COUNTRIES",
            "fr,f",
            "item 2 of the list, `f`, must be an ISO 3166 code",
        ),
        (
            "OTP_COOLDOWN_SECONDS",
            "30,soon,60",
            "item 2 of the list, `soon`, must be a whole number",
        ),
        (
            "OTP_BLOCKED_PREFIXES",
            "+33,44",
            "item 2 of the list, `44`, must be `+`",
        ),
    ] {
        let problems = problems(&[(name, value)]);
        assert!(
            problems.len() == 1 && problems[0].contains(item),
            "{problems:?}"
        );
    }
}

#[test]
fn missing_secret_is_shown_with_its_place() {
    let twilio = json!({"kind": "twilio", "account_sid": "AC1", "from": "+15017122661"});
    let named =
        json!({"kind": "twilio", "name": "us", "account_sid": "AC1", "from": "+15017122661"});
    let complete = json!({"kind": "http", "base_url": "https://x.example", "token": "t", "secret": WEBHOOK_SECRET});
    for (carriers, expected) in [
        (
            json!([twilio]),
            r#"OTP_CARRIERS: carrier 1 (twilio): auth_token is required. Secrets belong in OTP_SECRETS: {"carriers":{"twilio":{"auth_token":"..."}}}"#,
        ),
        (
            json!([complete, named]),
            r#"OTP_CARRIERS: carrier 2 (twilio, us): auth_token is required. Secrets belong in OTP_SECRETS: {"carriers":{"us":{"auth_token":"..."}}}"#,
        ),
    ] {
        assert_eq!(
            problems(&[("OTP_CARRIERS", &carriers.to_string())]),
            [expected]
        );
    }
    let without_url = json!([{"kind": "http", "token": "t", "secret": WEBHOOK_SECRET}]).to_string();
    let problems = problems(&[("OTP_CARRIERS", &without_url)]);
    assert!(!problems[0].contains("Secrets belong"), "{problems:?}");
}

#[tokio::test]
async fn warning_is_logged_once_with_its_variable() {
    let apps = r#"{"shop":{"brand":"Shop"},"bank":{"code_ttl_seconds":1200}}"#;
    let variables = [("OTP_CODE_TTL_SECONDS", "900"), ("OTP_APPS", apps)];
    let process = LocalProcess::start_with_arguments(&[], &variables).await;
    let printed = process.kill().await;
    let warnings: Vec<_> = printed
        .lines()
        .filter(|line| line.contains("NIST"))
        .collect();
    assert_eq!(warnings.len(), 2, "{printed}");
    for expected in [
        "OTP_CODE_TTL_SECONDS: codes are valid for 900 s",
        "OTP_APPS: bank.code_ttl_seconds: codes are valid for 1200 s",
    ] {
        assert!(
            warnings.iter().any(|line| line.contains(expected)),
            "{warnings:?}"
        );
    }
}

#[tokio::test]
async fn start_logs_the_bytes_of_variables() {
    let printed = LocalProcess::start_with_arguments(&[], &[])
        .await
        .kill()
        .await;
    let line = printed
        .lines()
        .find(|line| line.contains("bytes of variables"));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    assert!(line.contains("INFO") && line.contains("4096"), "{line}");
    let blocked = vec!["+8816"; 600].join(",");
    let variables = [("OTP_BLOCKED_PREFIXES", blocked.as_str())];
    let printed = LocalProcess::start_with_arguments(&[], &variables)
        .await
        .kill()
        .await;
    assert!(
        printed
            .lines()
            .any(|line| line.contains("WARN") && line.contains("too many bytes of variables")),
        "{printed}"
    );
}
