//! Backup codes: each is accepted once.

use serde_json::json;

use crate::support::{Service, assert_fields, assert_problem, assert_status};

#[tokio::test]
async fn backup_code_is_accepted_once() {
    let service = Service::start().await;
    let (path, codes) = service.backup_codes("ann").await;
    let first = service.check_at(&path, json!({"code": codes[3]})).await;
    assert_fields(
        &first.body,
        json!({"type": "backup_codes", "valid": true, "codes_left": 9, "attempts_left": 20}),
    );
    let typed = codes[3].to_lowercase().replace('-', " ");
    let again = service.check_at(&path, json!({"code": typed})).await;
    assert_fields(
        &again.body,
        json!({"valid": false, "reason": "replayed", "codes_left": 9, "attempts_left": 20}),
    );
    for (index, code) in codes.iter().enumerate().filter(|(index, _)| *index != 3) {
        let checked = service.check_at(&path, json!({"code": code})).await;
        assert!(checked.is_valid(), "{index}");
    }
    let shown = service.call("GET", &path, None).await;
    assert_fields(&shown.body, json!({"codes_left": 0, "status": "active"}));
    let subject = service.show_subject("ann").await;
    assert_eq!(
        subject["last_strong_at"],
        json!(null),
        "apps and tokens only"
    );
}

#[tokio::test]
async fn wrong_backup_codes_use_their_own_budget() {
    let service = Service::start_with(&[("OTP_FACTOR_GUESS_BUDGET", "2")]).await;
    let app = service.active_totp("ann").await;
    let (path, codes) = service.backup_codes("ann").await;
    for code in ["1234567890", "ABCDE-22222", "222", "2222222222A"] {
        let impossible = service.check_at(&path, json!({"code": code})).await;
        assert_problem(&impossible, 422, "invalid_code");
    }
    for (code, left) in [("2222", 1), ("22222-22222", 0)] {
        let wrong = service.check_at(&path, json!({"code": code})).await;
        assert_fields(
            &wrong.body,
            json!({"reason": "wrong_code", "attempts_left": left}),
        );
    }
    let locked = service.check_at(&path, json!({"code": codes[0]})).await;
    assert_problem(&locked, 429, "rate_limited");
    assert_eq!(locked.body["limit"], "guess_budget");
    let shown = service.show_subject("ann").await;
    assert_fields(
        &shown,
        json!({"attempts_left": 2, "backup_attempts_left": 0, "unlocks_at": null}),
    );
    service.fail_factor_checks(&app, 1).await;
    service.subject("POST", "ann", "/unlock", None).await;
    let recovered = service.check_at(&path, json!({"code": codes[0]})).await;
    assert_status(&recovered, 200);
    assert!(recovered.is_valid());
}
