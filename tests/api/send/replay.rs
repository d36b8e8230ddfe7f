//! Sends that are repeated with their `Idempotency-Key` while they are in progress or after a
//! crash: none goes out that has not passed its limits, and each is counted once.

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{
    Fault, ProxiedService, Service, TestResponse, assert_fields, assert_rejected,
    assert_replays_send, assert_status,
};

/// Phones that share a prefix.
pub const ONE: &str = "+12025550143";
pub const OTHER: &str = "+12025550144";
pub const THIRD: &str = "+12025550145";
pub const FOURTH: &str = "+12025550146";

fn spawn_send_with_key(service: &Service, to: &str) -> JoinHandle<TestResponse> {
    let (service, to) = (service.clone(), to.to_owned());
    tokio::spawn(async move { service.send_with_key(json!({"to": to}), "k").await })
}

/// A send to `to` whose function crashes before it has reserved its limits.
async fn crash_before_limits(proxied: &ProxiedService, to: &str) {
    proxied
        .table
        .break_by(|call| call.reserves_in_window().then_some(Fault::Freeze));
    let call = spawn_send_with_key(&proxied.service, to);
    proxied.table.wait_for_held_call().await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    proxied.clear_faults();
}

#[tokio::test]
async fn repeated_send_must_pass_limits_not_yet_reserved() {
    for seconds in [0, 12] {
        let proxied =
            ProxiedService::start(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_CONVERSION_MIN", "0")])
                .await;
        let service = &proxied.service;
        assert_status(&service.send(ONE).await, 201);
        crash_before_limits(&proxied, OTHER).await;
        service.advance(seconds).await;
        let again = service.send_with_key(json!({"to": OTHER}), "k").await;
        assert_eq!(
            (again.problem(), &again.body["limit"]),
            ((429, "rate_limited"), &json!("prefix")),
            "{seconds}"
        );
        service.advance(600).await;
        assert_eq!(service.messages(OTHER).await.len(), 0);
    }
}

#[tokio::test]
async fn repeated_send_after_crash_is_counted_once() {
    let proxied =
        ProxiedService::start(&[("OTP_PREFIX_SENDS", "2/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &proxied.service;
    crash_before_limits(&proxied, ONE).await;
    let again = service.send_with_key(json!({"to": ONE}), "k").await;
    assert_status(&again, 201);
    assert_fields(&again.body, json!({"sends_left": 4}));
    let third = service.send_with_key(json!({"to": ONE}), "k").await;
    assert_replays_send(&third, &again.id());
    let messages = service.messages(ONE).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(again.id().as_str()))
    );
    // One of two sends is left.
    assert_status(&service.send(OTHER).await, 201);
    assert_eq!(service.send(THIRD).await.body["limit"], "prefix");
}

#[tokio::test]
async fn repeated_send_with_a_queued_message_is_counted_once() {
    let proxied =
        ProxiedService::start(&[("OTP_PREFIX_SENDS", "2/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &proxied.service;
    for seconds in [0, 12] {
        proxied
            .queue
            .break_next_calls("SendMessage", 2, Fault::FakeSuccess);
        let first = service
            .send_with_key(json!({"to": if seconds == 0 { ONE } else { OTHER }}), "k")
            .await;
        assert_status(&first, 201);
        service.advance(seconds).await;
        let again = service
            .send_with_key(json!({"to": if seconds == 0 { ONE } else { OTHER }}), "k")
            .await;
        assert_replays_send(&again, &first.id());
    }
    assert_eq!(
        service.send(THIRD).await.body["limit"],
        "prefix",
        "two sends were counted"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_repetitions_of_a_rejected_send_send_nothing() {
    let proxied =
        ProxiedService::start(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &proxied.service;
    assert_status(&service.send(ONE).await, 201);
    let repetitions: Vec<_> = (0..20)
        .map(|_| spawn_send_with_key(service, OTHER))
        .collect();
    for repetition in repetitions {
        let response = repetition.await.expect("a response");
        assert!(
            matches!(
                response.problem(),
                (429, "rate_limited") | (409, "in_progress") | (503, "unavailable")
            ),
            "{response:?}"
        );
    }
    assert_eq!(service.messages(OTHER).await.len(), 0);
    service.advance(600).await;
    let sent = service.send_with_key(json!({"to": OTHER}), "k").await;
    assert_eq!(
        (sent.status, service.messages(OTHER).await.len()),
        (201, 1),
        "{sent:?}"
    );
}

#[tokio::test]
async fn overtaken_send_gets_the_response_of_its_repetition() {
    let proxied =
        ProxiedService::start(&[("OTP_PREFIX_SENDS", "2/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &proxied.service;
    let mut counted = 0;
    // The first request and its retry wait here.
    proxied.table.break_by(move |call| {
        counted += usize::from(call.reserves_in_window());
        (call.reserves_in_window() && counted <= 2).then_some(Fault::Freeze)
    });
    let first = spawn_send_with_key(service, ONE);
    proxied.table.wait_for_held_call().await;
    let repeated = service.send_with_key(json!({"to": ONE}), "k").await;
    let first = first.await.expect("a response");
    assert_eq!(
        (first.status, repeated.status, first.id()),
        (201, 201, repeated.id()),
        "{first:?} {repeated:?}"
    );
    assert!(
        first.is_replayed() != repeated.is_replayed(),
        "{first:?} {repeated:?}"
    );
    assert_eq!(service.messages(ONE).await.len(), 1);
    // One of two sends is left.
    assert_status(&service.send(OTHER).await, 201);
    assert_eq!(service.send(THIRD).await.body["limit"], "prefix");
}

/// Starts a call that freezes at its limits; returns once it does.
pub async fn freeze_at_limits<F: Future<Output = TestResponse> + Send + 'static>(
    proxied: &ProxiedService,
    call: F,
) -> JoinHandle<TestResponse> {
    proxied
        .table
        .break_by(|call| call.reserves_in_window().then_some(Fault::Freeze));
    let call = tokio::spawn(call);
    proxied.table.wait_for_held_call().await;
    call
}

pub const NO_COOLDOWN: [(&str, &str); 3] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_PREFIX_SENDS", "9/600"),
    ("OTP_CONVERSION_MIN", "0"),
];

#[tokio::test]
async fn overtaken_rejected_send_leaves_no_trace() {
    let proxied = ProxiedService::start(&[
        NO_COOLDOWN[0],
        NO_COOLDOWN[2],
        ("OTP_PREFIX_SENDS", "1/600"),
    ])
    .await;
    let service = proxied.service.clone();
    let first = freeze_at_limits(&proxied, async move {
        service.send_with_key(json!({"to": ONE}), "k").await
    })
    .await;
    proxied.table.clear_faults();
    let service = &proxied.service;
    let second = service.send(ONE).await;
    assert_eq!((second.status, service.messages(ONE).await.len()), (201, 1));
    let first = first.await.expect("a response");
    // The second send took the last place.
    assert_rejected(&first, "prefix");
    let shown = service.show(&second.id()).await;
    // One of five sends was counted.
    assert_fields(&shown.body, json!({"status": "pending", "sends_left": 4}));
    service.advance(600).await;
    let again = service.send_with_key(json!({"to": ONE}), "k").await;
    // A rejected send does not store its key.
    assert_status(&again, 201);
    assert_fields(&again.body, json!({"sends_left": 3}));
    assert!(!again.is_replayed(), "{again:?}");
    assert_eq!(service.messages(ONE).await.len(), 2);
}
