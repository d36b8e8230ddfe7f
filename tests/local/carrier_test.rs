//! `lambda-otp carrier test`: one real message, what goes over the wire, and the report.

use std::process::Output;

use serde_json::json;

use crate::support::listener::Listener;
use crate::support::local_process::{run_to_end, stderr};
use crate::support::sms_partner::{
    SMS_PARTNER_ACCEPTED as ACCEPTED, SMS_PARTNER_KEY as KEY, sms_partner,
};

async fn carrier_test(vendor: &Listener, more: &[&str]) -> (Output, String) {
    let entry =
        json!([{"kind": "smspartner", "name": "first", "base_url": vendor.url(), "voice": true}]);
    let secrets = json!({"carriers": {"first": {"api_key": KEY}}}).to_string();
    let variables = [
        ("OTP_CARRIERS", &*entry.to_string()),
        ("OTP_SECRETS", &secrets),
        ("OTP_BRAND", "Acme"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let variables = variables.each_ref().map(|(n, v)| (*n, v.as_str()));
    let common = ["carrier", "test", "--to", "+33612345678", "--port", "0"];
    let output = run_to_end(&[&common, more].concat(), &variables).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, printed)
}

#[tokio::test]
async fn message_is_sent_and_its_report_is_shown() {
    for (status, channel, path) in [
        ("delivered", "sms", "/v1/send"),
        ("undelivered", "sms", "/v1/send"),
    ] {
        let vendor = sms_partner((200, ACCEPTED), Some(status)).await;
        let arguments = ["first", "--channel", channel];
        let (output, printed) = carrier_test(&vendor, &arguments).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{printed} {}",
            stderr(&output)
        );
        for expected in [
            &format!("request   POST {}{path}", vendor.url()),
            "\"phoneNumbers\":\"+33612345678\"",
            "Acme",
            "response  200 OK",
            "\"message_id\":307",
            "class     accepted",
            &format!("report    {status}"),
        ] {
            assert!(printed.contains(expected), "{expected}: {printed}");
        }
        assert!(!printed.contains(KEY), "{printed}");
        assert!(printed.contains("\"apiKey\":\"***\""), "{printed}");
    }
}

#[tokio::test]
async fn refused_message_fails_the_command() {
    for (body, class) in [
        (
            r#"{"success":false,"code":10,"message":"Clé"}"#,
            "account rejected",
        ),
        (r#"{"success":false,"code":15}"#, "permanent"),
        (r#"{"success":false,"code":13}"#, "misconfigured"),
        (r#"{"success":false,"code":500}"#, "transient"),
    ] {
        let vendor = sms_partner((200, body), None).await;
        let (output, printed) = carrier_test(&vendor, &["--carrier", "first"]).await;
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(printed.contains(&format!("class     {class}")), "{printed}");
    }
}

#[tokio::test]
async fn wrong_options_are_named() {
    let vendor = sms_partner((200, ACCEPTED), None).await;
    for (arguments, problem) in [
        (
            &["other"][..],
            "there is no carrier of this name, but first",
        ),
        (&["first", "--channel", "whatsapp"], "--channel"),
        (&["first", "--channel", "email"], "--channel"),
    ] {
        let (output, _) = carrier_test(&vendor, arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
    let output = run_to_end(
        &[
            "carrier",
            "test",
            "a",
            "--to",
            "+33612345678",
            "--port",
            "0",
        ],
        &[("OTP_CARRIERS", r#"[{"kind":"pigeon"}]"#)],
    )
    .await;
    assert!(
        stderr(&output).contains("OTP_CARRIERS"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn kinds_of_aws_need_its_credentials() {
    let arguments = [
        "carrier",
        "test",
        "sns",
        "--to",
        "+33612345678",
        "--port",
        "0",
    ];
    let output = run_to_end(&arguments, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("AWS_REGION"),
        "{}",
        stderr(&output)
    );
}
