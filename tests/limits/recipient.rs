//! Limits of one recipient: cooldown, hour and day. Every announced wait is accurate to one second.

use serde_json::json;

use crate::support::{Service, TestResponse, assert_fields, assert_status, phone, unix_seconds};

fn created(response: &TestResponse) -> i64 {
    unix_seconds(&response.body["created_at"])
}

#[tokio::test]
async fn cooldown_grows_by_steps_and_repeats_the_last() {
    let service =
        Service::start_with(&[("OTP_SENDS_PER_HOUR", "20"), ("OTP_SENDS_PER_DAY", "20")]).await;
    let to = phone(1);
    let send = async || {
        service
            .send_body(json!({"to": to, "ttl_seconds": 1800}))
            .await
    };
    let mut last = send().await;
    for (wait, left) in [
        (30, 18),
        (60, 17),
        (120, 16),
        (300, 15),
        (600, 14),
        (600, 13),
    ] {
        assert_eq!(
            unix_seconds(&last.body["resend_at"]) - created(&last),
            wait,
            "{last:?}"
        );
        last = service
            .assert_rejects_until("cooldown", created(&last) + wait, 201, &send)
            .await;
        assert_eq!(last.body["sends_left"], left);
    }
    assert_eq!(service.messages(&to).await.len(), 7);
}

#[tokio::test]
async fn cooldown_restarts_after_an_hour_without_sends() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    service.advance(30).await;
    let second = service.send(&to).await;
    assert_status(&second, 201);
    service.advance_to(created(&second) + 3600).await;
    let third = service.send(&to).await;
    assert_status(&third, 201);
    assert_fields(&third.body, json!({"sends_left": 4}));
    assert_eq!(unix_seconds(&third.body["resend_at"]) - created(&third), 30);
    assert!(created(&first) < created(&third));
}

#[tokio::test]
async fn resend_shares_the_cooldown_steps() {
    let service = Service::start().await;
    let to = phone(1);
    let sent = service
        .send_body(json!({"to": to, "ttl_seconds": 1800}))
        .await;
    let id = sent.id();
    let mut at = created(&sent);
    for (wait, left) in [(30, 3), (60, 2), (120, 1), (300, 0)] {
        service
            .assert_rejects("cooldown", at + wait, async || service.send(&to).await)
            .await;
        let resent = service
            .assert_rejects_until("cooldown", at + wait, 200, async || {
                service.resend(&id).await
            })
            .await;
        at = unix_seconds(&resent.body["delivery"]["updated_at"]);
        assert_eq!(
            (&resent.body["sends_left"], &resent.body["expires_at"]),
            (&json!(left), &sent.body["expires_at"])
        );
    }
    service
        .assert_rejects("recipient_hour", created(&sent) + 3600, async || {
            service.resend(&id).await
        })
        .await;
}

#[tokio::test]
async fn sixth_send_within_an_hour_is_rejected() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    for wait in [30, 60, 120, 300] {
        service.advance(wait).await;
        assert_status(&service.send(&to).await, 201);
    }
    // The cooldown of 600 s applies too, and ends first.
    let sixth = service
        .assert_rejects_until("recipient_hour", created(&first) + 3600, 201, async || {
            service.send(&to).await
        })
        .await;
    assert_eq!(
        sixth.body["sends_left"], 0,
        "the other four sends are still in the window"
    );
}

#[tokio::test]
async fn cooldown_is_reported_if_it_ends_after_the_hour() {
    let service = Service::start_with(&[
        ("OTP_SENDS_PER_HOUR", "2"),
        ("OTP_COOLDOWN_SECONDS", "2000"),
    ])
    .await;
    let to = phone(1);
    assert_status(&service.send(&to).await, 201);
    service.advance(2000).await;
    let second = service.send(&to).await;
    assert_status(&second, 201);
    // The hour would admit a third send in 1600 s.
    service
        .assert_rejects_until("cooldown", created(&second) + 2000, 201, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn hour_window_slides() {
    let service =
        Service::start_with(&[("OTP_SENDS_PER_HOUR", "2"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let to = phone(1);
    let first = service.send(&to).await;
    service.advance(1000).await;
    let second = service.send(&to).await;
    // `resend_at` would be after expiry.
    assert_status(&second, 201);
    assert_fields(&second.body, json!({"sends_left": 0, "resend_at": null}));
    let third = service
        .assert_rejects_until("recipient_hour", created(&first) + 3600, 201, async || {
            service.send(&to).await
        })
        .await;
    assert_eq!(third.body["sends_left"], 0);
    service
        .assert_rejects_until("recipient_hour", created(&second) + 3600, 201, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn day_window_slides() {
    let service =
        Service::start_with(&[("OTP_SENDS_PER_DAY", "3"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let to = phone(1);
    let first = service.send(&to).await;
    service.advance(4000).await;
    let second = service.send(&to).await;
    service.advance(4000).await;
    assert_status(&service.send(&to).await, 201);
    service
        .assert_rejects_until("recipient_day", created(&first) + 86_400, 201, async || {
            service.send(&to).await
        })
        .await;
    service
        .assert_rejects("recipient_day", created(&second) + 86_400, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn default_quota_of_a_day_is_ten_sends() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    for _ in 1..10 {
        service.advance(1000).await;
        assert_status(&service.send(&to).await, 201);
    }
    service.advance(3600).await;
    service
        .assert_rejects_until("recipient_day", created(&first) + 86_400, 201, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn rejected_send_is_not_counted_and_supersedes_nothing() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    for _ in 0..10 {
        assert_status(&service.send(&to).await, 429);
        assert_status(&service.resend(&first.id()).await, 429);
    }
    let shown = service.show(&first.id()).await;
    assert_fields(&shown.body, json!({"status": "pending", "sends_left": 4}));
    assert_eq!(
        shown.body["resend_at"], first.body["resend_at"],
        "the cooldown does not grow"
    );
    assert_eq!(service.messages(&to).await.len(), 1);
}

#[tokio::test]
async fn approval_and_cancel_do_not_shorten_the_cooldown() {
    let service = Service::start().await;
    for n in [1, 2] {
        let sent = service.send(&phone(n)).await;
        let code = service.code(&phone(n)).await;
        let ended = if n == 1 {
            service.check(&sent.id(), &code).await
        } else {
            service.cancel(&sent.id()).await
        };
        assert_status(&ended, 200);
        service
            .assert_rejects("cooldown", created(&sent) + 30, async || {
                service.send(&phone(n)).await
            })
            .await;
    }
    // Another recipient has a cooldown of its own.
    assert_status(&service.send(&phone(3)).await, 201);
}

#[tokio::test]
async fn resend_at_is_null_without_time_for_a_resend() {
    let service = Service::start().await;
    let to = phone(1);
    let sent = service
        .send_body(json!({"to": to, "ttl_seconds": 60}))
        .await;
    assert_eq!(unix_seconds(&sent.body["resend_at"]), created(&sent) + 30);
    service.advance(30).await;
    let resent = service.resend(&sent.id()).await;
    // 60 s later is after expiry.
    assert_status(&resent, 200);
    assert_fields(&resent.body, json!({"resend_at": null}));
}
