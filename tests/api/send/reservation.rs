//! Reservations in the limits over many recipients. A send that waits for them changes nothing that
//! others can see; a send that does not go out releases them.

use serde_json::json;

use super::replay::{FOURTH, NO_COOLDOWN, ONE, OTHER, THIRD, freeze_at_limits};
use crate::support::stored_items::{StoredWindow, stored_windows};
use crate::support::{
    BROKEN, Fault, ProxiedService, Service, assert_approved, assert_fields, assert_problem,
    assert_rejected, assert_status, phone,
};

#[tokio::test]
async fn rejected_send_does_not_delay_other_clients() {
    let proxied = ProxiedService::start(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
        ("OTP_CONVERSION_MIN", "0"),
    ])
    .await;
    let service = proxied.service.clone();
    let from = |client: &str| json!({"to": ONE, "client_ip": client});
    let other_recipient = json!({"to": "+13125550143", "client_ip": "203.0.113.7"});
    assert_status(&service.send_body(other_recipient).await, 201);
    assert_eq!(
        service.send_body(from("203.0.113.7")).await.body["limit"],
        "client"
    );
    // With a stored recipient the limits are reserved before anything is written.
    let rejected = from("203.0.113.7");
    let call = freeze_at_limits(&proxied, async move { service.send_body(rejected).await }).await;
    proxied.table.clear_faults();
    let other_client = proxied.service.send_body(from("198.51.100.4")).await;
    assert_status(&other_client, 201);
    assert_fields(&other_client.body, json!({"sends_left": 4}));
    assert_status(&call.await.expect("a response"), 429);
    assert_eq!(proxied.service.messages(ONE).await.len(), 1);
}

#[tokio::test]
async fn released_block_of_a_window_is_deleted() {
    let carriers = r#"[{"kind":"sns","price":1}]"#;
    let variables = [
        ("OTP_CARRIERS", carriers),
        ("OTP_PREFIX_SENDS", "150/600"),
        ("OTP_CONVERSION_MIN", "0"),
        ("OTP_SPEND_PER_DAY", "3"),
    ];
    let service = Service::start_with(&variables).await;
    // The spend cap of this day does not end in the test.
    service.advance_to_next(86_400).await;
    for to in [ONE, OTHER, THIRD] {
        assert_status(&service.send(to).await, 201);
    }
    for _ in 0..5 {
        assert_eq!(service.send(FOURTH).await.body["limit"], "spend");
    }
    let mut windows = stored_windows(&service).await;
    windows.retain(|window| window.newest_block.is_some());
    let one_full_block = StoredWindow {
        newest_block: Some(3),
        slots: 1,
    };
    assert_eq!(windows, [one_full_block]);
}

#[tokio::test]
async fn resend_that_crashed_before_its_limits_is_not_sent() {
    let proxied =
        ProxiedService::start(&[("OTP_PREFIX_SENDS", "9/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &proxied.service;
    // Its fallback is planned: a dispatch for it is in the queue.
    let id = service
        .send_body(json!({"to": ONE, "fallback": ["voice"]}))
        .await
        .id();
    service.advance(31).await;
    proxied
        .table
        .break_by(|call| call.reserves_in_window().then_some(Fault::Freeze));
    let resend = tokio::spawn({
        let (service, id) = (service.clone(), id.clone());
        async move { service.resend(&id).await }
    });
    proxied.table.wait_for_held_call().await;
    resend.abort();
    assert!(resend.await.is_err_and(|error| error.is_cancelled()));
    proxied.clear_faults();
    service.advance(120).await;
    let channels: Vec<_> = service
        .messages(ONE)
        .await
        .iter()
        .map(|message| message["channel"].clone())
        .collect();
    assert_eq!(
        channels,
        ["sms", "voice"],
        "the resend is not sent, and the planned fallback is"
    );
    let resent = service.resend(&id).await;
    assert_eq!(
        (resent.status, service.messages(ONE).await.len()),
        (200, 3),
        "{resent:?}"
    );
}

#[tokio::test]
async fn send_waiting_for_its_limits_supersedes_nothing() {
    let proxied = ProxiedService::start(&NO_COOLDOWN).await;
    let service = proxied.service.clone();
    let id = service.send(ONE).await.id();
    let code = service.code(ONE).await;
    let call = freeze_at_limits(&proxied, async move { service.send(ONE).await }).await;
    let service = &proxied.service;
    assert_eq!(service.show(&id).await.body["status"], "pending");
    assert_approved(&service.check(&id, &code).await, 4);
    assert_problem(&call.await.expect("a response"), 503, "unavailable");
    assert_eq!(service.show(&id).await.body["status"], "approved");
}

#[tokio::test]
async fn resend_waiting_for_its_limits_keeps_the_code() {
    let proxied =
        ProxiedService::start(&[NO_COOLDOWN.as_slice(), &[("OTP_RESEND_CODE", "fresh")]].concat())
            .await;
    let service = proxied.service.clone();
    let id = service.send(ONE).await.id();
    let code = service.code(ONE).await;
    let resent = id.clone();
    let call = freeze_at_limits(&proxied, async move { service.resend(&resent).await }).await;
    assert_approved(&proxied.service.check(&id, &code).await, 4);
    assert_problem(&call.await.expect("a response"), 503, "unavailable");
    assert_eq!(proxied.service.messages(ONE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_rejected_sends_send_nothing() {
    let variables = [
        ("OTP_COOLDOWN_SECONDS", "0"),
        ("OTP_SENDS_PER_HOUR", "100"),
        ("OTP_SENDS_PER_DAY", "100"),
        ("OTP_PREFIX_SENDS", "1/3600"),
    ];
    let service = Service::start_with(&variables).await;
    assert_status(&service.send(OTHER).await, 201);
    for _ in 0..6 {
        let sends: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn({
                    let service = service.clone();
                    async move { service.send(ONE).await }
                })
            })
            .collect();
        for send in sends {
            let response = send.await.expect("a response");
            assert!(
                matches!(
                    response.problem(),
                    (429, "rate_limited") | (503, "unavailable")
                ),
                "{response:?}"
            );
        }
        service.advance(20).await;
    }
    assert_eq!(service.messages(ONE).await.len(), 0);
}

#[tokio::test]
async fn reservation_is_released_once() {
    let carriers = r#"[{"kind":"sns","price":1}]"#;
    let variables = [
        ("OTP_CARRIERS", carriers),
        ("OTP_PREFIX_SENDS", "4/600"),
        ("OTP_CONVERSION_MIN", "0"),
        ("OTP_SPEND_PER_DAY", "2"),
    ];
    let proxied = ProxiedService::start(&variables).await;
    let service = &proxied.service;
    // The spend cap of this day does not end in the test.
    service.advance_to_next(86_400).await;
    // Two, so that a second release would find another send that it could remove.
    for to in [ONE, OTHER] {
        assert_status(&service.send(to).await, 201);
    }
    // Then the budget is not contested: the send is not tried twice.
    service.advance(3).await;
    proxied.forget_calls();
    // The response to the first release is lost; the client retries the write.
    let mut lost = 0;
    proxied.table.break_by(move |call| {
        lost += usize::from(call.releases_from_window());
        (call.releases_from_window() && lost == 1).then_some(Fault::DropResponse)
    });
    let rejected = service.send(THIRD).await;
    assert_rejected(&rejected, "spend");
    let calls = proxied.table.take_calls();
    let releases = calls.iter().filter(|call| call.releases_from_window());
    assert_eq!(
        releases
            .map(|call| call.condition_failed)
            .collect::<Vec<_>>(),
        [false, true],
        "a second release would remove a send that is counted"
    );
}

#[tokio::test]
async fn reservation_that_cannot_be_released_stays_counted() {
    let proxied =
        ProxiedService::start(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &proxied.service;
    proxied.table.break_by(|call| {
        (call.releases_reservation() && !call.reserves_in_window()).then_some(BROKEN)
    });
    proxied.queue.break_all(BROKEN);
    assert_status(&service.send(ONE).await, 503);
    proxied.clear_faults();
    assert_eq!(
        service.send(OTHER).await.body["limit"],
        "prefix",
        "a send may be counted too much, but never too little"
    );
    assert_status(&service.send(&phone(1)).await, 201);
}
