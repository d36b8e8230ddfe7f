//! Senders by country: what stops the start, and what the operator is warned of.

use serde_json::{Value, json};
use tracing::Level;

use super::{ROLES, Role, assert_all_start, assert_all_stop, read};
use crate::support::{LogCapture, with};

/// An entry of a kind that requires a sender.
fn requiring(kind: &str, change: &Value) -> Value {
    let entry = match kind {
        "vonage" => json!({"api_key": "k", "api_secret": "s", "signature_secret": "s"}),
        _ => json!({"product_token": "p", "callback_token": "callback-token-for-tests-0001"}),
    };
    with(with(entry, &json!({"kind": kind})), change)
}

/// The problems of each function with one carrier and these changes.
fn problems(entry: &Value, changes: &[(&str, &str)]) -> Vec<String> {
    let carriers = json!([entry]).to_string();
    let mut changes = changes.to_vec();
    changes.push(("OTP_CARRIERS", &carriers));
    let of_each = ROLES.map(|role| read(role, &changes).err().unwrap_or_default());
    assert!(
        of_each.iter().all(|other| *other == of_each[0]),
        "{of_each:?}"
    );
    of_each[0].clone()
}

#[test]
fn required_sender_is_missing_in_named_countries() {
    for kind in ["vonage", "cm"] {
        let [problem] = &problems(&requiring(kind, &json!({})), &[])[..] else {
            panic!("{kind} starts without a number for the US")
        };
        assert!(problem.starts_with("OTP_CARRIERS: "), "{problem}");
        for country in ["US", "CA", "CN"] {
            assert!(problem.contains(country), "{kind}: {problem}");
        }
        assert!(!problem.contains("FR"), "{kind}: {problem}");
        assert!(
            !problem.contains("BE"),
            "names are accepted there: {problem}"
        );
        for (change, variables) in [
            (json!({"countries": ["FR", "BE"]}), vec![]),
            (json!({}), vec![("OTP_ALLOWED_COUNTRIES", "FR,DE")]),
            (json!({"sender": "AcmeInc"}), vec![]),
            (
                json!({"sender": {"US": "+12025550100", "*": "Acme"}}),
                vec![],
            ),
            (
                json!({"sender": {"US": "+12025550100"}, "countries": ["US", "FR"]}),
                vec![],
            ),
        ] {
            let found = problems(&requiring(kind, &change), &variables);
            assert_eq!(found, Vec::<String>::new(), "{kind} {change}");
        }
        let partly = json!({"sender": {"US": "+12025550100"}, "countries": ["US", "CA", "FR"]});
        let [problem] = &problems(&requiring(kind, &partly), &[])[..] else {
            panic!("{kind} starts without a number for Canada")
        };
        assert!(problem.contains("in CA:"), "{problem}");
    }
}

#[test]
fn app_without_a_name_that_fits_needs_a_sender() {
    let entry = requiring("vonage", &json!({"countries": ["FR"]}));
    for (name, value) in [
        ("OTP_BRAND", "Crédit Agricole"),
        ("OTP_BRAND", "楽天"),
        (
            "OTP_APPS",
            r#"{"shop":{"brand":"A name that is too long"}}"#,
        ),
    ] {
        let problems = problems(&entry, &[(name, value)]);
        assert_eq!(problems.len(), 1, "{value}: {problems:?}");
        assert!(problems[0].contains("in FR:"), "{problems:?}");
    }
    let with_id = [
        ("OTP_BRAND", "Crédit Agricole"),
        ("OTP_SENDER_ID", "CreditAgr"),
    ];
    assert_eq!(problems(&entry, &with_id), Vec::<String>::new());
}

#[test]
fn sender_must_be_one_that_the_vendor_accepts() {
    let sns = |sender: Value| json!([{"kind": "sns", "sender": sender}]).to_string();
    for sender in [
        json!("Al"),
        json!("A name that is too long"),
        json!("+1234567890123456"),
        json!({"US": "Al"}),
        json!({"us": "Acme"}),
        json!({"France": "Acme"}),
        json!(["Acme"]),
        json!(7),
    ] {
        assert_all_stop("OTP_CARRIERS", &[("OTP_CARRIERS", &sns(sender))]);
    }
    for sender in [
        json!("Acme Shop"),
        json!("Café"),
        json!({"US": "+12025550100", "*": "Acme"}),
        json!({"FR": "Acme"}),
    ] {
        assert_all_start(&[("OTP_CARRIERS", &sns(sender))]);
    }
}

/// What the function `role` warns of at the start.
fn warnings(role: Role, entry: &Value, changes: &[(&str, &str)]) -> Vec<String> {
    let logs = LogCapture::start();
    let carriers = json!([entry]).to_string();
    let mut changes = changes.to_vec();
    changes.push(("OTP_CARRIERS", &carriers));
    read(role, &changes).expect("it starts");
    let lines = logs.take().into_iter();
    let warnings = lines.filter(|line| line.level == Level::WARN);
    warnings
        .map(|line| line.field("message").to_owned())
        .collect()
}

#[test]
fn operator_is_warned_of_countries_with_registration() {
    let smsbox = |change: &Value| {
        let entry = json!({"kind": "smsbox", "api_key": "k", "callback_token": "callback-token-for-tests-0001"});
        with(entry, change)
    };
    let of = |change: Value| warnings(Role::CarrierWorker, &smsbox(&change), &[]);
    let everywhere = of(json!({}));
    let [warning] = &everywhere[..] else {
        panic!("{everywhere:?}")
    };
    for country in ["AE", "FI", "GB", "IE", "IN", "SA", "SG", "TR"] {
        assert!(warning.contains(country), "{country}: {warning}");
    }
    assert_eq!(of(json!({"countries": ["FR", "DE"]})), Vec::<String>::new());
    assert_eq!(of(json!({"countries": ["FR", "IE"]})).len(), 1);
    let number = of(json!({"countries": ["IE"], "sender": "+353851234567"}));
    assert_eq!(
        number,
        Vec::<String>::new(),
        "a number is not registered there"
    );
    let [name_in_us] = &of(json!({"countries": ["US"], "sender": "Acme"}))[..] else {
        panic!("no warning")
    };
    assert!(name_in_us.contains("US"), "{name_in_us}");
    for role in [Role::Send, Role::Verify, Role::DeliveryCallback] {
        let found = warnings(role, &smsbox(&json!({})), &[]);
        assert_eq!(found, Vec::<String>::new(), "once is enough: {role:?}");
    }
}

#[test]
fn countries_with_registration_are_documented() {
    let page = include_str!("../../../docs/carriers.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<&str> = rows.filter_map(|row| row.get(..2)).collect();
    for registration in otp::carrier::REGISTRATIONS {
        let country = registration.country;
        assert!(documented.contains(&country), "{country}");
    }
    for country in otp::carrier::COUNTRIES_WITHOUT_NAMES {
        let is_listed = page
            .split([' ', '(', '\n', ':'])
            .any(|word| word == *country);
        assert!(is_listed, "{country}");
    }
}

#[test]
fn operator_is_warned_of_a_name_without_a_form() {
    let entry = json!({"kind": "sns", "countries": ["FR"]});
    let found = warnings(
        Role::CarrierWorker,
        &entry,
        &[("OTP_BRAND", "Crédit Agricole")],
    );
    assert!(
        found.len() == 1 && found[0].contains("OTP_SENDER_ID"),
        "{found:?}"
    );
}

#[test]
fn operator_is_warned_of_india_without_registrations() {
    for entry in [
        json!({"kind": "sns", "sender": {"IN": "ACMEIN"}}),
        json!({"kind": "end_user_messaging", "origination_identity": "ACMEIN"}),
        requiring("vonage", &json!({"sender": {"IN": "ACMEIN"}})),
    ] {
        let india = with(entry, &json!({"countries": ["IN"]}));
        let found = warnings(Role::CarrierWorker, &india, &[]);
        let is_warned = |found: &[String]| found.iter().any(|w| w.contains("template_id"));
        assert!(is_warned(&found), "{india}: {found:?}");
        let ids = json!({"entity_id": "1101", "template_id": {"IN": "1107"}});
        let registered = with(india, &ids);
        let found = warnings(Role::CarrierWorker, &registered, &[]);
        assert!(!is_warned(&found), "{registered}: {found:?}");
    }
    let incomplete = json!([{"kind": "sns", "entity_id": "1101"}]).to_string();
    assert_all_stop("OTP_CARRIERS", &[("OTP_CARRIERS", &incomplete)]);
    let other_kind = json!([{"kind": "smspm", "hash": "h", "token": "t", "entity_id": "1"}]);
    assert_all_stop("OTP_CARRIERS", &[("OTP_CARRIERS", &other_kind.to_string())]);
}

#[test]
fn sender_id_of_end_user_messaging_offers_no_calls() {
    let entry = |identity: &str, channels: &[&str]| {
        let entry = json!({"kind": "end_user_messaging", "origination_identity": identity, "channels": channels});
        json!([entry]).to_string()
    };
    assert_all_stop(
        "OTP_CARRIERS",
        &[("OTP_CARRIERS", &entry("AcmeInc", &["voice"]))],
    );
    assert_all_start(&[("OTP_CARRIERS", &entry("AcmeInc", &["sms"]))]);
    for identity in [
        "+12065550152",
        "pool-1",
        "arn:aws:sms-voice:eu-west-1:1:pool/pool-1",
    ] {
        assert_all_start(&[("OTP_CARRIERS", &entry(identity, &["sms", "voice"]))]);
    }
}
