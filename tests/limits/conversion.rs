//! Conversion: where nobody types the codes, one send in a hundred goes out until somebody does.

use serde_json::{Value, json};

use super::{Data, american, at_once, counts, neighbour, word, words};
use crate::given::{NO_SEND_LIMITS, phone};
use crate::harness::{Answer, Service};

/// As old as an outcome must be to count.
const OLD_SECONDS: i64 = 601;

/// Service with this conversion and no limit that a recipient or a prefix could meet first.
async fn service_with(conversion: &str) -> Service {
    let [cooldown, hour, day] = NO_SEND_LIMITS;
    Service::start_with(&[
        cooldown,
        hour,
        day,
        ("OTP_PREFIX_SENDS", "1000/600"),
        ("OTP_CONVERSION_MIN", conversion),
    ])
    .await
}

fn bodies(numbers: impl IntoIterator<Item = String>) -> Vec<Value> {
    numbers.into_iter().map(|to| json!({"to": to})).collect()
}

/// Sends that somebody approves.
async fn approve(service: &Service, numbers: impl IntoIterator<Item = String>) {
    for number in numbers {
        let (id, code) = service.sent(&number).await;
        assert_eq!(service.check(&id, &code).await.body["valid"], true);
    }
}

/// Sends to new numbers of the country until one goes out; how many were refused before it, and the one.
async fn until_one_goes_out(service: &Service) -> (usize, Answer) {
    for refused in 0..=200 {
        let answer = service
            .send(&american(u32::try_from(refused).expect("few") + 300))
            .await;
        if answer.status == 201 {
            return (refused, answer);
        }
        assert_eq!(word(&answer), "country");
    }
    panic!("none went out");
}

#[tokio::test]
async fn after_a_hundred_sends_to_a_country_that_nobody_approved_one_in_a_hundred_goes_out() {
    let service = service_with("10/100").await;
    assert_eq!(
        words(&at_once(&service, bodies((0..100).map(american))).await),
        counts([("sent", 100)])
    );
    service.advance(OLD_SECONDS).await;
    let now = service.now().await;
    service
        .refuses("country", now + 600, async || {
            service.send(&american(100)).await
        })
        .await;
    let refused = service.send(&american(100)).await;
    assert_eq!(
        (
            refused.header("retry-after"),
            refused.header("ratelimit-policy")
        ),
        (Some("600"), Some("\"country\";q=1;w=600"))
    );
    let answers = at_once(&service, bodies((100..398).map(american))).await;
    assert_eq!(
        words(&answers),
        counts([("sent", 3), ("country", 295)]),
        "300 in all"
    );
    assert_eq!(
        word(&service.send(&phone(1)).await),
        "sent",
        "another country"
    );
}

#[tokio::test]
async fn ninety_nine_such_sends_refuse_nothing() {
    let service = service_with("10/100").await;
    at_once(&service, bodies((0..99).map(american))).await;
    service.advance(OLD_SECONDS).await;
    assert_eq!(
        words(&at_once(&service, bodies((100..150).map(american))).await),
        counts([("sent", 50)])
    );
}

#[tokio::test]
async fn sends_that_are_not_ten_minutes_old_refuse_nothing() {
    let service = service_with("10/100").await;
    let sent = at_once(&service, bodies((0..120).map(american))).await;
    let last = sent
        .iter()
        .map(|answer| crate::given::seconds(&answer.body["created_at"]))
        .max()
        .expect("some");
    let first = sent
        .iter()
        .map(|answer| crate::given::seconds(&answer.body["created_at"]))
        .min()
        .expect("some");
    service.advance_to(first + 600 - 2).await;
    assert_eq!(word(&service.send(&american(200)).await), "sent");
    service.advance_to(last + OLD_SECONDS).await;
    assert_eq!(word(&service.send(&american(201)).await), "country");
}

#[tokio::test]
async fn a_prefix_is_held_back_where_its_country_is_not() {
    let service = service_with("50/10").await;
    at_once(&service, bodies((0..10).map(neighbour))).await;
    service.advance(2).await;
    approve(&service, (0..10).map(phone)).await;
    service.advance(OLD_SECONDS).await;
    let now = service.now().await;
    service
        .refuses("prefix", now + 600, async || {
            service.send(&neighbour(11)).await
        })
        .await;
    let answers = at_once(&service, bodies((11..210).map(neighbour))).await;
    assert_eq!(
        words(&answers),
        counts([("sent", 2), ("prefix", 197)]),
        "200 in all"
    );
    assert_eq!(
        word(&service.send(&phone(20)).await),
        "sent",
        "another prefix of the country"
    );
}

#[tokio::test]
async fn a_country_recovers_once_enough_of_what_went_out_is_approved() {
    let service = service_with("10/10").await;
    at_once(&service, bodies((0..10).map(american))).await;
    service.advance(OLD_SECONDS).await;
    let (refused, chosen) = until_one_goes_out(&service).await;
    assert_eq!(refused, 99);
    let code = service
        .code(chosen.body["to"].as_str().expect("a number"))
        .await;
    assert_eq!(service.check(&chosen.id(), &code).await.body["valid"], true);
    assert_eq!(
        word(&service.send(&american(500)).await),
        "country",
        "its outcome does not count yet"
    );
    service.advance(OLD_SECONDS).await;
    assert_eq!(
        words(&at_once(&service, bodies((600..620).map(american))).await),
        counts([("sent", 20)]),
        "one in ten is enough"
    );
}

#[tokio::test]
async fn what_everybody_approves_is_never_held_back() {
    let service = service_with("100/10").await;
    for round in 0..3 {
        approve(&service, (0..10).map(|n| american(round * 10 + n))).await;
        service.advance(OLD_SECONDS).await;
    }
    service.send(&american(100)).await;
    service.advance(OLD_SECONDS).await;
    assert_eq!(
        word(&service.send(&american(101)).await),
        "country",
        "and one that was not is noticed"
    );
}

#[tokio::test]
async fn approvals_that_were_superseded_since_still_count() {
    let service = service_with("100/10").await;
    approve(&service, (0..10).map(american)).await;
    approve(&service, (0..10).map(american)).await;
    service.advance(OLD_SECONDS).await;
    assert_eq!(word(&service.send(&american(0)).await), "sent");
}

#[tokio::test]
async fn a_send_that_another_limit_refused_is_no_sample() {
    let [cooldown, hour, day] = NO_SEND_LIMITS;
    let service = Service::start_with(&[
        cooldown,
        hour,
        day,
        ("OTP_PREFIX_SENDS", "1/600"),
        ("OTP_CONVERSION_MIN", "100/10"),
    ])
    .await;
    approve(&service, (0..10).map(phone)).await;
    approve(&service, [neighbour(0)]).await;
    assert_eq!(
        words(&at_once(&service, bodies((1..30).map(neighbour))).await),
        counts([("prefix", 29)])
    );
    service.advance(OLD_SECONDS).await;
    assert_eq!(word(&service.send(&phone(20)).await), "sent");
}

#[tokio::test]
async fn a_send_that_is_chosen_and_then_refused_gives_its_place_to_the_next() {
    let [cooldown, hour, day] = NO_SEND_LIMITS;
    let variables = [
        cooldown,
        hour,
        day,
        ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
        ("OTP_CONVERSION_MIN", "10/10"),
    ];
    let service = Service::start_with(&variables).await;
    at_once(&service, bodies((0..10).map(american))).await;
    service.advance(OLD_SECONDS).await;
    super::send_from(&service, &phone(1), "203.0.113.7").await;
    for n in 0..99 {
        assert_eq!(word(&service.send(&american(100 + n)).await), "country");
    }
    for _ in 0..3 {
        let spent = super::send_from(&service, &american(300), "203.0.113.7").await;
        assert_eq!(word(&spent), "client", "its turn, but for its client");
    }
    assert_eq!(
        [
            word(&service.send(&american(301)).await),
            word(&service.send(&american(302)).await)
        ],
        ["sent", "country"]
    );
}

#[tokio::test]
async fn outcomes_that_nobody_can_know_any_more_say_nothing() {
    let service = service_with("100/10").await;
    for day in 0..3 {
        approve(&service, (0..10).map(|n| american(day * 10 + n))).await;
        // Longer than records are kept.
        service.advance(3 * 86_400).await;
    }
    assert_eq!(
        words(&at_once(&service, bodies((100..120).map(american))).await),
        counts([("sent", 20)])
    );
}

#[tokio::test]
async fn what_was_learned_outlives_a_restart() {
    let data = Data::new();
    let [cooldown, hour, day] = NO_SEND_LIMITS;
    let variables = [cooldown, hour, day, ("OTP_CONVERSION_MIN", "10/10")];
    {
        let service = data.start(&variables).await;
        at_once(&service, bodies((0..10).map(american))).await;
        service.advance(OLD_SECONDS).await;
        assert_eq!(word(&service.send(&american(100)).await), "country");
    }
    let service = data.start(&variables).await;
    let (refused, _) = until_one_goes_out(&service).await;
    assert_eq!(refused, 98, "one was refused before");
}

#[tokio::test]
async fn nought_switches_it_off_and_an_app_has_its_own() {
    let [cooldown, hour, day] = NO_SEND_LIMITS;
    let apps = r#"{"shop":{"conversion_min":"10/10"}}"#;
    let service = Service::start_with(&[
        cooldown,
        hour,
        day,
        ("OTP_CONVERSION_MIN", "0"),
        ("OTP_APPS", apps),
    ])
    .await;
    let as_shop = async |n| {
        service
            .call_as(
                crate::harness::SHOP_KEY,
                "POST",
                "/v1/verifications",
                Some(json!({"to": american(n)})),
                &[],
            )
            .await
    };
    for n in 0..12 {
        assert_eq!(
            [
                word(&service.send(&american(n)).await),
                word(&as_shop(n).await)
            ],
            ["sent", "sent"]
        );
    }
    service.advance(OLD_SECONDS).await;
    assert_eq!(
        [
            word(&service.send(&american(20)).await),
            word(&as_shop(20).await)
        ],
        ["sent", "country"]
    );
}

#[tokio::test]
async fn a_busy_country_is_judged_by_a_sample() {
    let service = service_with("10/100").await;
    assert_eq!(
        words(&at_once(&service, bodies((0..250).map(american))).await),
        counts([("sent", 250)])
    );
    let state = service.state().await;
    let largest = state["table"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| item["pc"].is_object())
        .map(|item| item.to_string().len())
        .max();
    assert!(
        largest.is_some_and(|bytes| bytes < 7000),
        "{largest:?} in JSON, of which base64 and braces are more than half"
    );
    service.advance(OLD_SECONDS).await;
    let answers = at_once(&service, bodies((300..400).map(american))).await;
    assert_eq!(words(&answers), counts([("sent", 1), ("country", 99)]));
}
