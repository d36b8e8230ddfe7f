//! The embedded DynamoDB-compatible engine, in memory or in a file that outlives the process. The
//! functions reach it over HTTP, as they reach DynamoDB; the local server calls it directly.

use std::path::{Path, PathBuf};

use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The engine. Clones share it.
#[derive(Clone)]
pub(crate) struct Engine(Database);

/// Why the engine, or a call of it, failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the embedded DynamoDB does not start: {0}")]
    Start(DynoxideError),
    #[error("--data: {} cannot be opened as a database: {source}", file.display())]
    File {
        file: PathBuf,
        source: DynoxideError,
    },
    #[error("the embedded DynamoDB: {0}")]
    Call(#[from] DynoxideError),
    #[error("the embedded DynamoDB: unexpected document: {0}")]
    Document(#[from] serde_json::Error),
}

impl Engine {
    /// The engine in memory.
    pub(crate) fn in_memory() -> Result<Self, EngineError> {
        Database::memory().map(Self).map_err(EngineError::Start)
    }

    /// The engine in `file`, which is created if it is missing.
    pub(crate) fn in_file(file: &Path) -> Result<Self, EngineError> {
        Database::new(&file.to_string_lossy())
            .map(Self)
            .map_err(|source| EngineError::File {
                file: file.to_owned(),
                source,
            })
    }

    /// Serves the engine over HTTP until the runtime ends.
    pub(crate) fn serve(&self, listener: TcpListener) {
        tokio::spawn(dynoxide::server::serve_on(listener, self.0.clone()));
    }

    /// Creates the table that `create` describes, unless a table of its name exists.
    pub(crate) fn create_table(&self, create: Value) -> Result<(), EngineError> {
        let tables = serde_json::to_value(self.0.list_tables(request(json!({}))?)?)?;
        let mut names = tables["TableNames"].as_array().into_iter().flatten();
        if names.any(|name| *name == create["TableName"]) {
            return Ok(());
        }
        self.0.create_table(request(create)?)?;
        Ok(())
    }

    /// All items of `table`.
    pub(crate) fn scan_all(&self, table: &str) -> Result<Vec<Value>, EngineError> {
        let mut scan = FullScan::new(table);
        while let Some(next) = scan.next_request() {
            scan.add_page(serde_json::to_value(self.0.scan(request(next)?)?)?);
        }
        Ok(scan.items)
    }

    /// `PutItem`.
    pub(crate) fn put_item(&self, put: Value) -> Result<(), EngineError> {
        self.0.put_item(request(put)?)?;
        Ok(())
    }

    /// `DeleteItem`.
    pub(crate) fn delete_item(&self, delete: Value) -> Result<(), EngineError> {
        self.0.delete_item(request(delete)?)?;
        Ok(())
    }
}

/// `CreateTable` for a table whose key is one attribute of `kind`.
pub(crate) fn create_table_request(table: &str, key: &str, kind: &str) -> Value {
    json!({
        "TableName": table, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind}],
    })
}

/// The calls of `Scan` that read a whole table.
pub(crate) struct FullScan {
    next_request: Option<Value>,
    /// All items of the pages so far.
    pub(crate) items: Vec<Value>,
}

impl FullScan {
    pub(crate) fn new(table: &str) -> Self {
        Self {
            next_request: Some(json!({"TableName": table, "ConsistentRead": true})),
            items: vec![],
        }
    }

    /// The request for the next page; `None` after the last one.
    pub(crate) fn next_request(&self) -> Option<Value> {
        self.next_request.clone()
    }

    /// Adds the response to the request.
    pub(crate) fn add_page(&mut self, mut page: Value) {
        if let Value::Array(items) = page["Items"].take() {
            self.items.extend(items);
        }
        let start = page["LastEvaluatedKey"].take();
        if start.is_null() {
            self.next_request = None;
        } else if let Some(request) = &mut self.next_request {
            request["ExclusiveStartKey"] = start;
        }
    }
}

fn request<T: DeserializeOwned>(request: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(request)
}
