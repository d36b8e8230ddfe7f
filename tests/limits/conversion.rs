//! The conversion guard: where too few codes are approved, one send in a hundred goes out until
//! enough are.

use serde_json::{Value, json};

use super::{count_outcomes, neighbor, outcome, outcomes, send_all};
use crate::support::{
    SHOP_KEY, Service, TempDirectory, TestResponse, american_phone, no_send_limits_and, phone,
    stored_items::conversion_items, unix_seconds,
};

/// The age from which an outcome counts.
const COUNTED_AFTER_SECONDS: i64 = 601;

/// A service with this conversion guard, without limits that would reject first.
async fn service_with(conversion: &str) -> Service {
    Service::start_with(&no_send_limits_and(&[
        ("OTP_PREFIX_SENDS", "1000/600"),
        ("OTP_CONVERSION_MIN", conversion),
    ]))
    .await
}

fn bodies(numbers: impl IntoIterator<Item = String>) -> Vec<Value> {
    numbers.into_iter().map(|to| json!({"to": to})).collect()
}

/// Sends that are approved.
async fn approve(service: &Service, numbers: impl IntoIterator<Item = String>) {
    for number in numbers {
        let (id, code) = service.open(&number).await;
        assert_eq!(service.check(&id, &code).await.body["valid"], true);
    }
}

/// Sends to new numbers of the country until one goes out; returns how many were rejected before
/// it, and the one.
async fn send_until_admitted(service: &Service) -> (usize, TestResponse) {
    for rejected in 0..=200 {
        let response = service.send(&american_phone(rejected + 300)).await;
        if response.status == 201 {
            return (rejected, response);
        }
        assert_eq!(outcome(&response), "conversion (country)");
    }
    panic!("all were rejected");
}

#[tokio::test]
async fn unapproved_country_admits_one_send_in_a_hundred() {
    let service = service_with("10/100").await;
    assert_eq!(
        count_outcomes(&send_all(&service, bodies((0..100).map(american_phone))).await),
        outcomes([("sent", 100)])
    );
    service.advance(COUNTED_AFTER_SECONDS).await;
    let now = service.now().await;
    service
        .assert_rejects("conversion", now + 600, async || {
            service.send(&american_phone(100)).await
        })
        .await;
    let rejected = service.send(&american_phone(100)).await;
    assert_eq!(
        (
            rejected.header("retry-after"),
            rejected.header("ratelimit-policy")
        ),
        (Some("600"), Some("\"conversion\";q=1;w=600"))
    );
    let responses = send_all(&service, bodies((100..398).map(american_phone))).await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 3), ("conversion (country)", 295)]),
        "300 in all"
    );
    assert_eq!(
        outcome(&service.send(&phone(1)).await),
        "sent",
        "another country"
    );
}

#[tokio::test]
async fn sends_below_the_sample_size_reject_nothing() {
    let service = service_with("10/100").await;
    send_all(&service, bodies((0..99).map(american_phone))).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    assert_eq!(
        count_outcomes(&send_all(&service, bodies((100..150).map(american_phone))).await),
        outcomes([("sent", 50)])
    );
}

#[tokio::test]
async fn sends_younger_than_ten_minutes_reject_nothing() {
    let service = service_with("10/100").await;
    let sent = send_all(&service, bodies((0..120).map(american_phone))).await;
    let last = sent
        .iter()
        .map(|response| unix_seconds(&response.body["created_at"]))
        .max()
        .expect("some");
    let first = sent
        .iter()
        .map(|response| unix_seconds(&response.body["created_at"]))
        .min()
        .expect("some");
    service.advance_to(first + 600 - 2).await;
    assert_eq!(outcome(&service.send(&american_phone(200)).await), "sent");
    service.advance_to(last + COUNTED_AFTER_SECONDS).await;
    assert_eq!(
        outcome(&service.send(&american_phone(201)).await),
        "conversion (country)"
    );
}

#[tokio::test]
async fn unapproved_prefix_is_limited_in_an_approved_country() {
    let service = service_with("50/10").await;
    send_all(&service, bodies((0..10).map(neighbor))).await;
    service.advance(2).await;
    approve(&service, (0..10).map(phone)).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    let now = service.now().await;
    service
        .assert_rejects("conversion", now + 600, async || {
            service.send(&neighbor(11)).await
        })
        .await;
    let responses = send_all(&service, bodies((11..210).map(neighbor))).await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 2), ("conversion (prefix)", 197)]),
        "200 in all"
    );
    assert_eq!(
        outcome(&service.send(&phone(20)).await),
        "sent",
        "another prefix of the country"
    );
}

#[tokio::test]
async fn country_recovers_once_enough_sends_are_approved() {
    let service = service_with("10/10").await;
    send_all(&service, bodies((0..10).map(american_phone))).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    let (rejected, chosen) = send_until_admitted(&service).await;
    assert_eq!(rejected, 99);
    let code = service
        .code(chosen.body["to"].as_str().expect("a number"))
        .await;
    assert_eq!(service.check(&chosen.id(), &code).await.body["valid"], true);
    assert_eq!(
        outcome(&service.send(&american_phone(500)).await),
        "conversion (country)",
        "its approval does not count yet"
    );
    service.advance(COUNTED_AFTER_SECONDS).await;
    assert_eq!(
        count_outcomes(&send_all(&service, bodies((600..620).map(american_phone))).await),
        outcomes([("sent", 20)]),
        "one in ten is enough"
    );
}

#[tokio::test]
async fn approved_country_is_never_limited() {
    let service = service_with("100/10").await;
    for round in 0..3 {
        approve(&service, (0..10).map(|n| american_phone(round * 10 + n))).await;
        service.advance(COUNTED_AFTER_SECONDS).await;
    }
    service.send(&american_phone(100)).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    assert_eq!(
        outcome(&service.send(&american_phone(101)).await),
        "conversion (country)",
        "an unapproved send counts"
    );
}

#[tokio::test]
async fn approval_counts_after_its_verification_was_superseded() {
    let service = service_with("100/10").await;
    approve(&service, (0..10).map(american_phone)).await;
    approve(&service, (0..10).map(american_phone)).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    assert_eq!(outcome(&service.send(&american_phone(0)).await), "sent");
}

#[tokio::test]
async fn send_rejected_by_another_limit_is_no_sample() {
    let service = Service::start_with(&no_send_limits_and(&[
        ("OTP_PREFIX_SENDS", "1/600"),
        ("OTP_CONVERSION_MIN", "100/10"),
    ]))
    .await;
    approve(&service, (0..10).map(phone)).await;
    approve(&service, [neighbor(0)]).await;
    assert_eq!(
        count_outcomes(&send_all(&service, bodies((1..30).map(neighbor))).await),
        outcomes([("prefix", 29)])
    );
    service.advance(COUNTED_AFTER_SECONDS).await;
    assert_eq!(outcome(&service.send(&phone(20)).await), "sent");
}

#[tokio::test]
async fn chosen_send_rejected_elsewhere_admits_the_next_one() {
    let variables = no_send_limits_and(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
        ("OTP_CONVERSION_MIN", "10/10"),
    ]);
    let service = Service::start_with(&variables).await;
    send_all(&service, bodies((0..10).map(american_phone))).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    super::send_from(&service, &phone(1), "203.0.113.7").await;
    for n in 0..99 {
        assert_eq!(
            outcome(&service.send(&american_phone(100 + n)).await),
            "conversion (country)"
        );
    }
    for _ in 0..3 {
        let sent = super::send_from(&service, &american_phone(300), "203.0.113.7").await;
        assert_eq!(
            outcome(&sent),
            "client",
            "chosen, but rejected for its client"
        );
    }
    assert_eq!(
        [
            outcome(&service.send(&american_phone(301)).await),
            outcome(&service.send(&american_phone(302)).await)
        ],
        ["sent", "conversion (country)"]
    );
}

#[tokio::test]
async fn outcomes_older_than_records_do_not_count() {
    let service = service_with("100/10").await;
    for day in 0..3 {
        approve(&service, (0..10).map(|n| american_phone(day * 10 + n))).await;
        // Longer than the retention of records.
        service.advance(3 * 86_400).await;
    }
    assert_eq!(
        count_outcomes(&send_all(&service, bodies((100..120).map(american_phone))).await),
        outcomes([("sent", 20)])
    );
}

#[tokio::test]
async fn conversion_history_survives_a_restart() {
    let data = TempDirectory::new();
    let variables = no_send_limits_and(&[("OTP_CONVERSION_MIN", "10/10")]);
    {
        let service = Service::start_in(&data, &variables).await;
        send_all(&service, bodies((0..10).map(american_phone))).await;
        service.advance(COUNTED_AFTER_SECONDS).await;
        assert_eq!(
            outcome(&service.send(&american_phone(100)).await),
            "conversion (country)"
        );
    }
    let service = Service::start_in(&data, &variables).await;
    let (rejected, _) = send_until_admitted(&service).await;
    assert_eq!(rejected, 98, "one was rejected before the restart");
}

#[tokio::test]
async fn zero_disables_the_guard_and_apps_have_own() {
    let apps = r#"{"shop":{"conversion_min":"10/10"}}"#;
    let service = Service::start_with(&no_send_limits_and(&[
        ("OTP_CONVERSION_MIN", "0"),
        ("OTP_APPS", apps),
    ]))
    .await;
    let as_shop = async |n| service.send_as(SHOP_KEY, &american_phone(n)).await;
    for n in 0..12 {
        assert_eq!(
            [
                outcome(&service.send(&american_phone(n)).await),
                outcome(&as_shop(n).await)
            ],
            ["sent", "sent"]
        );
    }
    service.advance(COUNTED_AFTER_SECONDS).await;
    assert_eq!(
        [
            outcome(&service.send(&american_phone(20)).await),
            outcome(&as_shop(20).await)
        ],
        ["sent", "conversion (country)"]
    );
}

#[tokio::test]
async fn busy_country_is_evaluated_by_a_sample() {
    let service = service_with("10/100").await;
    assert_eq!(
        count_outcomes(&send_all(&service, bodies((0..250).map(american_phone))).await),
        outcomes([("sent", 250)])
    );
    for item in conversion_items(&service).await {
        let bytes = item.to_string().len();
        assert!(
            bytes < 2500,
            "{bytes} bytes of JSON, more than half of them base64 and braces"
        );
    }
    service.advance(COUNTED_AFTER_SECONDS).await;
    let responses = send_all(&service, bodies((300..400).map(american_phone))).await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("sent", 1), ("conversion (country)", 99)])
    );
}
