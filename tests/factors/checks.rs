//! Checks of authenticator apps: which codes are accepted, what a wrong one costs, repetitions.

use serde_json::json;

use crate::support::{
    Authenticator, DEFAULT_KEY, Service, assert_fields, assert_problem, assert_status, phone,
    unix_seconds, wrong_code_of,
};

/// A confirmed app whose accepted step is long past.
async fn app_of(service: &Service, subject: &str) -> Authenticator {
    let app = service.active_totp(subject).await;
    service.advance(300).await;
    app
}

#[tokio::test]
async fn first_accepted_code_confirms_the_factor() {
    let service = Service::start().await;
    let app = service.unconfirmed_totp("ann").await;
    service.fail_factor_checks(&app, 1).await;
    let now = service.now().await;
    let checked = service.check_factor(&app, &app.code_at(now)).await;
    let expected = json!({"id": app.id, "type": "totp", "status": "active", "valid": true,
        "reason": null, "attempts_left": 19});
    assert_eq!((checked.status, &checked.body), (200, &expected));
    let shown = service.call("GET", &app.path, None).await.body;
    assert_fields(&shown, json!({"status": "active", "expires_at": null}));
    for name in ["confirmed_at", "last_used_at"] {
        assert!(unix_seconds(&shown[name]) >= now, "{name}");
    }
    service.advance(700).await;
    assert_status(&service.call("GET", &app.path, None).await, 200);
    let subject = service.show_subject("ann").await;
    assert!(unix_seconds(&subject["last_strong_at"]) >= now);
}

#[tokio::test]
async fn codes_of_the_window_are_accepted_in_order() {
    let service = Service::start().await;
    let app = app_of(&service, "ann").await;
    let step = service.advance_to_next(30).await / 30;
    for (steps, reason) in [
        (-2, json!("wrong_code")),
        (2, json!("wrong_code")),
        (-1, json!(null)),
        (-1, json!("replayed")),
        (1, json!(null)),
        (0, json!("replayed")),
        (1, json!("replayed")),
    ] {
        let checked = service.check_factor(&app, &app.code(step + steps)).await;
        assert_eq!(checked.body["reason"], reason, "{steps}");
        assert_eq!(checked.body["valid"], reason.is_null());
        assert_eq!(
            checked.body["attempts_left"].as_i64().expect("a number") >= 18,
            true
        );
    }
    assert_eq!(service.show_subject("ann").await["attempts_left"], 18);
}

#[tokio::test]
async fn window_of_a_factor_is_fixed_at_its_enrolment() {
    let service = Service::start().await;
    let body = json!({"type": "totp", "account": "a", "skew": 0, "period": 60, "digits": 8,
        "algorithm": "sha512"});
    let app = service.enrolled("ann", body).await;
    let step = service.advance_to_next(60).await / 60;
    for near in [step - 1, step + 1] {
        let checked = service.check_factor(&app, &app.code(near)).await;
        assert_eq!(checked.body["reason"], "wrong_code");
    }
    assert!(service.check_factor(&app, &app.code(step)).await.is_valid());
}

#[tokio::test]
async fn impossible_code_costs_nothing() {
    let service = Service::start().await;
    let app = app_of(&service, "ann").await;
    for code in ["", "123", "12345678901", "12345a", "123.456"] {
        let checked = service.check_factor(&app, code).await;
        assert_problem(&checked, 422, "invalid_code");
    }
    let unknown = json!({"code": "123456", "purpose": "x"});
    let unknown = service.check_at(&app.path, unknown).await;
    assert_eq!(unknown.error_fields(), ["purpose"]);
    let pair = json!({"code": "123456", "next_code": "123456"});
    let pair = service.check_at(&app.path, pair).await;
    assert_problem(&pair, 422, "invalid_request");
    assert_eq!(service.show_subject("ann").await["attempts_left"], 20);
    let longer = service.check_factor(&app, "12345678").await;
    assert_fields(
        &longer.body,
        json!({"reason": "wrong_code", "attempts_left": 19}),
    );
    let code = app.code_at(service.now().await);
    let spaced = format!(" {}-{} ", &code[..3], &code[3..]);
    assert!(service.check_factor(&app, &spaced).await.is_valid());
}

#[tokio::test]
async fn used_up_budget_locks_even_the_right_code() {
    let service = Service::start().await;
    let app = app_of(&service, "ann").await;
    service.fail_factor_checks(&app, 19).await;
    service.advance(100).await;
    service.fail_factor_checks(&app, 1).await;
    let code = app.code_at(service.now().await);
    let locked = service.check_factor(&app, &code).await;
    assert_problem(&locked, 429, "rate_limited");
    assert_eq!(locked.body["limit"], "guess_budget");
    let wait: i64 = locked
        .header("retry-after")
        .expect("a time")
        .parse()
        .expect("seconds");
    assert!((86_400 - 105..=86_400 - 95).contains(&wait), "{wait}");
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["attempts_left"], 0);
    assert_eq!(shown["backup_attempts_left"], 20);
    let unlocks_in = unix_seconds(&shown["unlocks_at"]) - service.now().await;
    assert!((wait - 5..=wait).contains(&unlocks_in), "{unlocks_in}");
    service.advance(wait - 5).await;
    let code = app.code_at(service.now().await);
    assert_status(&service.check_factor(&app, &code).await, 429);
    service.advance(5).await;
    let code = app.code_at(service.now().await);
    assert!(service.check_factor(&app, &code).await.is_valid());
}

#[tokio::test]
async fn unlock_clears_counts_and_keeps_used_codes() {
    let service = Service::start_with(&[("OTP_FACTOR_GUESS_BUDGET", "3")]).await;
    let app = app_of(&service, "ann").await;
    let code = app.code_at(service.now().await);
    assert!(service.check_factor(&app, &code).await.is_valid());
    service.fail_factor_checks(&app, 3).await;
    assert_status(&service.check_factor(&app, &code).await, 429);
    let unlocked = service.subject("POST", "ann", "/unlock", None).await;
    assert_eq!(unlocked.body, json!({"subject": "ann"}));
    let again = service.check_factor(&app, &code).await;
    assert_fields(
        &again.body,
        json!({"reason": "replayed", "attempts_left": 3}),
    );
}

#[tokio::test]
async fn apps_and_tokens_share_one_budget() {
    let service = Service::start_with(&[("OTP_FACTOR_GUESS_BUDGET", "4")]).await;
    let (app, other) = (
        service.active_totp("ann").await,
        service.unconfirmed_totp("ann").await,
    );
    let token = json!({"type": "hotp", "account": "a"});
    let token = service.enrolled("ann", token).await;
    let (backup, codes) = service.backup_codes("ann").await;
    service.fail_factor_checks(&app, 2).await;
    service.fail_factor_checks(&other, 1).await;
    let wrong = wrong_code_of(&token);
    let last = service.check_factor(&token, &wrong).await;
    assert_eq!(last.body["attempts_left"], 0);
    assert_status(&service.check_factor(&token, &token.code(0)).await, 429);
    let recovered = service.check_at(&backup, json!({"code": codes[0]})).await;
    assert!(
        recovered.is_valid(),
        "backup codes have a budget of their own"
    );
    let stranger = service.active_totp("bob").await;
    service.fail_factor_checks(&stranger, 1).await;
}

#[tokio::test]
async fn nothing_but_unlock_restores_attempts() {
    let service = Service::start_with(&[("OTP_FACTOR_GUESS_BUDGET", "2")]).await;
    let app = service.active_totp("ann").await;
    service.fail_factor_checks(&app, 2).await;
    service.call("DELETE", &app.path, None).await;
    let locked = async |service: &Service| {
        let app = service.unconfirmed_totp("ann").await;
        let code = app.code_at(service.now().await);
        assert_status(&service.check_factor(&app, &code).await, 429);
    };
    locked(&service).await;
    let erased = service.subject("DELETE", "ann", "", None).await;
    assert_eq!(erased.body, json!({"subject": "ann"}));
    assert_eq!(service.show_subject("ann").await["factors"], json!([]));
    locked(&service).await;
    let unlocked = service.subject("POST", "ann", "/unlock", None).await;
    assert_status(&unlocked, 200);
    service.active_totp("ann").await;
}

#[tokio::test]
async fn removed_factor_is_not_found() {
    let service = Service::start().await;
    let app = app_of(&service, "ann").await;
    let removed = service.call("DELETE", &app.path, None).await;
    assert_eq!(removed.body["status"], "active");
    let code = app.code_at(service.now().await);
    assert_problem(&service.check_factor(&app, &code).await, 404, "not_found");
    assert_status(&service.call("DELETE", &app.path, None).await, 404);
}

#[tokio::test]
async fn repeated_check_returns_the_first_response() {
    let service = Service::start_with(&[("OTP_FACTOR_GUESS_BUDGET", "2")]).await;
    let app = app_of(&service, "ann").await;
    let code = app.code_at(service.now().await);
    let wrong = app.wrong_code_at(service.now().await);
    let check = async |code: &str, key: &str| {
        let body = json!({"code": code});
        service.check_at_with_key(&app.path, body, key).await
    };
    let first = check(&code, "a").await;
    let first_wrong = check(&wrong, "b").await;
    assert!(first.is_valid() && !first.is_replayed());
    // Any change of the record settles the log.
    service.backup_codes("ann").await;
    for (key, code, first) in [("a", &code, &first), ("b", &wrong, &first_wrong)] {
        let again = check(code, key).await;
        assert!(again.is_replayed());
        assert_eq!(again.body, first.body);
    }
    let spaced = format!("{} {}", &code[..2], &code[2..]);
    assert!(check(&spaced, "\"a\"").await.is_replayed(), "the same body");
    let other = check(&wrong, "a").await;
    assert_problem(&other, 422, "idempotency_mismatch");
    let (path, codes) = service.backup_codes("ann").await;
    let body = json!({"code": codes[0]});
    let of_other_factor = service.check_at_with_key(&path, body, "a").await;
    assert_problem(&of_other_factor, 422, "idempotency_mismatch");
    assert_eq!(service.show_subject("ann").await["attempts_left"], 1);
    service.fail_factor_checks(&app, 1).await;
    assert_status(&check(&code, "c").await, 429);
    assert!(check(&code, "a").await.is_replayed(), "also while locked");
    service.subject("POST", "ann", "/unlock", None).await;
    let not_remembered = check(&wrong, "c").await;
    assert!(!not_remembered.is_replayed() && not_remembered.status == 200);
    service.advance(86_400).await;
    assert!(!check(&wrong, "a").await.is_replayed(), "after a day");
}

#[tokio::test]
async fn factors_and_recipients_have_separate_budgets() {
    let service = Service::start_with(&[("OTP_FACTOR_GUESS_BUDGET", "1")]).await;
    let app = service.active_totp("ann").await;
    service.fail_factor_checks(&app, 1).await;
    let verified = service.verify_for("ann", &phone(1)).await;
    assert!(verified.is_valid());
}

#[tokio::test]
async fn checks_are_counted_without_their_subject() {
    let service = Service::start_with(&[("OTP_FACTOR_GUESS_BUDGET", "1")]).await;
    let app = service.active_totp("ann-of-metrics").await;
    service.fail_factor_checks(&app, 1).await;
    let code = app.code_at(service.now().await);
    assert_status(&service.check_factor(&app, &code).await, 429);
    let metrics = service
        .call_as(DEFAULT_KEY, "GET", "/local/metrics", None, &[])
        .await;
    let shown = metrics.body.to_string();
    for name in ["FactorChecks", "FactorApprovals", "FactorLockouts"] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
    assert!(!shown.contains("ann-of-metrics"), "{shown}");
}
