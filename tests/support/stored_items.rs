//! The stored items as DynamoDB shows them. The attribute names that tests read are in this file
//! only.

use serde_json::Value;

use super::service::Service;

/// All items of the table.
pub async fn stored_items(service: &Service) -> Vec<Value> {
    match service.state().await["table"].take() {
        Value::Array(items) => items,
        table => panic!("{table} is not a list of items"),
    }
}

/// The items of recipients that have a current verification.
pub async fn stored_recipients(service: &Service) -> Vec<Value> {
    let mut items = stored_items(service).await;
    items.retain(|item| item["params"].is_object());
    items
}

/// A sliding window of a prefix or a client network.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredWindow {
    /// Sends in the newest block; `None` if each send has a time of its own.
    pub newest_block: Option<u64>,
    /// Seconds since 1970 of the send or block before the newest one; `Some(0)` if it was released.
    pub previous: Option<u64>,
}

/// All sliding windows.
pub async fn stored_windows(service: &Service) -> Vec<StoredWindow> {
    let items = stored_items(service).await;
    let windows = items.iter().filter(|item| item["t0"].is_object());
    windows
        .map(|item| StoredWindow {
            newest_block: number(item, "c"),
            previous: number(item, "t1"),
        })
        .collect()
}

/// How many sends each conversion guard still waits to see approved.
pub async fn pending_samples(service: &Service) -> Vec<u64> {
    let items = stored_items(service).await;
    items.iter().filter_map(|item| number(item, "pc")).collect()
}

/// The largest item of a conversion guard, in bytes of JSON.
pub async fn largest_sample_bytes(service: &Service) -> Option<usize> {
    let items = stored_items(service).await;
    let samples = items.iter().filter(|item| item["pc"].is_object());
    samples.map(|item| item.to_string().len()).max()
}

fn number(item: &Value, attribute: &str) -> Option<u64> {
    item[attribute]["N"].as_str()?.parse().ok()
}
