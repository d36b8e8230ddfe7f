//! A local server in this process, on threads of its own, and a caller for it that costs little: no
//! contract is judged and no answer is read further than it must be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::{Options, Server, Wires};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Blocks of French mobile numbers that the bench may use.
const BLOCKS: [u32; 8] = [0, 1, 2, 4, 5, 6, 7, 8];
/// Prefixes (a number less its last four digits) in all of them.
const PREFIXES: usize = BLOCKS.len() * 1000;

/// The server, its threads, and the numbers that were not used yet.
pub struct Home {
    pub server: Server,
    /// `Authorization` of its one app.
    pub key: String,
    client: Client<HttpConnector, Full<Bytes>>,
    next: AtomicUsize,
    /// Ends the server with this value.
    threads: Option<Runtime>,
}

impl Drop for Home {
    fn drop(&mut self) {
        // In the background, as this may be one of its own threads.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// An answer, and the time from the call to its last byte.
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub raw: Bytes,
    pub took: Duration,
}

impl Home {
    /// In memory, with as many threads as there are cores.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_behind(variables, Wires::default())
    }

    /// With something between the functions and the table or the queue.
    pub fn start_behind(variables: &[(&str, &str)], wires: Wires) -> Self {
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
            port: 0,
            data: None,
            variables,
            wires,
            functions: None,
            dynamodb: None,
        };
        let server = threads
            .block_on(Server::start(options))
            .expect("the server starts");
        let key = format!("Bearer {}", server.api_keys.first().expect("a key").1);
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self {
            server,
            key,
            client,
            next: AtomicUsize::new(0),
            threads: Some(threads),
        }
    }

    /// A number that nobody used. Prefixes take turns, so that none comes near its limit.
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

    /// A request of the one app.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let headers = [
            ("authorization", self.key.as_str()),
            ("content-type", "application/json"),
        ];
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let uri = format!("http://{}{path}", self.server.address);
        self.exchange(method, &uri, &headers, body.into()).await
    }

    /// A call of the table's engine, signed by nobody: the engine does not look.
    pub async fn table(&self, operation: &str, body: Bytes) -> Answer {
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

    /// A message for the queue.
    pub async fn enqueue(&self, body: &Value) {
        let message = json!({"QueueUrl": "queue", "MessageBody": body}).to_string();
        let headers = [
            ("x-amz-target", "AmazonSQS.SendMessage"),
            ("content-type", "application/x-amz-json-1.0"),
        ];
        let answer = self
            .exchange("POST", &self.server.sqs_url, &headers, message.into())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    async fn exchange(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let begun = Instant::now();
        let (parts, body) = self
            .client
            .request(request)
            .await
            .expect("an answer")
            .into_parts();
        let raw = body.collect().await.expect("a whole answer").to_bytes();
        let took = begun.elapsed();
        Answer {
            status: parts.status.as_u16(),
            body: serde_json::from_slice(&raw).unwrap_or_default(),
            raw,
            took,
        }
    }

    /// Opens a verification.
    pub async fn send(&self, to: &str) -> (String, Duration) {
        let answer = self
            .call("POST", "/v1/verifications", Some(json!({"to": to})))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        (
            answer.body["id"].as_str().expect("an id").to_owned(),
            answer.took,
        )
    }

    /// The code of the message on the phone, unless it is not there yet.
    pub async fn look(&self, to: &str) -> Option<String> {
        let answer = self
            .call("GET", &format!("/local/messages?to=%2B{}", &to[1..]), None)
            .await;
        answer.body["messages"][0]["code"]
            .as_str()
            .map(str::to_owned)
    }

    /// The code, as soon as it is there.
    pub async fn code(&self, to: &str) -> String {
        loop {
            if let Some(code) = self.look(to).await {
                return code;
            }
        }
    }

    /// Presents a code.
    pub async fn check(&self, id: &str, code: &str) -> Answer {
        self.call(
            "POST",
            &format!("/v1/verifications/{id}/check"),
            Some(json!({"code": code})),
        )
        .await
    }

    /// Presents the right code.
    pub async fn approve(&self, id: &str, code: &str) -> Duration {
        let answer = self.check(id, code).await;
        assert_eq!(
            (answer.status, &answer.body["valid"]),
            (200, &json!(true)),
            "{}",
            answer.body
        );
        answer.took
    }

    /// Moves the clock.
    pub async fn advance(&self, seconds: u32) {
        let answer = self
            .call(
                "POST",
                "/local/clock",
                Some(json!({"advance_seconds": seconds})),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}
