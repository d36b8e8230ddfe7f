//! Sends that are written and not settled: whatever repeats them, no message goes that has not passed its limits.

use serde_json::json;
use tokio::task::JoinHandle;

use crate::given::phone;
use crate::harness::{Answer, Service};
use crate::wire::{BROKEN, Call, Fault, Wired};

/// Two phones of one prefix.
const ONE: &str = "+12025550143";
const OTHER: &str = "+12025550144";
const THIRD: &str = "+12025550145";

fn with_key(service: &Service, to: &str) -> JoinHandle<Answer> {
    let (service, to) = (service.clone(), to.to_owned());
    tokio::spawn(async move { service.send_with_key(json!({"to": to}), "k").await })
}

/// Whether a call counts a send to a prefix.
fn counts_prefix(call: &Call) -> bool {
    call.operation == "UpdateItem"
        && call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("t0 = :now"))
}

/// A send to `to` whose function dies before it has passed its limits.
async fn dies_before_its_limits(wired: &Wired, to: &str) {
    wired
        .table
        .break_by(|call| counts_prefix(call).then_some(Fault::Freeze));
    let call = with_key(&wired.service, to);
    wired.table.frozen().await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    wired.mend();
}

#[tokio::test]
async fn a_repetition_passes_the_limits_that_the_call_before_it_did_not() {
    for seconds in [0, 12] {
        let wired =
            Wired::start(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_CONVERSION_MIN", "0")]).await;
        let service = &wired.service;
        assert_eq!(service.send(ONE).await.status, 201);
        dies_before_its_limits(&wired, OTHER).await;
        service.advance(seconds).await;
        let again = service.send_with_key(json!({"to": OTHER}), "k").await;
        assert_eq!(
            (again.problem(), &again.body["limit"]),
            ((429, "rate_limited"), &json!("prefix")),
            "{seconds}"
        );
        service.advance(600).await;
        assert_eq!(service.messages(OTHER).await.len(), 0);
    }
}

#[tokio::test]
async fn a_call_that_died_before_its_limits_is_repeated_once_and_counted_once() {
    let wired = Wired::start(&[("OTP_PREFIX_SENDS", "2/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &wired.service;
    dies_before_its_limits(&wired, ONE).await;
    let again = service.send_with_key(json!({"to": ONE}), "k").await;
    assert_eq!(
        (again.status, &again.body["sends_left"]),
        (201, &json!(4)),
        "{again:?}"
    );
    let third = service.send_with_key(json!({"to": ONE}), "k").await;
    assert_eq!(
        (third.status, third.is_replayed(), third.id()),
        (201, true, again.id())
    );
    let messages = service.messages(ONE).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(again.id().as_str()))
    );
    assert_eq!(service.send(OTHER).await.status, 201, "one of two is taken");
    assert_eq!(service.send(THIRD).await.body["limit"], "prefix");
}

#[tokio::test]
async fn a_repetition_whose_message_waits_in_the_queue_is_answered_and_counted_no_further() {
    let wired = Wired::start(&[("OTP_PREFIX_SENDS", "2/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &wired.service;
    for seconds in [0, 12] {
        wired.queue.break_some("SendMessage", 2, Fault::Swallow);
        let first = service
            .send_with_key(json!({"to": if seconds == 0 { ONE } else { OTHER }}), "k")
            .await;
        assert_eq!(first.status, 201, "{first:?}");
        service.advance(seconds).await;
        let again = service
            .send_with_key(json!({"to": if seconds == 0 { ONE } else { OTHER }}), "k")
            .await;
        assert_eq!(
            (again.status, again.is_replayed(), again.id()),
            (201, true, first.id()),
            "{seconds}: {again:?}"
        );
    }
    assert_eq!(
        service.send(THIRD).await.body["limit"],
        "prefix",
        "two sends, and two places"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twins_of_a_send_that_a_limit_refuses_send_nothing() {
    let wired = Wired::start(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &wired.service;
    assert_eq!(service.send(ONE).await.status, 201);
    let twins: Vec<_> = (0..20).map(|_| with_key(service, OTHER)).collect();
    for twin in twins {
        let answer = twin.await.expect("an answer");
        assert!(
            matches!(
                answer.problem(),
                (429, "rate_limited") | (409, "in_progress") | (503, "unavailable")
            ),
            "{answer:?}"
        );
    }
    assert_eq!(service.messages(OTHER).await.len(), 0);
    service.advance(600).await;
    let sent = service.send_with_key(json!({"to": OTHER}), "k").await;
    assert_eq!(
        (sent.status, service.messages(OTHER).await.len()),
        (201, 1),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_call_that_its_twin_has_overtaken_is_answered_like_it_and_counted_no_further() {
    let wired = Wired::start(&[("OTP_PREFIX_SENDS", "2/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &wired.service;
    let mut counted = 0;
    // The first call is waited for, for a while.
    wired.table.break_by(move |call| {
        counted += usize::from(counts_prefix(call));
        (counts_prefix(call) && counted <= 2).then_some(Fault::Freeze)
    });
    let first = with_key(service, ONE);
    wired.table.frozen().await;
    let twin = service.send_with_key(json!({"to": ONE}), "k").await;
    let first = first.await.expect("an answer");
    assert_eq!(
        (first.status, twin.status, first.id()),
        (201, 201, twin.id()),
        "{first:?} {twin:?}"
    );
    assert!(
        first.is_replayed() != twin.is_replayed(),
        "{first:?} {twin:?}"
    );
    assert_eq!(service.messages(ONE).await.len(), 1);
    assert_eq!(
        service.send(OTHER).await.status,
        201,
        "one of two places is taken"
    );
    assert_eq!(service.send(THIRD).await.body["limit"], "prefix");
}

#[tokio::test]
async fn a_send_that_is_refused_makes_nobody_else_wait() {
    let wired = Wired::start(&[
        ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
        ("OTP_CONVERSION_MIN", "0"),
    ])
    .await;
    let service = wired.service.clone();
    let from = |client: &str| json!({"to": ONE, "client_ip": client});
    let stranger = json!({"to": "+13125550143", "client_ip": "203.0.113.7"});
    assert_eq!(service.send_body(stranger).await.status, 201);
    assert_eq!(
        service.send_body(from("203.0.113.7")).await.body["limit"],
        "client"
    );
    // Once its recipient is known, the next one is refused before anybody could see it.
    let refused = from("203.0.113.7");
    let call = waits_for_its_limits(&wired, async move { service.send_body(refused).await }).await;
    wired.table.mend();
    let owner = wired.service.send_body(from("198.51.100.4")).await;
    assert_eq!(
        (owner.status, &owner.body["sends_left"]),
        (201, &json!(4)),
        "{owner:?}"
    );
    assert_eq!(call.await.expect("an answer").status, 429);
    assert_eq!(wired.service.messages(ONE).await.len(), 1);
}

#[tokio::test]
async fn a_block_of_a_window_that_is_given_back_is_taken_away() {
    let carriers = r#"[{"kind":"sns","price":1}]"#;
    let variables = [
        ("OTP_CARRIERS", carriers),
        ("OTP_PREFIX_SENDS", "200/600"),
        ("OTP_CONVERSION_MIN", "0"),
        ("OTP_SPEND_PER_DAY", "2"),
    ];
    let service = Service::start_with(&variables).await;
    for to in [ONE, OTHER] {
        assert_eq!(service.send(to).await.status, 201);
    }
    for _ in 0..5 {
        assert_eq!(service.send(THIRD).await.body["limit"], "spend");
    }
    let state = service.state().await;
    let all = state["table"].as_array().into_iter().flatten();
    let places: Vec<_> = all
        .filter(|item| item["c"].is_object())
        .map(|item| (item["c"]["N"].clone(), item["t1"]["N"].clone()))
        .collect();
    assert_eq!(places, [(json!("2"), json!("0"))], "one block of two sends");
}

#[tokio::test]
async fn a_resend_that_died_before_its_limits_is_sent_by_nobody() {
    let wired = Wired::start(&[("OTP_PREFIX_SENDS", "9/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &wired.service;
    // Its fallback is planned: the dispatch that asks for it waits in the queue.
    let id = service
        .send_body(json!({"to": ONE, "fallback": ["voice"]}))
        .await
        .id();
    service.advance(31).await;
    wired
        .table
        .break_by(|call| counts_prefix(call).then_some(Fault::Freeze));
    let resend = tokio::spawn({
        let (service, id) = (service.clone(), id.clone());
        async move { service.resend(&id).await }
    });
    wired.table.frozen().await;
    resend.abort();
    assert!(resend.await.is_err_and(|error| error.is_cancelled()));
    wired.mend();
    service.advance(120).await;
    let channels: Vec<_> = service
        .messages(ONE)
        .await
        .iter()
        .map(|message| message["channel"].clone())
        .collect();
    assert_eq!(
        channels,
        ["sms", "voice"],
        "the resend has passed no limits, and what was planned before it goes on"
    );
    let resent = service.resend(&id).await;
    assert_eq!(
        (resent.status, service.messages(ONE).await.len()),
        (200, 3),
        "{resent:?}"
    );
}

/// Starts a call that never passes its limits, and returns once it waits for them.
async fn waits_for_its_limits<F: Future<Output = Answer> + Send + 'static>(
    wired: &Wired,
    call: F,
) -> JoinHandle<Answer> {
    wired
        .table
        .break_by(|call| counts_prefix(call).then_some(Fault::Freeze));
    let call = tokio::spawn(call);
    wired.table.frozen().await;
    call
}

const NO_WAIT: [(&str, &str); 3] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_PREFIX_SENDS", "9/600"),
    ("OTP_CONVERSION_MIN", "0"),
];

#[tokio::test]
async fn a_send_that_has_not_passed_its_limits_takes_nobodys_place() {
    let wired = Wired::start(&NO_WAIT).await;
    let service = wired.service.clone();
    let id = service.send(ONE).await.id();
    let code = service.code(ONE).await;
    let call = waits_for_its_limits(&wired, async move { service.send(ONE).await }).await;
    let service = &wired.service;
    assert_eq!(service.show(&id).await.body["status"], "pending");
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (true, "", "approved", 4)
    );
    assert_eq!(
        call.await.expect("an answer").problem(),
        (503, "unavailable")
    );
    assert_eq!(service.show(&id).await.body["status"], "approved");
}

#[tokio::test]
async fn a_resend_that_has_not_passed_its_limits_changes_no_code() {
    let wired = Wired::start(&[NO_WAIT.as_slice(), &[("OTP_RESEND_CODE", "fresh")]].concat()).await;
    let service = wired.service.clone();
    let id = service.send(ONE).await.id();
    let code = service.code(ONE).await;
    let resent = id.clone();
    let call = waits_for_its_limits(&wired, async move { service.resend(&resent).await }).await;
    assert_eq!(
        wired.service.check(&id, &code).await.outcome(),
        (true, "", "approved", 4)
    );
    assert_eq!(
        call.await.expect("an answer").problem(),
        (503, "unavailable")
    );
    assert_eq!(wired.service.messages(ONE).await.len(), 1);
}

#[tokio::test]
async fn a_refused_send_that_another_has_overtaken_leaves_nothing_behind() {
    let wired = Wired::start(&[NO_WAIT[0], NO_WAIT[2], ("OTP_PREFIX_SENDS", "1/600")]).await;
    let service = wired.service.clone();
    let first = waits_for_its_limits(&wired, async move {
        service.send_with_key(json!({"to": ONE}), "k").await
    })
    .await;
    wired.table.mend();
    let service = &wired.service;
    let second = service.send(ONE).await;
    assert_eq!((second.status, service.messages(ONE).await.len()), (201, 1));
    let first = first.await.expect("an answer");
    assert_eq!(
        (first.problem(), &first.body["limit"]),
        ((429, "rate_limited"), &json!("prefix")),
        "the second took the last place"
    );
    let shown = service.show(&second.id()).await;
    assert_eq!(
        (&shown.body["status"], &shown.body["sends_left"]),
        (&json!("pending"), &json!(4)),
        "one of five"
    );
    service.advance(600).await;
    let again = service.send_with_key(json!({"to": ONE}), "k").await;
    assert_eq!(
        (again.status, again.is_replayed(), &again.body["sends_left"]),
        (201, false, &json!(3)),
        "a refused send is not remembered"
    );
    assert_eq!(service.messages(ONE).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_sends_that_a_limit_refuses_send_nothing_between_them() {
    let variables = [
        ("OTP_COOLDOWN_SECONDS", "0"),
        ("OTP_SENDS_PER_HOUR", "100"),
        ("OTP_SENDS_PER_DAY", "100"),
        ("OTP_PREFIX_SENDS", "1/3600"),
    ];
    let service = Service::start_with(&variables).await;
    assert_eq!(service.send(OTHER).await.status, 201);
    for _ in 0..6 {
        let sends: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn({
                    let service = service.clone();
                    async move { service.send(ONE).await }
                })
            })
            .collect();
        for send in sends {
            let answer = send.await.expect("an answer");
            assert!(
                matches!(
                    answer.problem(),
                    (429, "rate_limited") | (503, "unavailable")
                ),
                "{answer:?}"
            );
        }
        service.advance(20).await;
    }
    assert_eq!(service.messages(ONE).await.len(), 0);
}

#[tokio::test]
async fn what_is_given_back_is_given_back_once() {
    let carriers = r#"[{"kind":"sns","price":1}]"#;
    let variables = [
        ("OTP_CARRIERS", carriers),
        ("OTP_PREFIX_SENDS", "2/600"),
        ("OTP_CONVERSION_MIN", "0"),
        ("OTP_SPEND_PER_DAY", "1"),
    ];
    let wired = Wired::start(&variables).await;
    let service = &wired.service;
    assert_eq!(service.send(ONE).await.status, 201);
    service.settle().await;
    wired.forget_calls();
    let gives_back = |call: &Call| {
        call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("t0=if_not_exists(t1,"))
    };
    wired
        .table
        .break_by(move |call| gives_back(call).then_some(Fault::DropAnswer));
    let refused = service.send(OTHER).await;
    assert_eq!(
        (refused.problem(), &refused.body["limit"]),
        ((429, "rate_limited"), &json!("spend")),
        "{refused:?}"
    );
    let given_back = wired
        .table
        .take_calls()
        .into_iter()
        .filter(gives_back)
        .count();
    assert_eq!(
        given_back, 1,
        "a second one might take out what another send has counted meanwhile"
    );
}

#[tokio::test]
async fn what_cannot_be_given_back_stays_counted() {
    let wired = Wired::start(&[("OTP_PREFIX_SENDS", "1/600"), ("OTP_CONVERSION_MIN", "0")]).await;
    let service = &wired.service;
    let gives_back = |call: &Call| {
        call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("= :z") || e.contains("=:z"))
    };
    wired
        .table
        .break_by(move |call| (gives_back(call) && !counts_prefix(call)).then_some(BROKEN));
    wired.queue.break_all(BROKEN);
    assert_eq!(service.send(ONE).await.status, 503);
    wired.mend();
    assert_eq!(
        service.send(OTHER).await.body["limit"],
        "prefix",
        "it would have been one too many at worst, never one too few"
    );
    assert_eq!(service.send(&phone(1)).await.status, 201);
}
