//! Proofs: checks that approve a decision, and those that do not count.

use serde_json::{Value, json};

use crate::support::{
    Authenticator, Decision, Service, TestResponse, assert_fields, assert_problem, assert_status,
    no_send_limits_and, phone,
};

const RULES: &str = r#"[
    {"name":"pay","when":{"action":["pay"]},"decision":"challenge","requires":[["totp","sms"],["backup_codes"]]},
    {"name":"rest","when":{"new_device":true},"decision":"challenge","requires":[["totp"],["hotp"],["sms"]]},
    {"name":"known","decision":"allow"}]"#;

async fn start() -> Service {
    Service::start_with(&no_send_limits_and(&[("OTP_RULES", RULES)])).await
}

/// A check of the app's current code that names `decision`.
async fn prove(service: &Service, app: &Authenticator, decision: &Decision) -> TestResponse {
    let code = app.code_at(service.now().await);
    let body = json!({"code": code, "decision": decision.id});
    service.check_at(&app.path, body).await
}

/// A verification of `to` whose check names `decision`.
async fn prove_by_sms(service: &Service, to: &str, decision: &Decision) -> TestResponse {
    let (id, code) = service.open_for("ann", to).await;
    let body = json!({"code": code, "subject": "ann", "decision": decision.id});
    service.check_body(&id, body).await
}

async fn shown(service: &Service, decision: &Decision) -> Value {
    service.call("GET", &decision.path, None).await.body
}

/// A service, and an app and a number that "ann" has proven.
async fn with_proofs() -> (Service, Authenticator) {
    let service = start().await;
    let app = service.active_totp("ann").await;
    assert!(service.verify_for("ann", &phone(1)).await.is_valid());
    service.advance(300).await;
    (service, app)
}

#[tokio::test]
async fn all_proofs_of_one_list_approve_a_decision() {
    let (service, app) = with_proofs().await;
    let decision = service.challenge("ann", "pay").await;
    let first = prove(&service, &app, &decision).await;
    assert!(first.is_valid());
    let expected = json!({"id": decision.id, "status": "pending",
        "missing": [["sms"], ["backup_codes"]]});
    assert_eq!(first.body["decision"], expected);
    let second = prove_by_sms(&service, &phone(1), &decision).await;
    assert!(second.is_valid());
    let expected = json!({"id": decision.id, "status": "approved",
        "missing": [[], ["backup_codes"]]});
    assert_eq!(second.body["decision"], expected);
    let approved = shown(&service, &decision).await;
    assert_fields(
        &approved,
        json!({"status": "approved", "approved_by": ["totp", "sms"]}),
    );
    assert!(approved["approved_at"].is_string());
    service.advance(600).await;
    let expired = shown(&service, &decision).await;
    assert_fields(
        &expired,
        json!({"status": "expired", "approved_at": approved["approved_at"]}),
    );
}

#[tokio::test]
async fn invalid_check_approves_nothing() {
    let (service, app) = with_proofs().await;
    let decision = service.challenge("ann", "login").await;
    let wrong = app.wrong_code_at(service.now().await);
    let body = json!({"code": wrong, "decision": decision.id});
    let wrong = service.check_at(&app.path, body).await;
    assert_fields(&wrong.body, json!({"valid": false, "reason": "wrong_code"}));
    assert_eq!(wrong.body["decision"]["status"], "pending");
    assert_eq!(shown(&service, &decision).await["approved_by"], json!([]));
}

#[tokio::test]
async fn factor_enrolled_after_the_decision_does_not_count() {
    let (service, app) = with_proofs().await;
    let decision = service.challenge("ann", "login").await;
    let thief = service.unconfirmed_totp("ann").await;
    let checked = prove(&service, &thief, &decision).await;
    assert!(
        checked.is_valid(),
        "the check does not depend on the decision"
    );
    assert_eq!(checked.body["decision"]["status"], "pending");
    let checked = prove_by_sms(&service, &phone(2), &decision).await;
    assert!(checked.is_valid());
    assert_eq!(checked.body["decision"]["status"], "pending");
    let checked = prove(&service, &app, &decision).await;
    assert_eq!(checked.body["decision"]["status"], "approved");
}

#[tokio::test]
async fn subject_without_proof_may_use_any() {
    let service = start().await;
    let decision = service.challenge("ann", "login").await;
    let app = service.unconfirmed_totp("ann").await;
    let checked = prove(&service, &app, &decision).await;
    assert_eq!(checked.body["decision"]["status"], "approved");
}

#[tokio::test]
async fn ended_decision_costs_no_attempt() {
    let (service, app) = with_proofs().await;
    let decision = service.challenge("ann", "login").await;
    service.call("DELETE", &decision.path, None).await;
    let code = app.code_at(service.now().await);
    for code in [code.as_str(), "000000"] {
        let body = json!({"code": code, "decision": decision.id});
        let denied = service.check_at(&app.path, body).await;
        assert_problem(&denied, 409, "decision_not_pending");
    }
    let foreign = service.challenge("bob", "login").await;
    for id in [foreign.id.as_str(), "de_x", ""] {
        let body = json!({"code": "000000", "decision": id});
        let response = service.check_at(&app.path, body).await;
        assert_problem(&response, 404, "not_found");
    }
    let expired = service.challenge("ann", "login").await;
    service.advance(600).await;
    let checked = prove(&service, &app, &expired).await;
    assert_problem(&checked, 409, "decision_not_pending");
    assert_eq!(service.show_subject("ann").await["attempts_left"], 20);
}

#[tokio::test]
async fn approved_decision_does_not_change() {
    let (service, app) = with_proofs().await;
    let decision = service.challenge("ann", "login").await;
    prove(&service, &app, &decision).await;
    let before = shown(&service, &decision).await;
    assert_eq!(before["status"], "approved");
    service.advance(60).await;
    let again = prove(&service, &app, &decision).await;
    assert_eq!(again.body["decision"]["status"], "approved");
    assert_eq!(shown(&service, &decision).await, before);
}

#[tokio::test]
async fn decision_of_a_verification_needs_its_subject() {
    let (service, _) = with_proofs().await;
    let decision = service.challenge("ann", "login").await;
    let (id, code) = service.open(&phone(3)).await;
    let body = json!({"code": code, "decision": decision.id});
    let without = service.check_body(&id, body).await;
    assert_problem(&without, 422, "invalid_request");
    assert_eq!(without.error_fields(), ["decision"]);
    let (id, code) = service.open_for("ann", &phone(1)).await;
    let body = json!({"code": code, "subject": "ann", "decision": "de_x"});
    assert_problem(&service.check_body(&id, body).await, 404, "not_found");
    service.advance(600).await;
    let (id, code) = service.open_for("ann", &phone(1)).await;
    let body = json!({"code": code, "subject": "ann", "decision": decision.id});
    let late = service.check_body(&id, body).await;
    assert_problem(&late, 409, "decision_not_pending");
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
}

#[tokio::test]
async fn denied_decision_is_shown_by_a_verification() {
    let (service, _) = with_proofs().await;
    let decision = service.challenge("ann", "login").await;
    service.call("DELETE", &decision.path, None).await;
    let checked = prove_by_sms(&service, &phone(1), &decision).await;
    assert!(checked.is_valid());
    assert_eq!(checked.body["decision"]["status"], "denied");
}

#[tokio::test]
async fn repeated_proof_counts_once() {
    let (service, app) = with_proofs().await;
    let decision = service.challenge("ann", "pay").await;
    let code = app.code_at(service.now().await);
    let body = json!({"code": code, "decision": decision.id});
    let first = service
        .check_at_with_key(&app.path, body.clone(), "k")
        .await;
    let again = service.check_at_with_key(&app.path, body, "k").await;
    assert!(again.is_replayed());
    assert_eq!(again.body, first.body);
    let without = json!({"code": code});
    let other = service.check_at_with_key(&app.path, without, "k").await;
    assert_problem(&other, 422, "idempotency_mismatch");
    assert_eq!(
        shown(&service, &decision).await["approved_by"],
        json!(["totp"])
    );
}

#[tokio::test]
async fn places_of_an_approved_challenge_become_known() {
    let (service, app) = with_proofs().await;
    let context = json!({"country": "FR", "device_id": "d-1", "ip": "203.0.113.7"});
    let body = json!({"action": "login", "context": context});
    let decided = service.decide("ann", body.clone()).await;
    assert_eq!(decided.body["rule"], "rest");
    let places = async || service.show_subject("ann").await["places"].clone();
    assert_eq!(
        places().await,
        json!({"countries": 0, "devices": 0, "networks": 0})
    );
    let decision = Decision {
        path: format!("/v1/subjects/ann/decisions/{}", decided.id()),
        id: decided.id(),
    };
    assert!(prove(&service, &app, &decision).await.is_valid());
    assert_eq!(
        places().await,
        json!({"countries": 1, "devices": 1, "networks": 1})
    );
    let known = service.decide("ann", body.clone()).await;
    assert_fields(&known.body, json!({"rule": "known", "decision": "allow"}));
    service.advance(180 * 86_400).await;
    let forgotten = service.decide("ann", body).await;
    assert_eq!(forgotten.body["rule"], "rest");
    assert_status(&forgotten, 201);
}
