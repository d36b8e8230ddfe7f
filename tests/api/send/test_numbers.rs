//! `OTP_TEST_NUMBERS`: a number with a known code and no message, outside the limits of sends.

use serde_json::{Value, json};

use crate::support::{
    Service, assert_approved, assert_check, assert_fields, assert_problem, assert_rejected,
    assert_status,
};

const TO: &str = "+12025550143";
const CODE: &str = "424242";

/// The entry of `TO`, until `seconds` after the real time.
fn numbers(seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    let until = otp::domain::time::Timestamp(now + seconds).to_string();
    json!([{"to": TO, "code": CODE, "until": &until[..10]}]).to_string()
}

async fn start(changes: &[(&str, &str)]) -> Service {
    let numbers = numbers(86_400);
    let variables = [&[("OTP_TEST_NUMBERS", numbers.as_str())], changes].concat();
    Service::start_with(&variables).await
}

fn assert_delivered(verification: &Value) {
    assert_fields(
        &verification["delivery"],
        json!({"status": "delivered", "carrier": "test"}),
    );
}

#[tokio::test]
async fn number_with_known_code_gets_no_message() {
    let service = start(&[
        ("OTP_ALLOWED_COUNTRIES", "FR"),
        ("OTP_BLOCKED_PREFIXES", "+1202"),
    ])
    .await;
    for to in [TO, "+1 (202) 555-0143"] {
        let sent = service.send(to).await;
        assert_status(&sent, 201);
        assert_delivered(&sent.body);
        service.settle().await;
        assert_delivered(&service.show(&sent.id()).await.body);
        assert_approved(&service.check(&sent.id(), CODE).await, 4);
    }
    assert_eq!(service.messages(TO).await, Vec::<Value>::new());
    assert_problem(
        &service.send("+12025550144").await,
        403,
        "country_not_allowed",
    );
}

#[tokio::test]
async fn sends_to_a_test_number_count_for_no_limit() {
    let service = start(&[
        ("OTP_PREFIX_SENDS", "3/600"),
        ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
    ])
    .await;
    for _ in 0..12 {
        let body = json!({"to": TO, "client_ip": "203.0.113.7", "fallback": ["voice"]});
        let sent = service.send_body(body).await;
        assert_status(&sent, 201);
        assert_eq!(sent.body["sends_left"], 5);
        assert_eq!(sent.body["resend_at"], sent.body["created_at"]);
        let resent = service.resend(&sent.id()).await;
        assert_status(&resent, 200);
        assert_delivered(&resent.body);
        assert_eq!(resent.body["deliveries"].as_array().map(Vec::len), Some(2));
        assert_approved(&service.check(&sent.id(), CODE).await, 4);
    }
    for neighbour in ["+12025550144", "+12025550145", "+12025550146"] {
        assert_status(&service.send(neighbour).await, 201);
    }
    assert_rejected(&service.send("+12025550147").await, "prefix");
    service.advance(61).await;
    assert_eq!(service.messages(TO).await, Vec::<Value>::new());
}

#[tokio::test]
async fn attempts_and_guess_budget_apply_to_a_test_number() {
    let service = start(&[("OTP_GUESS_BUDGET", "7")]).await;
    let first = service.send(TO).await.id();
    service.fail_checks(&first, CODE, 5).await;
    assert_check(
        &service.check(&first, CODE).await,
        "exhausted",
        "exhausted",
        0,
    );
    let second = service.send(TO).await;
    assert_eq!(second.body["attempts_left"], 2);
    service.fail_checks(&second.id(), CODE, 2).await;
    assert_rejected(&service.send(TO).await, "guess_budget");
}

#[tokio::test]
async fn known_code_survives_longer_codes_and_fresh_resends() {
    let service = start(&[("OTP_RESEND_CODE", "fresh")]).await;
    let body = json!({"to": TO, "code_length": 8});
    let sent = service.send_body(body).await.id();
    service.fail_checks(&sent, CODE, 1).await;
    assert_status(&service.resend(&sent).await, 200);
    assert_approved(&service.check(&sent, CODE).await, 3);
}

#[tokio::test]
async fn replay_of_a_test_send_returns_the_same_verification() {
    let service = start(&[]).await;
    let first = service.send_with_key(json!({"to": TO}), "k").await;
    let second = service.send_with_key(json!({"to": TO}), "k").await;
    assert_eq!((first.id(), second.is_replayed()), (second.id(), true));
}

#[tokio::test]
async fn entry_has_no_effect_after_its_last_day() {
    let service = start(&[]).await;
    service.advance(2 * 86_400).await;
    let sent = service.send(TO).await;
    assert_status(&sent, 201);
    assert_eq!(service.messages(TO).await.len(), 1);
    let past = numbers(-2 * 86_400);
    let service = Service::start_with(&[("OTP_TEST_NUMBERS", &past)]).await;
    assert_status(&service.send(TO).await, 201);
    assert_eq!(service.messages(TO).await.len(), 1);
}
