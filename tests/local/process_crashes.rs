//! Processes of functions that crash or are killed: no acknowledged result is lost, and new
//! processes start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use local::BuiltFunctions;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::lambda_runtime::start;
use super::sample_events::sample;
use crate::support::processes::{mark_of, processes, signal};
use crate::support::{
    DEFAULT_KEY, Service, TempDirectory, TestResponse, another_code, assert_fields, assert_status,
    built_functions, phone,
};

/// Ends a test that would wait for ever.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The result of a client that repeats failed requests with the same `Idempotency-Key`.
struct CompletedVerification {
    to: String,
    id: String,
    approvals: usize,
}

/// The response to a request that is repeated until a function responds.
async fn post_until_answered(
    service: &Service,
    responses: &AtomicUsize,
    path: &str,
    body: Value,
    key: &str,
) -> TestResponse {
    loop {
        let response = service
            .call_as(
                DEFAULT_KEY,
                "POST",
                path,
                Some(body.clone()),
                &[("idempotency-key", key)],
            )
            .await;
        responses.fetch_add(1, Ordering::SeqCst);
        if response.status < 500 {
            return response;
        }
    }
}

/// Sends, checks a wrong code once and the right code twice, while processes are killed.
async fn run_verification(
    service: Service,
    responses: Arc<AtomicUsize>,
    to: String,
) -> CompletedVerification {
    let sent = post_until_answered(
        &service,
        &responses,
        "/v1/verifications",
        json!({"to": to}),
        "send",
    )
    .await;
    assert_status(&sent, 201);
    let (id, path) = (sent.id(), format!("/v1/verifications/{}/check", sent.id()));
    let code = loop {
        // The message of a killed worker comes later.
        let messages = service.messages_now(&to).await;
        match messages.last().and_then(|message| message["code"].as_str()) {
            Some(code) => break code.to_owned(),
            None => tokio::task::yield_now().await,
        }
    };
    let wrong = post_until_answered(
        &service,
        &responses,
        &path,
        json!({"code": another_code(&code)}),
        "wrong",
    )
    .await;
    assert_eq!(wrong.check_result().reason, "wrong_code", "{wrong:?}");
    let first =
        post_until_answered(&service, &responses, &path, json!({"code": code}), "right").await;
    assert!(first.is_valid(), "the verification is stored: {first:?}");
    let second =
        post_until_answered(&service, &responses, &path, json!({"code": code}), "again").await;
    let approvals = [&first, &second]
        .iter()
        .filter(|response| response.is_valid())
        .count();
    CompletedVerification { to, id, approvals }
}

async fn assert_completed_once(service: &Service, completed: &CompletedVerification) {
    let shown = service.show(&completed.id).await;
    assert_eq!(
        (completed.approvals, &shown.body["status"]),
        (1, &json!("approved")),
        "{}: approved once, {shown:?}",
        completed.id
    );
    let left = shown.body["attempts_left"].as_u64();
    assert!(
        left.is_some_and(|left| left <= 3),
        "the wrong attempt is counted: {shown:?}"
    );
    let messages = service.messages(&completed.to).await;
    assert_eq!(
        messages.len(),
        1,
        "one message, because this carrier recognizes a repeated reference: {messages:?}"
    );
}

/// Kills the processes marked `mark`, again and again, until `is_over`; returns how many.
async fn kill_repeatedly(
    mark: String,
    responses: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) -> usize {
    let (mut killed, mut next_kill_at, mut round) = (0, 5, 0);
    while !is_over.load(Ordering::SeqCst) {
        if responses.load(Ordering::SeqCst) < next_kill_at {
            tokio::task::yield_now().await;
            continue;
        }
        // A message is handed over twice at most. If its worker is killed both times before the
        // carrier has it, it stays `unknown`, so workers are killed once.
        let is_spared =
            |environment: &str| round >= 1 && environment.contains("FUNCTION_NAME=carrier-worker");
        let ids = processes(|environment| environment.contains(&mark) && !is_spared(environment));
        killed += signal("KILL", &ids).await;
        round += 1;
        next_kill_at = responses.load(Ordering::SeqCst) + 9;
    }
    killed
}

/// Moves the clock until the dispatches of killed workers are redelivered, again and again, until
/// `is_over`.
async fn redeliver(service: Service, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::SeqCst) {
        service.settle().await;
        if service.state().await["queue"] != json!([]) {
            service.advance(61).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_lose_no_acknowledged_result() {
    let functions = built_functions::functions();
    let mark = mark_of(&functions);
    let variables = [
        ("OTP_COOLDOWN_SECONDS", "0"),
        ("OTP_PREFIX_SENDS", "1000/600"),
        ("OTP_CODE_TTL_SECONDS", "1800"),
    ];
    let mut service = start(&variables, functions).await;
    service.allows_gateway_errors = true;
    // Long enough for a kill while a carrier has the message.
    service
        .set_carrier("sim-a", json!({"mode": "ok", "delay_ms": 20}))
        .await;
    let (responses, is_over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut verifications = JoinSet::new();
    for n in 0..30 {
        verifications.spawn(run_verification(
            service.clone(),
            responses.clone(),
            phone(n),
        ));
    }
    let killer = tokio::spawn(kill_repeatedly(mark, responses, is_over.clone()));
    let redelivery = tokio::spawn(redeliver(service.clone(), is_over.clone()));
    let Ok(verifications) = tokio::time::timeout(TIMEOUT, verifications.join_all()).await else {
        let state = service.state().await;
        panic!(
            "some verifications did not complete: {} {}",
            state["queue"], state["dead_letters"]
        );
    };
    is_over.store(true, Ordering::SeqCst);
    let killed = killer.await.expect("no panic");
    redelivery.await.expect("no panic");
    assert!(killed >= 10, "{killed} processes were killed");
    service.advance(120).await;
    for completed in &verifications {
        assert_completed_once(&service, completed).await;
    }
    let state = service.state().await;
    assert_fields(&state, json!({"queue": [], "dead_letters": []}));
}

#[tokio::test]
async fn crashed_process_fails_its_invocation_and_is_restarted() {
    let directory = TempDirectory::new();
    std::fs::create_dir_all(directory.path()).expect("a directory");
    let real = built_functions::functions();
    for name in [
        "send",
        "verify",
        "factors",
        "delivery-callback",
        "carrier-worker",
    ] {
        // The first process of each function exits at once; the next ones are real.
        let (flag, program) = (
            directory.path().join(format!("{name}-exited")),
            real.program(name).expect("built").display().to_string(),
        );
        let script = format!(
            "#!/bin/sh\n[ -e {0} ] || {{ : > {0}; exit 3; }}\nexec {program}\n",
            flag.display()
        );
        let path = directory.path().join(name);
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it can run");
    }
    let mut service = start(
        &[],
        BuiltFunctions {
            directory: directory.path().to_owned(),
            ..real
        },
    )
    .await;
    let failed = service.invoke("verify", &sample("health.json")).await;
    assert_eq!(
        (
            failed.header("x-amz-function-error"),
            &failed.body["errorType"]
        ),
        (Some("Unhandled"), &json!("Runtime.ExitError"))
    );
    assert_eq!(
        service.invoke("verify", &sample("health.json")).await.body["statusCode"],
        200
    );
    service.allows_gateway_errors = true;
    // The response of API Gateway.
    assert_status(&service.send(&phone(1)).await, 500);
    let sent = service.send(&phone(1)).await;
    assert_status(&sent, 201);
    assert_eq!(
        service.messages(&phone(1)).await.len(),
        0,
        "the worker crashed"
    );
    service.advance(61).await;
    let code = service.code(&phone(1)).await;
    assert!(service.check(&sent.id(), &code).await.is_valid());
}
