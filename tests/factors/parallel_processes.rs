//! Parallel checks on real processes whose subject has a full log: one of them settles it, and the
//! counts are exact. On a busy machine a slow table may leave a check with a 503: it may have been
//! compared, and nothing else changes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Authenticator, ProxiedService, Service, TestResponse, assert_status, at_once, stored_logs,
};

/// The default of `OTP_FACTOR_GUESS_BUDGET`, which is the size of a full log.
const BUDGET: usize = 20;
const CHECKS: usize = 200;

/// A service with ten processes of each function.
async fn start() -> ProxiedService {
    let started = ProxiedService::start_processes(&[], &[], 10).await;
    started.0
}

/// A subject whose log has no room: a confirmation, `wrong` codes, and replayed ones.
async fn with_full_log(service: &Service, wrong: usize) -> Authenticator {
    let app = service.unconfirmed_totp("ann").await;
    service.fail_factor_checks(&app, wrong).await;
    let code = app.code_at(service.now().await);
    for _ in wrong..BUDGET {
        assert_status(&service.check_factor(&app, &code).await, 200);
    }
    assert_eq!(stored_logs(service).await, [BUDGET]);
    app
}

async fn checks(service: &Service, path: &str, codes: Vec<String>) -> Vec<TestResponse> {
    at_once(CHECKS, |n| {
        let (service, path) = (service.clone(), path.to_owned());
        let code = codes[n % codes.len()].clone();
        async move { service.check_at(&path, json!({"code": code})).await }
    })
    .await
}

fn count(responses: &[TestResponse], reason: Option<&str>) -> usize {
    let reason = json!(reason);
    let responses = responses.iter().filter(|response| response.status == 200);
    responses.filter(|r| r.body["reason"] == reason).count()
}

/// Asserts that `count` responses are what is expected of them all, but for those that are a 503.
#[track_caller]
fn assert_count(responses: &[TestResponse], count: usize, expected: usize) {
    let unavailable = responses.iter().filter(|r| r.status == 503).count();
    let least = expected.saturating_sub(unavailable);
    assert!((least..=expected).contains(&count), "{count} of {expected}");
}

/// Whether one of the checks has settled the log, which a write of the whole item does.
fn has_settled(proxied: &ProxiedService) -> bool {
    let calls = proxied.table.take_calls();
    let mut settled = calls.iter().filter(|call| call.operation == "PutItem");
    settled.any(|call| !call.condition_failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_wrong_codes_on_a_full_log_are_exact() {
    const WRONG: usize = 5;
    let proxied = start().await;
    let service = &proxied.service;
    let app = with_full_log(service, WRONG).await;
    proxied.forget_calls();
    let wrong = app.wrong_code_at(service.now().await);
    let responses = checks(service, &app.path, vec![wrong]).await;
    assert!(has_settled(&proxied));
    let left: Vec<_> = responses
        .iter()
        .filter(|response| response.status == 200)
        .map(|response| response.body["attempts_left"].as_u64())
        .collect();
    assert_count(&responses, left.len(), BUDGET - WRONG);
    let distinct: BTreeSet<_> = left.iter().copied().collect();
    assert_eq!(distinct.len(), left.len(), "each gets another number");
    assert!(distinct.last() < Some(&Some(15)), "{distinct:?}");
    let locked = responses
        .iter()
        .filter(|r| r.body["limit"] == "guess_budget");
    let locked = locked.count();
    assert_count(&responses, locked, CHECKS - (BUDGET - WRONG));
    // A check with a 503 was compared if others were locked out.
    assert!(locked > 0);
    assert_eq!(service.show_subject("ann").await["attempts_left"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_right_codes_on_a_full_log_are_exact() {
    let proxied = start().await;
    let service = &proxied.service;
    let app = with_full_log(service, 0).await;
    service.advance(60).await;
    proxied.forget_calls();
    let code = app.code_at(service.now().await);
    let responses = checks(service, &app.path, vec![code]).await;
    assert!(has_settled(&proxied));
    assert_count(&responses, count(&responses, None), 1);
    let replayed = count(&responses, Some("replayed"));
    assert_count(&responses, replayed, CHECKS - 1);
    assert_eq!(service.show_subject("ann").await["attempts_left"], BUDGET);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_backup_codes_on_a_full_log_are_exact() {
    let proxied = start().await;
    let service = &proxied.service;
    let (path, codes) = service.backup_codes("ann").await;
    for _ in 0..BUDGET {
        let checked = service.check_at(&path, json!({"code": codes[0]})).await;
        assert_status(&checked, 200);
    }
    assert_eq!(stored_logs(service).await, [BUDGET]);
    proxied.forget_calls();
    let responses = checks(service, &path, codes.clone()).await;
    assert!(has_settled(&proxied));
    let accepted = responses.iter().filter(|response| response.is_valid());
    let left: BTreeSet<_> = accepted.map(|r| r.body["codes_left"].as_u64()).collect();
    let accepted = count(&responses, None);
    assert_count(&responses, accepted, codes.len() - 1);
    assert_eq!(left.len(), accepted, "each gets another number");
    assert!(left.last() < Some(&Some(9)), "{left:?}");
    let replayed = count(&responses, Some("replayed"));
    assert_count(&responses, replayed, CHECKS - 9);
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["backup_attempts_left"], Value::from(BUDGET));
}
