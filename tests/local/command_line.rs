//! The command line of the local server: arguments, settings, and what it prints.

use serde_json::json;

use crate::support::local_process::{local_command, run_to_end, stderr};
use crate::support::{LocalProcess, TO, TempDirectory, assert_status};

#[tokio::test]
async fn start_prints_the_url_and_a_working_curl_line() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let port = process.greeting[0]
        .strip_prefix("listening on http://127.0.0.1:")
        .and_then(|port| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| port > 0), "{:?}", process.greeting);
    let (app, key) = process.keys().remove(0);
    assert_eq!(
        (app.as_str(), &process.greeting[1]),
        ("default", &format!("api key default {key}"))
    );
    assert!(key.starts_with("otp_test_") && key.len() >= 20, "{key}");
    assert!(process.greeting[2].starts_with("twilio default AC"));
    assert_eq!(process.greeting.len(), 4, "{:?}", process.greeting);
    // The parts of the line as a shell would split it.
    let quoted: Vec<&str> = process.greeting[3].split('\'').collect();
    let url = quoted[0]
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .expect("a URL");
    let path = url
        .strip_prefix(&process.service.base)
        .expect("this server");
    let headers: Vec<(String, &str)> = [quoted[1], quoted[3]]
        .iter()
        .filter_map(|h| h.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let response = process
        .service
        .raw("POST", path, &headers, quoted[5].to_owned())
        .await;
    assert_status(&response, 201);
    let to = response.body["to"].as_str().expect("a number").to_owned();
    assert_eq!(
        process.service.messages(&to).await.len(),
        1,
        "the message arrives"
    );
}

#[tokio::test]
async fn serve_command_starts_the_server() {
    let process = LocalProcess::start_with_arguments(&["serve"], &[]).await;
    assert_status(&process.service.raw("GET", "/healthz", &[], "").await, 200);
}

#[tokio::test]
async fn start_without_keys_uses_the_development_key() {
    for _ in 0..2 {
        let process = LocalProcess::start_with_arguments(&[], &[]).await;
        let key = "otp_test_local_development_key".to_owned();
        assert_eq!(process.keys(), [("default".to_owned(), key)]);
    }
}

#[tokio::test]
async fn given_api_keys_create_apps() {
    let (shop, bank) = ("otp_test_shop_0000000000000", "otp_test_bank_0000000000000");
    let process = LocalProcess::start_with_arguments(
        &[],
        &[
            ("OTP_LOCAL_API_KEYS", &format!("shop={shop},bank={bank}")),
            ("OTP_BRAND", ""),
        ],
    )
    .await;
    assert_eq!(
        process.keys(),
        [
            ("shop".to_owned(), shop.to_owned()),
            ("bank".to_owned(), bank.to_owned())
        ]
    );
    let id = process
        .call("POST", "/v1/verifications", Some(json!({"to": TO})))
        .await
        .id();
    let path = format!("/v1/verifications/{id}");
    assert_status(
        &process.service.call_as(shop, "GET", &path, None, &[]).await,
        200,
    );
    // A verification of one app is not visible to another.
    assert_status(
        &process.service.call_as(bank, "GET", &path, None, &[]).await,
        404,
    );
}

#[tokio::test]
async fn wrong_usage_exits_with_2() {
    for arguments in [
        &["--nonsense"][..],
        &["--port"],
        &["--port", "x"],
        &["--port", "70000"],
        &["--port", "-1"],
        &["extra"],
        &["serve", "--nonsense"],
        &["serve", "extra"],
        &["--port", "0", "serve"],
        &["--data"],
        &["--dynamodb", "x"],
        &["--host", "localhost"],
        &["--host", "0.0.0.0:80"],
        &["--allow-host", "http://otp"],
        &["--allow-host", "otp:8080"],
        &["--allow-host", ""],
        &["--preset", "production"],
    ] {
        let output = run_to_end(arguments, &[]).await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    let help = run_to_end(&["--help"], &[]).await;
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert_eq!(help.status.code(), Some(0));
    assert!(
        text.contains("--port") && text.contains("--data") && text.contains("8080"),
        "{text}"
    );
}

#[tokio::test]
async fn port_in_use_exits_with_1() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let port = process
        .service
        .base
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let output = run_to_end(&["--port", &port], &[]).await;
    assert_eq!(
        (output.status.code(), output.stdout.is_empty()),
        (Some(1), true)
    );
    assert!(stderr(&output).contains(&port), "{}", stderr(&output));
    // The first server continues to run.
    assert_status(&process.service.raw("GET", "/healthz", &[], "").await, 200);
}

/// Asserts that a start with these values exits with 1 and prints a line about each of the
/// variables.
async fn assert_reported(variables: &[(&str, &str)]) {
    let output = run_to_end(&["--port", "0"], variables).await;
    assert_eq!(
        (output.status.code(), output.stdout.is_empty()),
        (Some(1), true),
        "{variables:?}: {}",
        stderr(&output)
    );
    for (name, _) in variables {
        assert!(
            stderr(&output).lines().any(|line| line.contains(name)),
            "{name} in: {}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn all_wrong_settings_are_reported_together() {
    assert_reported(&[
        ("OTP_BRAND", "a\u{7}b"),
        ("OTP_LOCALE", "!"),
        ("OTP_CODE_LENGTH", "3"),
        ("OTP_CODE_ALPHABET", "runes"),
        ("OTP_CODE_TTL_SECONDS", "59"),
        ("OTP_MAX_ATTEMPTS", "11"),
        ("OTP_GUESS_BUDGET", "0"),
        ("OTP_RESEND_CODE", "other"),
        ("OTP_COOLDOWN_SECONDS", "soon"),
        ("OTP_SENDS_PER_HOUR", "1001"),
        ("OTP_SENDS_PER_DAY", "0"),
        ("OTP_ALLOWED_COUNTRIES", "France"),
        ("OTP_BLOCKED_PREFIXES", "44"),
        ("OTP_SENDER_ID", "much too long a sender"),
        ("OTP_ANDROID_HASH", "short"),
        ("OTP_CARRIERS", "[]"),
        ("OTP_FALLBACK_SECONDS", "0"),
        ("OTP_UNKNOWN_WAIT_SECONDS", "never"),
        ("OTP_PUBLIC_URL", "ftp://x"),
        ("OTP_APPS", "[]"),
        ("OTP_DISPATCH", "pigeon"),
    ])
    .await;
}

#[tokio::test]
async fn wrong_keys_and_secrets_are_reported_with_the_rest() {
    assert_reported(&[
        ("OTP_LOCAL_API_KEYS", "default=short"),
        ("OTP_CODE_LENGTH", "3"),
    ])
    .await;
    assert_reported(&[("OTP_SECRETS", "nonsense"), ("OTP_CODE_LENGTH", "3")]).await;
    assert_reported(&[("OTP_SECRETS", "{\"seal\":7}"), ("OTP_MAX_ATTEMPTS", "0")]).await;
    assert_reported(&[
        ("OTP_SECRETS", "{\"seal\":7}"),
        ("OTP_LOCAL_API_KEYS", "default=short"),
    ])
    .await;
    assert_reported(&[
        ("OTP_SECRETS", "{\"api_keys\":7}"),
        ("OTP_LOCAL_API_KEYS", "default"),
    ])
    .await;
    assert_reported(&[(
        "OTP_LOCAL_API_KEYS",
        "shop=otp_test_of_both_00000000,bank=otp_test_of_both_00000000",
    )])
    .await;
}

#[tokio::test]
async fn value_that_is_not_utf8_is_rejected() {
    use std::os::unix::ffi::OsStrExt as _;
    for name in [
        "OTP_BRAND",
        "OTP_CODE_LENGTH",
        "OTP_LOCAL_API_KEYS",
        "OTP_SECRETS",
        "OTP_CARRIERS",
    ] {
        let mut command = local_command(&["--port", "0"], &[]);
        let output = command
            .env(name, std::ffi::OsStr::from_bytes(b"6\xff"))
            .output()
            .await
            .expect("it ran");
        assert_eq!(
            (output.status.code(), stderr(&output).contains(name)),
            (Some(1), true),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn weak_policy_does_not_start() {
    let output = run_to_end(
        &["--port", "0"],
        &[("OTP_CODE_LENGTH", "4"), ("OTP_GUESS_BUDGET", "20")],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("OTP_GUESS_BUDGET"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn unusable_data_directory_exits_with_1() {
    let unreadable = TempDirectory::new();
    std::fs::create_dir_all(unreadable.path().join("secrets.json"))
        .expect("a directory in place of the file");
    for path in ["/proc/nothing/here", "/dev/null", unreadable.as_str()] {
        let output = run_to_end(&["--port", "0", "--data", path], &[]).await;
        assert_eq!(
            (output.status.code(), output.stdout.is_empty()),
            (Some(1), true),
            "{path}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("--data"),
            "{path}: {}",
            stderr(&output)
        );
    }
}
