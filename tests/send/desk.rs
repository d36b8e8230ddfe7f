//! The support desk: unlock and forget. What they do to the guess budget is in `budget`.

use serde_json::json;

use crate::given::{phone, seconds};
use crate::harness::{DEFAULT_KEY, Service};

const PATHS: [&str; 2] = ["/v1/recipients/unlock", "/v1/recipients/forget"];

#[tokio::test]
async fn both_answer_alike_for_a_recipient_never_seen() {
    let service = Service::start().await;
    service.sent(&phone(1)).await;
    for path in PATHS {
        for to in [phone(1), phone(2), "ada@example.com".into()] {
            let answer = service.call("POST", path, Some(json!({"to": to}))).await;
            assert_eq!(
                (answer.status, answer.body),
                (200, json!({"to": to})),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn both_read_spellings_and_refuse_what_is_not_a_recipient() {
    let service = Service::start().await;
    for path in PATHS {
        let spelled = service
            .call("POST", path, Some(json!({"to": "0033 6 12-34-56-78"})))
            .await;
        assert_eq!(
            (spelled.status, &spelled.body["to"]),
            (200, &json!("+33612345678"))
        );
        for (to, code) in [
            ("+33 6 12", "invalid_number"),
            ("tel:+33612345678", "invalid_number"),
            ("a@b@c.example", "invalid_email"),
        ] {
            assert_eq!(
                service
                    .call("POST", path, Some(json!({"to": to})))
                    .await
                    .problem(),
                (422, code),
                "{path} {to}"
            );
        }
        for body in [
            json!({}),
            json!({"to": null}),
            json!({"to": 1}),
            json!({"to": [phone(1)]}),
            json!({"to": phone(1), "x": 1}),
        ] {
            let answer = service.call("POST", path, Some(body.clone())).await;
            assert!(
                matches!(
                    answer.problem(),
                    (422, "invalid_request") | (400, "malformed_request")
                ),
                "{path} {body}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn forget_removes_the_verifications_and_keeps_the_counts_of_sends() {
    let service = Service::start().await;
    let first = service.send(&phone(1)).await;
    let (id, code, created) = (
        first.id(),
        service.code(&phone(1)).await,
        seconds(&first.body["created_at"]),
    );
    assert_eq!(service.forget(&phone(1)).await.status, 200);
    for answer in [
        service.show(&id).await,
        service.check(&id, &code).await,
        service.resend(&id).await,
        service.cancel(&id).await,
    ] {
        assert_eq!(answer.problem(), (404, "not_found"));
    }
    let again = service
        .refuses_until("cooldown", created + 30, 201, async || {
            service.send(&phone(1)).await
        })
        .await;
    assert_eq!(again.body["sends_left"], 3);
    assert_eq!(
        service.show(&id).await.status,
        404,
        "a new send brings nothing back"
    );
}

#[tokio::test]
async fn a_message_that_still_waits_is_never_sent_to_a_forgotten_recipient() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "down"})).await;
    }
    assert_eq!(service.send(&phone(1)).await.status, 201);
    service.settle().await;
    service.forget(&phone(1)).await;
    for name in ["sim-a", "sim-b"] {
        service.carrier(name, json!({"mode": "ok"})).await;
    }
    service.advance(600).await;
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
}

#[tokio::test]
async fn forget_removes_the_superseded_ones_too() {
    let service = Service::start_with(&crate::given::NO_SEND_LIMITS).await;
    let mut ids = vec![];
    for _ in 0..3 {
        ids.push(service.sent(&phone(1)).await.0);
    }
    service.forget(&phone(1)).await;
    for id in ids {
        assert_eq!(service.show(&id).await.status, 404);
    }
}

#[tokio::test]
async fn forget_removes_the_idempotency_keys() {
    let service = Service::start_with(&crate::given::NO_SEND_LIMITS).await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    service.settle().await;
    service.forget(&phone(1)).await;
    let second = service
        .send_with_key(json!({"to": phone(1), "purpose": "other"}), "k")
        .await;
    assert_eq!(
        (second.status, second.is_replayed()),
        (201, false),
        "{second:?}"
    );
    assert_ne!(first.id(), second.id());
}

#[tokio::test]
async fn unlock_brings_no_ended_verification_back_to_life() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    service.fail(&id, &code, 5).await;
    assert_eq!(service.unlock(&phone(1)).await.status, 200);
    assert_eq!(
        service.check(&id, &code).await.outcome(),
        (false, "exhausted", "exhausted", 0)
    );
    assert_eq!(service.show(&id).await.body["status"], "exhausted");
}

#[tokio::test]
async fn unlock_leaves_a_pending_verification_with_the_attempts_that_it_has() {
    let service = Service::start().await;
    let (id, code) = service.sent(&phone(1)).await;
    service.fail(&id, &code, 3).await;
    service.unlock(&phone(1)).await;
    assert_eq!(service.show(&id).await.body["attempts_left"], 2);
    assert_eq!(service.check(&id, &code).await.outcome().0, true);
}

#[tokio::test]
async fn both_take_a_key_a_method_and_a_content_type_like_everything_else() {
    let service = Service::start().await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    for path in PATHS {
        let put = service.raw("PUT", path, &[], "").await;
        assert_eq!(
            (put.problem(), put.header("allow")),
            ((405, "method_not_allowed"), Some("POST"))
        );
        assert_eq!(
            service.raw("POST", path, &[], "{}").await.problem(),
            (401, "unauthorized")
        );
        assert_eq!(
            service
                .raw("POST", path, &[("authorization", &bearer)], "{}")
                .await
                .problem(),
            (415, "unsupported_media_type")
        );
    }
}
