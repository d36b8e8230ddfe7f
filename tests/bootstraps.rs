//! The functions as processes under a Lambda Runtime API: the samples of `events/` reach them, a killed one loses nothing
//! that was told, and none outlives the server. What they answer otherwise is for the rest of the suite, which runs
//! against them where `OTP_TEST_FUNCTIONS` says so.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use local::{BuiltFunctions, Wires};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::built;
use crate::events::{sample, samples};
use crate::given::phone;
use crate::harness::{Answer, DEFAULT_KEY, Service, other_than};

/// The key that the samples carry.
const SAMPLE_KEY: &str = "otp_test_EXAMPLEEXAMPLEEXAMPLE";
/// For a test that would else wait for ever.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(variables: &[(&str, &str)], functions: BuiltFunctions) -> Service {
    Service::try_start_as(variables, None, Wires::default(), Some(functions))
        .await
        .expect("the service starts")
}

/// Lambda's answer to an event.
async fn invoke(service: &Service, function: &str, event: &str) -> Answer {
    service
        .raw(
            "POST",
            &format!("/2015-03-31/functions/{function}/invocations"),
            &[],
            event.to_owned(),
        )
        .await
}

#[tokio::test]
async fn every_http_sample_is_answered_by_its_function() {
    let service = start(
        &[("OTP_LOCAL_API_KEYS", &format!("default={SAMPLE_KEY}"))],
        built::functions(),
    )
    .await;
    let expected = [
        ("send.json", 201),
        ("forget.json", 200),
        ("unlock.json", 200),
        ("health.json", 200),
    ];
    for (name, text) in samples() {
        let event: Value = serde_json::from_str(&text).expect("JSON");
        let function = match event["rawPath"].as_str() {
            None => continue,
            Some(path) if path.starts_with("/v1/callbacks/") => "delivery-callback",
            Some(path)
                if path == "/v1/verifications"
                    || path.ends_with("/resend")
                    || path.starts_with("/v1/recipients/") =>
            {
                "send"
            }
            Some(_) => "verify",
        };
        let answer = invoke(&service, function, &text).await;
        let status = expected
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(404, |(_, status)| *status);
        assert_eq!(
            (answer.status, &answer.body["statusCode"]),
            (200, &json!(status)),
            "{name}: {answer:?}"
        );
        assert_eq!(
            answer.body["headers"]["request-id"], event["requestContext"]["requestId"],
            "{name}: the gateway's name for the request"
        );
    }
}

#[tokio::test]
async fn the_samples_of_queue_and_topic_are_taken() {
    let service = start(&[], built::functions()).await;
    let batch = invoke(&service, "carrier-worker", &sample("dispatch.json")).await;
    assert_eq!(
        (batch.header("x-amz-function-error"), &batch.body),
        (None, &json!({"batchItemFailures": []}))
    );
    let report = invoke(&service, "delivery-callback", &sample("sns-report.json")).await;
    assert_eq!(
        (report.header("x-amz-function-error"), &report.body),
        (None, &Value::Null)
    );
}

#[tokio::test]
async fn what_no_function_can_read_fails_one_invocation() {
    let service = start(&[], built::functions()).await;
    for function in ["send", "verify", "delivery-callback", "carrier-worker"] {
        for event in ["{}", "[]", "null", "nonsense", ""] {
            let answer = invoke(&service, function, event).await;
            assert_eq!(answer.status, 200, "{function}: {event}: {answer:?}");
            let is_failed = answer.header("x-amz-function-error").is_some();
            let is_refused = answer.body["statusCode"]
                .as_u64()
                .is_some_and(|status| (400..500).contains(&status));
            let is_empty = answer.body["batchItemFailures"] == json!([]);
            assert!(
                is_failed || is_refused || is_empty && function == "carrier-worker",
                "{function}: {event}: {answer:?}"
            );
        }
    }
    let (id, code) = service.sent(&phone(1)).await;
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
}

/// What a caller has in the end who repeats what failed, as the contract asks: under the same `Idempotency-Key`.
struct Life {
    to: String,
    id: String,
    approvals: usize,
}

/// The answer to a call that is repeated until a function gives one.
async fn answered(
    service: &Service,
    answers: &AtomicUsize,
    path: &str,
    body: Value,
    key: &str,
) -> Answer {
    loop {
        let answer = service
            .call_as(
                DEFAULT_KEY,
                "POST",
                path,
                Some(body.clone()),
                &[("idempotency-key", key)],
            )
            .await;
        answers.fetch_add(1, Ordering::SeqCst);
        if answer.status < 500 {
            return answer;
        }
    }
}

/// Sent, checked wrong, checked right twice, while processes die.
async fn life(service: Service, answers: Arc<AtomicUsize>, to: String) -> Life {
    let sent = answered(
        &service,
        &answers,
        "/v1/verifications",
        json!({"to": to}),
        "send",
    )
    .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let (id, path) = (sent.id(), format!("/v1/verifications/{}/check", sent.id()));
    let code = loop {
        // That of a worker that died comes later.
        let messages = service.messages_now(&to).await;
        match messages.last().and_then(|message| message["code"].as_str()) {
            Some(code) => break code.to_owned(),
            None => tokio::task::yield_now().await,
        }
    };
    let wrong = answered(
        &service,
        &answers,
        &path,
        json!({"code": other_than(&code)}),
        "wrong",
    )
    .await;
    assert_eq!(wrong.outcome().1, "wrong_code", "{wrong:?}");
    let first = answered(&service, &answers, &path, json!({"code": code}), "right").await;
    assert_eq!(
        first.outcome().0,
        true,
        "no verification is lost: {first:?}"
    );
    let second = answered(&service, &answers, &path, json!({"code": code}), "again").await;
    let approvals = [&first, &second]
        .iter()
        .filter(|answer| answer.outcome().0)
        .count();
    Life { to, id, approvals }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_lose_nothing() {
    let functions = built::functions();
    let mark = functions
        .moved_clock
        .as_ref()
        .expect("a clock")
        .offset_file
        .display()
        .to_string();
    let variables = [
        ("OTP_COOLDOWN_SECONDS", "0"),
        ("OTP_PREFIX_SENDS", "1000/600"),
        ("OTP_CODE_TTL_SECONDS", "1800"),
    ];
    let mut service = start(&variables, functions).await;
    service.may_fail = true;
    // Long enough to die while a carrier has the message.
    service
        .carrier("sim-a", json!({"mode": "ok", "delay_ms": 20}))
        .await;
    let (answers, is_over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut lives = JoinSet::new();
    for n in 0..30 {
        lives.spawn(life(service.clone(), answers.clone(), phone(n)));
    }
    let killer = {
        let (answers, is_over) = (answers.clone(), is_over.clone());
        tokio::spawn(async move {
            let (mut killed, mut at, mut round) = (0, 5, 0);
            while !is_over.load(Ordering::SeqCst) {
                if answers.load(Ordering::SeqCst) < at {
                    tokio::task::yield_now().await;
                    continue;
                }
                // The third worker that dies with a dispatch leaves it to the dead letters.
                let is_spared = |environment: &str| {
                    round >= 2 && environment.contains("FUNCTION_NAME=carrier-worker")
                };
                killed += kill(&processes(|environment| {
                    environment.contains(&mark) && !is_spared(environment)
                }))
                .await;
                round += 1;
                at = answers.load(Ordering::SeqCst) + 9;
            }
            killed
        })
    };
    let rescuer = {
        let (service, is_over) = (service.clone(), is_over.clone());
        tokio::spawn(async move {
            // Dispatches whose worker died come again.
            while !is_over.load(Ordering::SeqCst) {
                service.settle().await;
                if service.state().await["queue"] != json!([]) {
                    service.advance(61).await;
                }
            }
        })
    };
    let Ok(lives) = tokio::time::timeout(PATIENCE, lives.join_all()).await else {
        let state = service.state().await;
        panic!(
            "not everybody is served: {} {}",
            state["queue"], state["dead_letters"]
        );
    };
    is_over.store(true, Ordering::SeqCst);
    let killed = killer.await.expect("the killer does not panic");
    rescuer.await.expect("the rescuer does not panic");
    assert!(killed >= 10, "{killed} processes died");
    service.advance(120).await;
    for life in &lives {
        let shown = service.show(&life.id).await;
        assert_eq!(
            (life.approvals, &shown.body["status"]),
            (1, &json!("approved")),
            "{}: one success, {shown:?}",
            life.id
        );
        let left = shown.body["attempts_left"].as_u64();
        assert!(
            left.is_some_and(|left| left <= 3),
            "no attempt is lost: {shown:?}"
        );
        let messages = service.messages(&life.to).await;
        assert_eq!(
            messages.len(),
            1,
            "one message, for this carrier knows a reference again: {messages:?}"
        );
    }
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"]),
        (&json!([]), &json!([])),
        "nothing is left to do"
    );
}

/// The processes whose environment is like that.
fn processes(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let environment = |path: &Path| {
        std::fs::read(path.join("environ"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let found = entries.filter(|entry| {
        environment(&entry.path()).is_ok_and(|environment| is_wanted(&environment))
    });
    found
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .collect()
}

/// Kills them; how many there were.
async fn kill(ids: &[String]) -> usize {
    if !ids.is_empty() {
        // One that is gone by now is as dead as the others.
        let _ = Command::new("kill")
            .arg("-9")
            .args(ids)
            .stderr(Stdio::null())
            .status()
            .await
            .expect("kill runs");
    }
    ids.len()
}

#[tokio::test]
async fn a_process_that_ends_fails_its_invocation_and_is_started_again() {
    let directory = crate::spawned::Directory::new();
    std::fs::create_dir_all(&directory.0).expect("a directory");
    let real = built::functions();
    for name in ["send", "verify", "delivery-callback", "carrier-worker"] {
        // The first one ends as it starts; those after it are real.
        let (flag, program) = (
            directory.0.join(format!("{name}-died")),
            real.program(name).expect("built").display().to_string(),
        );
        let script = format!(
            "#!/bin/sh\n[ -e {0} ] || {{ : > {0}; exit 3; }}\nexec {program}\n",
            flag.display()
        );
        let path = directory.0.join(name);
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it can run");
    }
    let mut service = start(
        &[],
        BuiltFunctions {
            directory: directory.0.clone(),
            ..real
        },
    )
    .await;
    let failed = invoke(&service, "verify", &sample("health.json")).await;
    assert_eq!(
        (
            failed.header("x-amz-function-error"),
            &failed.body["errorType"]
        ),
        (Some("Unhandled"), &json!("Runtime.ExitError"))
    );
    assert_eq!(
        invoke(&service, "verify", &sample("health.json"))
            .await
            .body["statusCode"],
        200
    );
    service.may_fail = true;
    assert_eq!(
        service.send(&phone(1)).await.status,
        500,
        "what API Gateway says"
    );
    let sent = service.send(&phone(1)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(
        service.messages(&phone(1)).await.len(),
        0,
        "the worker died"
    );
    service.advance(61).await;
    let code = service.code(&phone(1)).await;
    assert_eq!(service.check(&sent.id(), &code).await.outcome().0, true);
}

/// The local server by its command line, with the functions as built.
#[tokio::test]
async fn processes_have_real_time_and_end_with_the_server() {
    let mark = format!("otp-{}", built::fresh_name());
    let mut server = Command::new(env!("CARGO_BIN_EXE_local-under-test"));
    server
        .args(["--port", "0", "--processes", "2", "--functions"])
        .arg(&built::functions().directory);
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
    let (id, code) = service.sent(&phone(1)).await;
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
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
    // The server has this variable as well.
    let of_functions = || {
        processes(|environment| {
            environment.contains(&mark) && environment.contains("AWS_LAMBDA_RUNTIME_API=")
        })
    };
    assert!(of_functions().len() >= 3, "send, carrier-worker and verify");
    server.kill().await.expect("it runs");
    while !of_functions().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn processes_see_what_lambda_gives_them_and_nothing_else() {
    let functions = built::functions();
    let mark = functions
        .moved_clock
        .as_ref()
        .expect("a clock")
        .offset_file
        .display()
        .to_string();
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
    service.settle().await;
    assert_eq!(sent.status, 201);
    let of = |name: &str| {
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={name}\0");
        let ids =
            processes(|environment| environment.contains(&mark) && environment.contains(&name));
        let path = Path::new("/proc")
            .join(ids.first().expect("a process"))
            .join("environ");
        String::from_utf8_lossy(&std::fs::read(path).expect("its environment")).into_owned()
    };
    for (name, has_queue) in [("send", true), ("verify", false), ("carrier-worker", true)] {
        let environment = of(name);
        let unexpected = environment
            .split_terminator('\0')
            .filter_map(|variable| variable.split_once('='))
            .map(|(name, _)| name)
            .find(|name| {
                let known = ["OTP_", "AWS_", "LAMBDA_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
                !known
                    && ![
                        "LANG",
                        "PATH",
                        "TZ",
                        "_HANDLER",
                        "SECRETS_REVISION",
                        "LD_PRELOAD",
                        "CLOCK_OFFSET_FILE",
                    ]
                    .contains(name)
            });
        assert_eq!(unexpected, None, "{name}");
        assert_eq!(
            environment.contains("OTP_QUEUE_URL="),
            has_queue,
            "{name}: as template.yaml gives it"
        );
        assert!(
            !environment.contains("OTP_LOCAL_API_KEYS") && !environment.contains(DEFAULT_KEY),
            "{name}: hashes of keys only"
        );
    }
}
