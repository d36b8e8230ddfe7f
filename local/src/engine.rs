//! The embedded DynamoDB-compatible engine: in memory, or in a file that outlives the process. The functions reach it
//! over its wire; only the local server itself looks inside.

use std::path::Path;

use dynoxide::Database;
use serde::Serialize;
use serde_json::{Value, json};

use crate::template::Template;

/// Name of the table that the functions share.
pub(crate) const TABLE: &str = "otp";
/// Name of the table in which the queue outlives the process.
const QUEUE: &str = "queue";

/// The engine. Clones share it.
#[derive(Clone)]
pub(crate) struct Engine {
    database: Database,
    key: String,
    ttl: String,
}

impl Engine {
    /// With the tables made, or found.
    pub(crate) fn open(file: Option<&Path>, template: &Template) -> Result<Self, String> {
        let database = match file.map(|file| file.to_string_lossy().into_owned()) {
            Some(file) => Database::new(&file),
            None => Database::memory(),
        };
        let engine = Self {
            database: database.map_err(|error| format!("the engine does not start: {error}"))?,
            key: template.key.0.clone(),
            ttl: template.ttl.clone(),
        };
        engine.make(TABLE, &template.key.0, &template.key.1)?;
        engine.make(QUEUE, "id", "S")?;
        Ok(engine)
    }

    /// Serves DynamoDB's wire on a port of this machine, and says which.
    pub(crate) async fn serve(&self) -> Result<u16, String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        tokio::spawn(dynoxide::server::serve_on(listener, self.database.clone()));
        Ok(port)
    }

    /// Everything in the shared table, as it rests.
    pub(crate) fn state(&self) -> Result<Vec<Value>, String> {
        self.all(TABLE)
    }

    /// The messages of the queue.
    pub(crate) fn queued(&self) -> Result<Vec<Value>, String> {
        let items = self.all(QUEUE)?;
        Ok(items.iter().filter_map(|item| serde_json::from_str(item["message"]["S"].as_str()?).ok()).collect())
    }

    /// Keeps a message of the queue.
    pub(crate) fn keep(&self, id: &str, message: &impl Serialize) -> Result<(), String> {
        let message = serde_json::to_string(message).map_err(|error| error.to_string())?;
        let put = json!({"TableName": QUEUE, "Item": {"id": {"S": id}, "message": {"S": message}}});
        request(put).and_then(|put| self.database.put_item(put).map_err(|error| error.to_string())).map(|_| ())
    }

    /// Drops a message of the queue.
    pub(crate) fn drop_message(&self, id: &str) -> Result<(), String> {
        let delete = json!({"TableName": QUEUE, "Key": {"id": {"S": id}}});
        request(delete).and_then(|delete| self.database.delete_item(delete).map_err(|error| error.to_string())).map(|_| ())
    }

    /// Removes the items whose time to live is over, as DynamoDB does some time or other.
    pub(crate) fn sweep(&self, now_seconds: i64) -> Result<(), String> {
        for item in self.all(TABLE)? {
            let delete = json!({
                "TableName": TABLE, "Key": {(&self.key): item[&self.key]},
                "ConditionExpression": "#ttl <= :now", "ExpressionAttributeNames": {"#ttl": self.ttl},
                "ExpressionAttributeValues": {":now": {"N": now_seconds.to_string()}},
            });
            let is_over = item[&self.ttl]["N"].as_str().and_then(|ttl| ttl.parse::<i64>().ok()).is_some_and(|ttl| ttl <= now_seconds);
            if is_over {
                // A refused condition means that the item came back to life: that is for the condition to say.
                let _ = self.database.delete_item(request(delete)?);
            }
        }
        Ok(())
    }

    fn all(&self, table: &str) -> Result<Vec<Value>, String> {
        let (mut items, mut start): (Vec<Value>, Option<Value>) = (vec![], None);
        loop {
            let mut scan = json!({"TableName": table, "ConsistentRead": true});
            if let Some(start) = start.take() {
                scan["ExclusiveStartKey"] = start;
            }
            let page = self.database.scan(request(scan)?).map_err(|error| error.to_string())?;
            let mut page = serde_json::to_value(page).map_err(|error| error.to_string())?;
            items.extend(page["Items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            match page["LastEvaluatedKey"].take() {
                Value::Null => return Ok(items),
                key => start = Some(key),
            }
        }
    }

    fn make(&self, table: &str, key: &str, kind: &str) -> Result<(), String> {
        let tables = self.database.list_tables(request(json!({}))?).map_err(|error| error.to_string())?;
        let tables = serde_json::to_value(tables).map_err(|error| error.to_string())?;
        if tables["TableNames"].as_array().is_some_and(|names| names.iter().any(|name| name == table)) {
            return Ok(());
        }
        let create = json!({
            "TableName": table, "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind}],
        });
        self.database.create_table(request(create)?).map(|_| ()).map_err(|error| error.to_string())
    }
}

fn request<T: serde::de::DeserializeOwned>(request: Value) -> Result<T, String> {
    serde_json::from_value(request).map_err(|error| error.to_string())
}
