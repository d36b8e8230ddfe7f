//! Resend: a further message of a pending verification. Attempts never come back, its end never moves.

use serde_json::json;

use crate::given::{NO_SEND_LIMITS, UNKNOWN_ID, phone, seconds};
use crate::harness::{DEFAULT_KEY, Service};

#[tokio::test]
async fn a_resend_carries_the_same_code_and_gives_nothing_back() {
    let service = Service::start().await;
    let to = phone(1);
    let (id, code) = service.sent(&to).await;
    let before = service.fail(&id, &code, 2).await;
    assert_eq!(before.map(|answer| answer.outcome().3), Some(3));
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
    assert_eq!(
        (&resent.body["attempts_left"], &resent.body["sends_left"]),
        (&json!(3), &json!(3))
    );
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
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (true, "", "approved", 2)
    );
}

#[tokio::test]
async fn a_resend_may_take_another_channel() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let to = phone(1);
    let (id, code) = service.sent(&to).await;
    let resent = service.resend_body(&id, json!({"channel": "voice"})).await;
    assert_eq!(
        (&resent.body["channel"], &resent.body["delivery"]["channel"]),
        (&json!("sms"), &json!("voice")),
        "the one of the start stays"
    );
    let messages = service.messages(&to).await;
    assert_eq!(
        (&messages[1]["channel"], messages[1]["code"].as_str()),
        (&json!("voice"), Some(code.as_str()))
    );
    let email = service.resend_body(&id, json!({"channel": "email"})).await;
    assert_eq!(
        email.status, 422,
        "a phone number takes no e-mail: {email:?}"
    );
}

#[tokio::test]
async fn a_resend_needs_no_body_and_then_no_content_type() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let id = service.send(&phone(1)).await.id();
    let bearer = format!("Bearer {DEFAULT_KEY}");
    let path = format!("/v1/verifications/{id}/resend");
    assert_eq!(
        service
            .raw("POST", &path, &[("authorization", &bearer)], "")
            .await
            .status,
        200
    );
    assert_eq!(
        service
            .raw(
                "POST",
                &path,
                &[
                    ("authorization", &bearer),
                    ("content-type", "application/json")
                ],
                "{}"
            )
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn only_a_pending_verification_is_resent() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ended = vec![];
    for n in 1..=5 {
        ended.push(service.sent(&phone(n)).await);
    }
    service.check(&ended[0].0, &ended[0].1).await;
    service.cancel(&ended[1].0).await;
    service.fail(&ended[2].0, &ended[2].1, 5).await;
    service.send(&phone(4)).await;
    service.advance(300).await;
    for ((id, _), status) in
        ended
            .iter()
            .zip(["approved", "canceled", "exhausted", "superseded", "expired"])
    {
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
async fn a_fresh_code_replaces_the_old_one_where_the_policy_says_so() {
    let service =
        Service::start_with(&[NO_SEND_LIMITS.as_slice(), &[("OTP_RESEND_CODE", "fresh")]].concat())
            .await;
    let to = phone(1);
    let (id, old) = service.sent(&to).await;
    service.fail(&id, &old, 1).await;
    assert_eq!(service.resend(&id).await.body["attempts_left"], 4);
    let fresh = service.code(&to).await;
    assert_ne!(fresh, old, "one in a million");
    assert_eq!(
        service.check(&id, &old).await.outcome(),
        (false, "wrong_code", "pending", 3)
    );
    assert_eq!(
        service.check(&id, &fresh).await.outcome(),
        (true, "", "approved", 2)
    );
}

#[tokio::test]
async fn eight_deliveries_are_shown_and_the_oldest_is_dropped() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let to = phone(1);
    let (id, _) = service.sent(&to).await;
    for _ in 0..9 {
        assert_eq!(
            service
                .resend_body(&id, json!({"channel": "voice"}))
                .await
                .status,
            200
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
        "the first, by sms, is dropped"
    );
    assert_eq!(service.messages(&to).await.len(), 10);
}

#[tokio::test]
async fn a_resend_that_could_not_arrive_in_time_costs_nothing() {
    let service = Service::start().await;
    let sent = service.send(&phone(1)).await;
    service
        .advance_to(seconds(&sent.body["expires_at"]) - 8)
        .await;
    assert_eq!(
        service.show(&sent.id()).await.body["resend_at"],
        json!(null)
    );
    assert_eq!(
        service.resend(&sent.id()).await.problem(),
        (409, "not_pending")
    );
    let shown = service.show(&sent.id()).await;
    assert_eq!(
        (
            &shown.body["sends_left"],
            shown.body["deliveries"].as_array().map(Vec::len)
        ),
        (&json!(4), Some(1))
    );
    assert_eq!(
        service.send(&phone(1)).await.status,
        201,
        "no cooldown has begun"
    );
}
