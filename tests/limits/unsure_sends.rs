//! Sends that fail although their message may be sent: it stays counted.

use serde_json::json;

use super::neighbor;
use crate::support::{
    BROKEN, Fault, ProxiedService, assert_problem, assert_rejected, assert_status,
};

#[tokio::test]
async fn message_whose_send_is_not_undone_stays_counted() {
    let proxied = ProxiedService::start(&[("OTP_PREFIX_SENDS", "1/600")]).await;
    let service = &proxied.service;
    // The dispatch is in the queue, and the recipient is not restored.
    proxied.queue.break_by(|call| {
        let enqueues = call.operation == "SendMessage";
        enqueues.then_some(Fault::ReplaceResponse)
    });
    let mut is_restored = false;
    proxied.table.break_by(move |call| {
        is_restored |= call.restores_recipient();
        let is_unknown = call.restores_recipient() || call.operation == "GetItem";
        (is_restored && is_unknown).then_some(BROKEN)
    });
    let failed = service.send(&neighbor(1)).await;
    assert_problem(&failed, 503, "unavailable");
    proxied.clear_faults();
    service.settle().await;
    assert_eq!(service.messages(&neighbor(1)).await.len(), 1);
    assert_rejected(&service.send(&neighbor(2)).await, "prefix");
}

#[tokio::test]
async fn message_that_a_repetition_sends_stays_counted() {
    let variables = [("OTP_PREFIX_SENDS", "2/600"), ("OTP_COOLDOWN_SECONDS", "0")];
    let proxied = ProxiedService::start(&variables).await;
    let service = proxied.service.clone();
    assert_status(&service.send(&neighbor(1)).await, 201);
    let message = service.messages(&neighbor(1)).await.remove(0);
    let keyed_send = || {
        let service = service.clone();
        async move {
            let body = json!({"to": neighbor(1)});
            service.send_with_key(body, "k").await
        }
    };
    proxied.queue.break_all(Fault::Freeze);
    let failing = tokio::spawn(keyed_send());
    proxied.queue.wait_for_held_call().await;
    // After this write it is not known whether a repetition has enqueued the message.
    assert_eq!(service.report(&message, "delivered").await, 200);
    let failed = failing.await.expect("a response");
    assert_problem(&failed, 503, "unavailable");
    proxied.clear_faults();
    assert_status(&keyed_send().await, 201);
    assert_eq!(service.messages(&neighbor(1)).await.len(), 2);
    assert_rejected(&service.send(&neighbor(2)).await, "prefix");
}
