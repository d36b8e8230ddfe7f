//! Races: whatever runs at once, one verification is opened and a code is approved once.

use std::collections::BTreeSet;

use crate::support::twilio::{native_id, sid};
use crate::support::{
    BROKEN, DEFAULT_KEY, NO_SEND_LIMITS, ProxiedService, TO, TestResponse, Twilio, at_once,
    no_send_limits_and,
};

/// Creates of one recipient at once.
async fn creates(twilio: &Twilio, count: usize) -> Vec<TestResponse> {
    at_once(count, |_| {
        let twilio = twilio.clone();
        async move { twilio.create(TO).await }
    })
    .await
}

fn with_status(responses: &[TestResponse], status: u16) -> Vec<&TestResponse> {
    responses
        .iter()
        .filter(|response| response.status == status)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_creates_within_the_cooldown_send_once() {
    let twilio = Twilio::start(&[]).await;
    let responses = creates(&twilio, 12).await;
    assert_eq!(with_status(&responses, 201).len(), 1, "{responses:?}");
    let rejected = with_status(&responses, 429);
    assert_eq!(rejected.len(), 11, "{responses:?}");
    assert!(
        rejected
            .iter()
            .all(|response| response.body["code"] == 20429)
    );
    assert_eq!(twilio.service.messages(TO).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_creates_without_a_cooldown_have_one_sid() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    let responses = creates(&twilio, 12).await;
    let created = with_status(&responses, 201);
    assert_eq!(created.len(), 12, "{responses:?}");
    let sids: BTreeSet<_> = created.iter().map(|response| sid(response)).collect();
    assert_eq!(sids.len(), 1);
    let messages = twilio.service.messages(TO).await;
    let codes: BTreeSet<_> = messages
        .iter()
        .map(|message| message["code"].to_string())
        .collect();
    assert_eq!(codes.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_parallel_right_codes_is_valid() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    for by_number in [true, false] {
        let (first, code) = twilio.open(TO).await;
        let responses = at_once(64, |_| {
            let (twilio, sid, code) = (twilio.clone(), first.clone(), code.clone());
            async move {
                match by_number {
                    true => twilio.check(TO, &code).await,
                    false => twilio.check_sid(&sid, &code).await,
                }
            }
        })
        .await;
        let valid = with_status(&responses, 200);
        assert_eq!(valid.len(), 1, "{responses:?}");
        assert_eq!(valid[0].body["valid"], true);
        let others = with_status(&responses, 404).len() + with_status(&responses, 503).len();
        assert_eq!(others, 63);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn approval_and_right_code_at_once_are_valid_once() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    for _ in 0..10 {
        let (first, code) = twilio.open(TO).await;
        let (approved, checked) = tokio::join!(
            twilio.update(&first, "approved"),
            twilio.check_sid(&first, &code)
        );
        let valid = [&approved, &checked].map(|response| response.body["valid"] == true);
        assert_eq!(
            valid.iter().filter(|valid| **valid).count(),
            1,
            "{approved:?} {checked:?}"
        );
        let shown = twilio.service.show(&native_id(&first)).await;
        assert_eq!(shown.body["status"], "approved");
    }
}

#[tokio::test]
async fn repeated_create_sends_and_charges_once() {
    let twilio = Twilio::start(&[]).await;
    // An SDK repeats a create whose response it did not see.
    let (first, _) = twilio.open(TO).await;
    let id = native_id(&first);
    let sends_left = twilio.service.show(&id).await.body["sends_left"].clone();
    for _ in 0..3 {
        assert_eq!(twilio.create(TO).await.status, 429);
    }
    assert_eq!(twilio.service.messages(TO).await.len(), 1);
    assert_eq!(
        twilio.service.show(&id).await.body["sends_left"],
        sends_left
    );
}

#[tokio::test]
async fn create_that_was_not_enqueued_is_not_charged() {
    let variables = no_send_limits_and(&[("OTP_SENDS_PER_HOUR", "1")]);
    let proxied = ProxiedService::start(&variables).await;
    let twilio = Twilio::of(&proxied.service, DEFAULT_KEY).await;
    proxied.queue.break_all(BROKEN);
    assert_eq!(twilio.create(TO).await.status, 503);
    proxied.queue.clear_faults();
    assert_eq!(twilio.create(TO).await.status, 201);
    assert_eq!(twilio.service.messages(TO).await.len(), 1);
}
