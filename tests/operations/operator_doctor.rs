//! `doctor`: each finding, and none where there is nothing to find.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::listener::response;
use crate::support::local_process::stderr;
use crate::support::{AwsStandIn, Listener, OperatedServer, stdout};

const DAY: i64 = 86_400;

/// A stack about which `doctor` finds only that its API has no https URL.
struct Checked {
    server: OperatedServer,
    aws: AwsStandIn,
}

impl Checked {
    async fn start() -> Self {
        let server = OperatedServer::start(&["k1"]).await;
        let aws = AwsStandIn::open(server.secrets.clone(), &[]).await;
        let carriers = r#"[{"kind":"sns","countries":["FR"]}]"#;
        let mut stack = aws.stack();
        stack.parameters.insert("OtpAllowedCountries", "FR".into());
        stack.parameters.insert("OtpCarriers", carriers.into());
        stack.api_url.clone_from(&server.process.service.base);
        stack.secret_changed_at = now() - DAY;
        drop(stack);
        Self { server, aws }
    }

    /// Level, check and text of each finding, but for the one about https.
    async fn findings(&self) -> Vec<[String; 3]> {
        let output = self
            .server
            .run_on_stack(&self.aws, &["doctor", "--json"])
            .await;
        let printed: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let findings = printed["findings"].as_array().expect("findings");
        let has_problem = findings.iter().any(|finding| finding["level"] == "problem");
        assert_eq!(output.status.code(), Some(i32::from(has_problem)));
        let text = |finding: &Value, name: &str| finding[name].as_str().expect("text").to_owned();
        let findings = findings.iter().map(|finding| {
            assert!(!text(finding, "do").is_empty(), "{finding}");
            ["level", "check", "finding"].map(|name| text(finding, name))
        });
        findings
            .filter(|finding| !finding[2].contains("is not https"))
            .collect()
    }

    /// The only finding.
    async fn finding(&self) -> [String; 3] {
        let findings = self.findings().await;
        match findings.as_slice() {
            [finding] => finding.clone(),
            findings => panic!("{findings:?}"),
        }
    }

    async fn with_parameter(name: &'static str, value: &str) -> [String; 3] {
        let checked = Self::start().await;
        checked
            .aws
            .stack()
            .parameters
            .insert(name, value.to_owned());
        checked.finding().await
    }
}

/// The commands have the clock of this machine.
fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of the secret in the stand-in"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs().cast_signed()
}

fn assert_finding(finding: &[String; 3], level: &str, check: &str, text: &str) {
    assert_eq!(
        (finding[0].as_str(), finding[1].as_str()),
        (level, check),
        "{finding:?}"
    );
    assert!(finding[2].contains(text), "{finding:?}");
}

#[tokio::test]
async fn healthy_deployment_has_no_finding() {
    let checked = Checked::start().await;
    assert_eq!(checked.findings().await, Vec::<[String; 3]>::new());
    let server = &checked.server;
    let variables = [("OTP_ALLOWED_COUNTRIES", "FR")];
    let output = server.run_with(&["doctor"], "", &variables).await;
    assert_eq!(stdout(&output).trim(), "no finding", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn settings_are_checked() {
    for (name, value, level, check, text) in [
        ("OtpSpendPerDay", "25", "problem", "prices", "no price: sns"),
        (
            "OtpCodeLength",
            "3",
            "problem",
            "settings",
            "OTP_CODE_LENGTH",
        ),
        ("OtpCodeTtlSeconds", "1200", "advice", "settings", "NIST"),
        (
            "OtpAllowedCountries",
            "*",
            "advice",
            "countries",
            "every country: all others",
        ),
    ] {
        let finding = Checked::with_parameter(name, value).await;
        assert_finding(&finding, level, check, text);
    }
}

#[tokio::test]
async fn senders_to_register_are_found() {
    let checked = Checked::start().await;
    for (name, value) in [
        ("OtpAllowedCountries", "FR,GB"),
        ("OtpCarriers", r#"[{"kind":"sns"}]"#),
    ] {
        checked.aws.stack().parameters.insert(name, value.into());
    }
    let finding = checked.finding().await;
    assert_finding(&finding, "advice", "senders", "register the sender name");
}

#[tokio::test]
async fn variables_near_their_limit_are_found() {
    let apps: Value = (0..70)
        .map(|number| (format!("app-{number:02}"), json!({"brand": "Shop"})))
        .collect();
    let finding = Checked::with_parameter("OtpApps", &apps.to_string()).await;
    assert_finding(&finding, "advice", "variables", "of 4096 bytes");
    let apps: Value = (0..120)
        .map(|number| (format!("app-{number:03}"), json!({"brand": "Shop"})))
        .collect();
    let finding = Checked::with_parameter("OtpApps", &apps.to_string()).await;
    assert_finding(&finding, "problem", "variables", "of 4096 bytes");
}

#[tokio::test]
async fn callback_url_that_does_not_respond_is_found() {
    let checked = Checked::start().await;
    let silent = Listener::open(0, |_| async { response(404, &[], "") }).await;
    checked.aws.stack().api_url = silent.url();
    assert_finding(&checked.finding().await, "problem", "callback-url", "404");
    checked.aws.stack().api_url = "http://127.0.0.1:1".into();
    assert_finding(
        &checked.finding().await,
        "problem",
        "callback-url",
        "no connection",
    );
    let output = checked.server.run_on_stack(&checked.aws, &["doctor"]).await;
    let printed = stdout(&output);
    assert!(
        printed.contains("is not https: reports of carriers can be read"),
        "{printed}"
    );
    assert!(
        stderr(&output).contains("2 to solve"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn keys_without_expiry_are_found() {
    let checked = Checked::start().await;
    let create = ["key", "create", "--app", "default", "--json"];
    let with_end = [&create[..], &["--expires", "90d"]].concat();
    checked.server.run_on_stack(&checked.aws, &with_end).await;
    assert_eq!(checked.findings().await, Vec::<[String; 3]>::new());
    let created = checked.server.run_on_stack(&checked.aws, &create).await;
    let created: Value = serde_json::from_slice(&created.stdout).expect("JSON");
    let id = created["id"].as_str().expect("an id");
    assert_finding(&checked.finding().await, "advice", "api-keys", id);
}

#[tokio::test]
async fn alarms_without_a_subscriber_are_found() {
    let checked = Checked::start().await;
    checked.aws.stack().subscriptions = vec!["PendingConfirmation"];
    assert_finding(
        &checked.finding().await,
        "problem",
        "alarms",
        "no subscriber",
    );
}

/// `OTP_SECRETS` of a stack, changed so many days ago.
async fn seal_finding(keys: &[&str], has_carrier_seal: bool, days: i64) -> Vec<[String; 3]> {
    let checked = Checked::start().await;
    let keys: Value = keys
        .iter()
        .map(|id| ((*id).to_owned(), json!(BASE64.encode(&[7; 32]))))
        .collect();
    let mut secrets: Value = serde_json::from_str(&checked.server.secrets).expect("JSON");
    secrets["seal"]["keys"] = keys;
    if !has_carrier_seal {
        secrets
            .as_object_mut()
            .expect("an object")
            .remove("carrier_seal");
    }
    {
        let mut stack = checked.aws.stack();
        for name in ["otp_secrets", "otp_secrets_with_carriers"] {
            stack.secret.insert(name.into(), secrets.to_string().into());
        }
        stack.secret_changed_at = now() - days * DAY;
    }
    checked.findings().await
}

#[tokio::test]
async fn seal_keys_past_their_rotation_are_found() {
    assert_eq!(
        seal_finding(&["k1", "k2"], true, 1).await,
        Vec::<[String; 3]>::new()
    );
    let old = seal_finding(&["k1", "k2"], true, 3).await;
    assert_finding(&old[0], "problem", "seal-keys", "still in the secret: k2");
    assert_eq!(
        seal_finding(&["k1"], true, 300).await,
        Vec::<[String; 3]>::new()
    );
    let due = seal_finding(&["k1"], true, 400).await;
    assert_finding(&due[0], "advice", "seal-keys", "365 days");
    let missing = seal_finding(&["k1"], false, 1).await;
    assert_finding(&missing[0], "advice", "seal-keys", "no carrier_seal");
}

#[tokio::test]
async fn document_under_an_old_key_is_found() {
    let before = OperatedServer::start(&["k1"]).await;
    before
        .done(&["app", "create", "books", "allowed_countries=FR"])
        .await;
    let data = before.data;
    before.process.kill().await;
    let server = OperatedServer::start_in(data, &["k2", "k1"]).await;
    let variables = [("OTP_ALLOWED_COUNTRIES", "FR")];
    let output = server.run_with(&["doctor"], "", &variables).await;
    let printed = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("sealed under k1, and k2 is current"),
        "{printed}"
    );
    server.done(&["reseal"]).await;
    let output = server.run_with(&["doctor"], "", &variables).await;
    assert_eq!(stdout(&output).trim(), "no finding");
}

#[tokio::test]
async fn clock_that_differs_from_the_table_is_found() {
    let mut checked = Checked::start().await;
    let date = [("date", "Sat, 21 Nov 2020 20:00:00 GMT")];
    let table = Listener::open(0, move |_| async move { response(400, &date, "{}") }).await;
    checked.server.process.service.dynamodb_url = table.url();
    let findings = checked.findings().await;
    assert_finding(
        &findings[0],
        "problem",
        "clock",
        "differs from the clock of the table",
    );
    assert_finding(&findings[1], "problem", "table", "system clock");
}

#[tokio::test]
async fn unreachable_table_is_found() {
    let mut checked = Checked::start().await;
    checked.server.process.service.dynamodb_url = "http://127.0.0.1:1".into();
    let findings = checked.findings().await;
    assert_finding(&findings[0], "problem", "clock", "does not respond");
    assert_eq!((findings.len(), findings[1][1].as_str()), (2, "table"));
}
