//! Breakers: a carrier that fails is passed over before it costs every caller its time-out, gets one probe, and is back
//! once it works. Whatever it does, every phone gets its text.

use serde_json::json;

use crate::carrier::{Behaviour, Carrier, service_with};
use crate::delivery::phone;
use crate::harness::Service;

async fn send_all(service: &Service, phones: std::ops::Range<usize>) {
    for n in phones {
        assert_eq!(service.send(&phone(n)).await.status, 201);
    }
    service.settle().await;
}

#[tokio::test]
async fn five_failures_in_a_row_open_a_breaker_and_one_probe_at_a_time_closes_it() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    first.behave(Behaviour::Answer(500, ""));
    for n in 0..8 {
        send_all(&service, n..n + 1).await;
    }
    assert_eq!(
        (first.handed().len(), second.handed().len()),
        (5, 8),
        "the sixth is not even asked of it"
    );
    service.advance(25).await;
    send_all(&service, 8..9).await;
    assert_eq!(first.handed().len(), 5, "not before 30 s are over");
    service.advance(10).await;
    send_all(&service, 9..19).await;
    assert_eq!(
        (first.handed().len(), second.handed().len()),
        (6, 19),
        "one probe, which failed"
    );
    first.behave(Behaviour::Accept);
    service.advance(25).await;
    send_all(&service, 19..20).await;
    assert_eq!(first.handed().len(), 6, "another 30 s");
    service.advance(10).await;
    send_all(&service, 20..21).await;
    assert_eq!(
        (first.handed().len(), second.handed().len()),
        (7, 20),
        "the probe is a message like any other"
    );
    send_all(&service, 21..31).await;
    assert_eq!(
        (first.handed().len(), second.handed().len()),
        (17, 20),
        "closed again"
    );
}

#[tokio::test]
async fn a_success_in_between_starts_the_count_anew() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    for round in 0..3 {
        first.behave(Behaviour::Answer(500, ""));
        for n in 0..4 {
            send_all(&service, round * 5 + n..round * 5 + n + 1).await;
        }
        first.behave(Behaviour::Accept);
        send_all(&service, round * 5 + 4..round * 5 + 5).await;
    }
    assert_eq!((first.handed().len(), second.handed().len()), (15, 12));
}

#[tokio::test]
async fn a_refusal_for_good_is_an_answer_and_opens_nothing() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    first.behave(Behaviour::Answer(400, ""));
    for n in 0..8 {
        send_all(&service, n..n + 1).await;
    }
    assert_eq!((first.handed().len(), second.handed().len()), (8, 0));
}

#[tokio::test]
async fn with_every_breaker_open_a_message_waits_for_a_probe() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    for carrier in [&first, &second] {
        carrier.behave(Behaviour::Answer(500, ""));
    }
    send_all(&service, 0..6).await;
    for carrier in [&first, &second] {
        carrier.behave(Behaviour::Accept);
    }
    service.advance(120).await;
    for n in 0..6 {
        let texts = first
            .handed()
            .iter()
            .chain(&second.handed())
            .filter(|handed| handed.to() == phone(n) && handed.at > 0)
            .count();
        assert!(texts >= 1, "phone {n}");
    }
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"]),
        (&json!([]), &json!([]))
    );
}

/// Fifty sends in waves of ten; returns how often the first carrier was asked.
async fn fifty_sends(service: &Service, first: &Carrier, from: usize) -> usize {
    let before = first.handed().len();
    for wave in 0..5 {
        send_all(service, from + wave * 10..from + wave * 10 + 10).await;
    }
    service.advance(40).await;
    first.handed().len() - before
}

#[tokio::test]
async fn two_hundred_sends_arrive_whatever_the_first_carrier_does() {
    let (first, second) = (
        Carrier::start("first").await,
        Carrier::start("second").await,
    );
    let service = service_with(&[&first, &second], &[]).await;
    let modes = [
        Some(Behaviour::Answer(429, "5")),
        Some(Behaviour::Answer(500, "")),
        None,
        Some(Behaviour::Hang),
    ];
    for (at, mode) in modes.into_iter().enumerate() {
        match mode.clone() {
            Some(mode) => first.behave(mode),
            None => first.close().await,
        }
        let asked = fifty_sends(&service, &first, at * 50).await;
        assert!(asked <= 12, "{mode:?}: a handful of calls, not {asked}");
        let hangs = matches!(mode, Some(Behaviour::Hang));
        for n in at * 50..at * 50 + 50 {
            let taken: Vec<_> = second
                .handed()
                .into_iter()
                .filter(|handed| handed.to() == phone(n))
                .collect();
            let maybe: Vec<_> = first
                .handed()
                .into_iter()
                .filter(|handed| hangs && handed.to() == phone(n))
                .collect();
            assert_eq!(taken.len(), 1, "{mode:?}: phone {n}");
            assert!(
                maybe.len() <= 1 && maybe.iter().all(|handed| handed.code() == taken[0].code()),
                "{mode:?}: phone {n}"
            );
        }
        first.open().await;
        first.behave(Behaviour::Accept);
        service.advance(31).await;
        send_all(&service, 700 + at..701 + at).await;
        assert_eq!(
            first.handed().last().map(|handed| handed.to().to_owned()),
            Some(phone(700 + at)),
            "it works again"
        );
    }
    let state = service.state().await;
    assert_eq!(
        (&state["queue"], &state["dead_letters"]),
        (&json!([]), &json!([]))
    );
}
