//! Limits under lost responses: a reservation that the client retries is the same reservation, also
//! after the writes of others, and no slot is lost.

use serde_json::json;

use super::{neighbor, outcome, send_from};
use crate::support::stored_items::stored_windows;
use crate::support::{
    BROKEN, Fault, ProxiedCall, ProxiedService, Service, assert_rejected, assert_status,
    no_send_limits_and, phone,
};

/// Recognizes a write.
type CallFilter = fn(&ProxiedCall) -> bool;

const CLIENT: &str = "203.0.113.7";

/// A service with these variables. A day has begun, so that the spend cap of none ends in the test.
async fn start(variables: &[(&str, &str)]) -> ProxiedService {
    let proxied = ProxiedService::start(variables).await;
    proxied.service.advance_to_next(86_400).await;
    proxied
}

/// SplitMix64: the same losses in each run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

/// Loses 40 % of the responses to writes of limits.
fn lose_responses(proxied: &ProxiedService) {
    let mut state = 7;
    proxied.table.break_by(move |call| {
        let is_write = call.reserves() || call.releases_reservation();
        (is_write && random(&mut state) >> 32 & 0xff < 102).then_some(Fault::DropResponse)
    });
}

/// Sends until the response is not a 503, as an app does.
async fn send_with_retries(service: &Service, to: String, client: Option<&str>) -> String {
    for _ in 0..20 {
        let mut body = json!({"to": to});
        if let Some(client) = client {
            body["client_ip"] = json!(client);
        }
        let response = service.send_body(body).await;
        if response.status != 503 {
            return outcome(&response);
        }
    }
    panic!("always unavailable");
}

/// How many of these sends go out, ten at a time.
async fn count_sent(
    service: &Service,
    phones: impl IntoIterator<Item = String>,
    client: Option<&'static str>,
) -> usize {
    let mut sent = 0;
    let mut left = phones.into_iter().peekable();
    while left.peek().is_some() {
        let batch: Vec<_> = left.by_ref().take(10).collect();
        let mut sends = tokio::task::JoinSet::new();
        for to in batch {
            let service = service.clone();
            sends.spawn(async move { send_with_retries(&service, to, client).await });
        }
        let outcomes = sends.join_all().await;
        sent += outcomes.iter().filter(|outcome| *outcome == "sent").count();
    }
    sent
}

#[tokio::test]
async fn lost_responses_lose_no_slot_of_a_prefix() {
    let proxied = start(&[]).await;
    lose_responses(&proxied);
    let service = &proxied.service;
    assert_eq!(count_sent(service, (0..20).map(neighbor), None).await, 20);
    proxied.clear_faults();
    assert_rejected(&service.send(&neighbor(20)).await, "prefix");
}

#[tokio::test]
async fn lost_responses_lose_no_slot_of_a_client() {
    let proxied = start(&[("OTP_CONVERSION_MIN", "0")]).await;
    lose_responses(&proxied);
    let service = &proxied.service;
    let sent = count_sent(service, (0..30).map(phone), Some(CLIENT)).await;
    assert_eq!(sent, 30);
    proxied.clear_faults();
    assert_rejected(&send_from(service, &phone(30), CLIENT).await, "client");
}

#[tokio::test]
async fn lost_responses_lose_no_money() {
    let carriers = r#"[{"kind":"sns","price":1}]"#;
    let variables = [
        ("OTP_CARRIERS", carriers),
        ("OTP_SPEND_PER_DAY", "20"),
        ("OTP_CONVERSION_MIN", "0"),
    ];
    let proxied = start(&variables).await;
    lose_responses(&proxied);
    let service = &proxied.service;
    assert_eq!(count_sent(service, (0..20).map(phone), None).await, 20);
    proxied.clear_faults();
    assert_rejected(&service.send(&phone(20)).await, "spend");
}

#[tokio::test]
async fn repetition_after_the_write_of_another_is_recognised() {
    for variables in [
        [("OTP_PREFIX_SENDS", "3/600")],
        [("OTP_PREFIX_SENDS", "150/600")],
    ] {
        let proxied = start(&variables).await;
        let service = proxied.service.clone();
        // The first reservation is written and its response lost. Its repetition is held.
        let mut reservations = 0;
        proxied.table.break_by(move |call| {
            reservations += usize::from(call.reserves_in_window());
            match (call.reserves_in_window(), reservations) {
                (true, 1) => Some(Fault::DropResponse),
                (true, 2) => Some(Fault::HoldRequest),
                _ => None,
            }
        });
        let first = tokio::spawn({
            let service = service.clone();
            async move { service.send(&neighbor(1)).await }
        });
        proxied.table.wait_for_held_call().await;
        assert_status(&service.send(&neighbor(2)).await, 201);
        proxied.table.release();
        assert_status(&first.await.expect("a response"), 201);
        proxied.clear_faults();
        if variables[0].1 == "3/600" {
            assert_status(&service.send(&neighbor(3)).await, 201);
            assert_rejected(&service.send(&neighbor(4)).await, "prefix");
        } else {
            let windows = stored_windows(&service).await;
            assert_eq!(windows[0].newest_block, Some(2), "two sends");
        }
    }
}

#[tokio::test]
async fn unwritten_reservation_releases_nothing() {
    let variables = no_send_limits_and(&[
        ("OTP_PREFIX_SENDS", "2/600"),
        ("OTP_CARRIERS", r#"[{"kind":"sns","price":1}]"#),
        ("OTP_SPEND_PER_DAY", "2"),
    ]);
    let proxied = start(&variables).await;
    let service = &proxied.service;
    assert_status(&service.send(&neighbor(1)).await, 201);
    for _ in 0..3 {
        proxied.table.break_by(|call| {
            let is_reservation = call.reserves() && !call.releases_reservation();
            is_reservation.then_some(BROKEN)
        });
        assert_status(&service.send(&neighbor(2)).await, 503);
        proxied.clear_faults();
    }
    assert_status(&service.send(&neighbor(2)).await, 201);
    assert_status(&service.send(&neighbor(3)).await, 429);
    service.advance(601).await;
    assert_rejected(&service.send(&neighbor(3)).await, "spend");
}

#[tokio::test]
async fn limits_are_reserved_at_the_same_time() {
    let variables = [
        ("OTP_CARRIERS", r#"[{"kind":"sns","price":1}]"#),
        ("OTP_SPEND_PER_DAY", "9"),
    ];
    let proxied = start(&variables).await;
    proxied
        .table
        .break_by(|call| call.reserves().then_some(Fault::HoldRequest));
    let send = tokio::spawn({
        let service = proxied.service.clone();
        async move { send_from(&service, &neighbor(1), CLIENT).await }
    });
    // Client, prefix with its guard, country and spend cap.
    proxied.table.wait_for_held_calls(4).await;
    proxied.table.release();
    assert_status(&send.await.expect("a response"), 201);
    let reserved = proxied.table.take_calls();
    let reserved = reserved.iter().filter(|call| ProxiedCall::reserves(call));
    assert_eq!(reserved.count(), 4);
}

/// Two sends to one recipient with one key are counted, and one of them is published. The response
/// to the release of the other is lost, and its repetition arrives after the send to `neighbor(2)`.
async fn release_twice(variables: &[(&str, &str)], releases: CallFilter) -> ProxiedService {
    let variables = [variables, &[("OTP_CONVERSION_MIN", "0")]].concat();
    let proxied = start(&variables).await;
    let service = proxied.service.clone();
    let send = || {
        let service = service.clone();
        async move {
            let body = json!({"to": neighbor(1)});
            service.send_with_key(body, "k").await
        }
    };
    let mut reservations = 0;
    proxied.table.break_by(move |call| {
        reservations += usize::from(call.reserves_in_window());
        (reservations == 1 && call.reserves_in_window()).then_some(Fault::HoldRequest)
    });
    let late = tokio::spawn(send());
    proxied.table.wait_for_held_call().await;
    let published = send().await;
    assert_status(&published, 201);
    let mut calls = 0;
    proxied.table.break_by(move |call| {
        calls += usize::from(releases(call));
        match (releases(call), calls) {
            (true, 1) => Some(Fault::DropResponse),
            (true, 2..) => Some(Fault::HoldRequest),
            _ => None,
        }
    });
    proxied.table.release_held();
    proxied.table.wait_for_held_calls(2).await;
    assert_status(&service.send(&neighbor(2)).await, 201);
    proxied.table.release();
    let late = late.await.expect("a response");
    assert_eq!((late.status, late.id()), (201, published.id()), "{late:?}");
    proxied
}

#[tokio::test]
async fn release_repeated_after_another_send_releases_nothing() {
    let exact = [("OTP_PREFIX_SENDS", "2/600")];
    let proxied = release_twice(&exact, ProxiedCall::releases_from_window).await;
    assert_rejected(&proxied.service.send(&neighbor(3)).await, "prefix");

    let blocks = [("OTP_PREFIX_SENDS", "150/600")];
    let proxied = release_twice(&blocks, ProxiedCall::releases_from_block).await;
    let windows = stored_windows(&proxied.service).await;
    assert_eq!(windows[0].newest_block, Some(2), "two sends");

    let money = [
        ("OTP_CARRIERS", r#"[{"kind":"sns","price":1}]"#),
        ("OTP_SPEND_PER_DAY", "2"),
    ];
    let proxied = release_twice(&money, ProxiedCall::releases_money).await;
    assert_rejected(&proxied.service.send(&neighbor(3)).await, "spend");
}
