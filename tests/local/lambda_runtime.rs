//! The functions as processes under the Lambda Runtime API of the local server: their events,
//! environment and life time. The rest of the suite runs against such processes if
//! `OTP_TEST_FUNCTIONS` names them.

use std::path::Path;
use std::process::Stdio;

use local::{BuiltFunctions, Wires};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::sample_events::{SAMPLE_KEY, expected_status, function_of, sample, samples};
use crate::support::processes::{mark_of, processes};
use crate::support::{DEFAULT_KEY, Service, assert_status, built_functions, phone};

pub async fn start(variables: &[(&str, &str)], functions: BuiltFunctions) -> Service {
    Service::try_start_as(variables, None, Wires::default(), Some(functions))
        .await
        .expect("the service starts")
}

#[tokio::test]
async fn http_samples_are_answered_by_their_functions() {
    let service = start(
        &[("OTP_LOCAL_API_KEYS", &format!("default={SAMPLE_KEY}"))],
        built_functions::functions(),
    )
    .await;
    for (name, text) in samples() {
        let event: Value = serde_json::from_str(&text).expect("JSON");
        let Some(path) = event["rawPath"].as_str() else {
            continue;
        };
        let function = function_of(path);
        let response = service.invoke(function, &text).await;
        let status = expected_status(&name);
        assert_eq!(
            (response.status, &response.body["statusCode"]),
            (200, &json!(status)),
            "{name}: {response:?}"
        );
        assert_eq!(
            response.body["headers"]["request-id"], event["requestContext"]["requestId"],
            "{name}: the request id of the gateway"
        );
    }
}

#[tokio::test]
async fn queue_and_topic_samples_are_accepted() {
    let service = start(&[], built_functions::functions()).await;
    let batch = service
        .invoke("carrier-worker", &sample("dispatch.json"))
        .await;
    assert_eq!(
        (batch.header("x-amz-function-error"), &batch.body),
        (None, &json!({"batchItemFailures": []}))
    );
    let report = service
        .invoke("delivery-callback", &sample("sns-report.json"))
        .await;
    assert_eq!(
        (report.header("x-amz-function-error"), &report.body),
        (None, &Value::Null)
    );
}

#[tokio::test]
async fn unreadable_event_fails_one_invocation() {
    let service = start(&[], built_functions::functions()).await;
    for function in [
        "send",
        "verify",
        "factors",
        "delivery-callback",
        "carrier-worker",
    ] {
        for event in ["{}", "[]", "null", "nonsense", ""] {
            let response = service.invoke(function, event).await;
            assert_eq!(response.status, 200, "{function}: {event}: {response:?}");
            let is_failed = response.header("x-amz-function-error").is_some();
            let is_rejected = response.body["statusCode"]
                .as_u64()
                .is_some_and(|status| (400..500).contains(&status));
            let is_empty = response.body["batchItemFailures"] == json!([]);
            assert!(
                is_failed || is_rejected || is_empty && function == "carrier-worker",
                "{function}: {event}: {response:?}"
            );
        }
    }
    let (id, code) = service.open(&phone(1)).await;
    assert!(service.check(&id, &code).await.is_valid());
}

/// With the local server as a process.
#[tokio::test]
async fn processes_have_real_time_and_end_with_the_server() {
    let mark = format!("otp-{}", built_functions::random_name());
    let mut server = Command::new(env!("CARGO_BIN_EXE_local-under-test"));
    server
        .args(["--port", "0", "--processes", "2", "--functions"])
        .arg(&built_functions::functions().directory);
    server
        .env_clear()
        .env("OTP_LOCAL_API_KEYS", format!("default={DEFAULT_KEY}"))
        .env("OTP_BRAND", &mark);
    let mut server = server
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let first = lines.next_line().await.expect("a line").unwrap_or_default();
    let service = Service::at(
        first
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{first}")),
    );
    let (id, code) = service.open(&phone(1)).await;
    assert!(service.check(&id, &code).await.is_valid());
    let moved = service
        .raw("POST", "/local/clock", &[], r#"{"advance_seconds":1}"#)
        .await;
    assert_eq!(
        (
            moved.status,
            moved.body["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("real time"))
        ),
        (409, true),
        "{moved:?}"
    );
    // The server itself has the brand as well, but not the other variable.
    let function_processes = || {
        processes(|environment| {
            environment.contains(&mark) && environment.contains("AWS_LAMBDA_RUNTIME_API=")
        })
    };
    assert!(
        function_processes().len() >= 3,
        "send, carrier-worker and verify"
    );
    server.kill().await.expect("it runs");
    while !function_processes().is_empty() {
        tokio::task::yield_now().await;
    }
}

/// The name of a variable that Lambda does not set.
fn unexpected_variable(environment: &str) -> Option<&str> {
    const PREFIXES: [&str; 3] = ["OTP_", "AWS_", "LAMBDA_"];
    const NAMES: [&str; 7] = [
        "LANG",
        "PATH",
        "TZ",
        "_HANDLER",
        "SECRETS_REVISION",
        "LD_PRELOAD",
        "CLOCK_OFFSET_FILE",
    ];
    environment
        .split_terminator('\0')
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, _)| name)
        .find(|name| {
            !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !NAMES.contains(name)
        })
}

#[tokio::test]
async fn processes_have_the_environment_of_lambda_only() {
    let functions = built_functions::functions();
    let mark = mark_of(&functions);
    let carriers = r#"[{"kind":"http","name":"acme","base_url":"http://127.0.0.1:9","token":"carriers-token","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}]"#;
    let service = start(
        &[
            ("OTP_CARRIERS", carriers),
            ("HOME", "/root"),
            ("OTP_LOCAL_API_KEYS", &format!("default={DEFAULT_KEY}")),
        ],
        functions,
    )
    .await;
    let (sent, _) = (service.send(&phone(1)).await, service.show("x").await);
    service.show_subject("ann").await;
    service.settle().await;
    assert_status(&sent, 201);
    let environment_of = |name: &str| {
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={name}\0");
        let ids =
            processes(|environment| environment.contains(&mark) && environment.contains(&name));
        let path = Path::new("/proc")
            .join(ids.first().expect("a process"))
            .join("environ");
        String::from_utf8_lossy(&std::fs::read(path).expect("its environment")).into_owned()
    };
    for (name, has_queue) in [
        ("send", true),
        ("verify", false),
        ("factors", false),
        ("carrier-worker", true),
    ] {
        let environment = environment_of(name);
        let unexpected = unexpected_variable(&environment);
        assert_eq!(unexpected, None, "{name}");
        assert_eq!(
            environment.contains("OTP_QUEUE_URL="),
            has_queue,
            "{name}: as in template.yaml"
        );
        assert!(
            !environment.contains("OTP_LOCAL_API_KEYS") && !environment.contains(DEFAULT_KEY),
            "{name}: only hashes of API keys"
        );
    }
}

#[tokio::test]
async fn variables_that_lambda_would_reject_do_not_start() {
    let blocked = vec!["+8816"; 600].join(",");
    let variables = [("OTP_BLOCKED_PREFIXES", blocked.as_str())];
    let functions = Some(built_functions::functions());
    let started = Service::try_start_as(&variables, None, Wires::default(), functions).await;
    let problem = started.err().expect("it does not start");
    for part in ["--functions: ", "OTP_BLOCKED_PREFIXES", "4096 bytes"] {
        assert!(problem.contains(part), "{problem}");
    }
}

#[tokio::test]
async fn reset_starts_new_processes() {
    let service = start(&[], built_functions::functions()).await;
    let (id, _) = service.open(&phone(1)).await;
    service.advance(86_400).await;
    assert_status(&service.raw("POST", "/local/reset", &[], "").await, 200);
    assert_status(&service.show(&id).await, 404);
    let (id, code) = service.open(&phone(1)).await;
    assert_eq!(service.check(&id, &code).await.body["valid"], true);
}
