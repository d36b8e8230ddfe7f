//! Purpose and transaction: a check must present those of the send. A wrong one is a wrong code.

use serde_json::{Value, json};

use super::transaction;
use crate::support::{CheckResult, Service, another_code, assert_check, phone, with};

#[tokio::test]
async fn another_purpose_or_transaction_is_a_wrong_code() {
    let service = Service::start_with(&[("OTP_MAX_ATTEMPTS", "10")]).await;
    let sent = service
        .send_body(json!({"to": phone(1), "purpose": "payment", "transaction": transaction()}))
        .await;
    let (id, code) = (sent.id(), service.code(&phone(1)).await);
    let whole = json!({"code": code, "purpose": "payment", "transaction": transaction()});
    let other = |more: Value| with(whole.clone(), &more);
    let bodies = [
        other(json!({"purpose": "login"})),
        other(json!({"purpose": null})),
        other(json!({"purpose": "default"})),
        other(json!({"transaction": null})),
        other(json!({"transaction": with(transaction(), &json!({"amount": "49.9"}))})),
        other(json!({"transaction": with(transaction(), &json!({"currency": "eur"}))})),
        other(json!({"transaction": with(transaction(), &json!({"payee": "Example Books "}))})),
    ];
    let mut left = 10;
    for body in bodies {
        left -= 1;
        let response = service.check_body(&id, body.clone()).await;
        assert_eq!(
            response.check_result(),
            CheckResult::failed("wrong_code", "pending", left),
            "{body}"
        );
    }
    let right = service.check_body(&id, whole).await;
    assert_eq!(
        (right.is_valid(), &right.body["purpose"]),
        (true, &json!("payment"))
    );
}

#[tokio::test]
async fn response_does_not_reveal_which_field_was_wrong() {
    let service = Service::start().await;
    let mut responses = vec![];
    for n in 1..=4 {
        let sent = service
            .send_body(json!({"to": phone(n), "purpose": "payment", "transaction": transaction()}))
            .await;
        let code = service.code(&phone(n)).await;
        let wrong = another_code(&code);
        let body = match n {
            1 => json!({"code": wrong, "purpose": "login", "transaction": transaction()}),
            2 => json!({"code": code, "purpose": "login", "transaction": transaction()}),
            3 => json!({"code": wrong, "purpose": "login"}),
            _ => json!({"code": code, "purpose": "login"}),
        };
        let response = service.check_body(&sent.id(), body).await;
        assert!(
            !String::from_utf8_lossy(&response.raw).contains("payment"),
            "{response:?}"
        );
        responses.push((
            response.status,
            with(response.body, &json!({"id": "", "to": ""})),
        ));
    }
    assert!(
        responses.iter().all(|response| *response == responses[0]),
        "{responses:?}"
    );
}

#[tokio::test]
async fn unexpected_transaction_is_a_wrong_code() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    assert_check(
        &service
            .check_body(&id, json!({"code": code, "transaction": transaction()}))
            .await,
        "wrong_code",
        "pending",
        4,
    );
    assert!(
        service
            .check_body(
                &id,
                json!({"code": code, "purpose": null, "transaction": null})
            )
            .await
            .is_valid()
    );
}
