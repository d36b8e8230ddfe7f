//! Running functions while an operator changes apps, keys and carriers.

use serde_json::json;

use crate::support::{HttpCarrier, OperatedServer, TO, assert_status, phone};

/// Seconds after which all functions use a change.
const MAX_AGE: i64 = 60;

#[tokio::test]
async fn running_functions_follow_the_operator() {
    let server = OperatedServer::start(&["k1"]).await;
    let service = &server.process.service;
    let create = ["app", "create", "books", "brand=Books", "code_length=8"];
    server.done(&create).await;
    let created = server.json(&["key", "create", "--app", "books"]).await;
    let text = |name: &str| created[name].as_str().expect("a text");
    let (id, key) = (text("id"), text("key"));
    service.advance(MAX_AGE).await;
    let sent = service.send_as(key, TO).await;
    assert_status(&sent, 201);
    let message = service.messages(TO).await.remove(0);
    assert!(message["text"].as_str().expect("a text").contains("Books"));
    assert_eq!(service.code_of(TO, &sent.id()).await.len(), 8);

    let second = HttpCarrier::start("second").await;
    let entry = second.entry();
    let url = format!("base_url={}", entry["base_url"].as_str().expect("a URL"));
    let add = ["carrier", "add", "second", "--kind", "http", &url];
    let add = [&add[..], &["--first", "--credentials"]].concat();
    let credentials = json!({"token": entry["token"], "secret": entry["secret"]}).to_string();
    let added = server.run_with(&add, &credentials, &[]).await;
    assert_eq!(added.status.code(), Some(0));
    service.advance(MAX_AGE).await;
    assert_status(&service.send_as(key, &phone(2)).await, 201);
    service.settle().await;
    assert_eq!(second.received().len(), 1);

    server.done(&["key", "revoke", id, "--yes"]).await;
    service.advance(MAX_AGE).await;
    assert_status(&service.send_as(key, &phone(3)).await, 401);

    server.done(&["config", "rollback", "0", "--yes"]).await;
    service.advance(MAX_AGE).await;
    service.open(&phone(4)).await;
    assert_eq!(second.received().len(), 1);
}
