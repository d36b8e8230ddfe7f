//! `Idempotency-Key` of a send: the same key and body give the same verification and no second message.

use serde_json::json;

use crate::given::{NO_SEND_LIMITS, phone, seconds};
use crate::harness::{DEFAULT_KEY, SHOP_KEY, Service};

#[tokio::test]
async fn the_same_key_and_body_give_the_same_verification_and_one_message() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service
        .send_with_key(json!({"to": to, "reference": "r", "ttl_seconds": 120}), "k")
        .await;
    assert_eq!((first.status, first.is_replayed()), (201, false));
    service.settle().await;
    // Within the cooldown, in another order, with nulls, with escapes, with another spelling of the same number.
    for body in [
        r#"{"ttl_seconds":120,"to":"TO","reference":"r"}"#,
        r#"{ "locale":null, "reference":"r","transaction":null,"to":"TO","ttl_seconds":120}"#,
        r#"{"\u0074o":"TO","reference":"\u0072","ttl_seconds":120}"#,
        r#"{"to":"TO","reference":"r","ttl_seconds":120.0}"#,
        r#"{"to":"TO","reference":"r","ttl_seconds":1.2e2}"#,
    ] {
        let bearer = format!("Bearer {DEFAULT_KEY}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", "k"),
        ];
        let again = service
            .raw(
                "POST",
                "/v1/verifications",
                &headers,
                body.replace("TO", &to),
            )
            .await;
        assert_eq!(
            (again.status, again.is_replayed(), again.id()),
            (201, true, first.id()),
            "{body}"
        );
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(
            (&again.body["sends_left"], &again.body["delivery"]["status"]),
            (&json!(4), &json!("sent")),
            "as it is now"
        );
    }
    assert_eq!(service.messages(&to).await.len(), 1);
}

#[tokio::test]
async fn a_key_and_its_quoted_spelling_are_one() {
    let service = Service::start().await;
    let first = service.send_with_key(json!({"to": phone(1)}), "abc").await;
    let quoted = service
        .send_with_key(json!({"to": phone(1)}), "\"abc\"")
        .await;
    assert_eq!(
        (quoted.status, quoted.is_replayed(), quoted.id()),
        (201, true, first.id())
    );
    let other = service.send_with_key(json!({"to": phone(1)}), "ABC").await;
    assert_eq!(
        other.problem(),
        (429, "rate_limited"),
        "another key is another send"
    );
}

#[tokio::test]
async fn another_body_for_the_same_recipient_is_a_mismatch() {
    let service = Service::start().await;
    let first = service
        .send_with_key(json!({"to": "+33612345678", "purpose": "login"}), "k")
        .await;
    for body in [
        json!({"to": "+33612345678"}),
        json!({"to": "+33612345678", "purpose": "payment"}),
        json!({"to": "+33612345678", "purpose": "login", "reference": "r"}),
        json!({"to": "+33 6 12 34 56 78", "purpose": "login"}),
    ] {
        assert_eq!(
            service.send_with_key(body.clone(), "k").await.problem(),
            (422, "idempotency_mismatch"),
            "{body}"
        );
    }
    assert_eq!(service.show(&first.id()).await.body["status"], "pending");
    assert_eq!(service.messages("+33612345678").await.len(), 1);
}

#[tokio::test]
async fn another_recipient_or_another_app_is_an_independent_send() {
    let service = Service::start().await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    let other = service.send_with_key(json!({"to": phone(2)}), "k").await;
    assert_eq!((other.status, other.is_replayed()), (201, false));
    assert_ne!(other.id(), first.id());
    let shop = service
        .call_as(
            SHOP_KEY,
            "POST",
            "/v1/verifications",
            Some(json!({"to": phone(1)})),
            &[("idempotency-key", "k")],
        )
        .await;
    assert_eq!((shop.status, shop.is_replayed()), (201, false));
    assert_eq!(
        (
            service.messages(&phone(1)).await.len(),
            service.messages(&phone(2)).await.len()
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn the_verification_is_told_as_it_is_now_also_after_it_ended() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ids = vec![];
    for n in 1..=5 {
        let sent = service.send_with_key(json!({"to": phone(n)}), "k").await;
        ids.push((phone(n), sent.id(), service.code(&phone(n)).await));
    }
    service.check(&ids[0].1, &ids[0].2).await;
    service.cancel(&ids[1].1).await;
    service.fail(&ids[2].1, &ids[2].2, 5).await;
    service.send(&ids[3].0).await;
    service.advance(300).await;
    for ((to, id, _), status) in
        ids.iter()
            .zip(["approved", "canceled", "exhausted", "superseded", "expired"])
    {
        let again = service.send_with_key(json!({"to": to}), "k").await;
        assert_eq!(
            (again.status, again.is_replayed(), &again.id()),
            (201, true, id),
            "{status}"
        );
        assert_eq!(
            (&again.body["status"], &again.body["resend_at"]),
            (&json!(status), &json!(null))
        );
    }
    assert_eq!(service.messages(&ids[3].0).await.len(), 2);
    assert_eq!(service.messages(&ids[4].0).await.len(), 1);
}

#[tokio::test]
async fn a_key_outlives_the_five_verifications_that_stay_readable() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    for _ in 0..8 {
        // One that is followed at once sends nothing.
        service.settle().await;
        assert_eq!(service.send(&phone(1)).await.status, 201);
    }
    service.settle().await;
    let again = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_eq!(
        (again.status, again.is_replayed(), again.id()),
        (201, true, first.id())
    );
    assert_eq!(service.messages(&phone(1)).await.len(), 9);
}

#[tokio::test]
async fn a_key_is_remembered_for_a_day() {
    let service = Service::start().await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    service.settle().await;
    let until = seconds(&first.body["created_at"]) + 86_400;
    service.advance_to(until - 30).await;
    let within = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_eq!(
        (within.status, within.is_replayed(), within.id()),
        (201, true, first.id())
    );
    service.advance_to(until).await;
    let after = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_eq!((after.status, after.is_replayed()), (201, false));
    assert_ne!(after.id(), first.id());
}

#[tokio::test]
async fn a_refused_send_is_not_remembered() {
    let service = Service::start().await;
    let first = service.send(&phone(1)).await;
    assert_eq!(
        service
            .send_with_key(json!({"to": phone(1)}), "k")
            .await
            .problem(),
        (429, "rate_limited")
    );
    assert_eq!(
        service
            .send_with_key(json!({"to": phone(1), "ttl_seconds": 1}), "k")
            .await
            .problem(),
        (422, "invalid_request")
    );
    service.advance(30).await;
    let second = service
        .send_with_key(json!({"to": phone(1), "purpose": "other"}), "k")
        .await;
    assert_eq!(
        (second.status, second.is_replayed()),
        (201, false),
        "{second:?}"
    );
    assert_ne!(second.id(), first.id());
}

#[tokio::test]
async fn a_key_has_one_to_255_printable_characters() {
    let service = Service::start().await;
    let longest = "k".repeat(255);
    for (n, key) in [
        (1, longest.as_str()),
        (2, "!"),
        (3, "a b ~ {}[]:;,'<>/\\?@"),
        (4, "\"quoted\""),
    ] {
        assert_eq!(
            service
                .send_with_key(json!({"to": phone(n)}), key)
                .await
                .status,
            201,
            "{key}"
        );
    }
    let longer = "k".repeat(256);
    for key in ["", "\"\"", longer.as_str(), "é", "tab\there"] {
        let answer = service.send_with_key(json!({"to": phone(9)}), key).await;
        assert!(matches!(answer.status, 400 | 422), "{key:?}: {answer:?}");
    }
    assert_eq!(service.messages(&phone(9)).await.len(), 0);
}
