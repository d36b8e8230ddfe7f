//! The sample of the conversion guard represents the last sends, exactly at low rates: the share of
//! approved sends decides, a burst does not fill the sample, and the problem names the scope.

use serde_json::{Value, json};

use super::{count_outcomes, neighbor, outcomes, send_all};
use crate::support::{
    Service, TestResponse, american_phone, assert_fields, assert_rejected, no_send_limits_and,
};

/// The age from which an outcome counts.
const COUNTED_AFTER_SECONDS: i64 = 601;

async fn start() -> Service {
    Service::start_with(&no_send_limits_and(&[("OTP_PREFIX_SENDS", "1000/600")])).await
}

async fn send_to(service: &Service, phones: impl IntoIterator<Item = String>) -> Vec<TestResponse> {
    let bodies: Vec<Value> = phones.into_iter().map(|to| json!({"to": to})).collect();
    send_all(service, bodies).await
}

/// Sends that are all approved.
async fn approve(service: &Service, phones: impl IntoIterator<Item = String>) {
    for response in send_to(service, phones).await {
        let to = response.body["to"]
            .as_str()
            .expect("a recipient")
            .to_owned();
        let code = service.code(&to).await;
        let check = service.check(&response.id(), &code).await;
        assert_fields(&check.body, json!({"valid": true}));
    }
}

#[tokio::test]
async fn one_approved_send_in_ten_is_enough() {
    for (approved, expected) in [(10, "sent"), (9, "conversion (country)")] {
        let service = start().await;
        approve(&service, (0..approved).map(american_phone)).await;
        send_to(&service, (approved..100).map(american_phone)).await;
        service.advance(COUNTED_AFTER_SECONDS).await;
        let responses = send_to(&service, (100..120).map(american_phone)).await;
        assert_eq!(
            count_outcomes(&responses),
            outcomes([(expected, 20)]),
            "{approved} of 100"
        );
    }
}

#[tokio::test]
async fn burst_does_not_reject_the_sends_after_it() {
    let service = start().await;
    let dead = send_to(&service, (0..100).map(american_phone)).await;
    assert_eq!(count_outcomes(&dead), outcomes([("sent", 100)]));
    approve(&service, (100..400).map(american_phone)).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    let honest = send_to(&service, (400..500).map(american_phone)).await;
    assert_eq!(count_outcomes(&honest), outcomes([("sent", 100)]));
}

#[tokio::test]
async fn last_hundred_sends_decide() {
    let service = start().await;
    approve(&service, (0..100).map(american_phone)).await;
    service.advance(60).await;
    send_to(&service, (100..200).map(american_phone)).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    let responses = send_to(&service, (200..220).map(american_phone)).await;
    assert_eq!(
        count_outcomes(&responses),
        outcomes([("conversion (country)", 20)]),
        "the approved ones are no longer among them"
    );
}

#[tokio::test]
async fn problem_names_the_scope() {
    let service = start().await;
    send_to(&service, (0..100).map(american_phone)).await;
    send_to(&service, (0..80).map(neighbor)).await;
    approve(&service, (0..20).map(|n| format!("+3362{n:07}"))).await;
    send_to(&service, (80..100).map(neighbor)).await;
    service.advance(COUNTED_AFTER_SECONDS).await;
    for (to, scope) in [(american_phone(100), "country"), (neighbor(200), "prefix")] {
        let response = service.send(&to).await;
        assert_rejected(&response, "conversion");
        assert_fields(
            &response.body,
            json!({"limit": "conversion", "scope": scope}),
        );
        assert_eq!(response.header("retry-after"), Some("600"));
    }
}
