//! Fetch and update: what is shown of a verification, and the ends that the app makes.

use serde_json::json;

use crate::support::twilio::{assert_checked, assert_error, native_id};
use crate::support::{
    NO_SEND_LIMITS, TO, Twilio, another_code, assert_check, assert_fields, assert_status,
};

#[tokio::test]
async fn approval_without_a_code_counts_no_attempt() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    assert_checked(
        &twilio.check(TO, &another_code(&code)).await,
        "pending",
        false,
    );
    let approved = twilio.update(&first, "approved").await;
    assert_checked(&approved, "approved", true);
    let id = native_id(&first);
    let shown = twilio.service.show(&id).await;
    assert_fields(
        &shown.body,
        json!({"status": "approved", "attempts_left": 4}),
    );
    let checked = twilio.service.check(&id, &code).await;
    assert_check(&checked, "already_used", "approved", 4);
    for again in [
        twilio.update(&first, "approved").await,
        twilio.check(TO, &code).await,
    ] {
        assert_error(&again, 404, 20404, "not_found");
        assert_eq!(again.body["details"]["status"], "approved");
    }
}

#[tokio::test]
async fn approval_without_a_code_is_a_conversion() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    for _ in 0..2 {
        let (sid, code) = twilio.open(TO).await;
        for _ in 0..4 {
            assert_status(&twilio.check(TO, &another_code(&code)).await, 200);
        }
        assert_checked(&twilio.update(&sid, "approved").await, "approved", true);
    }
    let (sid, code) = twilio.open(TO).await;
    assert_eq!(code.len(), 6, "an approval resets the count of failures");
    assert_eq!(twilio.fetch(&sid).await.body["status"], "pending");
}

#[tokio::test]
async fn cancel_ends_a_verification_by_number_or_sid() {
    let twilio = Twilio::start(&NO_SEND_LIMITS).await;
    for by_number in [true, false] {
        let (sid, code) = twilio.open(TO).await;
        let named = if by_number { "%2B12025550143" } else { &sid };
        let canceled = twilio.update(named, "canceled").await;
        assert_checked(&canceled, "canceled", false);
        assert_eq!(canceled.body["sid"], sid);
        let gone = twilio.check_sid(&sid, &code).await;
        assert_error(&gone, 404, 20404, "not_found");
        assert_eq!(gone.body["details"]["status"], "canceled");
        let shown = twilio.service.show(&native_id(&sid)).await;
        assert_eq!(shown.body["status"], "canceled");
    }
}

#[tokio::test]
async fn update_without_attempts_left_is_rejected() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    for _ in 0..5 {
        assert_status(&twilio.check(TO, &another_code(&code)).await, 200);
    }
    for status in ["approved", "canceled"] {
        let rejected = twilio.update(&first, status).await;
        assert_error(&rejected, 429, 60202, "not_pending");
        assert!(rejected.body["details"]["retry_after"].is_i64());
    }
    twilio.service.advance(301).await;
    let gone = twilio.update(&first, "approved").await;
    assert_error(&gone, 404, 20404, "not_found");
    assert_eq!(gone.body["details"]["status"], "expired");
}

#[tokio::test]
async fn update_has_one_of_two_statuses() {
    let twilio = Twilio::start(&[]).await;
    let (first, _) = twilio.open(TO).await;
    let rejected = twilio.update(&first, "pending").await;
    assert_error(&rejected, 400, 60200, "invalid_request");
    assert_eq!(rejected.body["message"], "Invalid parameter `Status`");
    let rejected = twilio.post(&format!("/Verifications/{first}"), &[]).await;
    assert_eq!(
        rejected.body["message"],
        "Missing required parameter `Status`"
    );
    let rejected = twilio.update("VE1", "pending").await;
    assert_error(&rejected, 400, 60200, "invalid_request");
    assert_error(
        &twilio.update("VE1", "canceled").await,
        404,
        20404,
        "not_found",
    );
}

#[tokio::test]
async fn expired_verification_is_gone_here_and_shown_natively() {
    let twilio = Twilio::start(&[]).await;
    let (first, _) = twilio.open(TO).await;
    twilio.service.advance(301).await;
    let gone = twilio.fetch(&first).await;
    assert_error(&gone, 404, 20404, "not_found");
    assert_eq!(gone.body["details"]["status"], "expired");
    let shown = twilio.service.show(&native_id(&first)).await;
    assert_eq!(shown.body["status"], "expired");
}

#[tokio::test]
async fn update_date_is_that_of_the_last_attempt() {
    let twilio = Twilio::start(&[]).await;
    let (first, code) = twilio.open(TO).await;
    twilio.service.advance(50).await;
    let checked = twilio.check(TO, &another_code(&code)).await;
    twilio.service.advance(50).await;
    let fetched = twilio.fetch(&first).await;
    assert_eq!(fetched.body["date_updated"], checked.body["date_updated"]);
    assert_ne!(fetched.body["date_updated"], fetched.body["date_created"]);
}
