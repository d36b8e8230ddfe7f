//! A slow or silent table: every request is answered before Lambda ends the invocation, and a send
//! that fails leaves nothing behind.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::unavailable;
use crate::support::{
    Fault, ProxiedCall, ProxiedService, TO, assert_approved, assert_fields, assert_status,
};

/// All limits over many recipients, each with one send.
const ONE_SEND: [(&str, &str); 5] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_CLIENT_SENDS_PER_HOUR", "1"),
    ("OTP_PREFIX_SENDS", "1/600"),
    ("OTP_SPEND_PER_DAY", "1"),
    ("OTP_CARRIERS", r#"[{"kind":"sns","price":1}]"#),
];

fn body() -> Value {
    json!({"to": TO, "client_ip": "203.0.113.7"})
}

#[tokio::test]
async fn send_without_time_is_undone_before_its_deadline() {
    let proxied = ProxiedService::start(&ONE_SEND).await;
    let slow = Fault::DelayRequest(Duration::from_millis(500));
    proxied.table.break_by(move |_| Some(slow));
    proxied.queue.break_all(Fault::Freeze);
    let failed = proxied.service.send_body(body()).await;
    unavailable(&failed);
    assert!(failed.took < Duration::from_secs(10), "{:?}", failed.took);
    proxied.clear_faults();
    let sent = proxied.service.send_body(body()).await;
    assert_status(&sent, 201);
    assert_fields(&sent.body, json!({"sends_left": 4}));
    assert_eq!(proxied.service.messages(TO).await.len(), 1);
}

/// The first try of every call is lost.
fn lose_first_tries() -> impl FnMut(&ProxiedCall) -> Option<Fault> {
    let mut tried = HashSet::new();
    move |call| {
        let name = (call.operation.clone(), call.body.to_string());
        tried.insert(name).then_some(Fault::Freeze)
    }
}

#[tokio::test]
async fn send_whose_calls_need_two_tries_is_answered() {
    let proxied = ProxiedService::start(&[("OTP_CONVERSION_MIN", "0")]).await;
    proxied.table.break_by(lose_first_tries());
    proxied.queue.break_by(lose_first_tries());
    let sent = proxied.service.send(TO).await;
    assert!(sent.took < Duration::from_secs(10), "{:?}", sent.took);
    proxied.clear_faults();
    let texts = proxied.service.messages(TO).await.len();
    match sent.status {
        201 => assert_eq!(texts, 1),
        _ => {
            unavailable(&sent);
            assert_eq!(texts, 0);
        }
    }
}

#[tokio::test]
async fn silent_table_gets_503_after_three_tries() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let (service, code) = (&proxied.service, proxied.service.code(TO).await);
    let path = format!("/v1/verifications/{id}");
    proxied.table.break_all(Fault::Freeze);
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("POST", format!("{path}/check"), Some(json!({"code": code}))),
        ("POST", "/v1/verifications".to_owned(), Some(body())),
    ] {
        proxied.forget_calls();
        let response = service.call(method, &path, body).await;
        unavailable(&response);
        // 3 s for all tries of a call.
        assert!(response.took < Duration::from_secs(8), "{response:?}");
        let tries = proxied.table.take_calls().len();
        assert!((2..=3).contains(&tries), "{method} {path}: {tries} tries");
    }
    // A function that has responded does nothing more.
    proxied.clear_faults();
    assert_fields(&service.show(&id).await.body, json!({"attempts_left": 5}));
    assert_eq!(proxied.table.take_calls().len(), 1);
    assert_approved(&service.check(&id, &code).await, 4);
}
