//! A wire between the functions and the table or the queue: it passes calls on, counts them and what they consume, and
//! breaks as a test says. It knows the AWS JSON protocol only; the service on either side does not know that it is there.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::Wires;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::harness::Service;
use crate::listener::{Listener, Request, Response, response};

/// One call, as it came by.
#[derive(Clone, Debug)]
pub struct Call {
    /// Such as `UpdateItem` or `SendMessage`.
    pub operation: String,
    pub body: Value,
    /// What the engine says that it consumed; `None` where it never got there or was refused.
    pub units: Option<f64>,
    /// Whether its condition did not hold.
    pub refused: bool,
}

impl Call {
    /// Whether a process opens its connection with it, as it starts: that belongs to no operation.
    fn is_warm_up(&self) -> bool {
        self.operation == "GetItem" && self.key() == BASE64.encode(&[0; 16])
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
    /// It never arrives: the connection closes.
    DropRequest,
    /// It is done, and the answer is lost: the connection closes.
    DropAnswer,
    /// It is done, and something that no client repeats is answered.
    LoseAnswer,
    /// It is not done; this status and error are answered.
    Refuse(u16, &'static str),
    /// It is not done, and nothing is ever answered.
    Freeze,
    /// It waits until [`Wire::release`], and is done then.
    Hold,
    /// It is done, and the answer waits until [`Wire::release`].
    HoldAnswer,
    /// It is not done, and success is answered.
    Swallow,
}

/// Throttled, as DynamoDB says it.
pub const THROTTLED: Fault = Fault::Refuse(
    400,
    "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
);
/// An error that no client repeats, so that a test need not wait for repetitions.
pub const BROKEN: Fault = Fault::Refuse(400, "com.amazon.coral.validate#ValidationException");

type Rule = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

/// The wire. Clones are the same one.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    to: OnceLock<String>,
    client: Client<HttpConnector, Full<Bytes>>,
    calls: Mutex<Vec<Call>>,
    rule: Mutex<Option<Rule>>,
    frozen: watch::Sender<usize>,
    released: watch::Sender<bool>,
    listener: OnceLock<Listener>,
}

impl Wire {
    /// A sound wire that leads nowhere yet.
    async fn open() -> Self {
        let wire = Self(Arc::new(Inner {
            to: OnceLock::new(),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            calls: Mutex::default(),
            rule: Mutex::default(),
            frozen: watch::Sender::new(0),
            released: watch::Sender::new(false),
            listener: OnceLock::new(),
        }));
        let weak = Arc::downgrade(&wire.0);
        let listener = Listener::open(0, move |request| {
            let wire = weak.upgrade().map(Self);
            async move { wire?.pass(request).await }
        });
        let _ = wire.0.listener.set(listener.await);
        wire
    }

    /// Where it begins.
    pub fn url(&self) -> Option<String> {
        self.0.listener.get().map(Listener::url)
    }

    /// Asks `rule` about each call from now on.
    pub fn break_by(&self, rule: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *lock(&self.0.rule) = Some(Box::new(rule));
    }

    /// Breaks the next call of `operation` with `fault`, and no other.
    pub fn break_next(&self, operation: &'static str, fault: Fault) {
        self.break_some(operation, 1, fault);
    }

    /// Breaks the next `count` calls of `operation`.
    pub fn break_some(&self, operation: &'static str, count: usize, fault: Fault) {
        let mut left = count;
        self.break_by(move |call| {
            let breaks = call.operation == operation && left > 0;
            left -= usize::from(breaks);
            breaks.then_some(fault)
        });
    }

    /// Breaks everything: whoever calls has lost the world.
    pub fn break_all(&self, fault: Fault) {
        self.break_by(move |_| Some(fault));
    }

    /// Lets `count` calls pass, and breaks the one after them.
    pub fn break_after_once(&self, count: usize, fault: Fault) {
        let mut calls = 0;
        self.break_by(move |_| {
            calls += 1;
            (calls == count + 1).then_some(fault)
        });
    }

    /// Sound again.
    pub fn mend(&self) {
        *lock(&self.0.rule) = None;
    }

    /// All calls since the last time this was asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.0.calls))
    }

    /// Lets go of what is held, and holds nothing from now on.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }

    /// Returns once a call is frozen or held.
    pub async fn frozen(&self) {
        let mut frozen = self.0.frozen.subscribe();
        let _ = frozen.wait_for(|count| *count > 0).await;
    }

    async fn pass(&self, request: Request) -> Response {
        let target = request
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let call = Call {
            operation,
            body,
            units: None,
            refused: false,
        };
        if call.is_warm_up() {
            return self
                .forward(request, call)
                .await
                .map(|(response, _)| response);
        }
        let fault = lock(&self.0.rule).as_mut().and_then(|rule| rule(&call));
        match fault {
            None => self.count(request, call).await,
            Some(Fault::Hold) => {
                self.hold().await;
                self.count(request, call).await
            }
            Some(Fault::HoldAnswer) => {
                let answer = self.count(request, call).await;
                self.hold().await;
                answer
            }
            Some(Fault::DropAnswer) => {
                self.count(request, call).await?;
                None
            }
            Some(Fault::LoseAnswer) => {
                self.count(request, call).await?;
                error(400, "com.amazon.coral.validate#ValidationException")
            }
            Some(fault) => {
                lock(&self.0.calls).push(call);
                match fault {
                    Fault::Refuse(status, name) => error(status, name),
                    Fault::Swallow => response(
                        200,
                        &[("content-type", "application/x-amz-json-1.0")],
                        r#"{"MessageId":"swallowed"}"#,
                    ),
                    Fault::Freeze => {
                        self.0.frozen.send_modify(|count| *count += 1);
                        std::future::pending().await
                    }
                    Fault::DropRequest
                    | Fault::DropAnswer
                    | Fault::LoseAnswer
                    | Fault::Hold
                    | Fault::HoldAnswer => None,
                }
            }
        }
    }

    async fn hold(&self) {
        self.0.frozen.send_modify(|count| *count += 1);
        let _ = self
            .0
            .released
            .subscribe()
            .wait_for(|released| *released)
            .await;
    }

    async fn count(&self, request: Request, call: Call) -> Response {
        let (response, call) = self.forward(request, call).await?;
        lock(&self.0.calls).push(call);
        Some(response)
    }

    async fn forward(
        &self,
        request: Request,
        mut call: Call,
    ) -> Option<(hyper::Response<Full<Bytes>>, Call)> {
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
        let mut onward = hyper::Request::builder()
            .method(request.method)
            .uri(format!("{}{}", self.0.to.get()?, request.path));
        for (name, value) in request
            .headers
            .iter()
            .filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
        {
            onward = onward.header(name, value);
        }
        let answer = self
            .0
            .client
            .request(onward.body(Full::new(body)).ok()?)
            .await
            .ok()?;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        call.units = told["ConsumedCapacity"]["CapacityUnits"].as_f64();
        call.refused = told["__type"]
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

/// A service with a wire on each side.
pub struct Wired {
    pub service: Service,
    pub table: Wire,
    pub queue: Wire,
}

impl Wired {
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let (table, queue) = (Wire::open().await, Wire::open().await);
        let wires = Wires {
            dynamodb: table.url(),
            sqs: queue.url(),
            sns: None,
        };
        let service = Service::try_start_behind(variables, None, wires)
            .await
            .expect("the service starts");
        let _ = table.0.to.set(service.dynamodb_url.clone());
        let _ = queue.0.to.set(service.sqs_url.clone());
        Self {
            service,
            table,
            queue,
        }
    }

    /// Forgets what was called so far.
    pub fn forget_calls(&self) {
        drop((self.table.take_calls(), self.queue.take_calls()));
    }

    /// A function that dies before its call number `count + 1` to the table or the queue.
    pub fn crash_after(&self, count: usize) {
        let left = Arc::new(Mutex::new(count));
        for wire in [&self.table, &self.queue] {
            let left = left.clone();
            wire.break_by(move |_| {
                let mut left = lock(&left);
                let passes = *left > 0;
                *left -= usize::from(passes);
                (!passes).then_some(BROKEN)
            });
        }
    }

    pub fn mend(&self) {
        self.table.mend();
        self.queue.mend();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
