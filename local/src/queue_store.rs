//! The queue's messages in the embedded engine, so that they outlive a restart. With another
//! DynamoDB they are still here.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::dynamodb::{Engine, EngineError, create_table_request};

/// Name of the table.
const TABLE: &str = "queue";

/// The stored messages, each as JSON under its id.
pub(crate) struct QueueStore(Engine);

impl QueueStore {
    /// Creates the table, unless it exists.
    pub(crate) fn open(engine: Engine) -> Result<Self, EngineError> {
        engine.create_table(create_table_request(TABLE, "id", "S"))?;
        Ok(Self(engine))
    }

    /// All messages.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Vec<T>, EngineError> {
        let items = self.0.scan_all(TABLE)?;
        items
            .iter()
            .filter_map(|item| item["message"]["S"].as_str())
            .map(|message| Ok(serde_json::from_str(message)?))
            .collect()
    }

    /// Stores a message, in place of an earlier state of it.
    pub(crate) fn put(&self, id: &str, message: &impl Serialize) -> Result<(), EngineError> {
        let message = serde_json::to_string(message)?;
        self.0.put_item(
            json!({"TableName": TABLE, "Item": {"id": {"S": id}, "message": {"S": message}}}),
        )
    }

    /// Deletes a message.
    pub(crate) fn delete(&self, id: &str) -> Result<(), EngineError> {
        self.0
            .delete_item(json!({"TableName": TABLE, "Key": {"id": {"S": id}}}))
    }
}
