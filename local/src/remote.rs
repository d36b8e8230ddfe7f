//! Another DynamoDB in the place of the embedded engine, such as DynamoDB Local: the local server makes the table there,
//! shows it and removes what is over, all over the wire.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use otp::platform::aws::{Aws, AwsSettings};
use otp::platform::clock::Clock;
use serde_json::{Value, json};

/// A DynamoDB that runs elsewhere. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Remote {
    url: String,
    aws: Aws,
    clock: Clock,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Remote {
    /// At `url`, which must be http.
    pub(crate) fn new(url: String, clock: Clock) -> Self {
        let settings = AwsSettings {
            region: "local".into(),
            access_key_id: "local".into(),
            secret_access_key: "local".into(),
            session_token: None,
            endpoint_urls: Default::default(),
        };
        Self {
            url,
            aws: Aws::new(settings),
            clock,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        }
    }

    /// Makes a table, unless it is there.
    pub(crate) async fn make(&self, create: Value) -> Result<(), String> {
        match self.call("CreateTable", create).await {
            Err(error) if error.contains("ResourceInUseException") => Ok(()),
            made => made.map(drop),
        }
    }

    /// One call, such as `Scan`.
    pub(crate) async fn call(&self, operation: &str, body: Value) -> Result<Value, String> {
        let wrong = |error: &dyn std::fmt::Display| {
            format!("--dynamodb: {}: {operation}: {error}", self.url)
        };
        let request = hyper::Request::post(format!("{}/", self.url.trim_end_matches('/')));
        let request = request
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let mut request = request
            .body(body.to_string())
            .map_err(|error| wrong(&error))?;
        self.aws
            .sign(&mut request, "dynamodb", self.clock.now())
            .map_err(|error| wrong(&error))?;
        let (parts, body) = self
            .client
            .request(request.map(Full::from))
            .await
            .map_err(|error| wrong(&error))?
            .into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| wrong(&error))?
            .to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if parts.status.is_success() {
            Ok(answer)
        } else {
            Err(wrong(&json!([parts.status.as_u16(), answer])))
        }
    }
}
