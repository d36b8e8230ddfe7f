//! Carrier reports during faults of the table and the queue: with a 503 the carrier repeats them.

use serde_json::{Value, json};

use crate::support::{BROKEN, ProxiedService, TO};

#[tokio::test]
async fn report_that_cannot_be_stored_gets_503() {
    let (proxied, id) = ProxiedService::start_with_one_send(&[]).await;
    let message = proxied.service.messages(TO).await.remove(0);
    proxied.table.break_all(BROKEN);
    assert_eq!(
        proxied.service.report(&message, "delivered").await,
        503,
        "with a 2xx the carrier would not repeat its report"
    );
    proxied.clear_faults();
    assert_eq!(proxied.service.report(&message, "delivered").await, 200);
    assert_eq!(
        proxied.service.show(&id).await.body["delivery"]["status"],
        "delivered"
    );
}

#[tokio::test]
async fn repeated_report_enqueues_a_fallback_that_failed_before() {
    let proxied = ProxiedService::start(&[]).await;
    let service = &proxied.service;
    service
        .send_body(json!({"to": TO, "fallback": ["voice"]}))
        .await
        .id();
    let message = service.messages(TO).await.remove(0);
    proxied.queue.break_all(BROKEN);
    assert_eq!(service.report(&message, "undelivered").await, 503);
    proxied.clear_faults();
    assert_eq!(service.report(&message, "undelivered").await, 200);
    let channels: Vec<Value> = service
        .messages(TO)
        .await
        .into_iter()
        .map(|m| m["channel"].clone())
        .collect();
    assert_eq!(channels, [json!("sms"), json!("voice")]);
}
