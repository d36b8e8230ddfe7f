//! The guess budget: wrong attempts of a recipient in any 24 hours, over all verifications and resends, and the strength of
//! codes that grows with failures. The oracle is the right code, which must be refused.

use serde_json::json;

use crate::given::{NO_SEND_LIMITS, phone};
use crate::harness::{Answer, SHOP_KEY, Service, other_than};

/// Without limits of sends, and with these variables.
async fn start(variables: &[(&str, &str)]) -> Service {
    Service::start_with(&[&NO_SEND_LIMITS, variables].concat()).await
}

fn retry_after(answer: &Answer) -> i64 {
    answer
        .header("retry-after")
        .and_then(|wait| wait.parse().ok())
        .unwrap_or_else(|| panic!("{answer:?}"))
}

/// Holds that `guess_budget` refuses sends to `to` for as long as it announces and no longer; the send that follows.
async fn locked(service: &Service, to: &str) -> Answer {
    let before = service.now().await;
    let refused = service.send(to).await;
    let after = service.now().await;
    assert_eq!(
        (refused.problem(), &refused.body["limit"]),
        ((429, "rate_limited"), &json!("guess_budget")),
        "{refused:?}"
    );
    let wait = retry_after(&refused);
    assert!(
        (1..=86_400).contains(&wait),
        "never longer than a day: {wait}"
    );
    assert_eq!(
        refused.header("ratelimit"),
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
    assert_eq!(sent.status, 201, "{sent:?}");
    sent
}

#[tokio::test]
async fn a_day_of_guessing_compares_exactly_the_budget() {
    let service = Service::start().await;
    let to = phone(1);
    let (mut compared, mut codes) = (0, vec![]);
    let refused = loop {
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
                    .check(&sent.id(), &other_than(&code))
                    .await
                    .outcome()
                    .1
                    == "wrong_code",
            );
        }
        assert_eq!(
            service.check(&sent.id(), &code).await.outcome().1,
            "exhausted"
        );
        codes.push((sent.id(), code));
    };
    assert_eq!((compared, codes.len()), (20, 4));
    let until = service.now().await + retry_after(&refused);
    while service.now().await < until - 3 * 3600 {
        service.advance(2 * 3600).await;
        let still = service.send(&to).await;
        assert_eq!(still.body["limit"], "guess_budget", "{still:?}");
        assert!(
            (until - service.now().await - retry_after(&still)).abs() <= 1,
            "the lock does not move"
        );
        for (id, code) in &codes {
            assert_eq!(service.check(id, code).await.outcome().1, "exhausted");
        }
    }
    assert_eq!(
        service.messages(&to).await.len(),
        4,
        "nobody is texted meanwhile"
    );
    let sent = locked(&service, &to).await;
    let code = service.code(&to).await;
    assert_eq!(
        service.check(&sent.id(), &code).await.outcome().0,
        true,
        "the full flow works again"
    );
}

#[tokio::test]
async fn a_live_verification_takes_no_more_attempts_than_are_left() {
    let service = start(&[("OTP_GUESS_BUDGET", "7")]).await;
    let to = phone(1);
    let (first, first_code) = service.sent(&to).await;
    service.fail(&first, &first_code, 5).await;
    let second = service.send(&to).await;
    assert_eq!(
        (second.status, &second.body["attempts_left"]),
        (201, &json!(2))
    );
    let code = service.code(&to).await;
    assert_eq!(
        service
            .fail(&second.id(), &code, 1)
            .await
            .map(|a| a.outcome().3),
        Some(1)
    );
    assert_eq!(
        service
            .check(&second.id(), &other_than(&code))
            .await
            .outcome(),
        (false, "wrong_code", "exhausted", 0)
    );
    assert_eq!(
        service.check(&second.id(), &code).await.outcome(),
        (false, "exhausted", "exhausted", 0)
    );
    assert_eq!(service.messages(&to).await.len(), 2);
    locked(&service, &to).await;
}

#[tokio::test]
async fn a_budget_below_the_attempts_of_a_verification_is_what_it_has() {
    let service = start(&[("OTP_GUESS_BUDGET", "3")]).await;
    let (id, code) = service.sent(&phone(1)).await;
    assert_eq!(service.show(&id).await.body["attempts_left"], 3);
    service.fail(&id, &code, 3).await;
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (false, "exhausted", "exhausted", 0)
    );
    assert_eq!(service.resend(&id).await.problem(), (409, "not_pending"));
    locked(&service, &phone(1)).await;
}

#[tokio::test]
async fn neither_resend_nor_cancel_nor_expiry_nor_success_gives_the_budget_back() {
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
            service.fail(&id, &code, 1).await;
            assert_eq!(service.check(&id, &code).await.outcome().0, true);
            continue;
        }
        service.fail(&id, &code, 2).await;
        match ended {
            "resent" => assert_eq!(service.resend(&id).await.body["attempts_left"], 3),
            "canceled" => assert_eq!(service.cancel(&id).await.status, 200),
            _ => service.advance(300).await,
        }
    }
    let last = service.send(&to).await;
    assert_eq!(
        last.body["attempts_left"], 1,
        "a success costs nothing and gives nothing back"
    );
    service
        .fail(&last.id(), &service.code_of(&to, &last.id()).await, 1)
        .await;
    locked(&service, &to).await;
}

#[tokio::test]
async fn the_budget_slides() {
    let service = start(&[("OTP_GUESS_BUDGET", "2"), ("OTP_MAX_ATTEMPTS", "1")]).await;
    let to = phone(1);
    for _ in 0..2 {
        let (id, code) = service.sent(&to).await;
        service.fail(&id, &code, 1).await;
        service.advance(5000).await;
    }
    let begun = service.now().await;
    let third = locked(&service, &to).await;
    assert_eq!(
        third.body["attempts_left"], 1,
        "one has left the day, the other has not"
    );
    service.fail(&third.id(), &service.code(&to).await, 1).await;
    let fourth = locked(&service, &to).await;
    assert_eq!(fourth.body["attempts_left"], 1);
    let waited = service.now().await - begun;
    assert!(
        (86_400 - 5_030..=86_400 - 4_970).contains(&waited),
        "the second one left 5000 s after the first: {waited}"
    );
}

#[tokio::test]
async fn codes_grow_with_failures_in_a_row_and_shrink_with_a_success() {
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
            let (id, code) = service.sent(&to).await;
            service.fail(&id, &code, more).await;
        }
        failures += more;
        service.send(&to).await;
        assert_eq!(
            service.code(&to).await.len(),
            length,
            "after {failures} failures"
        );
    }
    assert_eq!(
        service
            .send_body(json!({"to": to, "code_length": 7}))
            .await
            .status,
        201
    );
    assert_eq!(
        service.code(&to).await.len(),
        10,
        "what was asked for is a minimum"
    );
    let (id, code) = service.sent(&to).await;
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
    assert_eq!(service.sent(&to).await.1.len(), 6, "a success ends the row");
}

#[tokio::test]
async fn a_longer_code_that_was_asked_for_stays_longer() {
    let service = start(&[]).await;
    let to = phone(1);
    for _ in 0..2 {
        let (id, code) = service.sent(&to).await;
        service.fail(&id, &code, 5).await;
    }
    assert_eq!(
        service
            .send_body(json!({"to": to, "code_length": 9}))
            .await
            .status,
        201
    );
    assert_eq!(service.code(&to).await.len(), 9);
}

#[tokio::test]
async fn a_fresh_code_of_a_resend_is_a_new_code_and_grows_too() {
    let service = start(&[("OTP_RESEND_CODE", "fresh"), ("OTP_MAX_ATTEMPTS", "10")]).await;
    let to = phone(1);
    let (first, code) = service.sent(&to).await;
    service.fail(&first, &code, 6).await;
    let (second, code) = service.sent(&to).await;
    assert_eq!(code.len(), 6);
    service.fail(&second, &code, 4).await;
    assert_eq!(service.resend(&second).await.status, 200);
    let fresh = service.code(&to).await;
    assert_eq!(fresh.len(), 8, "after ten failures in a row");
    assert_eq!(service.check(&second, &fresh).await.outcome().0, true);
}

#[tokio::test]
async fn unlock_clears_the_counts() {
    let service = start(&[]).await;
    let to = phone(1);
    let mut last = String::new();
    for _ in 0..4 {
        let (id, code) = service.sent(&to).await;
        service.fail(&id, &code, 5).await;
        last = id;
    }
    assert_eq!(service.send(&to).await.body["limit"], "guess_budget");
    assert_eq!(service.unlock(&to).await.status, 200);
    assert_eq!(service.show(&last).await.body["status"], "exhausted");
    let sent = service.send(&to).await;
    assert_eq!((sent.status, &sent.body["attempts_left"]), (201, &json!(5)));
    let code = service.code(&to).await;
    assert_eq!(code.len(), 6, "the row is cleared too");
    service.fail(&sent.id(), &code, 5).await;
    for _ in 0..3 {
        let (id, code) = service.sent(&to).await;
        service.fail(&id, &code, 5).await;
    }
    assert_eq!(
        service.send(&to).await.body["limit"],
        "guess_budget",
        "and counting begins anew"
    );
}

#[tokio::test]
async fn forget_keeps_the_counts() {
    let service = start(&[]).await;
    let to = phone(1);
    for n in 0..4 {
        let (id, code) = service.sent(&to).await;
        assert_eq!(code.len(), if n < 2 { 6 } else { 8 });
        service.fail(&id, &code, 5).await;
        assert_eq!(service.forget(&to).await.status, 200);
    }
    assert_eq!(service.send(&to).await.body["limit"], "guess_budget");
    service.forget(&to).await;
    locked(&service, &to).await;
}

#[tokio::test]
async fn a_budget_is_one_recipients_in_one_app() {
    let service = start(&[("OTP_GUESS_BUDGET", "1")]).await;
    let (id, code) = service.sent(&phone(1)).await;
    service.fail(&id, &code, 1).await;
    assert_eq!(service.send(&phone(1)).await.status, 429);
    assert_eq!(service.send(&phone(2)).await.status, 201);
    let shop = service
        .call_as(
            SHOP_KEY,
            "POST",
            "/v1/verifications",
            Some(json!({"to": phone(1)})),
            &[],
        )
        .await;
    assert_eq!((shop.status, &shop.body["attempts_left"]), (201, &json!(1)));
}
