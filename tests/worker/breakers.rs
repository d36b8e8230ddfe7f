//! Breakers: a carrier that fails repeatedly is skipped, gets one probe at a time, and is used
//! again once it works. Every phone gets its message all the same.

use serde_json::json;

use crate::support::{
    Behaviour, HttpCarrier, Service, american_phone, assert_fields, assert_status,
};

async fn send_all(service: &Service, phones: std::ops::Range<usize>) {
    for n in phones {
        assert_status(&service.send(&american_phone(n)).await, 201);
    }
    service.settle().await;
}

#[tokio::test]
async fn five_consecutive_failures_open_a_breaker_until_a_probe() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(500, ""));
    for n in 0..8 {
        send_all(&service, n..n + 1).await;
    }
    assert_eq!(
        (first.received().len(), second.received().len()),
        (5, 8),
        "the sixth message skips it"
    );
    service.advance(25).await;
    send_all(&service, 8..9).await;
    assert_eq!(first.received().len(), 5, "not before 30 s are over");
    service.advance(10).await;
    send_all(&service, 9..19).await;
    assert_eq!(
        (first.received().len(), second.received().len()),
        (6, 19),
        "one probe, which failed"
    );
    first.behave(Behaviour::Accept);
    service.advance(25).await;
    send_all(&service, 19..20).await;
    assert_eq!(first.received().len(), 6, "open for another 30 s");
    service.advance(10).await;
    send_all(&service, 20..21).await;
    assert_eq!(
        (first.received().len(), second.received().len()),
        (7, 20),
        "the probe delivers its message"
    );
    send_all(&service, 21..31).await;
    assert_eq!(
        (first.received().len(), second.received().len()),
        (17, 20),
        "closed again"
    );
}

#[tokio::test]
async fn success_resets_the_failure_count() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    for round in 0..3 {
        first.behave(Behaviour::Respond(500, ""));
        for n in 0..4 {
            send_all(&service, round * 5 + n..round * 5 + n + 1).await;
        }
        first.behave(Behaviour::Accept);
        send_all(&service, round * 5 + 4..round * 5 + 5).await;
    }
    assert_eq!((first.received().len(), second.received().len()), (15, 12));
}

#[tokio::test]
async fn permanent_rejection_opens_no_breaker() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    first.behave(Behaviour::Respond(400, ""));
    for n in 0..8 {
        send_all(&service, n..n + 1).await;
    }
    assert_eq!((first.received().len(), second.received().len()), (8, 0));
}

#[tokio::test]
async fn message_waits_for_a_probe_with_all_breakers_open() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    for carrier in [&first, &second] {
        carrier.behave(Behaviour::Respond(500, ""));
    }
    send_all(&service, 0..6).await;
    for carrier in [&first, &second] {
        carrier.behave(Behaviour::Accept);
    }
    service.advance(120).await;
    for n in 0..6 {
        let texts = first
            .received()
            .iter()
            .chain(&second.received())
            .filter(|message| message.to() == american_phone(n) && message.at > 0)
            .count();
        assert!(texts >= 1, "phone {n}");
    }
    let state = service.state().await;
    assert_fields(&state, json!({"queue": [], "dead_letters": []}));
}

/// Fifty sends in waves of ten; returns how often the first carrier was called.
async fn fifty_sends(service: &Service, first: &HttpCarrier, from: usize) -> usize {
    let before = first.received().len();
    for wave in 0..5 {
        send_all(service, from + wave * 10..from + wave * 10 + 10).await;
    }
    service.advance(40).await;
    first.received().len() - before
}

#[tokio::test]
async fn all_sends_arrive_while_the_first_carrier_fails() {
    let (first, second) = HttpCarrier::start_two("first", "second").await;
    let service = Service::start_with_carriers(&[&first, &second], &[]).await;
    let modes = [
        Some(Behaviour::Respond(429, "5")),
        Some(Behaviour::Respond(500, "")),
        None,
        Some(Behaviour::Hang),
    ];
    for (at, mode) in modes.into_iter().enumerate() {
        match mode.clone() {
            Some(mode) => first.behave(mode),
            None => first.close().await,
        }
        let calls = fifty_sends(&service, &first, at * 50).await;
        assert!(calls <= 12, "{mode:?}: {calls} calls");
        let hangs = matches!(mode, Some(Behaviour::Hang));
        for n in at * 50..at * 50 + 50 {
            let accepted: Vec<_> = second
                .received()
                .into_iter()
                .filter(|message| message.to() == american_phone(n))
                .collect();
            let maybe: Vec<_> = first
                .received()
                .into_iter()
                .filter(|message| hangs && message.to() == american_phone(n))
                .collect();
            assert_eq!(accepted.len(), 1, "{mode:?}: phone {n}");
            assert!(
                maybe.len() <= 1
                    && maybe
                        .iter()
                        .all(|message| message.code() == accepted[0].code()),
                "{mode:?}: phone {n}"
            );
        }
        first.open().await;
        first.behave(Behaviour::Accept);
        service.advance(31).await;
        send_all(&service, 700 + at..701 + at).await;
        assert_eq!(
            first
                .received()
                .last()
                .map(|message| message.to().to_owned()),
            Some(american_phone(700 + at)),
            "the carrier is used again"
        );
    }
    let state = service.state().await;
    assert_fields(&state, json!({"queue": [], "dead_letters": []}));
}
