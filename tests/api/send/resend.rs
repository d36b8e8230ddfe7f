//! Resend: a further message of a pending verification. It neither restores attempts nor extends
//! the verification.

use serde_json::json;

use crate::support::{
    DEFAULT_KEY, NO_SEND_LIMITS, Service, UNKNOWN_ID, assert_approved, assert_check, assert_fields,
    assert_problem, assert_status, no_send_limits_and, phone, unix_seconds,
};

#[tokio::test]
async fn resend_sends_the_same_code_and_restores_no_attempts() {
    let service = Service::start().await;
    let to = phone(1);
    let (id, code) = service.open(&to).await;
    let before = service.fail_checks(&id, &code, 2).await;
    assert_eq!(
        before.map(|response| response.check_result().attempts_left),
        Some(3)
    );
    service.advance(30).await;
    let shown = service.show(&id).await;
    let resent = service.resend(&id).await;
    assert_eq!(
        (
            resent.status,
            &resent.body["status"],
            resent.header("location")
        ),
        (200, &json!("pending"), None)
    );
    assert_fields(&resent.body, json!({"attempts_left": 3, "sends_left": 3}));
    for same in [
        "id",
        "created_at",
        "expires_at",
        "channel",
        "purpose",
        "locale",
    ] {
        assert_eq!(resent.body[same], shown.body[same], "{same}");
    }
    assert_eq!(resent.body["deliveries"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (
            &resent.body["delivery"]["status"],
            &resent.body["deliveries"][0]["status"]
        ),
        (&json!("queued"), &json!("sent"))
    );
    let messages = service.messages(&to).await;
    assert_eq!(
        messages
            .iter()
            .map(|m| m["code"].as_str())
            .collect::<Vec<_>>(),
        [Some(code.as_str()); 2]
    );
    assert_approved(&service.check(&id, &code).await, 2);
}

#[tokio::test]
async fn resend_by_another_channel_sends_the_same_code() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let to = phone(1);
    let (id, code) = service.open(&to).await;
    let resent = service.resend_body(&id, json!({"channel": "voice"})).await;
    // `channel` stays that of the send.
    assert_fields(
        &resent.body,
        json!({"channel": "sms", "delivery": {"channel": "voice"}}),
    );
    let messages = service.messages(&to).await;
    assert_eq!(
        (&messages[1]["channel"], messages[1]["code"].as_str()),
        (&json!("voice"), Some(code.as_str()))
    );
    let email = service.resend_body(&id, json!({"channel": "email"})).await;
    assert_eq!(
        email.status, 422,
        "a phone number cannot receive e-mail: {email:?}"
    );
}

#[tokio::test]
async fn resend_needs_neither_body_nor_content_type() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let id = service.send(&phone(1)).await.id();
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let path = format!("/v1/verifications/{id}/resend");
    assert_status(
        &service
            .raw("POST", &path, &[("authorization", &bearer)], "")
            .await,
        200,
    );
    assert_status(
        &service
            .raw(
                "POST",
                &path,
                &[
                    ("authorization", &bearer),
                    ("content-type", "application/json"),
                ],
                "{}",
            )
            .await,
        200,
    );
}

#[tokio::test]
async fn resend_of_an_ended_verification_is_rejected() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ended = vec![];
    for n in 1..=5 {
        ended.push(service.open(&phone(n)).await);
    }
    service.check(&ended[0].0, &ended[0].1).await;
    service.cancel(&ended[1].0).await;
    service.fail_checks(&ended[2].0, &ended[2].1, 5).await;
    service.send(&phone(4)).await;
    for (n, status) in ["approved", "canceled", "exhausted", "superseded", "expired"]
        .into_iter()
        .enumerate()
    {
        // Only the last one expires: an expired verification is rejected for another reason as
        // well.
        if status == "expired" {
            service.advance(300).await;
        }
        let (id, _) = &ended[n];
        assert_eq!(service.show(id).await.body["status"], status);
        assert_eq!(
            service.resend(id).await.problem(),
            (409, "not_pending"),
            "{status}"
        );
    }
    for n in [1, 2, 3, 5] {
        assert_eq!(service.messages(&phone(n)).await.len(), 1);
    }
    for id in [UNKNOWN_ID, "ve_1", "x"] {
        assert_eq!(
            service.resend(id).await.problem(),
            (404, "not_found"),
            "{id}"
        );
    }
}

#[tokio::test]
async fn fresh_code_replaces_the_old_one() {
    let variables = [("OTP_RESEND_CODE", "fresh"), ("OTP_CODE_LENGTH", "10")];
    let service = Service::start_with(&no_send_limits_and(&variables)).await;
    let to = phone(1);
    let (id, old) = service.open(&to).await;
    service.fail_checks(&id, &old, 1).await;
    assert_eq!(service.resend(&id).await.body["attempts_left"], 4);
    let fresh = service.code(&to).await;
    assert_ne!(fresh, old);
    assert_check(&service.check(&id, &old).await, "wrong_code", "pending", 3);
    assert_approved(&service.check(&id, &fresh).await, 2);
}

#[tokio::test]
async fn last_eight_deliveries_are_shown() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let to = phone(1);
    let (id, _) = service.open(&to).await;
    for _ in 0..9 {
        assert_status(
            &service.resend_body(&id, json!({"channel": "voice"})).await,
            200,
        );
        service.settle().await;
    }
    let shown = service.show(&id).await;
    let channels: Vec<_> = shown.body["deliveries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|d| d["channel"].clone())
        .collect();
    assert_eq!(
        channels,
        vec![json!("voice"); 8],
        "the first one, by sms, is not shown"
    );
    assert_eq!(service.messages(&to).await.len(), 10);
}

#[tokio::test]
async fn resend_just_before_expiry_is_rejected_and_not_counted() {
    let service = Service::start().await;
    let sent = service.send(&phone(1)).await;
    service
        .advance_to(unix_seconds(&sent.body["expires_at"]) - 8)
        .await;
    assert_eq!(
        service.show(&sent.id()).await.body["resend_at"],
        json!(null)
    );
    assert_problem(&service.resend(&sent.id()).await, 409, "not_pending");
    let shown = service.show(&sent.id()).await;
    assert_eq!(
        (
            &shown.body["sends_left"],
            shown.body["deliveries"].as_array().map(Vec::len)
        ),
        (&json!(4), Some(1))
    );
    // No cooldown has started.
    assert_status(&service.send(&phone(1)).await, 201);
}
