//! Processes of `factors` that are killed between the writes of one request: the confirmation of a
//! factor, and the end of a subject that owns recipients.

use serde_json::{Value, json};

use crate::support::{
    Fault, FunctionProcesses, ProxiedService, assert_status, no_send_limits_and, phone,
    stored_items, stored_owners,
};

async fn start() -> (ProxiedService, FunctionProcesses) {
    let variables = no_send_limits_and(&[("OTP_UNIQUE_RECIPIENTS", "on")]);
    let (mut proxied, processes) = ProxiedService::start_processes(&[], &variables, 2).await;
    proxied.service.allows_gateway_errors = true;
    (proxied, processes)
}

/// Makes a request and kills its process while its write `write` is held, which never arrives.
async fn kill(
    (proxied, processes): &(ProxiedService, FunctionProcesses),
    write: usize,
    (method, path, body): (&str, &str, Option<Value>),
) {
    let (mut writes, table) = (0, &proxied.table);
    table.break_by(move |call| {
        writes += usize::from(call.is_write());
        (writes >= write).then_some(Fault::Freeze)
    });
    let kill = async {
        table.wait_for_held_call().await;
        processes.signal("KILL", "factors").await;
    };
    let (killed, ()) = tokio::join!(proxied.service.call(method, path, body), kill);
    assert_status(&killed, 500);
    table.clear_faults();
}

/// Whether any item ends by its TTL.
async fn has_ttl(proxied: &ProxiedService) -> bool {
    let items = stored_items(&proxied.service).await;
    items.iter().any(|item| item["ttl"].is_object())
}

#[tokio::test]
async fn killed_confirmation_is_completed_by_a_read() {
    for repeated in [true, false] {
        let killing = start().await;
        let (proxied, _) = &killing;
        let app = proxied.service.unconfirmed_totp("ann").await;
        let code = app.code_at(proxied.service.now().await);
        let (path, body) = (format!("{}/check", app.path), json!({"code": code}));
        kill(&killing, 2, ("POST", &path, Some(body.clone()))).await;
        assert!(has_ttl(proxied).await);
        if repeated {
            let again = proxied.service.check_at(&app.path, body).await;
            assert_eq!(again.body["reason"], "replayed");
        }
        let shown = proxied.service.call("GET", &app.path, None).await;
        assert_eq!(shown.body["status"], "active");
        assert!(!has_ttl(proxied).await, "an active factor does not end");
        proxied.service.advance(86_400 * 30).await;
        let code = app.code_at(proxied.service.now().await);
        assert!(proxied.service.check_factor(&app, &code).await.is_valid());
    }
}

#[tokio::test]
async fn killed_erasure_releases_claims_first_and_is_repeated() {
    let killing = start().await;
    let (proxied, _) = &killing;
    let service = &proxied.service;
    for n in 1..=2 {
        assert!(service.verify_for("ann", &phone(n)).await.is_valid());
    }
    assert_eq!(stored_owners(service).await, 2);
    // The writes are those of two claims, and that of the subject.
    kill(&killing, 3, ("DELETE", "/v1/subjects/ann", None)).await;
    assert_eq!(stored_owners(service).await, 0, "claims end first");
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"].as_array().map(Vec::len), Some(2));
    assert!(service.verify_for("bob", &phone(1)).await.is_valid());
    let erased = service.subject("DELETE", "ann", "", None).await;
    assert_status(&erased, 200);
    let shown = service.show_subject("ann").await;
    assert_eq!(shown["recipients"], json!([]));
    let taken = service.verify_for("ann", &phone(1)).await;
    assert_eq!(taken.body["reason"], "recipient_taken", "bob keeps it");
}
