//! Checks: their outcomes in every state, and which of them cost an attempt.

use serde_json::json;

use crate::support::{
    NO_SEND_LIMITS, Service, another_code, assert_approved, assert_check, assert_fields,
    assert_status, phone, unix_seconds,
};

#[tokio::test]
async fn right_code_is_valid_once() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    let right = service.check(&id, &code).await;
    let expected = json!({"id": id, "valid": true, "status": "approved", "attempts_left": 4, "reason": null,
        "purpose": "default", "channel": "sms", "to": phone(1)});
    assert_eq!((right.status, &right.body), (200, &expected));
    for again in [code.clone(), another_code(&code)] {
        let response = service.check(&id, &again).await;
        assert_check(&response, "already_used", "approved", 4);
    }
    let shown = service.show(&id).await;
    assert_fields(
        &shown.body,
        json!({"status": "approved", "resend_at": null, "attempts_left": 4}),
    );
}

#[tokio::test]
async fn wrong_code_costs_an_attempt_until_none_is_left() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    let wrong = service.wrong_code(&phone(1)).await;
    for left in [4, 3, 2, 1] {
        assert_check(
            &service.check(&id, &wrong).await,
            "wrong_code",
            "pending",
            left,
        );
        assert_eq!(service.show(&id).await.body["attempts_left"], left);
    }
    assert_check(
        &service.check(&id, &wrong).await,
        "wrong_code",
        "exhausted",
        0,
    );
    for next in [&wrong, &code] {
        assert_check(&service.check(&id, next).await, "exhausted", "exhausted", 0);
    }
    let shown = service.show(&id).await;
    assert_fields(
        &shown.body,
        json!({"status": "exhausted", "resend_at": null}),
    );
}

#[tokio::test]
async fn right_code_is_valid_with_the_last_attempt() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    service.fail_checks(&id, &code, 4).await;
    assert_approved(&service.check(&id, &code).await, 0);
}

#[tokio::test]
async fn policy_sets_the_number_of_attempts() {
    for (attempts, value) in [(1, "1"), (10, "10")] {
        let service = Service::start_with(&[("OTP_MAX_ATTEMPTS", value)]).await;
        let (id, code) = service.open(&phone(1)).await;
        assert_eq!(service.show(&id).await.body["attempts_left"], attempts);
        let last = service.fail_checks(&id, &code, attempts).await;
        assert_check(&last.expect("a check"), "wrong_code", "exhausted", 0);
        assert_eq!(
            service.check(&id, &code).await.check_result().reason,
            "exhausted"
        );
    }
}

#[tokio::test]
async fn code_is_valid_until_the_second_before_expiry() {
    let service = Service::start().await;
    for (n, ttl) in [(1, 60), (2, 300)] {
        let (before, after) = (phone(n), phone(n + 10));
        let mut sent = vec![];
        for to in [&before, &after] {
            let response = service
                .send_body(json!({"to": to, "ttl_seconds": ttl}))
                .await;
            sent.push((
                response.id(),
                service.code(to).await,
                unix_seconds(&response.body["expires_at"]),
            ));
        }
        service.advance_to(sent[0].2 - 1).await;
        let last_moment = service.check(&sent[0].0, &sent[0].1).await;
        // Real time passes beside the clock: a response after that second proves nothing.
        if service.now().await < sent[0].2 {
            assert!(last_moment.is_valid(), "{last_moment:?}");
        }
        service.advance_to(sent[1].2).await;
        assert_check(
            &service.check(&sent[1].0, &sent[1].1).await,
            "expired",
            "expired",
            5,
        );
        let shown = service.show(&sent[1].0).await;
        assert_fields(&shown.body, json!({"status": "expired", "resend_at": null}));
    }
}

#[tokio::test]
async fn resend_does_not_extend_the_verification() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let sent = service
        .send_body(json!({"to": phone(1), "ttl_seconds": 60}))
        .await;
    service.advance(40).await;
    assert_status(&service.resend(&sent.id()).await, 200);
    let code = service.code(&phone(1)).await;
    service
        .advance_to(unix_seconds(&sent.body["expires_at"]))
        .await;
    assert_eq!(
        service.check(&sent.id(), &code).await.check_result().reason,
        "expired"
    );
}

#[tokio::test]
async fn ended_verification_keeps_its_attempts_left() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let mut sent = vec![];
    for n in 1..=3 {
        let (id, code) = service.open(&phone(n)).await;
        service.fail_checks(&id, &code, 2).await;
        sent.push((id, code));
    }
    service.cancel(&sent[0].0).await;
    service.send(&phone(2)).await;
    service.advance(300).await;
    for ((id, code), reason) in sent.iter().zip(["canceled", "superseded", "expired"]) {
        for code in [code.clone(), another_code(code)] {
            assert_check(&service.check(id, &code).await, reason, reason, 3);
        }
        let shown = service.show(id).await;
        assert_fields(&shown.body, json!({"status": reason, "attempts_left": 3}));
    }
}

#[tokio::test]
async fn malformed_request_costs_no_attempt() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    for body in [
        json!({}),
        json!({"code": null}),
        json!({"code": 123456}),
        json!({"code": [code]}),
        json!({"code": {"value": code}}),
        json!({"code": true}),
        json!({"code": code, "purpose": 1}),
        json!({"code": code, "purpose": ["default"]}),
        json!({"code": code, "purpose": "De fault"}),
        json!({"code": code, "transaction": "none"}),
        json!({"code": code, "transaction": {}}),
        json!({"code": code, "transaction": {"amount": "", "currency": "EUR", "payee": "P"}}),
        json!({"code": code, "codes": [code]}),
    ] {
        let response = service.check_body(&id, body.clone()).await;
        assert!(
            matches!(
                response.problem(),
                (422, "invalid_request") | (400, "malformed_request")
            ),
            "{body}: {response:?}"
        );
    }
    assert_approved(&service.check(&id, &code).await, 4);
}
