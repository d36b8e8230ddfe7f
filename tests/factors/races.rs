//! Races and lost responses: with any checks in parallel, a code is accepted once and the counts
//! are exact.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{
    Authenticator, BROKEN, Fault, ProxiedService, Service, TestResponse, at_once,
};

async fn checks(service: &Service, path: &str, code: &str, count: usize) -> Vec<TestResponse> {
    at_once(count, |_| {
        let (service, path, code) = (service.clone(), path.to_owned(), code.to_owned());
        async move { service.check_at(&path, json!({"code": code})).await }
    })
    .await
}

fn count(responses: &[TestResponse], status: u16, reason: Option<&str>) -> usize {
    let has = |response: &&TestResponse| {
        let is_expected = response.status != 200 || response.body["reason"].as_str() == reason;
        response.status == status && is_expected
    };
    responses.iter().filter(has).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_checks_of_one_code_accept_it_once() {
    let service = Service::start().await;
    let app = service.active_totp("ann").await;
    service.advance(300).await;
    let code = app.code_at(service.now().await);
    let responses = checks(&service, &app.path, &code, 200).await;
    let (accepted, unavailable) = (count(&responses, 200, None), count(&responses, 503, None));
    assert!(accepted <= 1 && accepted + unavailable >= 1, "{accepted}");
    let replayed = count(&responses, 200, Some("replayed"));
    assert_eq!(accepted + replayed + unavailable, 200);
    assert_eq!(service.show_subject("ann").await["attempts_left"], 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_wrong_codes_never_exceed_the_budget() {
    let service = Service::start().await;
    let app = service.active_totp("ann").await;
    // The log is full of entries that can be settled, and some that cannot.
    service.fail_factor_checks(&app, 5).await;
    let code = app.code_at(service.now().await);
    checks(&service, &app.path, &code, 15).await;
    let wrong = app.wrong_code_at(service.now().await);
    let responses = checks(&service, &app.path, &wrong, 200).await;
    let compared = count(&responses, 200, Some("wrong_code"));
    let unavailable = count(&responses, 503, None);
    assert!(compared <= 15, "{compared} of 15");
    assert_eq!(compared + unavailable + count(&responses, 429, None), 200);
    let left: BTreeSet<_> = responses
        .iter()
        .filter(|response| response.status == 200)
        .map(|response| response.body["attempts_left"].as_i64())
        .collect();
    assert_eq!(left.len(), compared, "each gets another number");
    let shown = service.show_subject("ann").await;
    assert!(shown["attempts_left"].as_i64() <= Some(15 - compared as i64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_backup_codes_are_accepted_once_each() {
    let service = Service::start().await;
    let (path, codes) = service.backup_codes("ann").await;
    let responses = at_once(60, |index| {
        let (service, path) = (service.clone(), path.clone());
        let code = codes[index % codes.len()].clone();
        async move { service.check_at(&path, json!({"code": code})).await }
    })
    .await;
    let accepted = count(&responses, 200, None);
    assert!(accepted <= 10, "{accepted}");
    assert_eq!(count(&responses, 200, Some("wrong_code")), 0);
    let shown = service.call("GET", &path, None).await;
    assert_eq!(shown.body["codes_left"], 0, "{} compared", responses.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_enrolments_and_checks_lose_nothing() {
    let service = Service::start().await;
    let app = service.active_totp("ann").await;
    let wrong = app.wrong_code_at(service.now().await);
    let responses = at_once(12, |index| {
        let (service, path, wrong) = (service.clone(), app.path.clone(), wrong.clone());
        async move {
            match index % 2 {
                0 => service.check_at(&path, json!({"code": wrong})).await,
                _ => {
                    service
                        .enrol("ann", json!({"type": "hotp", "account": "a"}))
                        .await
                }
            }
        }
    })
    .await;
    let enrolled = count(&responses, 201, None);
    let compared = responses
        .iter()
        .filter(|response| response.status == 200)
        .count();
    let shown = service.show_subject("ann").await;
    assert_eq!(
        shown["factors"].as_array().map(Vec::len),
        Some(1 + enrolled)
    );
    assert_eq!(shown["attempts_left"], 20 - compared);
}

/// A proxied service with a confirmed app.
async fn proxied() -> (ProxiedService, Authenticator) {
    let proxied = ProxiedService::start(&[]).await;
    let app = proxied.service.active_totp("ann").await;
    proxied.service.advance(300).await;
    (proxied, app)
}

#[tokio::test]
async fn check_with_a_lost_response_counts_once() {
    let (proxied, app) = proxied().await;
    let service = &proxied.service;
    proxied.table.break_next("UpdateItem", Fault::DropResponse);
    let wrong = app.wrong_code_at(service.now().await);
    let checked = service.check_factor(&app, &wrong).await;
    assert_eq!(checked.body["reason"], "wrong_code", "{checked:?}");
    assert_eq!(checked.body["attempts_left"], 19);
    assert!(!checked.is_replayed());
    assert_eq!(service.show_subject("ann").await["attempts_left"], 19);
    proxied.table.break_next("UpdateItem", Fault::DropResponse);
    let code = app.code_at(service.now().await);
    assert!(service.check_factor(&app, &code).await.is_valid());
}

#[tokio::test]
async fn failing_table_compares_nothing() {
    let (proxied, app) = proxied().await;
    let service = &proxied.service;
    let code = app.code_at(service.now().await);
    proxied.table.break_all(BROKEN);
    let failed = service.check_factor(&app, &code).await;
    assert_eq!(failed.problem(), (503, "unavailable"));
    proxied.table.clear_faults();
    assert!(service.check_factor(&app, &code).await.is_valid());
}
