//! Checks during faults of the table. An attempt that was not stored was not compared; a stored one
//! counts once.

use serde_json::json;

use super::{attempts_left, unavailable};
use crate::support::{Fault, ProxiedService, THROTTLED, TO, assert_fields};

#[tokio::test]
async fn throttled_check_reveals_nothing_and_costs_nothing() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let (service, right) = (&proxied.service, proxied.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    proxied.table.break_all(THROTTLED);
    let responses = [
        unavailable(&service.check(&id, &right).await),
        unavailable(&service.check(&id, &wrong).await),
    ];
    assert_eq!(responses[0], responses[1]);
    assert!(
        responses[0]
            .1
            .as_deref()
            .and_then(|seconds| seconds.parse::<u32>().ok())
            .is_some_and(|seconds| seconds > 0),
        "Retry-After"
    );
    proxied.clear_faults();
    assert_eq!(
        attempts_left(service, &id).await,
        5,
        "no attempt was counted"
    );
    assert_eq!(service.check(&id, &right).await.body["valid"], true);
}

#[tokio::test]
async fn check_with_a_lost_write_response_counts_once() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let (service, right) = (&proxied.service, proxied.service.code(TO).await);
    proxied.table.break_next("UpdateItem", Fault::DropResponse);
    let wrong = service.check(&id, &service.wrong_code(TO).await).await;
    assert_fields(
        &wrong.body,
        json!({"reason": "wrong_code", "attempts_left": 4}),
    );
    assert_eq!(attempts_left(service, &id).await, 4);
    proxied.table.break_next("UpdateItem", Fault::DropResponse);
    let valid = service.check(&id, &right).await;
    assert_eq!(
        (&valid.body["valid"], valid.header("idempotent-replayed")),
        (&json!(true), None),
        "{valid:?}"
    );
    assert_eq!(
        service.check(&id, &right).await.body["reason"],
        "already_used"
    );
}

#[tokio::test]
async fn lost_check_outcome_is_replayed_by_its_key() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let (service, right) = (&proxied.service, proxied.service.code(TO).await);
    let wrong = service.wrong_code(TO).await;
    for (code, key, expected_left) in [(&wrong, "first", 4), (&right, "second", 3)] {
        proxied.table.break_all(Fault::ReplaceResponse);
        unavailable(
            &service
                .check_with_key(&id, json!({"code": code}), key)
                .await,
        );
        proxied.clear_faults();
        let again = service
            .check_with_key(&id, json!({"code": code}), key)
            .await;
        assert_eq!(
            again.body["attempts_left"], expected_left,
            "counted once: {again:?}"
        );
        assert_eq!(again.body["valid"], *code == right);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(
        service.check(&id, &right).await.body["reason"],
        "already_used"
    );
}

#[tokio::test]
async fn wrong_check_without_a_response_costs_one_attempt() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let wrong = proxied.service.wrong_code(TO).await;
    proxied.table.break_all(Fault::DropResponse);
    unavailable(&proxied.service.check(&id, &wrong).await);
    proxied.clear_faults();
    assert_eq!(
        attempts_left(&proxied.service, &id).await,
        4,
        "counted once"
    );
}

#[tokio::test]
async fn check_that_never_reached_the_table_costs_nothing() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let wrong = proxied.service.wrong_code(TO).await;
    proxied.table.break_all(Fault::DropRequest);
    unavailable(&proxied.service.check(&id, &wrong).await);
    proxied.clear_faults();
    assert_eq!(attempts_left(&proxied.service, &id).await, 5);
    proxied.table.break_next("UpdateItem", Fault::DropRequest);
    assert_eq!(
        proxied.service.check(&id, &wrong).await.body["attempts_left"],
        4,
        "one lost call is retried"
    );
}
