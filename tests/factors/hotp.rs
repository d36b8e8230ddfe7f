//! Tokens with a counter: look-ahead, replays and resynchronization.

use serde_json::json;

use crate::support::{Service, assert_fields, assert_problem, wrong_code_of};

#[tokio::test]
async fn counters_within_the_look_ahead_are_accepted() {
    let service = Service::start().await;
    let token = json!({"type": "hotp", "account": "a", "counter": 5, "digits": 8});
    let token = service.enrolled("ann", token).await;
    for (counter, reason, next) in [
        (4, json!("replayed"), 5),
        (15, json!("wrong_code"), 5),
        (14, json!(null), 15),
        (14, json!("replayed"), 15),
        (5, json!("replayed"), 15),
        (4, json!("wrong_code"), 15),
        (15, json!(null), 16),
    ] {
        let checked = service.check_factor(&token, &token.code(counter)).await;
        assert_eq!(checked.body["reason"], reason, "{counter}");
        let shown = service.call("GET", &token.path, None).await;
        assert_eq!(shown.body["counter"], next, "{counter}");
    }
    assert_eq!(service.show_subject("ann").await["attempts_left"], 18);
}

#[tokio::test]
async fn two_codes_in_a_row_resynchronize_a_token() {
    let service = Service::start().await;
    let token = json!({"type": "hotp", "account": "a"});
    let token = service.enrolled("ann", token).await;
    let pair = async |code: String, next: String| {
        let body = json!({"code": code, "next_code": next});
        service.check_at(&token.path, body).await
    };
    let too_far = pair(token.code(100), token.code(101)).await;
    assert_eq!(too_far.body["reason"], "wrong_code");
    let in_reverse = pair(token.code(51), token.code(50)).await;
    assert_eq!(in_reverse.body["reason"], "wrong_code");
    let not_in_a_row = pair(token.code(50), token.code(52)).await;
    assert_fields(
        &not_in_a_row.body,
        json!({"reason": "wrong_code", "attempts_left": 17}),
    );
    let last = pair(token.code(99), token.code(100)).await;
    assert_fields(
        &last.body,
        json!({"valid": true, "status": "active", "attempts_left": 17}),
    );
    let shown = service.call("GET", &token.path, None).await;
    assert_eq!(shown.body["counter"], 101);
    let malformed = pair(token.code(101), "12".into()).await;
    assert_problem(&malformed, 422, "invalid_code");
    assert_eq!(malformed.error_fields(), ["next_code"]);
}

#[tokio::test]
async fn repeated_resynchronization_binds_both_codes() {
    let service = Service::start().await;
    let token = json!({"type": "hotp", "account": "a"});
    let token = service.enrolled("ann", token).await;
    let body = json!({"code": token.code(20), "next_code": token.code(21)});
    let first = service
        .check_at_with_key(&token.path, body.clone(), "k")
        .await;
    assert!(first.is_valid());
    let again = service.check_at_with_key(&token.path, body, "k").await;
    assert!(again.is_replayed());
    let without_next = json!({"code": token.code(20)});
    let other = service
        .check_at_with_key(&token.path, without_next, "k")
        .await;
    assert_problem(&other, 422, "idempotency_mismatch");
}

#[tokio::test]
async fn wrong_code_leaves_the_counter() {
    let service = Service::start().await;
    let token = json!({"type": "hotp", "account": "a", "digits": 6});
    let token = service.enrolled("ann", token).await;
    let checked = service.check_factor(&token, &wrong_code_of(&token)).await;
    assert_fields(
        &checked.body,
        json!({"type": "hotp", "status": "unconfirmed", "reason": "wrong_code", "attempts_left": 19}),
    );
    assert!(
        service
            .check_factor(&token, &token.code(0))
            .await
            .is_valid()
    );
}
