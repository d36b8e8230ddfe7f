//! Limits of a recipient: the cooldown ladder, the hour, the day; every announced wait is true to one second.

use serde_json::json;

use crate::given::{phone, seconds};
use crate::harness::{Answer, Service};

fn created(answer: &Answer) -> i64 {
    seconds(&answer.body["created_at"])
}

#[tokio::test]
async fn the_cooldown_climbs_its_ladder_and_the_last_step_repeats() {
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
            seconds(&last.body["resend_at"]) - created(&last),
            wait,
            "{last:?}"
        );
        last = service
            .refuses_until("cooldown", created(&last) + wait, 201, &send)
            .await;
        assert_eq!(last.body["sends_left"], left);
    }
    assert_eq!(service.messages(&to).await.len(), 7);
}

#[tokio::test]
async fn the_ladder_starts_anew_after_an_hour_without_a_send() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    service.advance(30).await;
    let second = service.send(&to).await;
    assert_eq!(second.status, 201);
    service.advance_to(created(&second) + 3600).await;
    let third = service.send(&to).await;
    assert_eq!((third.status, &third.body["sends_left"]), (201, &json!(4)));
    assert_eq!(seconds(&third.body["resend_at"]) - created(&third), 30);
    assert!(created(&first) < created(&third));
}

#[tokio::test]
async fn a_resend_climbs_the_same_ladder() {
    let service = Service::start().await;
    let to = phone(1);
    let sent = service
        .send_body(json!({"to": to, "ttl_seconds": 1800}))
        .await;
    let id = sent.id();
    let mut at = created(&sent);
    for (wait, left) in [(30, 3), (60, 2), (120, 1), (300, 0)] {
        service
            .refuses("cooldown", at + wait, async || service.send(&to).await)
            .await;
        let resent = service
            .refuses_until("cooldown", at + wait, 200, async || {
                service.resend(&id).await
            })
            .await;
        at = seconds(&resent.body["delivery"]["updated_at"]);
        assert_eq!(
            (&resent.body["sends_left"], &resent.body["expires_at"]),
            (&json!(left), &sent.body["expires_at"])
        );
    }
    service
        .refuses("recipient_hour", created(&sent) + 3600, async || {
            service.resend(&id).await
        })
        .await;
}

#[tokio::test]
async fn the_sixth_send_within_an_hour_waits_for_the_first_to_leave_it() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    for wait in [30, 60, 120, 300] {
        service.advance(wait).await;
        assert_eq!(service.send(&to).await.status, 201);
    }
    // The cooldown of 600 s applies too, and ends first.
    let sixth = service
        .refuses_until("recipient_hour", created(&first) + 3600, 201, async || {
            service.send(&to).await
        })
        .await;
    assert_eq!(
        sixth.body["sends_left"], 0,
        "the window slides: the other four are still in it"
    );
}

#[tokio::test]
async fn the_cooldown_is_named_where_it_ends_after_the_hour() {
    let service = Service::start_with(&[
        ("OTP_SENDS_PER_HOUR", "2"),
        ("OTP_COOLDOWN_SECONDS", "2000"),
    ])
    .await;
    let to = phone(1);
    assert_eq!(service.send(&to).await.status, 201);
    service.advance(2000).await;
    let second = service.send(&to).await;
    assert_eq!(second.status, 201);
    // The hour would let a third one through 1600 s from now.
    service
        .refuses_until("cooldown", created(&second) + 2000, 201, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn the_hour_slides() {
    let service =
        Service::start_with(&[("OTP_SENDS_PER_HOUR", "2"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let to = phone(1);
    let first = service.send(&to).await;
    service.advance(1000).await;
    let second = service.send(&to).await;
    assert_eq!(
        (
            second.status,
            &second.body["sends_left"],
            &second.body["resend_at"]
        ),
        (201, &json!(0), &json!(null)),
        "beyond its life"
    );
    let third = service
        .refuses_until("recipient_hour", created(&first) + 3600, 201, async || {
            service.send(&to).await
        })
        .await;
    assert_eq!(third.body["sends_left"], 0);
    service
        .refuses_until("recipient_hour", created(&second) + 3600, 201, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn the_day_slides() {
    let service =
        Service::start_with(&[("OTP_SENDS_PER_DAY", "3"), ("OTP_COOLDOWN_SECONDS", "0")]).await;
    let to = phone(1);
    let first = service.send(&to).await;
    service.advance(4000).await;
    let second = service.send(&to).await;
    service.advance(4000).await;
    assert_eq!(service.send(&to).await.status, 201);
    service
        .refuses_until("recipient_day", created(&first) + 86_400, 201, async || {
            service.send(&to).await
        })
        .await;
    service
        .refuses("recipient_day", created(&second) + 86_400, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn the_default_day_is_ten_sends() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    for _ in 1..10 {
        service.advance(1000).await;
        assert_eq!(service.send(&to).await.status, 201);
    }
    service.advance(3600).await;
    service
        .refuses_until("recipient_day", created(&first) + 86_400, 201, async || {
            service.send(&to).await
        })
        .await;
}

#[tokio::test]
async fn a_refused_send_counts_for_nothing_and_supersedes_nothing() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service.send(&to).await;
    for _ in 0..10 {
        assert_eq!(service.send(&to).await.status, 429);
        assert_eq!(service.resend(&first.id()).await.status, 429);
    }
    let shown = service.show(&first.id()).await;
    assert_eq!(
        (&shown.body["status"], &shown.body["sends_left"]),
        (&json!("pending"), &json!(4))
    );
    assert_eq!(
        shown.body["resend_at"], first.body["resend_at"],
        "the wait does not grow"
    );
    assert_eq!(service.messages(&to).await.len(), 1);
}

#[tokio::test]
async fn neither_a_success_nor_a_cancel_shortens_the_wait() {
    let service = Service::start().await;
    for n in [1, 2] {
        let sent = service.send(&phone(n)).await;
        let code = service.code(&phone(n)).await;
        let ended = if n == 1 {
            service.check(&sent.id(), &code).await
        } else {
            service.cancel(&sent.id()).await
        };
        assert_eq!(ended.status, 200);
        service
            .refuses("cooldown", created(&sent) + 30, async || {
                service.send(&phone(n)).await
            })
            .await;
    }
    assert_eq!(
        service.send(&phone(3)).await.status,
        201,
        "another recipient waits for nobody"
    );
}

#[tokio::test]
async fn resend_at_is_null_once_no_send_fits_before_the_end() {
    let service = Service::start().await;
    let to = phone(1);
    let sent = service
        .send_body(json!({"to": to, "ttl_seconds": 60}))
        .await;
    assert_eq!(seconds(&sent.body["resend_at"]), created(&sent) + 30);
    service.advance(30).await;
    let resent = service.resend(&sent.id()).await;
    assert_eq!(
        (resent.status, &resent.body["resend_at"]),
        (200, &json!(null)),
        "60 s more is past its end"
    );
}
