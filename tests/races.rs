//! Races: whatever is sent in parallel, the counts are exact and a code is approved once. The engine is tested first, since
//! an engine that is not atomic would break every rule and prove nothing.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use otp::platform::aws::{Aws, AwsSettings};
use serde_json::json;
use tokio::task::JoinSet;

use crate::given::{NO_SEND_LIMITS, phone};
use crate::harness::{Answer, Service, other_than};
use crate::wire::{Fault, Wired};

/// All answers to `count` calls that run at once.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    call: impl Fn(usize) -> F,
) -> Vec<T> {
    let running: JoinSet<T> = (0..count).map(call).collect();
    running.join_all().await
}

/// Two calls at once, either of them begun first.
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
async fn checks(service: &Service, count: usize, id: &str, code: &str) -> Vec<Answer> {
    at_once(count, |_| {
        let (service, id, code) = (service.clone(), id.to_owned(), code.to_owned());
        async move { service.check(&id, &code).await }
    })
    .await
}

/// Answers for each reason; `valid` and `unavailable` are counted beside them.
fn count(answers: &[Answer], reason: &str) -> usize {
    let of = |answer: &Answer| match answer.status {
        503 => "unavailable".to_owned(),
        _ if answer.outcome().0 => "valid".to_owned(),
        _ => answer.outcome().1.to_owned(),
    };
    answers.iter().filter(|answer| of(answer) == reason).count()
}

/// A client of the engine itself, and its table.
async fn engine() -> (Client, String) {
    let service = Service::start().await;
    let settings = AwsSettings {
        region: "local".into(),
        access_key_id: "local".into(),
        secret_access_key: "local".into(),
        session_token: None,
        endpoint_urls: [Some(service.dynamodb_url), None, None],
    };
    (
        Client::new(&Aws::new(settings).config(otp::platform::aws::Service::DynamoDb)),
        service.table,
    )
}

fn key(round: u8) -> AttributeValue {
    AttributeValue::B(Blob::new([round; 16]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_takes_conditional_updates_one_by_one() {
    let (client, table) = engine().await;
    for round in 0..5 {
        let update = |_| {
            let call = client
                .update_item()
                .table_name(&table)
                .key("pk", key(round))
                .return_values(ReturnValue::AllNew);
            let call = call.update_expression("SET #log = list_append(if_not_exists(#log, :none), :one), #n = if_not_exists(#n, :zero) + :step");
            let call = call.condition_expression("attribute_not_exists(#log) OR size(#log) < :cap");
            let call = call
                .expression_attribute_names("#log", "log")
                .expression_attribute_names("#n", "n");
            let number = |n: u32| AttributeValue::N(n.to_string());
            let values = [
                (":none", AttributeValue::L(vec![])),
                (":one", AttributeValue::L(vec![number(1)])),
                (":zero", number(0)),
                (":step", number(1)),
                (":cap", number(7)),
            ];
            let call = values.into_iter().fold(call, |call, (name, value)| {
                call.expression_attribute_values(name, value)
            });
            async move {
                let answer = call.send().await.ok()?;
                let item = answer.attributes()?;
                Some((
                    item["log"].as_l().ok()?.len(),
                    item["n"].as_n().ok()?.clone(),
                ))
            }
        };
        let taken: BTreeSet<_> = at_once(64, update).await.into_iter().flatten().collect();
        let expected: BTreeSet<_> = (1..=7).map(|n: usize| (n, n.to_string())).collect();
        assert_eq!(
            taken, expected,
            "seven updates, each on what the one before it left"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_creates_an_item_once_and_replaces_a_version_once() {
    let (client, table) = engine().await;
    for round in 100..105 {
        let create = |n: usize| {
            let version = AttributeValue::N(n.to_string());
            let put = client
                .put_item()
                .table_name(&table)
                .item("pk", key(round))
                .item("ver", version);
            let put = put.condition_expression("attribute_not_exists(pk)").send();
            async move { put.await.is_ok().then_some(n) }
        };
        let created: Vec<_> = at_once(64, create).await.into_iter().flatten().collect();
        assert_eq!(created.len(), 1);
        let version = AttributeValue::N(created[0].to_string());
        let replace = |n: usize| {
            let next = AttributeValue::N((1000 + n).to_string());
            let put = client
                .put_item()
                .table_name(&table)
                .item("pk", key(round))
                .item("ver", next);
            let put = put
                .condition_expression("ver = :ver")
                .expression_attribute_values(":ver", version.clone())
                .send();
            async move { put.await.is_ok() }
        };
        assert_eq!(
            at_once(64, replace)
                .await
                .into_iter()
                .filter(|done| *done)
                .count(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_parallel_wrong_attempts_exactly_k_count_and_then_the_right_code_is_refused() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    let answers = checks(&service, 200, &id, &other_than(&code)).await;
    let (wrong, unavailable) = (
        count(&answers, "wrong_code"),
        count(&answers, "unavailable"),
    );
    // What was written and whose answer was lost has been charged and not told.
    assert!(
        wrong <= 5 && wrong + unavailable >= 5,
        "{wrong} wrong, {unavailable} unavailable"
    );
    assert_eq!(wrong + unavailable + count(&answers, "exhausted"), 200);
    let left: BTreeSet<_> = answers
        .iter()
        .filter(|a| a.status == 200 && a.outcome().1 == "wrong_code")
        .map(|a| a.outcome().3)
        .collect();
    assert_eq!(
        left.len(),
        wrong,
        "each is told another number of attempts left"
    );
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (false, "exhausted", "exhausted", 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_parallel_right_codes_one_is_valid_in_each_of_20_rounds() {
    let service = Service::start().await;
    for round in 1..=20 {
        let (id, code) = service.sent(&phone(round)).await;
        let answers = checks(&service, 64, &id, &code).await;
        assert_eq!(count(&answers, "valid"), 1, "round {round}");
        assert_eq!(
            count(&answers, "already_used") + count(&answers, "unavailable"),
            63,
            "round {round}"
        );
        let shown = service.show(&id).await;
        assert_eq!(
            (&shown.body["status"], &shown.body["attempts_left"]),
            (&json!("approved"), &json!(4))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn right_and_wrong_codes_in_parallel_never_pass_the_cap() {
    let service = Service::start().await;
    for round in 1..=5 {
        let (id, code) = service.sent(&phone(round)).await;
        let answers = at_once(40, |n| {
            let (service, id) = (service.clone(), id.clone());
            let code = if n % 8 == 7 {
                code.clone()
            } else {
                other_than(&code)
            };
            async move { service.check(&id, &code).await }
        })
        .await;
        let (valid, wrong) = (count(&answers, "valid"), count(&answers, "wrong_code"));
        assert!(
            valid <= 1 && valid + wrong <= 5,
            "{valid} valid and {wrong} wrong"
        );
        let status = service.show(&id).await.body["status"].clone();
        assert_eq!(status, if valid == 1 { "approved" } else { "exhausted" });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_repeated_in_parallel_under_one_key_is_one_attempt() {
    let service = Service::start().await;
    for round in 1..=4 {
        let (id, code) = service.sent(&phone(round)).await;
        let presented = if round % 2 == 0 {
            code
        } else {
            other_than(&code)
        };
        let answers = at_once(32, |_| {
            let (service, id, body) = (service.clone(), id.clone(), json!({"code": presented}));
            async move { service.check_with_key(&id, body, "k").await }
        })
        .await;
        let told: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .collect();
        assert!(
            told.iter().all(|answer| answer.body == told[0].body),
            "{told:?}"
        );
        assert!(told.iter().filter(|answer| !answer.is_replayed()).count() <= 1);
        assert_eq!(service.show(&id).await.body["attempts_left"], 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_parallel_sends_one_gets_through_the_cooldown() {
    let service = Service::start().await;
    let answers = at_once(100, |n| {
        let service = service.clone();
        async move {
            service
                .send_with_key(json!({"to": phone(1)}), &format!("key-{n}"))
                .await
        }
    })
    .await;
    let with = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((with(201), with(429) + with(503)), (1, 99));
    assert!(
        answers
            .iter()
            .all(|answer| answer.status != 429 || answer.body["limit"] == "cooldown")
    );
    assert_eq!(service.messages(&phone(1)).await.len(), 1);
    let id = answers
        .iter()
        .find(|answer| answer.status == 201)
        .map(Answer::id)
        .unwrap_or_default();
    assert_eq!(service.show(&id).await.body["sends_left"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_50_parallel_sends_under_one_key_there_is_one_verification_and_one_message() {
    let service = Service::start().await;
    let answers = at_once(50, |_| {
        let service = service.clone();
        async move { service.send_with_key(json!({"to": phone(1)}), "key").await }
    })
    .await;
    let sent: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    let ids: BTreeSet<_> = sent.iter().map(|answer| answer.id()).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    assert!(sent.iter().filter(|answer| !answer.is_replayed()).count() <= 1);
    assert!(
        answers.iter().all(|answer| matches!(
            answer.problem(),
            (201, _) | (409, "in_progress") | (503, "unavailable")
        )),
        "{answers:?}"
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
    let (id, _) = service.sent(&phone(1)).await;
    service.advance(30).await;
    let answers = at_once(30, |_| {
        let (service, id) = (service.clone(), id.clone());
        async move { service.resend(&id).await }
    })
    .await;
    let with = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((with(200), with(429) + with(503)), (1, 29));
    assert_eq!(service.messages(&phone(1)).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_and_a_cancel_never_both_succeed() {
    let service = Service::start().await;
    for round in 1..=20 {
        let (id, code) = service.sent(&phone(round)).await;
        let (check, cancel) = (service.check(&id, &code), service.cancel(&id));
        let (checked, canceled) = both(round % 2 == 0, check, cancel).await;
        let status = service.show(&id).await.body["status"].clone();
        match checked.outcome() {
            (true, ..) => assert_eq!(
                (canceled.problem(), status),
                ((409, "not_pending"), json!("approved"))
            ),
            outcome => assert_eq!(
                (outcome.1, canceled.status, status),
                ("canceled", 200, json!("canceled"))
            ),
        }
        assert_eq!(service.check(&id, &code).await.outcome().0, false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_and_a_new_verification_never_leave_two_codes_alive() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    for round in 1..=20 {
        let to = phone(round);
        let (old, code) = service.sent(&to).await;
        let (checked, sent) = both(
            round % 2 == 0,
            service.check(&old, &code),
            service.send(&to),
        )
        .await;
        assert_eq!(sent.status, 201);
        let status = service.show(&old).await.body["status"].clone();
        match checked.outcome() {
            (true, ..) => assert_eq!(status, "approved"),
            outcome => assert_eq!((outcome.1, status), ("superseded", json!("superseded"))),
        }
        assert_eq!(service.check(&old, &code).await.outcome().0, false);
        let fresh = service.code_of(&to, &sent.id()).await;
        assert_eq!(
            service.check(&sent.id(), &fresh).await.outcome(),
            (true, "", "approved", 4),
            "the old code cost the new one nothing"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_text_that_is_overtaken_by_the_next_verifications_still_tells_whose_it_is() {
    let wired = Wired::start(&NO_SEND_LIMITS).await;
    let (service, to) = (&wired.service, phone(1));
    // The first worker has claimed its message when it asks for the breakers: it is on its way.
    let mut reads = 0;
    wired.table.break_by(move |call| {
        reads += usize::from(call.operation == "GetItem");
        (call.operation == "GetItem" && reads == 1).then_some(Fault::Hold)
    });
    let old = service.send(&to).await.id();
    wired.table.frozen().await;
    let new = service.send(&to).await.id();
    while service.messages_now(&to).await.is_empty() {}
    wired.table.release();
    let messages = service.messages(&to).await;
    let whose: Vec<_> = messages
        .iter()
        .map(|message| message["verification_id"].as_str().unwrap_or_default())
        .collect();
    assert!(
        whose.contains(&new.as_str()) && whose.iter().all(|id| *id == new || *id == old),
        "{messages:?}"
    );
    assert_eq!(
        service
            .check(&new, &service.code_of(&to, &new).await)
            .await
            .outcome(),
        (true, "", "approved", 4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_and_a_fresh_resend_never_both_succeed() {
    let service =
        Service::start_with(&[NO_SEND_LIMITS.as_slice(), &[("OTP_RESEND_CODE", "fresh")]].concat())
            .await;
    for round in 1..=20 {
        let to = phone(round);
        let (id, old) = service.sent(&to).await;
        let (checked, resent) = both(
            round % 2 == 0,
            service.check(&id, &old),
            service.resend(&id),
        )
        .await;
        let fresh = service.code_of(&to, &id).await;
        if checked.outcome().0 {
            assert_eq!(resent.problem(), (409, "not_pending"));
            assert_eq!(
                (
                    service.check(&id, &fresh).await.outcome().1,
                    service.messages(&to).await.len()
                ),
                ("already_used", 1)
            );
            continue;
        }
        assert_eq!(
            (checked.outcome().1, resent.status),
            ("wrong_code", 200),
            "the old code was replaced first"
        );
        assert_ne!(fresh, old, "one in a million");
        assert_eq!(
            service.check(&id, &fresh).await.outcome(),
            (true, "", "approved", 3)
        );
        assert_eq!(service.check(&id, &old).await.outcome().0, false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wrong_attempts_beside_sends_are_never_lost_from_the_budget() {
    let service =
        Service::start_with(&[NO_SEND_LIMITS.as_slice(), &[("OTP_GUESS_BUDGET", "12")]].concat())
            .await;
    let to = phone(1);
    let mut wrong = 0;
    for _ in 0..6 {
        let sent = service.send(&to).await;
        if sent.status == 429 {
            break;
        }
        let (id, code) = (sent.id(), service.code_of(&to, &sent.id()).await);
        let wrongly = other_than(&code);
        let (a, b, c, _) = tokio::join!(
            service.check(&id, &wrongly),
            service.check(&id, &wrongly),
            service.check(&id, &wrongly),
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
