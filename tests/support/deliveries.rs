//! The deliveries of a verification, and the queue behind them.

use serde_json::{Value, json};

use super::response::{assert_fields, assert_status};
use super::service::Service;

/// Status and carrier of a delivery.
pub type Delivery = (String, Option<String>);

/// A delivery with this status and this carrier.
pub fn delivery(status: &str, carrier: &str) -> Delivery {
    (status.to_owned(), Some(carrier.to_owned()))
}

/// Status and carrier of each delivery of the verification `id`, once all due work is done.
pub async fn deliveries_of(service: &Service, id: &str) -> Vec<Delivery> {
    service.settle().await;
    let shown = service.show(id).await.body;
    let all = shown["deliveries"].as_array().expect("a list");
    assert_eq!(
        Some(&shown["delivery"]),
        all.last(),
        "`delivery` is the latest one"
    );
    let text = |value: &Value| value.as_str().map(str::to_owned);
    all.iter()
        .map(|delivery| {
            (
                text(&delivery["status"]).expect("a status"),
                text(&delivery["carrier"]),
            )
        })
        .collect()
}

/// The field called `name` of each message.
pub fn field_of_each(messages: &[Value], name: &str) -> Vec<String> {
    messages
        .iter()
        .map(|message| message[name].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Asserts that no dispatch waits and none has failed for good.
pub async fn assert_queue_is_empty(service: &Service) {
    let state = service.state().await;
    assert_fields(&state, json!({"queue": [], "dead_letters": []}));
}

/// Puts a message into the queue.
pub async fn enqueue(service: &Service, body: &str, delay_seconds: i64) {
    let queue = Service::at(&service.sqs_url);
    let request = json!({
        "QueueUrl": format!("{}/queue", service.sqs_url), "MessageBody": body,
        "DelaySeconds": delay_seconds,
    });
    let headers = [
        ("x-amz-target", "AmazonSQS.SendMessage"),
        ("content-type", "application/x-amz-json-1.0"),
    ];
    let response = queue.raw("POST", "/", &headers, request.to_string()).await;
    assert_status(&response, 200);
}
