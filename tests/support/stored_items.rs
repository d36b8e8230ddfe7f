//! The stored items as DynamoDB shows them. The attribute names that tests read are in this file
//! only.

use data_encoding::BASE64;
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

/// How many items have a stored owner.
pub async fn stored_owners(service: &Service) -> usize {
    let items = stored_items(service).await;
    items
        .iter()
        .filter(|item| item["owner"].is_object())
        .count()
}

/// How many entries the log of each subject has.
pub async fn stored_logs(service: &Service) -> Vec<usize> {
    let items = stored_items(service).await;
    let subjects = items.iter().filter(|item| item["kind"]["S"] == "subject");
    let entries = |item: &Value| item["attempts"]["L"].as_array().map_or(0, Vec::len);
    subjects.map(entries).collect()
}

/// A sliding window of a prefix or a client network.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredWindow {
    /// Sends in the newest block; `None` if each send has a slot of its own.
    pub newest_block: Option<u64>,
    /// Sends, or blocks of sends.
    pub slots: usize,
}

/// All sliding windows.
pub async fn stored_windows(service: &Service) -> Vec<StoredWindow> {
    let items = stored_items(service).await;
    let windows = items.iter().filter(|item| item["slots"].is_object());
    windows
        .map(|item| StoredWindow {
            newest_block: number(item, "filled"),
            slots: item["slots"]["L"].as_array().map_or(0, Vec::len),
        })
        .collect()
}

/// How many samples each item of a conversion guard has: sends of which it is not known yet whether
/// they are approved.
pub async fn pending_samples(service: &Service) -> Vec<usize> {
    let items = stored_items(service).await;
    let samples = items
        .iter()
        .filter_map(|item| item["samples"]["L"].as_array());
    // A released sample leaves one byte, so that the others keep their positions.
    let is_released = |sample: &&Value| sample["B"] == BASE64.encode(&[0]);
    let count = |samples: &Vec<Value>| samples.iter().filter(|s| !is_released(s)).count();
    samples.map(count).collect()
}

/// The items of conversion guards and of samples.
pub async fn conversion_items(service: &Service) -> Vec<Value> {
    let mut items = stored_items(service).await;
    items.retain(|item| item["samples"].is_object());
    items
}

fn number(item: &Value, attribute: &str) -> Option<u64> {
    item[attribute]["N"].as_str()?.parse().ok()
}
