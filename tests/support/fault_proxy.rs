//! A proxy between the functions and the table or the queue. It forwards calls, counts them and
//! what they consume, and breaks those that a test names. It reads the AWS JSON protocol only;
//! neither side can see that it is there.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::listener::{Listener, Request, Response, response};

/// A call that came by.
#[derive(Clone, Debug)]
pub struct ProxiedCall {
    /// Such as `UpdateItem` or `SendMessage`.
    pub operation: String,
    pub body: Value,
    /// What the engine reports as consumed. `None` if the call never reached it, or if its
    /// condition failed.
    pub units: Option<f64>,
    pub condition_failed: bool,
}

impl ProxiedCall {
    /// Whether a process opens its connection with it at its start: it belongs to no operation.
    fn is_warm_up(&self) -> bool {
        self.operation == "GetItem" && self.key() == BASE64.encode(&[0; 16])
    }

    /// Whether the worker claims a step with it. This and the next ones recognize the functions'
    /// writes; no other file of the tests reads their expressions.
    pub fn claims_step(&self) -> bool {
        self.updates("claimed_until = :until")
    }

    /// Whether it stores the outcome of a step.
    pub fn ends_step(&self) -> bool {
        self.updates("step = :next")
    }

    /// Whether it counts a send in a window of a prefix or a client network.
    pub fn reserves_in_window(&self) -> bool {
        self.operation == "UpdateItem" && self.updates("t0=:id")
    }

    /// Whether it does so with the conversion guard of a prefix.
    pub fn reserves_in_guarded_window(&self) -> bool {
        self.reserves_in_window() && self.updates("samples = ")
    }

    /// Whether it counts a message in any limit over many recipients.
    pub fn reserves(&self) -> bool {
        let parts = ["t0=:id", "r0=:id", "samples = ", "held = "];
        parts.iter().any(|part| self.updates(part))
    }

    /// Whether it releases a send from such a window.
    pub fn releases_from_window(&self) -> bool {
        self.updates("t0=if_not_exists(t1,")
    }

    /// Whether it releases a send from any limit.
    pub fn releases_reservation(&self) -> bool {
        self.updates("=:none") || self.updates("spent - :price") || self.updates("REMOVE samples[")
    }

    /// Whether it reads the breakers. All reads of recipients are consistent.
    pub fn reads_breakers(&self) -> bool {
        self.operation == "GetItem" && self.body["ConsistentRead"] != true
    }

    /// Whether it counts a failure in a breaker.
    pub fn updates_breaker(&self) -> bool {
        self.updates("#failures = if_not_exists")
    }

    /// Whether it adds a delivery to a verification.
    pub fn adds_delivery(&self) -> bool {
        self.updates("deliveries.#tag = :delivery")
    }

    fn updates(&self, part: &str) -> bool {
        let expression = self.body["UpdateExpression"].as_str();
        expression.is_some_and(|expression| expression.contains(part))
    }

    /// The partition key that it names, in base64.
    pub fn key(&self) -> &str {
        self.body["Key"]["pk"]["B"]
            .as_str()
            .or_else(|| self.body["Item"]["pk"]["B"].as_str())
            .unwrap_or_default()
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The call is not forwarded: the connection closes.
    DropRequest,
    /// The call is forwarded and its response is lost: the connection closes.
    DropResponse,
    /// The call is forwarded, and an error that no client retries replaces its response.
    ReplaceResponse,
    /// The call is not forwarded; the response is this status and error.
    Error(u16, &'static str),
    /// The call is not forwarded, and there is never a response.
    Freeze,
    /// The call is forwarded only after [`FaultProxy::release`].
    HoldRequest,
    /// The call is forwarded, and its response waits until [`FaultProxy::release`].
    HoldResponse,
    /// The call is not forwarded; the response is a success.
    FakeSuccess,
}

/// DynamoDB's error for a throttled call.
pub const THROTTLED: Fault = Fault::Error(
    400,
    "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
);
/// An error that no client retries, so that a test need not wait for retries.
pub const BROKEN: Fault = Fault::Error(400, "com.amazon.coral.validate#ValidationException");

type Rule = Box<dyn FnMut(&ProxiedCall) -> Option<Fault> + Send>;

/// The proxy. Clones share one state.
#[derive(Clone)]
pub struct FaultProxy(Arc<Inner>);

struct Inner {
    target: OnceLock<String>,
    client: Client<HttpConnector, Full<Bytes>>,
    calls: Mutex<Vec<ProxiedCall>>,
    rule: Mutex<Option<Rule>>,
    /// How many calls were frozen or held so far.
    held: watch::Sender<usize>,
    released: watch::Sender<bool>,
    listener: OnceLock<Listener>,
}

impl FaultProxy {
    /// A proxy without faults, and without a target yet.
    pub async fn open() -> Self {
        let proxy = Self(Arc::new(Inner {
            target: OnceLock::new(),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            calls: Mutex::default(),
            rule: Mutex::default(),
            held: watch::Sender::new(0),
            released: watch::Sender::new(false),
            listener: OnceLock::new(),
        }));
        let weak = Arc::downgrade(&proxy.0);
        let listener = Listener::open(0, move |request| {
            let proxy = weak.upgrade().map(Self);
            async move { proxy?.handle(request).await }
        });
        let _ = proxy.0.listener.set(listener.await);
        proxy
    }

    /// Where calls are forwarded to.
    pub fn set_target(&self, url: &str) {
        let _ = self.0.target.set(url.to_owned());
    }

    /// Its own URL.
    pub fn url(&self) -> Option<String> {
        self.0.listener.get().map(Listener::url)
    }

    /// Lets `rule` decide about each call from now on.
    pub fn break_by(&self, rule: impl FnMut(&ProxiedCall) -> Option<Fault> + Send + 'static) {
        *lock(&self.0.rule) = Some(Box::new(rule));
    }

    /// Breaks the next call of `operation`, and no other.
    pub fn break_next(&self, operation: &'static str, fault: Fault) {
        self.break_next_calls(operation, 1, fault);
    }

    /// Breaks the next `count` calls of `operation`.
    pub fn break_next_calls(&self, operation: &'static str, count: usize, fault: Fault) {
        let mut left = count;
        self.break_by(move |call| {
            let breaks = call.operation == operation && left > 0;
            left -= usize::from(breaks);
            breaks.then_some(fault)
        });
    }

    /// Breaks every call.
    pub fn break_all(&self, fault: Fault) {
        self.break_by(move |_| Some(fault));
    }

    /// Forwards `count` calls and breaks the next one.
    pub fn break_one_after(&self, count: usize, fault: Fault) {
        let mut calls = 0;
        self.break_by(move |_| {
            calls += 1;
            (calls == count + 1).then_some(fault)
        });
    }

    /// Forwards every call again.
    pub fn clear_faults(&self) {
        *lock(&self.0.rule) = None;
    }

    /// Returns all calls since the last time, and forgets them.
    pub fn take_calls(&self) -> Vec<ProxiedCall> {
        std::mem::take(&mut *lock(&self.0.calls))
    }

    /// Releases what is held; nothing is held from now on.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }

    /// Returns once a call is frozen or held.
    pub async fn wait_for_held_call(&self) {
        let mut held = self.0.held.subscribe();
        let _ = held.wait_for(|count| *count > 0).await;
    }

    async fn handle(&self, request: Request) -> Response {
        let target = request
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let call = ProxiedCall {
            operation,
            body,
            units: None,
            condition_failed: false,
        };
        if call.is_warm_up() {
            let forwarded = self.forward(request, call).await;
            return forwarded.map(|(response, _)| response);
        }
        let fault = lock(&self.0.rule).as_mut().and_then(|rule| rule(&call));
        match fault {
            None => self.forward_and_record(request, call).await,
            Some(Fault::HoldRequest) => {
                self.hold().await;
                self.forward_and_record(request, call).await
            }
            Some(Fault::HoldResponse) => {
                let response = self.forward_and_record(request, call).await;
                self.hold().await;
                response
            }
            Some(Fault::DropResponse) => {
                self.forward_and_record(request, call).await?;
                None
            }
            Some(Fault::ReplaceResponse) => {
                self.forward_and_record(request, call).await?;
                error(400, "com.amazon.coral.validate#ValidationException")
            }
            Some(Fault::Error(status, name)) => {
                self.record(call);
                error(status, name)
            }
            Some(Fault::FakeSuccess) => {
                self.record(call);
                let content_type = [("content-type", "application/x-amz-json-1.0")];
                response(200, &content_type, r#"{"MessageId":"not sent"}"#)
            }
            Some(Fault::Freeze) => {
                self.record(call);
                self.0.held.send_modify(|count| *count += 1);
                std::future::pending().await
            }
            Some(Fault::DropRequest) => {
                self.record(call);
                None
            }
        }
    }

    async fn hold(&self) {
        self.0.held.send_modify(|count| *count += 1);
        let mut released = self.0.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }

    fn record(&self, call: ProxiedCall) {
        lock(&self.0.calls).push(call);
    }

    async fn forward_and_record(&self, request: Request, call: ProxiedCall) -> Response {
        let (response, call) = self.forward(request, call).await?;
        self.record(call);
        Some(response)
    }

    async fn forward(
        &self,
        request: Request,
        mut call: ProxiedCall,
    ) -> Option<(hyper::Response<Full<Bytes>>, ProxiedCall)> {
        let is_table = matches!(
            call.operation.as_str(),
            "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "Query" | "Scan"
        );
        let body = if is_table {
            let mut body = call.body.clone();
            body["ReturnConsumedCapacity"] = json!("TOTAL");
            Bytes::from(body.to_string())
        } else {
            request.body
        };
        let mut forwarded = hyper::Request::builder()
            .method(request.method)
            .uri(format!("{}{}", self.0.target.get()?, request.path));
        for (name, value) in request
            .headers
            .iter()
            .filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
        {
            forwarded = forwarded.header(name, value);
        }
        let forwarded = forwarded.body(Full::new(body)).ok()?;
        let (parts, body) = self.0.client.request(forwarded).await.ok()?.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        call.units = parsed["ConsumedCapacity"]["CapacityUnits"].as_f64();
        call.condition_failed = parsed["__type"]
            .as_str()
            .is_some_and(|name| name.ends_with("ConditionalCheckFailedException"));
        let mut response = hyper::Response::builder().status(parts.status);
        for (name, value) in parts.headers.iter().filter(|(name, _)| {
            !["content-length", "transfer-encoding", "connection"].contains(&name.as_str())
        }) {
            response = response.header(name, value);
        }
        Some((response.body(Full::new(bytes)).ok()?, call))
    }
}

fn error(status: u16, name: &str) -> Response {
    response(
        status,
        &[("content-type", "application/x-amz-json-1.0")],
        json!({"__type": name, "message": "broken by a test"}).to_string(),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
