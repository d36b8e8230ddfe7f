//! The embedded DynamoDB-compatible engine, in memory or in a file that outlives the process.
//! Functions that are processes reach it over HTTP, as they reach DynamoDB. Handlers in this
//! process send it the same documents without HTTP, or the values of the SDK (`dynamodb_calls`).
//! The local server calls it directly.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use axum::http::StatusCode;
use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use otp::platform::in_process::{InProcessServer, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A call of the engine that sends its result to the caller.
type Call = Box<dyn FnOnce(&Database) + Send>;

/// The engine. Clones share it.
#[derive(Clone)]
pub(crate) struct Engine {
    database: Database,
    /// Calls of handlers, for the thread that answers them. The engine answers one call at a time:
    /// if the threads of the handlers called it themselves, they would wait for its lock.
    calls: Sender<Call>,
}

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
        Database::memory()
            .map(Self::from)
            .map_err(EngineError::Start)
    }

    /// The engine in `file`, which is created if it is missing.
    pub(crate) fn in_file(file: &Path) -> Result<Self, EngineError> {
        Database::new(&file.to_string_lossy())
            .map(Self::from)
            .map_err(|source| EngineError::File {
                file: file.to_owned(),
                source,
            })
    }

    /// Serves the engine over HTTP until the runtime ends.
    pub(crate) fn serve(&self, listener: TcpListener) {
        tokio::spawn(dynoxide::server::serve_on(listener, self.database.clone()));
    }

    /// The engine without HTTP, for requests that are documents. It also listens at `url`.
    pub(crate) fn server(&self, url: &str) -> InProcessServer {
        let engine = self.clone();
        InProcessServer {
            url: url.to_owned(),
            respond: Arc::new(move |operation, body| {
                let engine = engine.clone();
                Box::pin(async move { engine.respond(operation, body).await })
            }),
            table: None,
        }
    }

    async fn respond(&self, operation: &str, body: &[u8]) -> Response {
        match self.answer(operation, body).await {
            Ok(body) => Response {
                status: StatusCode::OK,
                body,
            },
            Err(error) => Response {
                status: StatusCode::from_u16(error.status_code())
                    .unwrap_or(StatusCode::BAD_REQUEST),
                body: error.to_json(),
            },
        }
    }

    async fn answer(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        match operation.strip_prefix("DynamoDB_20120810.") {
            Some("BatchGetItem") => self.call(body, Database::batch_get_item).await,
            Some("PutItem") => self.call(body, Database::put_item).await,
            Some("TransactWriteItems") => self.call(body, Database::transact_write_items).await,
            Some("Scan") => self.call(body, Database::scan).await,
            _ => {
                let problem = format!("{operation} is not available without HTTP");
                Err(DynoxideError::UnsupportedCapability(problem))
            }
        }
    }

    /// The response document of `call`, whose request is the document `body`.
    async fn call<Q, R>(
        &self,
        body: &[u8],
        call: impl FnOnce(&Database, Q) -> Result<R, DynoxideError> + Send + 'static,
    ) -> Result<String, DynoxideError>
    where
        Q: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        let malformed =
            |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
        let request = serde_json::from_slice(body).map_err(malformed)?;
        let response = self.in_turn(|database| call(database, request)).await?;
        serde_json::to_string(&response).map_err(malformed)
    }

    /// What `call` returns, once the engine's thread has made it.
    pub(crate) async fn in_turn<R: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<R, DynoxideError> + Send + 'static,
    ) -> Result<R, DynoxideError> {
        let (sender, response) = oneshot::channel();
        let call: Call = Box::new(move |database| {
            let _ = sender.send(call(database));
        });
        let _ = self.calls.send(call);
        let panicked = |_| DynoxideError::InternalServerError("the engine panicked".to_owned());
        response.await.map_err(panicked)?
    }

    /// Creates the table that `create` describes, unless a table of its name exists.
    pub(crate) fn create_table(&self, create: Value) -> Result<(), EngineError> {
        let tables = serde_json::to_value(self.database.list_tables(request(json!({}))?)?)?;
        let mut names = tables["TableNames"].as_array().into_iter().flatten();
        if names.any(|name| *name == create["TableName"]) {
            return Ok(());
        }
        self.database.create_table(request(create)?)?;
        Ok(())
    }

    /// All items of `table`.
    pub(crate) fn scan_all(&self, table: &str) -> Result<Vec<Value>, EngineError> {
        let mut scan = FullScan::new(table);
        while let Some(next) = scan.next_request() {
            scan.add_page(serde_json::to_value(self.database.scan(request(next)?)?)?);
        }
        Ok(scan.items)
    }

    /// `PutItem`.
    pub(crate) fn put_item(&self, put: Value) -> Result<(), EngineError> {
        self.database.put_item(request(put)?)?;
        Ok(())
    }

    /// `DeleteItem`.
    pub(crate) fn delete_item(&self, delete: Value) -> Result<(), EngineError> {
        self.database.delete_item(request(delete)?)?;
        Ok(())
    }
}

impl From<Database> for Engine {
    fn from(database: Database) -> Self {
        let (calls, receiver) = channel::<Call>();
        let engine = Self {
            database: database.clone(),
            calls,
        };
        thread::spawn(move || {
            for call in receiver {
                // A panic, which is printed, ends no thread; each later call has a response, if
                // only an error of the engine.
                let _ = catch_unwind(AssertUnwindSafe(|| call(&database)));
            }
        });
        engine
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

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Bytes;
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;

    use super::*;

    fn engine() -> Engine {
        let engine = Engine::in_memory().expect("an engine");
        let create = create_table_request("otp", "pk", "B");
        engine.create_table(create).expect("a table");
        engine
    }

    /// Operations in an order in which each meets what the earlier ones have written.
    fn operations() -> Vec<(&'static str, Value)> {
        let key = json!({"pk": {"B": "AAEC"}});
        let item = json!({"pk": {"B": "AAEC"}, "n": {"N": "1"}, "log": {"L": [{"S": "a"}]}});
        let write = json!({
            "TableName": "otp", "Item": item, "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ReturnConsumedCapacity": "TOTAL",
        });
        let update = json!({
            "TableName": "otp", "Key": {"pk": {"B": "BBBB"}}, "UpdateExpression": "SET n = :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        });
        let exists = json!({
            "TableName": "otp", "Key": {"pk": {"B": "CCCC"}},
            "ConditionExpression": "attribute_exists(pk)",
        });
        let transaction = json!({"TransactItems": [{"Update": update}]});
        let failing = json!({"TransactItems": [{"Update": update}, {"ConditionCheck": exists}]});
        vec![
            ("PutItem", write.clone()),
            ("PutItem", write),
            (
                "BatchGetItem",
                json!({"RequestItems": {"other": {"Keys": [key]}}}),
            ),
            (
                "BatchGetItem",
                json!({"RequestItems": {"otp": {"Keys": [key]}}}),
            ),
            ("TransactWriteItems", transaction),
            ("TransactWriteItems", failing),
            ("Scan", json!({"TableName": "otp", "Limit": 1})),
        ]
    }

    #[tokio::test]
    async fn panic_of_a_call_ends_that_call_only() {
        let engine = engine();
        let panicking =
            |_: &Database, _: Value| -> Result<Value, DynoxideError> { panic!("a bug") };
        let response = engine.call(b"{}", panicking).await;
        let error = response.expect_err("no response");
        assert_eq!(error.status_code(), 500, "{error}");
        let echo = |_: &Database, request: Value| Ok(request);
        assert_eq!(engine.call(b"{}", echo).await.expect("a response"), "{}");
    }

    #[tokio::test]
    async fn engine_responds_alike_with_and_without_http() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        engine().serve(listener);
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let respond = engine().server(&url).respond;
        for (operation, document) in operations() {
            let target = format!("DynamoDB_20120810.{operation}");
            let body = document.to_string();
            let direct = respond(&target, body.as_bytes()).await;
            let request = hyper::Request::post(&url)
                .header("content-type", "application/x-amz-json-1.0")
                .header("x-amz-target", target)
                .header("x-amz-date", "20261129T000000Z")
                .header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=a/20261129/local/dynamodb/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature=0",
                )
                .body(Full::from(body))
                .expect("a request");
            let response = client.request(request).await.expect("a response");
            let status = response.status();
            let body = response.into_body().collect().await.expect("a body");
            let over_http: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
            let direct_body: Value = serde_json::from_str(&direct.body).expect("JSON");
            assert_eq!(
                (direct.status, direct_body),
                (status, over_http),
                "{operation}"
            );
        }
    }
}
