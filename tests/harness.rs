//! A service of its own for each test, in this process, reached over the wire only. Every answer of the functions is
//! judged by the contract on its way. No sleeps: `settle` returns when all that was due has run.
//! The same tests run against the functions as built where `OTP_TEST_FUNCTIONS` names their directory, and against another
//! DynamoDB where `OTP_TEST_DYNAMODB` is its URL.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::{BuiltFunctions, Options, Server, Wires};
use serde_json::{Value, json};

use crate::built;
use crate::contract::CONTRACT;

/// Keys of the two apps that every service here has.
pub const DEFAULT_KEY: &str = "otp_test_default_0000000000";
pub const SHOP_KEY: &str = "otp_test_shop_0000000000000";

/// A running service and a client for it.
#[derive(Clone)]
pub struct Service {
    pub base: String,
    /// The engine and the queue themselves, for those who stand in between; empty for a service that runs elsewhere.
    pub dynamodb_url: String,
    pub table: String,
    pub sqs_url: String,
    /// Whether API Gateway may answer in the place of a function that was killed.
    pub may_fail: bool,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Value,
    pub raw: Vec<u8>,
    /// From the call to the last byte.
    pub took: Duration,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} {:?}",
            self.status,
            String::from_utf8_lossy(&self.raw),
            self.headers
        )
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The status, and the code of the problem.
    pub fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    pub fn id(&self) -> String {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {self:?}"))
            .to_owned()
    }
}

impl Service {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these variables.
    pub async fn start_with(variables: &[(&str, &str)]) -> Self {
        Self::try_start(variables, None)
            .await
            .expect("the service starts")
    }

    pub async fn try_start(
        variables: &[(&str, &str)],
        data: Option<PathBuf>,
    ) -> Result<Self, String> {
        Self::try_start_behind(variables, data, Wires::default()).await
    }

    /// With something between the functions and the table or the queue.
    pub async fn try_start_behind(
        variables: &[(&str, &str)],
        data: Option<PathBuf>,
        wires: Wires,
    ) -> Result<Self, String> {
        Self::try_start_as(variables, data, wires, built::of_suite()).await
    }

    /// With the functions as built, or with their handlers in this process; at the DynamoDB that the suite runs against.
    pub async fn try_start_as(
        variables: &[(&str, &str)],
        data: Option<PathBuf>,
        wires: Wires,
        functions: Option<BuiltFunctions>,
    ) -> Result<Self, String> {
        let mut values: HashMap<String, String> = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        values
            .entry("OTP_LOCAL_API_KEYS".into())
            .or_insert_with(|| format!("default={DEFAULT_KEY},shop={SHOP_KEY}"));
        let dynamodb = built::dynamodb_of_suite();
        if dynamodb.is_some() {
            // A table of its own, which outlives a restart as the directory does.
            let kept = data
                .as_ref()
                .and_then(|data| Some(data.file_name()?.to_str()?.to_owned()));
            values.insert(
                "OTP_TABLE".into(),
                format!("otp-{}", kept.unwrap_or_else(built::fresh_name)),
            );
        }
        let variables = Box::new(move |name: &str| values.get(name).cloned());
        let server = Server::start(Options {
            port: 0,
            data,
            variables,
            wires,
            functions,
            dynamodb,
        })
        .await
        .map_err(|error| error.to_string())?;
        Ok(Self {
            dynamodb_url: server.dynamodb_url,
            table: server.table,
            sqs_url: server.sqs_url,
            ..Self::at(&format!("http://{}", server.address))
        })
    }

    /// One that runs elsewhere.
    pub fn at(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self {
            base: base.to_owned(),
            dynamodb_url: String::new(),
            table: String::new(),
            sqs_url: String::new(),
            may_fail: false,
            client,
        }
    }

    /// Any request, with nothing added to it.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_raw(method, path, headers, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub async fn try_raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body.into()))
            .map_err(|error| error.to_string())?;
        let begun = tokio::time::Instant::now();
        let (parts, body) = self
            .client
            .request(request)
            .await
            .map_err(|error| format!("{error:?}"))?
            .into_parts();
        let raw = body
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes()
            .to_vec();
        let took = begun.elapsed();
        let is_ours = path.starts_with("/v1") || path.starts_with("/healthz");
        let is_gateways = self.may_fail
            && parts.status == 500
            && raw == br#"{"message":"Internal Server Error"}"#;
        if is_ours && !is_gateways {
            CONTRACT.judge(method, path, parts.status.as_u16(), &parts.headers, &raw);
        }
        let body = serde_json::from_slice(&raw).unwrap_or_default();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            raw,
            took,
        })
    }

    /// A request of app `default` with a JSON body.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_as(DEFAULT_KEY, method, path, body, &[]).await
    }

    pub async fn call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        more: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        headers.extend(more);
        self.raw(
            method,
            path,
            &headers,
            body.map(|body| body.to_string()).unwrap_or_default(),
        )
        .await
    }

    /// Opens a verification.
    pub async fn send(&self, to: &str) -> Answer {
        self.call("POST", "/v1/verifications", Some(json!({"to": to})))
            .await
    }

    /// Opens a verification with this body and `Idempotency-Key`.
    pub async fn send_with_key(&self, body: Value, idempotency_key: &str) -> Answer {
        self.call_as(
            DEFAULT_KEY,
            "POST",
            "/v1/verifications",
            Some(body),
            &[("idempotency-key", idempotency_key)],
        )
        .await
    }

    pub async fn resend(&self, id: &str) -> Answer {
        self.call("POST", &format!("/v1/verifications/{id}/resend"), None)
            .await
    }

    pub async fn check(&self, id: &str, code: &str) -> Answer {
        self.call(
            "POST",
            &format!("/v1/verifications/{id}/check"),
            Some(json!({"code": code})),
        )
        .await
    }

    pub async fn show(&self, id: &str) -> Answer {
        self.call("GET", &format!("/v1/verifications/{id}"), None)
            .await
    }

    /// Messages on a phone, all that was due having run.
    pub async fn messages(&self, to: &str) -> Vec<Value> {
        self.settle().await;
        self.messages_now(to).await
    }

    pub async fn messages_now(&self, to: &str) -> Vec<Value> {
        let path = format!(
            "/local/messages?to={}",
            to.replace('+', "%2B").replace('@', "%40")
        );
        let answer = self.raw("GET", &path, &[], "").await;
        answer.body["messages"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// The code of the latest message to `to`.
    pub async fn code(&self, to: &str) -> String {
        let messages = self.messages(to).await;
        messages
            .last()
            .and_then(|m| m["code"].as_str())
            .unwrap_or_else(|| panic!("no code for {to} in {messages:?}"))
            .to_owned()
    }

    /// The code of the verification `id` on the phone of `to`, whatever has rung there since: the latest one that was not
    /// replaced.
    pub async fn code_of(&self, to: &str, id: &str) -> String {
        let messages = self.messages(to).await;
        let mut latest_first = messages
            .iter()
            .rev()
            .filter(|message| message["verification_id"] == id);
        let code = latest_first.find_map(|message| message["code"].as_str());
        code.unwrap_or_else(|| panic!("no code of {id} for {to} in {messages:?}"))
            .to_owned()
    }

    /// A well-formed code that is not the one on the phone.
    pub async fn wrong_code(&self, to: &str) -> String {
        other_than(&self.code(to).await)
    }

    /// Returns when all that is due has run.
    pub async fn settle(&self) {
        self.advance(0).await;
    }

    pub async fn advance(&self, seconds: i64) {
        let answer = self
            .raw(
                "POST",
                "/local/clock",
                &[],
                json!({"advance_seconds": seconds}).to_string(),
            )
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The service's time, in seconds since 1970.
    pub async fn now(&self) -> i64 {
        seconds(&self.raw("GET", "/local/clock", &[], "").await.body["now"])
    }

    /// Moves the clock to a moment, unless it is past it.
    pub async fn advance_to(&self, at: i64) {
        self.advance((at - self.now().await).max(0)).await;
    }

    /// Makes a simulated carrier behave: `{"mode":"ok"}`.
    pub async fn carrier(&self, name: &str, behaviour: Value) {
        let answer = self
            .raw(
                "POST",
                &format!("/local/carriers/{name}"),
                &[],
                behaviour.to_string(),
            )
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The carrier of a message reports; returns what the callback answered.
    pub async fn report(&self, message: &Value, status: &str) -> u64 {
        let path = format!(
            "/local/messages/{}/report",
            message["id"].as_str().expect("an id")
        );
        let answer = self
            .raw("POST", &path, &[], json!({"status": status}).to_string())
            .await;
        answer.body["callback_status"]
            .as_u64()
            .unwrap_or_else(|| panic!("{answer:?}"))
    }

    pub async fn state(&self) -> Value {
        self.raw("GET", "/local/state", &[], "").await.body
    }
}

/// An RFC 3339 time in seconds since 1970.
pub fn seconds(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    text.parse::<jiff::Timestamp>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .as_second()
}

/// Another code of the same length, in either alphabet.
pub fn other_than(code: &str) -> String {
    let (rest, last) = code.split_at(code.len() - 1);
    format!("{rest}{}", if last == "2" { "3" } else { "2" })
}
