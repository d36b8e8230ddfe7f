//! Sends with an `Idempotency-Key` that left the recipient's item: faults and crashes between the
//! write that stores them apart and the write of the item.

use serde_json::{Value, json};

use super::unavailable;
use crate::support::{
    BROKEN, Fault, NO_SEND_LIMITS, ProxiedService, assert_replays_send, assert_status, stored_items,
};

/// An e-mail address: no limits over many recipients, so that each call of the table is one about
/// the recipient.
const PERSON: &str = "ann@example.com";
/// After so many keyed sends the next one makes the oldest leave the recipient's item.
const KEYED: usize = 6;

fn body(n: usize) -> Value {
    json!({"to": PERSON, "channel": "email", "reference": format!("order {n}")})
}

/// A service that no worker changes, after so many keyed sends; with the ids of these.
async fn after_keyed_sends(count: usize) -> (ProxiedService, Vec<String>) {
    let proxied = ProxiedService::start(&NO_SEND_LIMITS).await;
    proxied.queue.break_all(Fault::FakeSuccess);
    let mut ids = vec![];
    for n in 0..count {
        let sent = proxied.service.send_with_key(body(n), &n.to_string()).await;
        assert_status(&sent, 201);
        ids.push(sent.id());
    }
    proxied.forget_calls();
    (proxied, ids)
}

async fn assert_all_replayed(proxied: &ProxiedService, ids: &[String]) {
    for (n, id) in ids.iter().enumerate() {
        let again = proxied.service.send_with_key(body(n), &n.to_string()).await;
        assert_replays_send(&again, id);
    }
}

#[tokio::test]
async fn send_that_fails_between_both_writes_loses_no_key() {
    for operation in ["UpdateItem", "PutItem"] {
        let (proxied, mut ids) = after_keyed_sends(KEYED).await;
        let service = &proxied.service;
        proxied
            .table
            .break_by(move |call| (call.operation == operation).then_some(BROKEN));
        unavailable(&service.send_with_key(body(KEYED), "next").await);
        proxied.table.clear_faults();
        assert_all_replayed(&proxied, &ids).await;
        for n in KEYED..KEYED + 3 {
            let sent = service.send_with_key(body(n), &n.to_string()).await;
            assert!(!sent.is_replayed(), "{sent:?}");
            ids.push(sent.id());
        }
        assert_all_replayed(&proxied, &ids).await;
    }
}

#[tokio::test]
async fn send_whose_writes_lose_their_responses_succeeds() {
    for operation in ["UpdateItem", "PutItem"] {
        let (proxied, mut ids) = after_keyed_sends(KEYED).await;
        proxied.table.break_next(operation, Fault::DropResponse);
        let key = KEYED.to_string();
        let sent = proxied.service.send_with_key(body(KEYED), &key).await;
        assert_status(&sent, 201);
        ids.push(sent.id());
        assert_all_replayed(&proxied, &ids).await;
    }
}

#[tokio::test]
async fn forget_during_a_send_leaves_no_earlier_send() {
    let (proxied, ids) = after_keyed_sends(KEYED).await;
    let service = &proxied.service;
    proxied.table.break_next("UpdateItem", Fault::HoldRequest);
    let send = tokio::spawn({
        let service = service.clone();
        async move { service.send_with_key(body(KEYED), "next").await }
    });
    proxied.table.wait_for_held_call().await;
    assert_status(&service.forget(PERSON).await, 200);
    proxied.table.release();
    let sent = send.await.expect("a response");
    assert_status(&sent, 201);
    let stored: Vec<_> = stored_items(service).await;
    let remembered = stored
        .iter()
        .filter(|item| item["forgotten_at"].is_object());
    for item in remembered {
        let names = item.as_object().into_iter().flatten().map(|(name, _)| name);
        assert!(
            names.into_iter().all(|name| !name.starts_with("key_")),
            "{item}"
        );
    }
    assert!(stored.iter().any(|item| item["forgotten_at"].is_object()));
    let again = service.send_with_key(body(0), "0").await;
    assert!(
        !again.is_replayed() && !ids.contains(&again.id()),
        "{again:?}"
    );
}

#[tokio::test]
async fn parallel_keyed_sends_are_all_remembered() {
    let (proxied, mut ids) = after_keyed_sends(KEYED).await;
    let service = &proxied.service;
    let sends = (KEYED..KEYED + 3).map(|n| {
        let service = service.clone();
        tokio::spawn(async move { service.send_with_key(body(n), &n.to_string()).await })
    });
    for send in sends.collect::<Vec<_>>() {
        let sent = send.await.expect("a response");
        assert_status(&sent, 201);
        ids.push(sent.id());
    }
    assert_all_replayed(&proxied, &ids).await;
}
