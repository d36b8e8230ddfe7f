//! The guess budget: wrong attempts of a recipient in any 24 hours, over all verifications and
//! resends; and the length of codes, which grows with failures. While the budget is spent even the
//! right code must be rejected.

use serde_json::json;

use crate::support::{
    SHOP_KEY, Service, TestResponse, another_code, assert_check, assert_fields, assert_problem,
    assert_rejected, assert_status, no_send_limits_and, phone,
};

/// A service without limits of sends, with these variables.
async fn start(variables: &[(&str, &str)]) -> Service {
    Service::start_with(&no_send_limits_and(variables)).await
}

fn retry_after(response: &TestResponse) -> i64 {
    response
        .header("retry-after")
        .and_then(|wait| wait.parse().ok())
        .unwrap_or_else(|| panic!("{response:?}"))
}

/// Asserts that `guess_budget` rejects sends to `to` for exactly as long as announced; returns the
/// first send after that.
async fn assert_locked(service: &Service, to: &str) -> TestResponse {
    let before = service.now().await;
    let rejected = service.send(to).await;
    let after = service.now().await;
    assert_rejected(&rejected, "guess_budget");
    let wait = retry_after(&rejected);
    assert!(
        (1..=86_400).contains(&wait),
        "never longer than a day: {wait}"
    );
    assert_eq!(
        rejected.header("ratelimit"),
        Some(format!("\"guess_budget\";r=0;t={wait}").as_str())
    );
    service.advance_to(before + wait - 1).await;
    let early = service.send(to).await;
    if service.now().await < before + wait {
        assert_eq!(early.body["limit"], "guess_budget", "{early:?}");
    }
    if early.status == 201 {
        return early;
    }
    service.advance_to(after + wait).await;
    let sent = service.send(to).await;
    assert_status(&sent, 201);
    sent
}

#[tokio::test]
async fn day_of_guessing_compares_exactly_the_budget() {
    let service = Service::start().await;
    let to = phone(1);
    let (mut compared, mut codes) = (0, vec![]);
    let rejected = loop {
        let sent = service.send(&to).await;
        if sent.status == 429 && sent.body["limit"] == "guess_budget" {
            break sent;
        }
        if sent.status == 429 {
            service.advance(retry_after(&sent)).await;
            continue;
        }
        let code = service.code(&to).await;
        for _ in 0..7 {
            compared += i64::from(
                service
                    .check(&sent.id(), &another_code(&code))
                    .await
                    .check_result()
                    .reason
                    == "wrong_code",
            );
        }
        assert_eq!(
            service.check(&sent.id(), &code).await.check_result().reason,
            "exhausted"
        );
        codes.push((sent.id(), code));
    };
    assert_eq!((compared, codes.len()), (20, 4));
    let until = service.now().await + retry_after(&rejected);
    while service.now().await < until - 3 * 3600 {
        service.advance(2 * 3600).await;
        let still = service.send(&to).await;
        assert_eq!(still.body["limit"], "guess_budget", "{still:?}");
        assert!(
            (until - service.now().await - retry_after(&still)).abs() <= 1,
            "the end of the lock does not change"
        );
        for (id, code) in &codes {
            assert_eq!(
                service.check(id, code).await.check_result().reason,
                "exhausted"
            );
        }
    }
    assert_eq!(
        service.messages(&to).await.len(),
        4,
        "no message is sent meanwhile"
    );
    let sent = assert_locked(&service, &to).await;
    let code = service.code(&to).await;
    assert!(
        service.check(&sent.id(), &code).await.is_valid(),
        "a code can be approved again"
    );
}

#[tokio::test]
async fn verification_has_no_more_attempts_than_the_budget() {
    let service = start(&[("OTP_GUESS_BUDGET", "7")]).await;
    let to = phone(1);
    let (first, first_code) = service.open(&to).await;
    service.fail_checks(&first, &first_code, 5).await;
    let second = service.send(&to).await;
    assert_status(&second, 201);
    assert_fields(&second.body, json!({"attempts_left": 2}));
    let code = service.code(&to).await;
    assert_eq!(
        service
            .fail_checks(&second.id(), &code, 1)
            .await
            .map(|a| a.check_result().attempts_left),
        Some(1)
    );
    assert_check(
        &service.check(&second.id(), &another_code(&code)).await,
        "wrong_code",
        "exhausted",
        0,
    );
    assert_check(
        &service.check(&second.id(), &code).await,
        "exhausted",
        "exhausted",
        0,
    );
    assert_eq!(service.messages(&to).await.len(), 2);
    assert_locked(&service, &to).await;
}

#[tokio::test]
async fn budget_below_max_attempts_limits_the_attempts() {
    let service = start(&[("OTP_GUESS_BUDGET", "3")]).await;
    let (id, code) = service.open(&phone(1)).await;
    assert_eq!(service.show(&id).await.body["attempts_left"], 3);
    service.fail_checks(&id, &code, 3).await;
    assert_check(
        &service.check(&id, &code).await,
        "exhausted",
        "exhausted",
        0,
    );
    assert_problem(&service.resend(&id).await, 409, "not_pending");
    assert_locked(&service, &phone(1)).await;
}

#[tokio::test]
async fn resend_cancel_expiry_and_approval_restore_no_budget() {
    let service = start(&[("OTP_GUESS_BUDGET", "8")]).await;
    let to = phone(1);
    for (ended, left) in [
        ("resent", 8),
        ("canceled", 6),
        ("expired", 4),
        ("approved", 2),
    ] {
        let sent = service.send(&to).await;
        assert_eq!(
            (sent.status, &sent.body["attempts_left"]),
            (201, &json!(left.min(5))),
            "{ended}"
        );
        let (id, code) = (sent.id(), service.code_of(&to, &sent.id()).await);
        if ended == "approved" {
            service.fail_checks(&id, &code, 1).await;
            assert!(service.check(&id, &code).await.is_valid());
            continue;
        }
        service.fail_checks(&id, &code, 2).await;
        match ended {
            "resent" => assert_eq!(service.resend(&id).await.body["attempts_left"], 3),
            "canceled" => assert_status(&service.cancel(&id).await, 200),
            _ => service.advance(300).await,
        }
    }
    let last = service.send(&to).await;
    assert_eq!(
        last.body["attempts_left"], 1,
        "an approval neither costs nor restores budget"
    );
    service
        .fail_checks(&last.id(), &service.code_of(&to, &last.id()).await, 1)
        .await;
    assert_locked(&service, &to).await;
}

#[tokio::test]
async fn budget_window_slides() {
    let service = start(&[("OTP_GUESS_BUDGET", "2"), ("OTP_MAX_ATTEMPTS", "1")]).await;
    let to = phone(1);
    for _ in 0..2 {
        let (id, code) = service.open(&to).await;
        service.fail_checks(&id, &code, 1).await;
        service.advance(5000).await;
    }
    let started = service.now().await;
    let third = assert_locked(&service, &to).await;
    assert_eq!(
        third.body["attempts_left"], 1,
        "one failure is older than a day, the other is not"
    );
    service
        .fail_checks(&third.id(), &service.code(&to).await, 1)
        .await;
    let fourth = assert_locked(&service, &to).await;
    assert_eq!(fourth.body["attempts_left"], 1);
    let waited = service.now().await - started;
    assert!(
        (86_400 - 5_030..=86_400 - 4_970).contains(&waited),
        "the second failure was 5000 s after the first: {waited}"
    );
}

#[tokio::test]
async fn code_length_grows_with_consecutive_failures() {
    let service = start(&[("OTP_GUESS_BUDGET", "100"), ("OTP_MAX_ATTEMPTS", "10")]).await;
    let to = phone(1);
    let mut failures = 0;
    for (more, length) in [
        (0, 6),
        (9, 6),
        (1, 8),
        (10, 8),
        (10, 8),
        (10, 8),
        (9, 8),
        (1, 10),
        (3, 10),
    ] {
        if more > 0 {
            let (id, code) = service.open(&to).await;
            service.fail_checks(&id, &code, more).await;
        }
        failures += more;
        service.send(&to).await;
        assert_eq!(
            service.code(&to).await.len(),
            length,
            "after {failures} failures"
        );
    }
    assert_status(
        &service.send_body(json!({"to": to, "code_length": 7})).await,
        201,
    );
    assert_eq!(
        service.code(&to).await.len(),
        10,
        "the requested length is a minimum"
    );
    let (id, code) = service.open(&to).await;
    assert!(service.check(&id, &code).await.is_valid());
    assert_eq!(
        service.open(&to).await.1.len(),
        6,
        "an approval resets the consecutive failures"
    );
}

#[tokio::test]
async fn requested_code_length_above_the_minimum_is_kept() {
    let service = start(&[]).await;
    let to = phone(1);
    for _ in 0..2 {
        let (id, code) = service.open(&to).await;
        service.fail_checks(&id, &code, 5).await;
    }
    assert_status(
        &service.send_body(json!({"to": to, "code_length": 9})).await,
        201,
    );
    assert_eq!(service.code(&to).await.len(), 9);
}

#[tokio::test]
async fn fresh_code_of_a_resend_grows_with_failures() {
    let service = start(&[("OTP_RESEND_CODE", "fresh"), ("OTP_MAX_ATTEMPTS", "10")]).await;
    let to = phone(1);
    let (first, code) = service.open(&to).await;
    service.fail_checks(&first, &code, 6).await;
    let (second, code) = service.open(&to).await;
    assert_eq!(code.len(), 6);
    service.fail_checks(&second, &code, 4).await;
    assert_status(&service.resend(&second).await, 200);
    let fresh = service.code(&to).await;
    assert_eq!(fresh.len(), 8, "after ten failures in a row");
    assert!(service.check(&second, &fresh).await.is_valid());
}

#[tokio::test]
async fn unlock_clears_the_failures() {
    let service = start(&[]).await;
    let to = phone(1);
    let mut last = String::new();
    for _ in 0..4 {
        let (id, code) = service.open(&to).await;
        service.fail_checks(&id, &code, 5).await;
        last = id;
    }
    assert_eq!(service.send(&to).await.body["limit"], "guess_budget");
    assert_status(&service.unlock(&to).await, 200);
    assert_eq!(service.show(&last).await.body["status"], "exhausted");
    let sent = service.send(&to).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"attempts_left": 5}));
    let code = service.code(&to).await;
    assert_eq!(code.len(), 6, "consecutive failures are cleared as well");
    service.fail_checks(&sent.id(), &code, 5).await;
    for _ in 0..3 {
        let (id, code) = service.open(&to).await;
        service.fail_checks(&id, &code, 5).await;
    }
    assert_eq!(
        service.send(&to).await.body["limit"],
        "guess_budget",
        "failures are counted from zero"
    );
}

#[tokio::test]
async fn forget_keeps_the_failures() {
    let service = start(&[]).await;
    let to = phone(1);
    for n in 0..4 {
        let (id, code) = service.open(&to).await;
        assert_eq!(code.len(), if n < 2 { 6 } else { 8 });
        service.fail_checks(&id, &code, 5).await;
        assert_status(&service.forget(&to).await, 200);
    }
    assert_eq!(service.send(&to).await.body["limit"], "guess_budget");
    service.forget(&to).await;
    assert_locked(&service, &to).await;
}

#[tokio::test]
async fn budget_belongs_to_one_recipient_of_one_app() {
    let service = start(&[("OTP_GUESS_BUDGET", "1")]).await;
    let (id, code) = service.open(&phone(1)).await;
    service.fail_checks(&id, &code, 1).await;
    assert_status(&service.send(&phone(1)).await, 429);
    assert_status(&service.send(&phone(2)).await, 201);
    let shop = service.send_as(SHOP_KEY, &phone(1)).await;
    assert_status(&shop, 201);
    assert_fields(&shop.body, json!({"attempts_left": 1}));
}
