//! The embedded DynamoDB-compatible engine: in memory, or in a file that outlives the process. The functions reach it
//! over its wire; only the local server itself looks inside. The table may be at another DynamoDB instead; the queue that
//! outlives the process is always here.

use std::path::Path;

use dynoxide::Database;
use serde::Serialize;
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::template::Template;

/// Name of the table in which the queue outlives the process.
const QUEUE: &str = "queue";

/// The engine. Clones share it.
#[derive(Clone)]
pub(crate) struct Engine {
    database: Database,
    remote: Option<Remote>,
    /// Name of the table that the functions share.
    table: String,
    key: String,
    ttl: String,
}

impl Engine {
    /// With the tables made, or found; the functions' own one, called `table`, at `remote` if that is given.
    pub(crate) async fn open(
        file: Option<&Path>,
        template: &Template,
        table: String,
        remote: Option<Remote>,
    ) -> Result<Self, String> {
        let database = match file.map(|file| file.to_string_lossy().into_owned()) {
            Some(file) => Database::new(&file)
                .map_err(|error| format!("--data: {file} cannot be used: {error}")),
            None => {
                Database::memory().map_err(|error| format!("the engine does not start: {error}"))
            }
        };
        let engine = Self {
            database: database?,
            remote,
            table,
            key: template.key.0.clone(),
            ttl: template.ttl.clone(),
        };
        let (key, kind) = &template.key;
        match &engine.remote {
            Some(remote) => remote.make(creation(&engine.table, key, kind)).await?,
            None => engine.make(&engine.table, key, kind)?,
        }
        engine.make(QUEUE, "id", "S")?;
        Ok(engine)
    }

    /// Name of the table that the functions share.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Serves DynamoDB's wire on a port of this machine, and says which.
    pub(crate) async fn serve(&self) -> Result<u16, String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|error| error.to_string())?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        tokio::spawn(dynoxide::server::serve_on(listener, self.database.clone()));
        Ok(port)
    }

    /// Everything in the shared table, as it rests.
    pub(crate) async fn state(&self) -> Result<Vec<Value>, String> {
        let Some(remote) = &self.remote else {
            return self.all(&self.table);
        };
        let (mut items, mut start): (Vec<Value>, Value) = (vec![], Value::Null);
        loop {
            let mut page = remote.call("Scan", scan(&self.table, start)).await?;
            items.extend(
                page["Items"]
                    .as_array_mut()
                    .map(std::mem::take)
                    .unwrap_or_default(),
            );
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                return Ok(items);
            }
        }
    }

    /// The messages of the queue.
    pub(crate) fn queued(&self) -> Result<Vec<Value>, String> {
        let items = self.all(QUEUE)?;
        Ok(items
            .iter()
            .filter_map(|item| serde_json::from_str(item["message"]["S"].as_str()?).ok())
            .collect())
    }

    /// Keeps a message of the queue.
    pub(crate) fn keep(&self, id: &str, message: &impl Serialize) -> Result<(), String> {
        let message = serde_json::to_string(message).map_err(|error| error.to_string())?;
        let put = json!({"TableName": QUEUE, "Item": {"id": {"S": id}, "message": {"S": message}}});
        request(put)
            .and_then(|put| {
                self.database
                    .put_item(put)
                    .map_err(|error| error.to_string())
            })
            .map(|_| ())
    }

    /// Drops a message of the queue.
    pub(crate) fn drop_message(&self, id: &str) -> Result<(), String> {
        let delete = json!({"TableName": QUEUE, "Key": {"id": {"S": id}}});
        request(delete)
            .and_then(|delete| {
                self.database
                    .delete_item(delete)
                    .map_err(|error| error.to_string())
            })
            .map(|_| ())
    }

    /// Removes the items whose time to live is over, as DynamoDB does some time or other.
    pub(crate) async fn sweep(&self, now_seconds: i64) -> Result<(), String> {
        for item in self.state().await? {
            let delete = json!({
                "TableName": self.table, "Key": {(&self.key): item[&self.key]},
                "ConditionExpression": "#ttl <= :now", "ExpressionAttributeNames": {"#ttl": self.ttl},
                "ExpressionAttributeValues": {":now": {"N": now_seconds.to_string()}},
            });
            let is_over = item[&self.ttl]["N"]
                .as_str()
                .and_then(|ttl| ttl.parse::<i64>().ok())
                .is_some_and(|ttl| ttl <= now_seconds);
            if is_over {
                // A refused condition means that the item came back to life: that is for the condition to say.
                let _ = match &self.remote {
                    Some(remote) => remote.call("DeleteItem", delete).await.map(drop),
                    None => self
                        .database
                        .delete_item(request(delete)?)
                        .map(drop)
                        .map_err(|error| error.to_string()),
                };
            }
        }
        Ok(())
    }

    fn all(&self, table: &str) -> Result<Vec<Value>, String> {
        let (mut items, mut start): (Vec<Value>, Value) = (vec![], Value::Null);
        loop {
            let page = self
                .database
                .scan(request(scan(table, start))?)
                .map_err(|error| error.to_string())?;
            let mut page = serde_json::to_value(page).map_err(|error| error.to_string())?;
            items.extend(
                page["Items"]
                    .as_array_mut()
                    .map(std::mem::take)
                    .unwrap_or_default(),
            );
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                return Ok(items);
            }
        }
    }

    fn make(&self, table: &str, key: &str, kind: &str) -> Result<(), String> {
        let tables = self
            .database
            .list_tables(request(json!({}))?)
            .map_err(|error| error.to_string())?;
        let tables = serde_json::to_value(tables).map_err(|error| error.to_string())?;
        if tables["TableNames"]
            .as_array()
            .is_some_and(|names| names.iter().any(|name| name == table))
        {
            return Ok(());
        }
        self.database
            .create_table(request(creation(table, key, kind))?)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }
}

/// A page of everything in `table`, from `start` on.
fn scan(table: &str, start: Value) -> Value {
    let mut scan = json!({"TableName": table, "ConsistentRead": true});
    if !start.is_null() {
        scan["ExclusiveStartKey"] = start;
    }
    scan
}

/// A table with one key.
fn creation(table: &str, key: &str, kind: &str) -> Value {
    json!({
        "TableName": table, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind}],
    })
}

fn request<T: serde::de::DeserializeOwned>(request: Value) -> Result<T, String> {
    serde_json::from_value(request).map_err(|error| error.to_string())
}
