//! A local server in this process, on its own threads, and a cheap client for it: no response is
//! checked against the API specification, and none is parsed more than needed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::{Listen, Options, Server, Wires};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Blocks of French mobile numbers that the benchmarks use.
const BLOCKS: [u32; 8] = [0, 1, 2, 4, 5, 6, 7, 8];
/// How many prefixes (numbers without their last four digits) the blocks have.
const PREFIXES: usize = BLOCKS.len() * 1000;

/// The server, its threads, and the next unused phone number.
pub struct LocalServer {
    pub server: Server,
    /// `Authorization` of its only app.
    pub authorization: String,
    client: Client<HttpConnector, Full<Bytes>>,
    next: AtomicUsize,
    /// Dropping them stops the server.
    threads: Option<Runtime>,
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        // In the background: this may run on one of the threads.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// A response, and the time from the request to its last byte.
pub struct BenchResponse {
    pub status: u16,
    pub body: Value,
    pub raw: Bytes,
    pub took: Duration,
}

impl LocalServer {
    /// Starts it in memory, with one thread per core.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_with(variables, Wires::default())
    }

    /// Starts it with servers between the functions and the table or the queue.
    pub fn start_with(variables: &[(&str, &str)], wires: Wires) -> Self {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("threads");
        let values: HashMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let variables = Box::new(move |name: &str| values.get(name).cloned());
        let options = Options {
            listen: Listen::default(),
            preset: None,
            data: None,
            variables,
            wires,
            functions: None,
            dynamodb: None,
        };
        let server = threads
            .block_on(Server::start(options))
            .expect("the server starts");
        let authorization = format!("Bearer {}", server.api_keys.first().expect("a key").1);
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self {
            server,
            authorization,
            client,
            next: AtomicUsize::new(0),
            threads: Some(threads),
        }
    }

    /// An unused phone number. The prefixes alternate, so that none reaches its limit.
    pub fn phone(&self) -> String {
        let n = self.next.fetch_add(1, Ordering::SeqCst);
        let (prefix, line) = (n % PREFIXES, n / PREFIXES);
        format!(
            "+336{}{:03}{:04}",
            BLOCKS[prefix % BLOCKS.len()],
            prefix / BLOCKS.len(),
            line
        )
    }

    /// A request of the only app.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> BenchResponse {
        let headers = [
            ("authorization", self.authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let uri = format!("http://{}{path}", self.server.address);
        self.exchange(method, &uri, &headers, body.into()).await
    }

    /// A request to the table's engine, which does not check the signature.
    pub async fn table(&self, operation: &str, body: Bytes) -> BenchResponse {
        let target = format!("DynamoDB_20120810.{operation}");
        let headers = [
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=a/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
            ),
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-target", &target),
        ];
        self.exchange("POST", &self.server.dynamodb_url, &headers, body)
            .await
    }

    /// Sends a message to the queue.
    pub async fn enqueue(&self, body: &Value) {
        let message = json!({"QueueUrl": "queue", "MessageBody": body}).to_string();
        let headers = [
            ("x-amz-target", "AmazonSQS.SendMessage"),
            ("content-type", "application/x-amz-json-1.0"),
        ];
        let response = self
            .exchange("POST", &self.server.sqs_url, &headers, message.into())
            .await;
        assert_eq!(response.status, 200, "{}", response.body);
    }

    async fn exchange(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> BenchResponse {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let started = Instant::now();
        let (parts, body) = self
            .client
            .request(request)
            .await
            .expect("a response")
            .into_parts();
        let raw = body.collect().await.expect("a whole response").to_bytes();
        let took = started.elapsed();
        BenchResponse {
            status: parts.status.as_u16(),
            body: serde_json::from_slice(&raw).unwrap_or_default(),
            raw,
            took,
        }
    }

    /// Creates a verification. Returns its id and the latency.
    pub async fn send(&self, to: &str) -> (String, Duration) {
        let response = self
            .call("POST", "/v1/verifications", Some(json!({"to": to})))
            .await;
        assert_eq!(response.status, 201, "{}", response.body);
        (
            response.body["id"].as_str().expect("an id").to_owned(),
            response.took,
        )
    }

    /// The code of the newest message, if one has arrived.
    pub async fn find_code(&self, to: &str) -> Option<String> {
        let response = self
            .call("GET", &format!("/local/messages?to=%2B{}", &to[1..]), None)
            .await;
        response.body["messages"][0]["code"]
            .as_str()
            .map(str::to_owned)
    }

    /// Polls for the code of the newest message.
    pub async fn code(&self, to: &str) -> String {
        loop {
            if let Some(code) = self.find_code(to).await {
                return code;
            }
        }
    }

    /// Checks a code.
    pub async fn check(&self, id: &str, code: &str) -> BenchResponse {
        self.call(
            "POST",
            &format!("/v1/verifications/{id}/check"),
            Some(json!({"code": code})),
        )
        .await
    }

    /// Checks the right code. Returns the latency.
    pub async fn approve(&self, id: &str, code: &str) -> Duration {
        let response = self.check(id, code).await;
        assert_eq!(
            (response.status, &response.body["valid"]),
            (200, &json!(true)),
            "{}",
            response.body
        );
        response.took
    }

    /// Advances the clock.
    pub async fn advance(&self, seconds: u32) {
        let response = self
            .call(
                "POST",
                "/local/clock",
                Some(json!({"advance_seconds": seconds})),
            )
            .await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
}
