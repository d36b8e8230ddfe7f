//! Faults of the table and the queue as callers meet them: throttling, lost answers, crashes between two writes. What was
//! not written was not compared; what was written counts once; nothing is sent twice and nobody waits for what never left.

use std::future::Future;

use serde_json::{Value, json};

use crate::carrier::{Behaviour, Carrier};
use crate::harness::{Answer, DEFAULT_KEY, Service};
use crate::wire::{BROKEN, Fault, THROTTLED, Wired};

const TO: &str = "+12025550143";
const NO_COOLDOWN: [(&str, &str); 1] = [("OTP_COOLDOWN_SECONDS", "0")];

async fn one_sent(variables: &[(&str, &str)]) -> (Wired, String) {
    let wired = Wired::start(variables).await;
    let id = wired.service.send(TO).await.id();
    wired.service.settle().await;
    wired.forget_calls();
    (wired, id)
}

async fn check_with_key(service: &Service, id: &str, code: &str, key: &str) -> Answer {
    let path = format!("/v1/verifications/{id}/check");
    service
        .call_as(
            DEFAULT_KEY,
            "POST",
            &path,
            Some(json!({"code": code})),
            &[("idempotency-key", key)],
        )
        .await
}

/// What a 503 says, but for the name of the request.
fn unavailable(answer: &Answer) -> (Value, Option<String>) {
    assert_eq!(answer.problem(), (503, "unavailable"), "{answer:?}");
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    (body, answer.header("retry-after").map(str::to_owned))
}

async fn attempts_left(service: &Service, id: &str) -> Value {
    service.show(id).await.body["attempts_left"].clone()
}

#[tokio::test]
async fn a_throttled_check_says_the_same_for_right_and_wrong_and_compares_nothing() {
    let (wired, id) = one_sent(&[]).await;
    let (service, right) = (&wired.service, wired.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    wired.table.break_all(THROTTLED);
    let answers = [
        unavailable(&service.check(&id, &right).await),
        unavailable(&service.check(&id, &wrong).await),
    ];
    assert_eq!(answers[0], answers[1]);
    assert!(
        answers[0]
            .1
            .as_deref()
            .and_then(|seconds| seconds.parse::<u32>().ok())
            .is_some_and(|seconds| seconds > 0),
        "Retry-After"
    );
    wired.mend();
    assert_eq!(attempts_left(service, &id).await, 5, "nothing was charged");
    assert_eq!(service.check(&id, &right).await.body["valid"], true);
}

#[tokio::test]
async fn a_check_whose_answer_was_lost_is_charged_once_and_stays_what_it_was() {
    let (wired, id) = one_sent(&[]).await;
    let (service, right) = (&wired.service, wired.service.code(TO).await);
    wired.table.break_next("UpdateItem", Fault::DropAnswer);
    let wrong = service.check(&id, &service.wrong_code(TO).await).await;
    assert_eq!(
        (&wrong.body["reason"], &wrong.body["attempts_left"]),
        (&json!("wrong_code"), &json!(4))
    );
    assert_eq!(attempts_left(service, &id).await, 4);
    wired.table.break_next("UpdateItem", Fault::DropAnswer);
    let valid = service.check(&id, &right).await;
    assert_eq!(
        (&valid.body["valid"], valid.header("idempotent-replayed")),
        (&json!(true), None),
        "{valid:?}"
    );
    assert_eq!(
        service.check(&id, &right).await.body["reason"],
        "already_used"
    );
}

#[tokio::test]
async fn who_never_heard_the_outcome_of_a_check_learns_it_by_its_key() {
    let (wired, id) = one_sent(&[]).await;
    let (service, right) = (&wired.service, wired.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    for (code, key, attempts_left_after) in [(&wrong, "first", 4), (&right, "second", 3)] {
        wired.table.break_all(Fault::LoseAnswer);
        unavailable(&check_with_key(service, &id, code, key).await);
        wired.mend();
        let again = check_with_key(service, &id, code, key).await;
        assert_eq!(
            again.body["attempts_left"], attempts_left_after,
            "charged once: {again:?}"
        );
        assert_eq!(again.body["valid"], *code == right);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(
        service.check(&id, &right).await.body["reason"],
        "already_used"
    );
}

#[tokio::test]
async fn a_wrong_check_without_an_answer_costs_one_attempt_and_no_more() {
    let (wired, id) = one_sent(&[]).await;
    let wrong = wired.service.wrong_code(TO).await;
    wired.table.break_all(Fault::DropAnswer);
    unavailable(&wired.service.check(&id, &wrong).await);
    wired.mend();
    assert_eq!(
        attempts_left(&wired.service, &id).await,
        4,
        "never free, never twice"
    );
}

#[tokio::test]
async fn a_check_that_never_arrived_costs_nothing() {
    let (wired, id) = one_sent(&[]).await;
    let wrong = wired.service.wrong_code(TO).await;
    wired.table.break_all(Fault::DropRequest);
    unavailable(&wired.service.check(&id, &wrong).await);
    wired.mend();
    assert_eq!(attempts_left(&wired.service, &id).await, 5);
    wired.table.break_next("UpdateItem", Fault::DropRequest);
    assert_eq!(
        wired.service.check(&id, &wrong).await.body["attempts_left"],
        4,
        "one lost call is repeated"
    );
}

#[tokio::test]
async fn a_send_whose_answer_was_lost_is_one_message() {
    let wired = Wired::start(&NO_COOLDOWN).await;
    for sends in 1..=3 {
        // The second and third send find an item: their own write is the second one.
        let mut puts = 0;
        wired.table.break_by(move |call| {
            puts += usize::from(call.operation == "PutItem");
            (call.operation == "PutItem" && puts == sends.min(2)).then_some(Fault::DropAnswer)
        });
        let sent = wired.service.send(TO).await;
        assert_eq!(
            (sent.status, &sent.body["sends_left"]),
            (201, &json!(5 - sends)),
            "{sent:?}"
        );
        wired.mend();
        let messages = wired.service.messages(TO).await;
        assert_eq!(
            (
                messages.len(),
                messages[sends - 1]["verification_id"].as_str()
            ),
            (sends, Some(sent.id().as_str()))
        );
    }
}

#[tokio::test]
async fn a_few_errors_of_the_table_are_nobodys_business() {
    let wired = Wired::start(&[]).await;
    wired.table.break_some(
        "PutItem",
        2,
        Fault::Refuse(500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
    );
    assert_eq!(wired.service.send(TO).await.status, 201);
    assert_eq!(wired.service.messages(TO).await.len(), 1);
}

#[tokio::test]
async fn with_the_table_gone_everything_is_503() {
    let (wired, id) = one_sent(&[]).await;
    wired.table.break_all(BROKEN);
    let path = format!("/v1/verifications/{id}");
    for (method, path, body) in [
        ("POST", "/v1/verifications", Some(json!({"to": TO}))),
        ("POST", "/v1/recipients/unlock", Some(json!({"to": TO}))),
        ("POST", "/v1/recipients/forget", Some(json!({"to": TO}))),
        ("POST", &format!("{path}/resend"), None),
        (
            "POST",
            &format!("{path}/check"),
            Some(json!({"code": "123456"})),
        ),
        ("GET", &path, None),
        ("DELETE", &path, None),
    ] {
        let answer = wired.service.call(method, path, body).await;
        let (body, retry_after) = unavailable(&answer);
        assert!(retry_after.is_some(), "{method} {path}");
        assert!(
            !body.to_string().contains("Validation") && !body.to_string().contains("127.0.0.1"),
            "no cause for strangers: {body}"
        );
    }
    assert_eq!(
        wired.service.raw("GET", "/healthz", &[], "").await.status,
        200
    );
}

#[tokio::test]
async fn a_send_that_cannot_be_enqueued_was_never_made() {
    let wired = Wired::start(&[]).await;
    wired.queue.break_all(BROKEN);
    unavailable(&wired.service.send(TO).await);
    wired.mend();
    let sent = wired.service.send(TO).await;
    assert_eq!(
        (sent.status, &sent.body["sends_left"]),
        (201, &json!(4)),
        "the next one is possible at once"
    );
    let messages = wired.service.messages(TO).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(sent.id().as_str()))
    );
}

#[tokio::test]
async fn a_send_that_cannot_be_enqueued_leaves_the_one_before_as_it_was() {
    let (wired, id) = one_sent(&NO_COOLDOWN).await;
    let service = &wired.service;
    service.check(&id, &service.wrong_code(TO).await).await;
    // Without a cooldown the next send is possible now, whenever that is.
    let shown = async || {
        Value::from_iter(
            service
                .show(&id)
                .await
                .body
                .as_object()
                .cloned()
                .unwrap_or_default()
                .into_iter()
                .filter(|(name, _)| name != "resend_at"),
        )
    };
    let before = shown().await;
    wired.queue.break_all(BROKEN);
    unavailable(&service.send(TO).await);
    unavailable(&service.resend(&id).await);
    unavailable(&service.send_with_key(json!({"to": TO}), "k").await);
    wired.mend();
    assert_eq!(shown().await, before);
    assert_eq!(
        service.check(&id, &service.code(TO).await).await.body["valid"],
        true
    );
    let sent = service
        .send_with_key(json!({"to": TO, "purpose": "other"}), "k")
        .await;
    assert_eq!(
        (sent.status, sent.header("idempotent-replayed")),
        (201, None),
        "a refused send is not remembered"
    );
}

/// Freezes a resend before its dispatch, lets `event` happen meanwhile, and shows the verification after the resend failed.
async fn during_a_failing_resend<E: Future<Output = ()>>(
    event: impl FnOnce(Service, String, Value) -> E,
) -> Value {
    let (wired, id) = one_sent(&NO_COOLDOWN).await;
    let service = wired.service.clone();
    let message = service.messages(TO).await.remove(0);
    wired.queue.break_all(Fault::Freeze);
    let resend = tokio::spawn({
        let (service, id) = (service.clone(), id.clone());
        async move { service.resend(&id).await }
    });
    wired.queue.frozen().await;
    event(service.clone(), id.clone(), message).await;
    unavailable(&resend.await.expect("an answer"));
    wired.mend();
    service.show(&id).await.body
}

#[tokio::test]
async fn an_attempt_during_a_resend_that_fails_is_not_given_back() {
    let shown = during_a_failing_resend(async |service, id, message| {
        let wrong = crate::harness::other_than(message["code"].as_str().expect("a code"));
        assert_eq!(
            service.check(&id, &wrong).await.body["reason"],
            "wrong_code"
        );
    });
    assert_eq!(shown.await["attempts_left"], 4);
}

#[tokio::test]
async fn a_success_during_a_resend_that_fails_is_final() {
    let shown = during_a_failing_resend(async |service, id, message| {
        assert_eq!(
            service
                .check(&id, message["code"].as_str().expect("a code"))
                .await
                .body["valid"],
            true
        );
    });
    assert_eq!(shown.await["status"], "approved");
}

#[tokio::test]
async fn a_report_during_a_resend_that_fails_is_not_undone_with_it() {
    let shown = during_a_failing_resend(async |service, _, message| {
        assert_eq!(service.report(&message, "delivered").await, 200)
    });
    assert_eq!(
        shown.await["deliveries"][0]["status"],
        "delivered",
        "states only move up"
    );
}

#[tokio::test]
async fn a_cancel_during_a_resend_that_fails_is_not_undone_with_it() {
    let shown = during_a_failing_resend(async |service, id, _| {
        assert_eq!(
            service
                .call("DELETE", &format!("/v1/verifications/{id}"), None)
                .await
                .status,
            200
        );
    });
    assert_eq!(
        shown.await["status"],
        "canceled",
        "its caller was told that it is over"
    );
}

#[tokio::test]
async fn an_unlock_during_a_resend_that_fails_is_not_undone_with_it() {
    let shown = during_a_failing_resend(async |service, id, message| {
        let wrong = crate::harness::other_than(message["code"].as_str().expect("a code"));
        for _ in 0..2 {
            assert_eq!(
                service.check(&id, &wrong).await.body["reason"],
                "wrong_code"
            );
        }
        assert_eq!(
            service
                .call("POST", "/v1/recipients/unlock", Some(json!({"to": TO})))
                .await
                .status,
            200
        );
    });
    assert_eq!(
        shown.await["attempts_left"],
        3,
        "what the verification took stays taken"
    );
}

#[tokio::test]
async fn after_a_crash_before_the_enqueue_the_same_key_sends_once() {
    let wired = Wired::start(&[]).await;
    let service = wired.service.clone();
    wired.queue.break_next("SendMessage", Fault::Freeze);
    let call = tokio::spawn({
        let service = service.clone();
        async move { service.send_with_key(json!({"to": TO}), "k").await }
    });
    wired.queue.frozen().await;
    // The connection closes, and the function's future is dropped where it stands.
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    let written = service.state().await["table"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| item["terms"].is_object())
        .count();
    assert_eq!(
        (written, service.messages(TO).await.len()),
        (1, 0),
        "written, and not enqueued"
    );
    let again = service.send_with_key(json!({"to": TO}), "k").await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (201, Some("true")),
        "{again:?}"
    );
    assert_eq!(
        service.send_with_key(json!({"to": TO}), "k").await.id(),
        again.id()
    );
    let messages = service.messages(TO).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(again.id().as_str()))
    );
    assert_eq!(
        service
            .check(&again.id(), &service.code(TO).await)
            .await
            .body["valid"],
        true
    );
}

#[tokio::test]
async fn a_send_that_never_left_holds_nobody_back() {
    let wired = Wired::start(&[]).await;
    let service = &wired.service;
    wired.crash_after(1);
    unavailable(&service.send(TO).await);
    wired.mend();
    let at_once = service.send(TO).await;
    assert_eq!(
        (at_once.problem(), &at_once.body["limit"]),
        ((429, "rate_limited"), &json!("cooldown")),
        "it may still be on its way"
    );
    service.advance(17).await;
    let sent = service.send(TO).await;
    assert_eq!(
        (sent.status, &sent.body["sends_left"]),
        (201, &json!(4)),
        "{sent:?}"
    );
    let messages = service.messages(TO).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(sent.id().as_str()))
    );
}

#[tokio::test]
async fn a_resend_that_never_left_holds_nobody_back() {
    let (wired, id) = one_sent(&[]).await;
    let service = &wired.service;
    service.advance(31).await;
    wired.crash_after(2);
    unavailable(&service.resend(&id).await);
    wired.mend();
    service.advance(17).await;
    let resent = service.resend(&id).await;
    assert_eq!(
        (resent.status, &resent.body["sends_left"]),
        (200, &json!(3)),
        "{resent:?}"
    );
    assert_eq!(service.messages(TO).await.len(), 2);
}

#[tokio::test]
async fn an_enqueue_whose_answer_was_lost_is_one_message() {
    let wired = Wired::start(&[]).await;
    wired.queue.break_next("SendMessage", Fault::DropAnswer);
    let sent = wired.service.send(TO).await;
    assert_eq!(sent.status, 201);
    assert_eq!(wired.queue.take_calls().len(), 2, "it was repeated");
    wired.service.advance(120).await;
    assert_eq!(wired.service.messages(TO).await.len(), 1);
    assert_eq!(wired.service.state().await["queue"], json!([]));
}

#[tokio::test]
async fn an_enqueue_that_nobody_heard_of_is_one_message_with_a_living_code() {
    for is_slow in [false, true] {
        let carrier = Carrier::start("slow").await;
        let mut entry = carrier.entry();
        entry["timeout_ms"] = json!(8000);
        let wired = Wired::start(&[("OTP_CARRIERS", &json!([entry]).to_string())]).await;
        let service = &wired.service;
        if is_slow {
            carrier.behave(Behaviour::Hold);
        }
        wired.queue.break_all(Fault::DropAnswer);
        let first = service.send_with_key(json!({"to": TO}), "k").await;
        assert_eq!(first.status, 201, "a worker has it: {first:?}");
        wired.mend();
        carrier.release();
        let again = service.send_with_key(json!({"to": TO}), "k").await;
        assert_eq!(
            (
                again.status,
                again.header("idempotent-replayed"),
                again.id()
            ),
            (201, Some("true"), first.id()),
            "{again:?}"
        );
        service.advance(200).await;
        let handed = carrier.handed();
        assert_eq!(
            handed.len(),
            1,
            "slow carrier: {is_slow}: one text: {handed:?}"
        );
        let checked = service.check(&again.id(), &handed[0].code()).await;
        assert_eq!(
            checked.body["valid"], true,
            "slow carrier: {is_slow}: the code on the phone lives: {checked:?}"
        );
    }
}

#[tokio::test]
async fn breakers_that_cannot_be_read_or_written_hold_nothing_back() {
    let wired = Wired::start(&[]).await;
    let service = &wired.service;
    wired
        .table
        .break_by(|call| (call.operation == "GetItem").then_some(BROKEN));
    let id = service.send(TO).await.id();
    assert_eq!(service.messages(TO).await.len(), 1);
    service.carrier("sim-a", json!({"mode": "error"})).await;
    wired.table.break_by(|call| {
        (call.key() != ""
            && call.body["UpdateExpression"]
                .as_str()
                .is_some_and(|e| e.contains("ADD")))
        .then_some(THROTTLED)
    });
    let second = service.send("+12025550199").await.id();
    assert_eq!(
        service.messages("+12025550199").await[0]["carrier"],
        "sim-b"
    );
    wired.mend();
    assert_eq!(service.show(&id).await.body["delivery"]["status"], "sent");
    assert_eq!(
        service.show(&second).await.body["delivery"]["status"],
        "sent"
    );
}

#[tokio::test]
async fn a_report_that_could_not_be_written_is_asked_for_again() {
    let (wired, id) = one_sent(&[]).await;
    let message = wired.service.messages(TO).await.remove(0);
    wired.table.break_all(BROKEN);
    assert_eq!(
        wired.service.report(&message, "delivered").await,
        503,
        "not a 2xx, or the carrier would not repeat it"
    );
    wired.mend();
    assert_eq!(wired.service.report(&message, "delivered").await, 200);
    assert_eq!(
        wired.service.show(&id).await.body["delivery"]["status"],
        "delivered"
    );
}

#[tokio::test]
async fn a_bad_report_whose_fallback_could_not_be_asked_for_is_mended_by_its_repetition() {
    let wired = Wired::start(&[]).await;
    let service = &wired.service;
    service
        .call(
            "POST",
            "/v1/verifications",
            Some(json!({"to": TO, "fallback": ["voice"]})),
        )
        .await
        .id();
    let message = service.messages(TO).await.remove(0);
    wired.queue.break_all(BROKEN);
    assert_eq!(service.report(&message, "undelivered").await, 503);
    wired.mend();
    assert_eq!(service.report(&message, "undelivered").await, 200);
    let channels: Vec<Value> = service
        .messages(TO)
        .await
        .into_iter()
        .map(|m| m["channel"].clone())
        .collect();
    assert_eq!(channels, [json!("sms"), json!("voice")]);
}
