//! Faults of the table with `OTP_DISPATCH=sns`: a send is answered 201 only if SNS has its message.

use std::time::Duration;

use serde_json::json;

use super::unavailable;
use crate::support::{
    BROKEN, Fault, ProxiedCall, ProxiedService, TO, assert_approved, assert_fields, assert_status,
};

const DIRECT: [(&str, &str); 2] = [("OTP_DISPATCH", "sns"), ("OTP_COOLDOWN_SECONDS", "0")];

/// Asserts that a send fails while `rule` breaks the table, and that the verification before it is
/// as it was.
async fn assert_send_is_undone(rule: impl FnMut(&ProxiedCall) -> Option<Fault> + Send + 'static) {
    let (proxied, id) = ProxiedService::start_with_one_send(&DIRECT).await;
    let service = &proxied.service;
    let code = service.code(TO).await;
    proxied.table.break_by(rule);
    unavailable(&service.send(TO).await);
    proxied.clear_faults();
    assert_eq!(service.messages(TO).await.len(), 1);
    let shown = service.show(&id).await.body;
    assert_fields(&shown, json!({"status": "pending", "sends_left": 4}));
    assert_approved(&service.check(&id, &code).await, 4);
}

#[tokio::test]
async fn send_is_undone_if_its_claim_fails() {
    assert_send_is_undone(|call| call.claims_step().then_some(BROKEN)).await;
}

#[tokio::test]
async fn send_is_undone_if_its_claim_is_unknown() {
    let (mut is_claimed, mut is_read) = (false, false);
    assert_send_is_undone(move |call| match call {
        call if call.claims_step() => {
            is_claimed = true;
            Some(Fault::ReplaceResponse)
        }
        call if is_claimed && !is_read && call.operation == "GetItem" => {
            is_read = !call.reads_breakers();
            Some(BROKEN)
        }
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn send_is_undone_if_the_read_before_sns_fails() {
    let mut is_claimed = false;
    assert_send_is_undone(move |call| match call {
        call if call.claims_step() => {
            is_claimed = true;
            // So old that the verification is read again.
            Some(Fault::DelayResponse(Duration::from_millis(200)))
        }
        call => (is_claimed && call.operation == "GetItem").then_some(BROKEN),
    })
    .await;
}

#[tokio::test]
async fn send_is_published_once_without_response_of_its_claim() {
    for fault in [Fault::ReplaceResponse, Fault::DropResponse] {
        // SNS is called only if its whole time-out fits after the repeated claims.
        let carriers = r#"[{"kind":"sns","timeout_ms":1000}]"#;
        let variables = [DIRECT[0], DIRECT[1], ("OTP_CARRIERS", carriers)];
        let proxied = ProxiedService::start(&variables).await;
        proxied
            .table
            .break_by(move |call| call.claims_step().then_some(fault));
        let sent = proxied.service.send(TO).await;
        proxied.clear_faults();
        assert_status(&sent, 201);
        assert_eq!(proxied.service.messages(TO).await.len(), 1, "{fault:?}");
    }
}

/// Neither the claim nor what became of it is known: 201 would be a text that never comes.
#[tokio::test]
async fn send_without_any_response_of_the_table_gets_503() {
    let proxied = ProxiedService::start(&DIRECT).await;
    let mut is_claimed = false;
    proxied.table.break_by(move |call| match call {
        call if call.claims_step() => {
            is_claimed = true;
            Some(Fault::ReplaceResponse)
        }
        _ => is_claimed.then_some(BROKEN),
    });
    unavailable(&proxied.service.send(TO).await);
    proxied.clear_faults();
    assert_eq!(proxied.service.messages(TO).await.len(), 0);
}
