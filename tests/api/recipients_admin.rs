//! `POST /v1/recipients/unlock`, `/forget` and `/lookup`. Their effect on the guess budget is
//! tested in `limits::guess_budget`.

use serde_json::json;

use crate::support::{
    DEFAULT_KEY, NO_SEND_LIMITS, SHOP_KEY, Service, assert_check, assert_fields, assert_problem,
    assert_status, phone, unix_seconds,
};

const PATHS: [&str; 3] = [
    "/v1/recipients/unlock",
    "/v1/recipients/forget",
    "/v1/recipients/lookup",
];

#[tokio::test]
async fn both_respond_alike_for_an_unknown_recipient() {
    let service = Service::start().await;
    service.open(&phone(1)).await;
    for path in &PATHS[..2] {
        for to in [phone(1), phone(2), "ada@example.com".into()] {
            let response = service.call("POST", path, Some(json!({"to": to}))).await;
            assert_eq!(
                (response.status, response.body),
                (200, json!({"to": to})),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn all_normalize_recipients_and_reject_invalid_ones() {
    let service = Service::start().await;
    for path in PATHS {
        let spelled = service
            .call("POST", path, Some(json!({"to": "0033 6 12-34-56-78"})))
            .await;
        assert_status(&spelled, 200);
        assert_fields(&spelled.body, json!({"to": "+33612345678"}));
        for (to, country) in [
            ("06 12 34 56 78", "FR"),
            ("\u{202a}06\u{a0}12\u{2011}34 56 78\n", "fr"),
        ] {
            let body = json!({"to": to, "country": country});
            let national = service.call("POST", path, Some(body)).await;
            assert_status(&national, 200);
            assert_fields(&national.body, json!({"to": "+33612345678"}));
        }
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
            json!({"to": phone(1), "country": "FRA"}),
        ] {
            let response = service.call("POST", path, Some(body.clone())).await;
            assert!(
                matches!(
                    response.problem(),
                    (422, "invalid_request") | (400, "malformed_request")
                ),
                "{path} {body}: {response:?}"
            );
        }
    }
}

#[tokio::test]
async fn forget_deletes_verifications_and_keeps_send_counts() {
    let service = Service::start().await;
    let first = service.send(&phone(1)).await;
    let (id, code, created) = (
        first.id(),
        service.code(&phone(1)).await,
        unix_seconds(&first.body["created_at"]),
    );
    assert_status(&service.forget(&phone(1)).await, 200);
    for response in [
        service.show(&id).await,
        service.check(&id, &code).await,
        service.resend(&id).await,
        service.cancel(&id).await,
    ] {
        assert_problem(&response, 404, "not_found");
    }
    let again = service
        .assert_rejects_until("cooldown", created + 30, 201, async || {
            service.send(&phone(1)).await
        })
        .await;
    assert_eq!(again.body["sends_left"], 3);
    // A new send does not restore it.
    assert_status(&service.show(&id).await, 404);
}

#[tokio::test]
async fn queued_message_to_a_forgotten_recipient_is_not_sent() {
    let service = Service::start().await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "down"})).await;
    }
    assert_status(&service.send(&phone(1)).await, 201);
    service.settle().await;
    service.forget(&phone(1)).await;
    for name in ["sim-a", "sim-b"] {
        service.set_carrier(name, json!({"mode": "ok"})).await;
    }
    service.advance(600).await;
    assert_eq!(service.messages(&phone(1)).await.len(), 0);
}

#[tokio::test]
async fn forget_deletes_superseded_verifications() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut ids = vec![];
    for _ in 0..3 {
        ids.push(service.open(&phone(1)).await.0);
    }
    service.forget(&phone(1)).await;
    for id in ids {
        assert_status(&service.show(&id).await, 404);
    }
}

#[tokio::test]
async fn forget_deletes_idempotency_keys() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let first = service.send_with_key(json!({"to": phone(1)}), "k").await;
    service.settle().await;
    service.forget(&phone(1)).await;
    let second = service
        .send_with_key(json!({"to": phone(1), "purpose": "other"}), "k")
        .await;
    assert_status(&second, 201);
    assert!(!second.is_replayed(), "{second:?}");
    assert_ne!(first.id(), second.id());
}

#[tokio::test]
async fn forget_deletes_keys_that_are_remembered_apart() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let body = json!({"to": phone(1)});
    let mut ids = vec![];
    for n in 0..9 {
        ids.push(
            service
                .send_with_key(body.clone(), &format!("{n}"))
                .await
                .id(),
        );
    }
    service.settle().await;
    service.forget(&phone(1)).await;
    let again = service.send_with_key(body, "0").await;
    assert_status(&again, 201);
    assert!(
        !again.is_replayed() && !ids.contains(&again.id()),
        "{again:?}"
    );
}

#[tokio::test]
async fn unlock_does_not_reopen_an_ended_verification() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    service.fail_checks(&id, &code, 5).await;
    assert_status(&service.unlock(&phone(1)).await, 200);
    assert_check(
        &service.check(&id, &code).await,
        "exhausted",
        "exhausted",
        0,
    );
    assert_eq!(service.show(&id).await.body["status"], "exhausted");
}

#[tokio::test]
async fn unlock_keeps_the_attempts_of_a_pending_verification() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    service.fail_checks(&id, &code, 3).await;
    service.unlock(&phone(1)).await;
    assert_eq!(service.show(&id).await.body["attempts_left"], 2);
    assert!(service.check(&id, &code).await.is_valid());
}

#[tokio::test]
async fn all_require_method_api_key_and_content_type() {
    let service = Service::start().await;
    let bearer = format!("Bearer {DEFAULT_KEY}");
    for path in PATHS {
        let put = service.raw("PUT", path, &[], "").await;
        assert_eq!(
            (put.problem(), put.header("allow")),
            ((405, "method_not_allowed"), Some("POST"))
        );
        assert_problem(
            &service.raw("POST", path, &[], "{}").await,
            401,
            "unauthorized",
        );
        assert_problem(
            &service
                .raw("POST", path, &[("authorization", &bearer)], "{}")
                .await,
            415,
            "unsupported_media_type",
        );
    }
}

#[tokio::test]
async fn lookup_shows_verifications_failures_and_next_send() {
    let service = Service::start().await;
    let unknown = service.lookup(&phone(1)).await;
    let nothing = json!({
        "to": phone(1), "verifications": [], "failures_24h": 0, "next_send_at": null
    });
    assert_eq!((unknown.status, unknown.body), (200, nothing));
    let (first, code) = service.open(&phone(1)).await;
    service.fail_checks(&first, &code, 2).await;
    service.advance(30).await;
    let (second, _) = service.open(&phone(1)).await;
    let found = service.lookup(&phone(1)).await;
    let created = unix_seconds(&found.body["verifications"][0]["created_at"]);
    assert_eq!(found.body["failures_24h"], 2);
    assert_eq!(unix_seconds(&found.body["next_send_at"]), created + 60);
    for (index, id) in [second, first].iter().enumerate() {
        let shown = service.show(id).await.body;
        assert_eq!(found.body["verifications"][index], shown);
    }
    assert_eq!(
        found.body["verifications"].as_array().map(Vec::len),
        Some(2)
    );
    service.advance(60).await;
    let later = service.lookup(&phone(1)).await;
    assert_eq!(later.body["next_send_at"], json!(null));
}

#[tokio::test]
async fn lookup_changes_nothing_and_finds_no_other_app() {
    let service = Service::start().await;
    service.open(&phone(1)).await;
    let table = service.raw("GET", "/local/state", &[], "").await.body["table"].clone();
    service.lookup(&phone(1)).await;
    service.lookup(&phone(2)).await;
    let after = service.raw("GET", "/local/state", &[], "").await.body["table"].clone();
    assert_eq!(table, after);
    let body = Some(json!({"to": phone(1)}));
    let path = "/v1/recipients/lookup";
    let foreign = service.call_as(SHOP_KEY, "POST", path, body, &[]).await;
    assert_eq!(foreign.body["verifications"], json!([]));
}
