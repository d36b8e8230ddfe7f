//! A local server with `--data` continues where it was stopped or killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{
    LocalProcess, Service, TO, TempDirectory, american_phone, another_code, assert_fields,
    assert_status, stored_items,
};

const UNLIMITED_SENDS: [(&str, &str); 2] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_PREFIX_SENDS", "1000/600"),
];

/// Opens a verification; returns its id.
async fn send(process: &LocalProcess, to: &str) -> String {
    let body = Some(json!({"to": to}));
    process.call("POST", "/v1/verifications", body).await.id()
}

#[tokio::test]
async fn data_survives_a_restart() {
    let directory = TempDirectory::new();
    let arguments = ["--data", directory.as_str()];
    let first = LocalProcess::start_with_arguments(&arguments, &UNLIMITED_SENDS).await;
    let sent = send(&first, TO).await;
    let code = first.service.code(TO).await;
    for name in ["sim-a", "sim-b"] {
        first
            .service
            .set_carrier(name, json!({"mode": "error"}))
            .await;
    }
    let queued = send(&first, &american_phone(1)).await;
    first.service.advance(100).await;
    let path = format!("/v1/verifications/{sent}/check");
    assert_eq!(
        first
            .call("POST", &path, Some(json!({"code": another_code(&code)})))
            .await
            .body["attempts_left"],
        4
    );
    let (keys, now) = (first.keys(), first.service.now().await);
    let items = stored_items(&first.service).await.len();
    assert_eq!(first.end("TERM").await, Some(0));

    let second = LocalProcess::start_with_arguments(&arguments, &UNLIMITED_SENDS).await;
    assert_eq!(second.keys(), keys, "the same key");
    assert!(
        second.service.now().await >= now,
        "a restart does not set the clock back"
    );
    assert_eq!(stored_items(&second.service).await.len(), items);
    let shown = second
        .call("GET", &format!("/v1/verifications/{sent}"), None)
        .await;
    assert_status(&shown, 200);
    assert_fields(
        &shown.body,
        json!({"attempts_left": 4, "delivery": {"status": "sent"}}),
    );
    second.service.advance(60).await;
    let messages = second.service.messages(&american_phone(1)).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(queued.as_str())),
        "the queue continues after the restart"
    );
    assert_eq!(
        second
            .call("POST", &path, Some(json!({"code": code})))
            .await
            .body["valid"],
        true
    );
    assert_eq!(second.end("INT").await, Some(0));
}

/// What a client had received when the process was killed.
#[derive(Debug, Default)]
struct Acknowledged {
    id: String,
    code: String,
    attempts_left: Option<u64>,
    /// The right code was checked, and the response came.
    approved: bool,
    /// The right code was checked, and no response came.
    maybe: bool,
}

/// Sends, checks a wrong code twice and the right code once, until the process is killed.
async fn run_verification(
    service: Service,
    key: String,
    to: String,
    responses: Arc<AtomicUsize>,
) -> Option<Acknowledged> {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let post = async |path: &str, body: Value| {
        let response = service
            .try_raw("POST", path, &headers, body.to_string())
            .await
            .ok();
        responses.fetch_add(usize::from(response.is_some()), Ordering::SeqCst);
        response
    };
    let sent = post("/v1/verifications", json!({"to": to}))
        .await
        .filter(|response| response.status == 201)?;
    let mut acknowledged = Acknowledged {
        id: sent.id(),
        ..Acknowledged::default()
    };
    let path = format!("/v1/verifications/{}/check", acknowledged.id);
    let wrong = json!({"code": "000000", "purpose": "other"});
    for _ in 0..2 {
        let Some(response) = post(&path, wrong.clone()).await else {
            return Some(acknowledged);
        };
        acknowledged.attempts_left = response.body["attempts_left"].as_u64();
    }
    let Some(_) = post("/local/clock", json!({"advance_seconds": 0})).await else {
        return Some(acknowledged);
    };
    let messages = service
        .try_raw(
            "GET",
            &format!("/local/messages?to={}", to.replace('+', "%2B")),
            &[],
            "",
        )
        .await;
    let Some(code) = messages
        .ok()
        .and_then(|m| m.body["messages"][0]["code"].as_str().map(str::to_owned))
    else {
        return Some(acknowledged);
    };
    acknowledged.code = code;
    match post(&path, json!({"code": acknowledged.code})).await {
        Some(response) => acknowledged.approved = response.body["valid"] == true,
        None => acknowledged.maybe = true,
    }
    Some(acknowledged)
}

/// Asserts that the restarted server has stored everything that was acknowledged.
async fn assert_stored(after: &LocalProcess, acknowledged: &Acknowledged) {
    let path = format!("/v1/verifications/{}", acknowledged.id);
    let shown = after.call("GET", &path, None).await;
    assert_eq!(
        shown.status, 200,
        "every acknowledged send is stored: {acknowledged:?}"
    );
    let left = shown.body["attempts_left"].as_u64();
    assert!(
        acknowledged
            .attempts_left
            .is_none_or(|before| left.is_some_and(|left| left <= before)),
        "no attempt is restored: {acknowledged:?} {shown:?}"
    );
    if !acknowledged.code.is_empty() {
        let checked = after
            .call(
                "POST",
                &format!("{path}/check"),
                Some(json!({"code": acknowledged.code})),
            )
            .await;
        assert!(
            !(acknowledged.approved && checked.body["valid"] == true),
            "approved twice: {acknowledged:?}"
        );
        let was_valid_once =
            checked.body["valid"] == true || acknowledged.approved || acknowledged.maybe;
        assert!(
            was_valid_once,
            "the right code is valid once: {acknowledged:?} {checked:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_under_load_loses_no_acknowledged_result() {
    let directory = TempDirectory::new();
    let arguments = ["--data", directory.as_str()];
    let mut count = 0;
    let mut next_phone = 0;
    for responses_before_kill in [3, 40, 90] {
        let mut process = LocalProcess::start_with_arguments(&arguments, &UNLIMITED_SENDS).await;
        let (key, responses) = (process.keys()[0].1.clone(), Arc::new(AtomicUsize::new(0)));
        let mut verifications = tokio::task::JoinSet::new();
        for n in next_phone..next_phone + 40 {
            verifications.spawn(run_verification(
                process.service.clone(),
                key.clone(),
                american_phone(n),
                responses.clone(),
            ));
        }
        next_phone += 40;
        while responses.load(Ordering::SeqCst) < responses_before_kill {
            tokio::task::yield_now().await;
        }
        process.child.start_kill().expect("it runs");
        let acknowledged: Vec<Acknowledged> = verifications
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect();
        drop(process.child.wait().await);

        let after = LocalProcess::start_with_arguments(&arguments, &UNLIMITED_SENDS).await;
        assert_eq!(after.keys()[0].1, key, "the same API key");
        for acknowledged in &acknowledged {
            assert_stored(&after, acknowledged).await;
        }
        count += acknowledged.len();
        assert_eq!(after.end("TERM").await, Some(0));
    }
    assert!(count >= 3, "{count} results were acknowledged");
}
