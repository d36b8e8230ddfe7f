//! A DynamoDB other than the embedded engine, such as DynamoDB Local: signed calls over HTTP.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use otp::platform::aws::Aws;
use otp::platform::clock::Clock;
use otp::platform::logging::causes;
use serde_json::Value;

use crate::dynamodb::FullScan;
use crate::local_aws;

/// A DynamoDB that runs elsewhere. Requests are signed with the credentials `local`, `local`.
pub(crate) struct RemoteDynamoDb {
    url: String,
    aws: Aws,
    clock: Clock,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("--dynamodb: {url}: {operation}: {cause}")]
pub struct RemoteError {
    url: String,
    operation: String,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("{}", causes(.0.as_ref()))]
    Request(Box<dyn std::error::Error + Send + Sync>),
    #[error("status {status}: {body}")]
    Status { status: u16, body: Value },
}

impl RemoteError {
    fn is_table_exists(&self) -> bool {
        let Cause::Status { body, .. } = &self.cause else {
            return false;
        };
        let kind = body["__type"].as_str().unwrap_or_default();
        kind.ends_with("ResourceInUseException")
    }
}

impl RemoteDynamoDb {
    /// The DynamoDB at `url`, which must be http.
    pub(crate) fn new(url: String, clock: Clock) -> Self {
        Self {
            aws: local_aws::aws(url.clone()),
            url,
            clock,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        }
    }

    /// Creates the table that `create` describes, unless a table of its name exists.
    pub(crate) async fn create_table(&self, create: Value) -> Result<(), RemoteError> {
        match self.call("CreateTable", create).await {
            Err(error) if error.is_table_exists() => Ok(()),
            created => created.map(drop),
        }
    }

    /// All items of `table`.
    pub(crate) async fn scan_all(&self, table: &str) -> Result<Vec<Value>, RemoteError> {
        let mut scan = FullScan::new(table);
        while let Some(request) = scan.next_request() {
            scan.add_page(self.call("Scan", request).await?);
        }
        Ok(scan.items)
    }

    /// Calls `operation`, such as `DeleteItem`.
    pub(crate) async fn call(&self, operation: &str, body: Value) -> Result<Value, RemoteError> {
        self.send(operation, body)
            .await
            .map_err(|cause| RemoteError {
                url: self.url.clone(),
                operation: operation.to_owned(),
                cause,
            })
    }

    async fn send(&self, operation: &str, body: Value) -> Result<Value, Cause> {
        let mut request = hyper::Request::post(format!("{}/", self.url.trim_end_matches('/')))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .body(body.to_string())
            .map_err(|error| Cause::Request(error.into()))?;
        self.aws
            .sign(&mut request, "dynamodb", self.clock.now())
            .map_err(|error| Cause::Request(error.into()))?;
        let response = self.client.request(request.map(Full::from)).await;
        let (parts, body) = response
            .map_err(|error| Cause::Request(error.into()))?
            .into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Cause::Request(error.into()))?;
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        if parts.status.is_success() {
            Ok(body)
        } else {
            let status = parts.status.as_u16();
            Err(Cause::Status { status, body })
        }
    }
}
