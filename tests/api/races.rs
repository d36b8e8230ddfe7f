//! Races: with any requests in parallel, the counts are exact and a code is approved once.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{
    Fault, NO_SEND_LIMITS, ProxiedService, Service, TestResponse, another_code, assert_approved,
    assert_check, assert_fields, assert_problem, assert_status, at_once, no_send_limits_and, phone,
};

/// Two calls at once, started in either order.
async fn both<A, B>(
    in_order: bool,
    a: impl Future<Output = A>,
    b: impl Future<Output = B>,
) -> (A, B) {
    if in_order {
        return tokio::join!(a, b);
    }
    let (b, a) = tokio::join!(b, a);
    (a, b)
}

/// `count` checks of one code at once.
async fn checks(service: &Service, count: usize, id: &str, code: &str) -> Vec<TestResponse> {
    at_once(count, |_| {
        let (service, id, code) = (service.clone(), id.to_owned(), code.to_owned());
        async move { service.check(&id, &code).await }
    })
    .await
}

/// How many checks ended with `reason`, or with `valid` or `unavailable`.
fn count(responses: &[TestResponse], reason: &str) -> usize {
    let outcome = |response: &TestResponse| match response.status {
        503 => "unavailable".to_owned(),
        _ if response.is_valid() => "valid".to_owned(),
        _ => response.check_result().reason.to_owned(),
    };
    responses
        .iter()
        .filter(|response| outcome(response) == reason)
        .count()
}

/// How many responses have this status.
fn count_status(responses: &[TestResponse], status: u16) -> usize {
    responses
        .iter()
        .filter(|response| response.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_wrong_attempts_never_exceed_the_maximum() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    let responses = checks(&service, 200, &id, &another_code(&code)).await;
    let (wrong, unavailable) = (
        count(&responses, "wrong_code"),
        count(&responses, "unavailable"),
    );
    // An attempt whose response was lost is counted all the same.
    assert!(
        wrong <= 5 && wrong + unavailable >= 5,
        "{wrong} wrong, {unavailable} unavailable"
    );
    assert_eq!(wrong + unavailable + count(&responses, "exhausted"), 200);
    let left: BTreeSet<_> = responses
        .iter()
        .filter(|a| a.status == 200 && a.check_result().reason == "wrong_code")
        .map(|a| a.check_result().attempts_left)
        .collect();
    assert_eq!(
        left.len(),
        wrong,
        "each wrong attempt gets another number of attempts left"
    );
    assert_check(
        &service.check(&id, &code).await,
        "exhausted",
        "exhausted",
        0,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_parallel_right_codes_is_valid() {
    let service = Service::start().await;
    for round in 1..=20 {
        let (id, code) = service.open(&phone(round)).await;
        let responses = checks(&service, 64, &id, &code).await;
        assert_eq!(count(&responses, "valid"), 1, "round {round}");
        assert_eq!(
            count(&responses, "already_used") + count(&responses, "unavailable"),
            63,
            "round {round}"
        );
        let shown = service.show(&id).await;
        assert_fields(
            &shown.body,
            json!({"status": "approved", "attempts_left": 4}),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_right_and_wrong_codes_never_exceed_the_maximum() {
    let service = Service::start().await;
    for round in 1..=5 {
        let (id, code) = service.open(&phone(round)).await;
        let responses = at_once(40, |n| {
            let (service, id) = (service.clone(), id.clone());
            let code = if n % 8 == 7 {
                code.clone()
            } else {
                another_code(&code)
            };
            async move { service.check(&id, &code).await }
        })
        .await;
        let (valid, wrong) = (count(&responses, "valid"), count(&responses, "wrong_code"));
        assert!(
            valid <= 1 && valid + wrong <= 5,
            "{valid} valid and {wrong} wrong"
        );
        let status = service.show(&id).await.body["status"].clone();
        assert_eq!(status, if valid == 1 { "approved" } else { "exhausted" });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_checks_with_one_key_are_one_attempt() {
    let service = Service::start().await;
    for round in 1..=4 {
        let (id, code) = service.open(&phone(round)).await;
        let checked_code = if round % 2 == 0 {
            code
        } else {
            another_code(&code)
        };
        let responses = at_once(32, |_| {
            let (service, id, body) = (service.clone(), id.clone(), json!({"code": checked_code}));
            async move { service.check_with_key(&id, body, "k").await }
        })
        .await;
        let completed: Vec<_> = responses
            .iter()
            .filter(|response| response.status == 200)
            .collect();
        assert!(
            completed
                .iter()
                .all(|response| response.body == completed[0].body),
            "{completed:?}"
        );
        assert!(
            completed
                .iter()
                .filter(|response| !response.is_replayed())
                .count()
                <= 1
        );
        assert_eq!(service.show(&id).await.body["attempts_left"], 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_parallel_sends_passes_the_cooldown() {
    let service = Service::start().await;
    let responses = at_once(100, |n| {
        let service = service.clone();
        async move {
            service
                .send_with_key(json!({"to": phone(1)}), &format!("key-{n}"))
                .await
        }
    })
    .await;
    let not_sent = count_status(&responses, 429) + count_status(&responses, 503);
    assert_eq!((count_status(&responses, 201), not_sent), (1, 99));
    assert!(
        responses
            .iter()
            .all(|response| response.status != 429 || response.body["limit"] == "cooldown")
    );
    assert_eq!(service.messages(&phone(1)).await.len(), 1);
    let id = responses
        .iter()
        .find(|response| response.status == 201)
        .map(TestResponse::id)
        .unwrap_or_default();
    assert_eq!(service.show(&id).await.body["sends_left"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_sends_with_one_key_send_one_message() {
    let service = Service::start().await;
    let responses = at_once(50, |_| {
        let service = service.clone();
        async move { service.send_with_key(json!({"to": phone(1)}), "key").await }
    })
    .await;
    let sent: Vec<_> = responses
        .iter()
        .filter(|response| response.status == 201)
        .collect();
    let ids: BTreeSet<_> = sent.iter().map(|response| response.id()).collect();
    assert_eq!(ids.len(), 1, "{responses:?}");
    assert!(
        sent.iter()
            .filter(|response| !response.is_replayed())
            .count()
            <= 1
    );
    assert!(
        responses.iter().all(|response| matches!(
            response.problem(),
            (201, _) | (409, "in_progress") | (503, "unavailable")
        )),
        "{responses:?}"
    );
    assert_eq!(service.messages(&phone(1)).await.len(), 1);
    let again = service.send_with_key(json!({"to": phone(1)}), "key").await;
    assert_eq!(
        (again.status, again.is_replayed(), Some(&again.id())),
        (201, true, ids.first())
    );
    assert_eq!(
        (
            service.messages(&phone(1)).await.len(),
            &again.body["sends_left"]
        ),
        (1, &json!(4))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_resends_send_once_within_the_cooldown() {
    let service = Service::start().await;
    let (id, _) = service.open(&phone(1)).await;
    service.advance(30).await;
    let responses = at_once(30, |_| {
        let (service, id) = (service.clone(), id.clone());
        async move { service.resend(&id).await }
    })
    .await;
    let not_sent = count_status(&responses, 429) + count_status(&responses, 503);
    assert_eq!((count_status(&responses, 200), not_sent), (1, 29));
    assert_eq!(service.messages(&phone(1)).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_and_cancel_never_both_succeed() {
    let service = Service::start().await;
    for round in 1..=20 {
        let (id, code) = service.open(&phone(round)).await;
        let (check, cancel) = (service.check(&id, &code), service.cancel(&id));
        let (checked, canceled) = both(round % 2 == 0, check, cancel).await;
        let status = service.show(&id).await.body["status"].clone();
        if checked.is_valid() {
            assert_problem(&canceled, 409, "not_pending");
            assert_eq!(status, "approved");
        } else {
            assert_eq!(checked.check_result().reason, "canceled");
            assert_status(&canceled, 200);
            assert_eq!(status, "canceled");
        }
        assert!(!service.check(&id, &code).await.is_valid());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_and_new_verification_leave_one_valid_code() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for round in 1..=20 {
        let to = phone(round);
        let (old, code) = service.open(&to).await;
        let (checked, sent) = both(
            round % 2 == 0,
            service.check(&old, &code),
            service.send(&to),
        )
        .await;
        assert_status(&sent, 201);
        let status = service.show(&old).await.body["status"].clone();
        if checked.is_valid() {
            assert_eq!(status, "approved");
        } else {
            assert_eq!(checked.check_result().reason, "superseded");
            assert_eq!(status, "superseded");
        }
        assert!(!service.check(&old, &code).await.is_valid());
        let fresh = service.code_of(&to, &sent.id()).await;
        // The old code cost the new one nothing.
        assert_approved(&service.check(&sent.id(), &fresh).await, 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overtaken_message_still_names_its_verification() {
    let proxied = ProxiedService::start(&NO_SEND_LIMITS).await;
    let (service, to) = (&proxied.service, phone(1));
    // The worker reads the breakers after it has claimed its message: the message is in flight.
    let mut reads = 0;
    proxied.table.break_by(move |call| {
        reads += usize::from(call.operation == "GetItem");
        (call.operation == "GetItem" && reads == 1).then_some(Fault::HoldRequest)
    });
    let old = service.send(&to).await.id();
    proxied.table.wait_for_held_call().await;
    let new = service.send(&to).await.id();
    while service.messages_now(&to).await.is_empty() {}
    proxied.table.release();
    let messages = service.messages(&to).await;
    let ids: Vec<_> = messages
        .iter()
        .map(|message| message["verification_id"].as_str().unwrap_or_default())
        .collect();
    assert!(
        ids.contains(&new.as_str()) && ids.iter().all(|id| *id == new || *id == old),
        "{messages:?}"
    );
    assert_approved(
        &service.check(&new, &service.code_of(&to, &new).await).await,
        4,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_and_fresh_resend_never_both_succeed() {
    let variables = [("OTP_RESEND_CODE", "fresh"), ("OTP_CODE_LENGTH", "10")];
    let service = Service::start_with(&no_send_limits_and(&variables)).await;
    for round in 1..=20 {
        let to = phone(round);
        let (id, old) = service.open(&to).await;
        let (checked, resent) = both(
            round % 2 == 0,
            service.check(&id, &old),
            service.resend(&id),
        )
        .await;
        let fresh = service.code_of(&to, &id).await;
        if checked.is_valid() {
            assert_problem(&resent, 409, "not_pending");
            assert_eq!(
                (
                    service.check(&id, &fresh).await.check_result().reason,
                    service.messages(&to).await.len()
                ),
                ("already_used", 1)
            );
            continue;
        }
        assert_eq!(
            (checked.check_result().reason, resent.status),
            ("wrong_code", 200),
            "the old code was replaced first"
        );
        assert_ne!(fresh, old);
        assert_approved(&service.check(&id, &fresh).await, 3);
        assert!(!service.check(&id, &old).await.is_valid());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_sends_lose_no_wrong_attempt_of_the_budget() {
    let service = Service::start_with(&no_send_limits_and(&[("OTP_GUESS_BUDGET", "12")])).await;
    let to = phone(1);
    let mut wrong = 0;
    for _ in 0..6 {
        let sent = service.send(&to).await;
        if sent.status == 429 {
            break;
        }
        let (id, code) = (sent.id(), service.code_of(&to, &sent.id()).await);
        let wrong_code = another_code(&code);
        let (a, b, c, _) = tokio::join!(
            service.check(&id, &wrong_code),
            service.check(&id, &wrong_code),
            service.check(&id, &wrong_code),
            service.send(&to)
        );
        wrong += count(&[a, b, c], "wrong_code");
    }
    let sent = service.send(&to).await;
    let left = if sent.status == 429 {
        0
    } else {
        sent.body["attempts_left"].as_u64().unwrap_or(99)
    };
    assert_eq!(
        left,
        5.min(12_u64.saturating_sub(wrong as u64)),
        "{wrong} wrong attempts: {sent:?}"
    );
}
