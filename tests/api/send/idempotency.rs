//! `Idempotency-Key` of a send: the same key and body give the same verification and no second
//! message.

use serde_json::json;

use otp::domain::time::Timestamp;

use crate::support::{
    DEFAULT_KEY, NO_SEND_LIMITS, SHOP_KEY, Service, assert_fields, assert_problem,
    assert_replays_send, assert_status, no_send_limits_and, phone, unix_seconds,
};

#[tokio::test]
async fn repeated_send_replays_the_verification_without_a_message() {
    let service = Service::start().await;
    let to = phone(1);
    let first = service
        .send_with_key(json!({"to": to, "reference": "r", "ttl_seconds": 120}), "k")
        .await;
    assert_status(&first, 201);
    assert!(!first.is_replayed(), "{first:?}");
    service.settle().await;
    // Within the cooldown; with the fields in another order, nulls, escapes and another notation of
    // the same number.
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
        assert_replays_send(&again, &first.id());
        assert_eq!(again.header("location"), first.header("location"));
        assert_fields(
            &again.body,
            json!({"sends_left": 4, "delivery": {"status": "sent"}}),
        );
    }
    assert_eq!(service.messages(&to).await.len(), 1);
}

#[tokio::test]
async fn quoted_and_unquoted_key_are_the_same() {
    let service = Service::start().await;
    let first = service.send_with_key(json!({"to": phone(1)}), "abc").await;
    let quoted = service
        .send_with_key(json!({"to": phone(1)}), "\"abc\"")
        .await;
    assert_replays_send(&quoted, &first.id());
    let other = service.send_with_key(json!({"to": phone(1)}), "ABC").await;
    // Another key is another send.
    assert_problem(&other, 429, "rate_limited");
}

#[tokio::test]
async fn same_key_with_another_body_is_a_mismatch() {
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
async fn same_key_for_another_recipient_or_app_sends() {
    let service = Service::start().await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    let other = service.send_with_key(json!({"to": phone(2)}), "k").await;
    assert_status(&other, 201);
    assert!(!other.is_replayed(), "{other:?}");
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
    assert_status(&shop, 201);
    assert!(!shop.is_replayed(), "{shop:?}");
    assert_eq!(
        (
            service.messages(&phone(1)).await.len(),
            service.messages(&phone(2)).await.len()
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn replay_returns_the_current_state_of_the_verification() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ids = vec![];
    for n in 1..=5 {
        let sent = service.send_with_key(json!({"to": phone(n)}), "k").await;
        ids.push((phone(n), sent.id(), service.code(&phone(n)).await));
    }
    service.check(&ids[0].1, &ids[0].2).await;
    service.cancel(&ids[1].1).await;
    service.fail_checks(&ids[2].1, &ids[2].2, 5).await;
    service.send(&ids[3].0).await;
    service.advance(300).await;
    for ((to, id, _), status) in
        ids.iter()
            .zip(["approved", "canceled", "exhausted", "superseded", "expired"])
    {
        let again = service.send_with_key(json!({"to": to}), "k").await;
        assert_replays_send(&again, id);
        assert_fields(&again.body, json!({"status": status, "resend_at": null}));
    }
    assert_eq!(service.messages(&ids[3].0).await.len(), 2);
    assert_eq!(service.messages(&ids[4].0).await.len(), 1);
}

#[tokio::test]
async fn key_outlives_the_readable_past_verifications() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    for _ in 0..8 {
        // Settled first, because the next send would replace a queued message.
        service.settle().await;
        assert_status(&service.send(&phone(1)).await, 201);
    }
    service.settle().await;
    let again = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_replays_send(&again, &first.id());
    assert_eq!(service.messages(&phone(1)).await.len(), 9);
}

#[tokio::test]
async fn key_is_stored_for_a_day() {
    let service = Service::start().await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    service.settle().await;
    let until = unix_seconds(&first.body["created_at"]) + 86_400;
    service.advance_to(until - 30).await;
    let within = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_replays_send(&within, &first.id());
    service.advance_to(until).await;
    let after = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_status(&after, 201);
    assert!(!after.is_replayed(), "{after:?}");
    assert_ne!(after.id(), first.id());
}

#[tokio::test]
async fn rejected_send_does_not_store_its_key() {
    let service = Service::start().await;
    let first = service.send(&phone(1)).await;
    assert_problem(
        &service.send_with_key(json!({"to": phone(1)}), "k").await,
        429,
        "rate_limited",
    );
    assert_problem(
        &service
            .send_with_key(json!({"to": phone(1), "ttl_seconds": 1}), "k")
            .await,
        422,
        "invalid_request",
    );
    service.advance(30).await;
    let second = service
        .send_with_key(json!({"to": phone(1), "purpose": "other"}), "k")
        .await;
    assert_status(&second, 201);
    assert!(!second.is_replayed(), "{second:?}");
    assert_ne!(second.id(), first.id());
}

#[tokio::test]
async fn key_has_1_to_255_printable_characters() {
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
        let response = service.send_with_key(json!({"to": phone(9)}), key).await;
        assert!(
            matches!(response.status, 400 | 422),
            "{key:?}: {response:?}"
        );
    }
    assert_eq!(service.messages(&phone(9)).await.len(), 0);
}

#[tokio::test]
async fn each_key_of_a_day_is_replayed() {
    let variables = no_send_limits_and(&[("OTP_PREFIX_SENDS", "1000/600")]);
    let service = Service::start_with(&variables).await;
    let body = |n: usize| json!({"to": phone(1), "reference": format!("order {n}")});
    let mut ids = vec![];
    for n in 0..30 {
        let sent = service.send_with_key(body(n), &format!("key {n}")).await;
        assert_status(&sent, 201);
        ids.push(sent.id());
        service.settle().await;
    }
    for (n, id) in ids.iter().enumerate() {
        let key = format!("key {n}");
        let again = service.send_with_key(body(n), &key).await;
        assert_replays_send(&again, id);
        assert_fields(&again.body, json!({"reference": format!("order {n}")}));
        let other = service.send_with_key(body(n + 1), &key).await;
        assert_problem(&other, 422, "idempotency_mismatch");
    }
    assert_eq!(service.messages(&phone(1)).await.len(), 30);
    service.advance(86_401).await;
    let next_day = service.send_with_key(body(1), "key 0").await;
    assert_status(&next_day, 201);
    assert!(!next_day.is_replayed(), "{next_day:?}");
}

#[tokio::test]
async fn keys_are_used_again_after_a_day() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ids = vec![];
    for day in 0..3 {
        for n in 0..9 {
            let key = format!("key {n}");
            let sent = service.send_with_key(json!({"to": phone(1)}), &key).await;
            assert_status(&sent, 201);
            assert!(
                !sent.is_replayed() && !ids.contains(&sent.id()),
                "day {day}: {sent:?}"
            );
            ids.push(sent.id());
        }
        for (n, id) in ids[ids.len() - 9..].iter().enumerate() {
            let key = format!("key {n}");
            let again = service.send_with_key(json!({"to": phone(1)}), &key).await;
            assert_replays_send(&again, id);
        }
        service.advance(86_401).await;
    }
}

#[tokio::test]
async fn send_without_key_keeps_earlier_keys() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let keyed = service.send_with_key(json!({"to": phone(1)}), "k").await;
    for _ in 0..12 {
        service.open(&phone(1)).await;
    }
    let again = service.send_with_key(json!({"to": phone(1)}), "k").await;
    assert_replays_send(&again, &keyed.id());
}

#[tokio::test]
async fn keys_of_a_test_number_are_replayed() {
    let now = jiff::Timestamp::now().as_second();
    let until = Timestamp(now + 86_400).to_string();
    let numbers = json!([{"to": phone(1), "code": "123456", "until": &until[..10]}]).to_string();
    let service = Service::start_with(&[("OTP_TEST_NUMBERS", &numbers)]).await;
    let body = json!({"to": phone(1)});
    let mut ids = vec![];
    for n in 0..9 {
        let key = format!("{n}");
        ids.push(service.send_with_key(body.clone(), &key).await.id());
    }
    for (n, id) in ids.iter().enumerate() {
        let again = service.send_with_key(body.clone(), &format!("{n}")).await;
        assert_replays_send(&again, id);
    }
}
