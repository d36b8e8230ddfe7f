//! A proxy between the functions and the table, the queue or Lambda. It forwards calls, counts them
//! and what they consume, and breaks those that a test names. It reads the AWS JSON protocol and
//! Lambda's `Invoke`; neither side can see that it is there.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use otp::domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::delay::{delay, in_time};
use super::fault::{Fault, error};
use super::listener::{Listener, Request, Response, response};
use super::proxied_call::ProxiedCall;

type Rule = Box<dyn FnMut(&ProxiedCall) -> Option<Fault> + Send>;

/// Which held calls may continue.
#[derive(Clone, Copy, Default)]
struct Released {
    /// How many calls, in the order in which they were held.
    calls: usize,
    /// All, also those that come later.
    all: bool,
}

/// The proxy. Clones share one state.
#[derive(Clone)]
pub struct FaultProxy(Arc<Inner>);

struct Inner {
    target: OnceLock<String>,
    client: Client<HttpConnector, Full<Bytes>>,
    calls: Mutex<Vec<ProxiedCall>>,
    rule: Mutex<Option<Rule>>,
    /// Readings of the configuration so far, and what breaks them. They belong to no request.
    config_reads: AtomicUsize,
    /// How many requests processes sent at their start only to open connections.
    openings: AtomicUsize,
    config_fault: Mutex<Option<Fault>>,
    /// Seconds that the dates of responses are ahead.
    date_shift_seconds: AtomicI64,
    /// How many calls were recorded so far.
    recorded: watch::Sender<usize>,
    /// How many calls were frozen, delayed or held so far.
    held: watch::Sender<usize>,
    released: watch::Sender<Released>,
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
            openings: AtomicUsize::new(0),
            config_reads: AtomicUsize::new(0),
            config_fault: Mutex::default(),
            date_shift_seconds: AtomicI64::new(0),
            recorded: watch::Sender::new(0),
            held: watch::Sender::new(0),
            released: watch::Sender::default(),
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

    /// Breaks every reading of the configuration, which the faults of other calls leave alone, or
    /// none.
    pub fn break_config_reads(&self, fault: Option<Fault>) {
        *lock(&self.0.config_fault) = fault;
    }

    /// How often the configuration was read so far.
    pub fn config_reads(&self) -> usize {
        self.0.config_reads.load(Ordering::Relaxed)
    }

    /// How many requests processes sent at their start only to open connections.
    pub fn openings(&self) -> usize {
        self.0.openings.load(Ordering::Relaxed)
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
        self.0.released.send_modify(|released| released.all = true);
    }

    /// Releases what is held now; later calls are held again.
    pub fn release_held(&self) {
        let calls = *self.0.held.borrow();
        self.0
            .released
            .send_modify(|released| released.calls = calls);
    }

    /// Returns once a call is frozen, delayed or held.
    ///
    /// # Panics
    /// After two minutes, as all functions that wait: then no call meets the rule.
    pub async fn wait_for_held_call(&self) {
        self.wait_for_held_calls(1).await;
    }

    /// Returns once `count` calls were frozen, delayed or held.
    pub async fn wait_for_held_calls(&self, count: usize) {
        let mut held = self.0.held.subscribe();
        self.in_time(held.wait_for(|held| *held >= count)).await;
    }

    /// Returns once `count` calls were recorded since [`Self::take_calls`].
    pub async fn wait_for_calls(&self, count: usize) {
        let mut recorded = self.0.recorded.subscribe();
        let is_recorded = |_: &usize| lock(&self.0.calls).len() >= count;
        self.in_time(recorded.wait_for(is_recorded)).await;
    }

    async fn in_time(&self, calls: impl Future) {
        if in_time(calls).await.is_none() {
            let held = *self.0.held.borrow();
            let calls = lock(&self.0.calls);
            let made: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
            panic!("the calls did not come: {held} were held, and recorded {made:?}");
        }
    }

    /// Closes all connections, idle or not.
    pub fn close_connections(&self) {
        self.0
            .listener
            .get()
            .into_iter()
            .for_each(Listener::close_connections);
    }

    /// Moves the `Date` of all responses by `seconds`.
    pub fn shift_dates(&self, seconds: i64) {
        self.0.date_shift_seconds.store(seconds, Ordering::Relaxed);
    }

    async fn handle(&self, request: Request) -> Response {
        let call = ProxiedCall::new(&request);
        if call.opens_connection() {
            self.0.openings.fetch_add(1, Ordering::Relaxed);
            let forwarded = self.forward(request, call).await;
            return forwarded.map(|(response, _)| response);
        }
        if call.reads_config() {
            self.0.config_reads.fetch_add(1, Ordering::Relaxed);
            let fault = *lock(&self.0.config_fault);
            return match fault {
                Some(fault) => self.respond_without_forwarding(&request, fault).await,
                None => {
                    let forwarded = self.forward(request, call).await;
                    forwarded.map(|(response, _)| response)
                }
            };
        }
        let fault = lock(&self.0.rule).as_mut().and_then(|rule| rule(&call));
        // A call that is on its way arrives although its client has closed the connection.
        let proxy = self.clone();
        let handled = tokio::spawn(async move { proxy.handle_call(request, call, fault).await });
        handled.await.ok()?
    }

    async fn handle_call(
        &self,
        request: Request,
        call: ProxiedCall,
        fault: Option<Fault>,
    ) -> Response {
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
            Some(Fault::DelayRequest(time)) => {
                self.count_held();
                delay(time).await;
                self.forward_and_record(request, call).await
            }
            Some(Fault::DelayResponse(time)) => {
                let response = self.forward_and_record(request, call).await;
                self.count_held();
                delay(time).await;
                response
            }
            Some(Fault::FailCondition) => {
                let mut call = call;
                let condition = call.body["ConditionExpression"].as_str();
                let condition = condition.map(|condition| format!("({condition}) AND "));
                call.body["ConditionExpression"] =
                    json!(condition.unwrap_or_default() + "attribute_exists(none_such)");
                self.forward_and_record(request, call).await
            }
            Some(Fault::DropResponse) => {
                self.forward_and_record(request, call).await?;
                None
            }
            Some(Fault::ReplaceResponse) => {
                self.forward_and_record(request, call).await?;
                error(400, "com.amazon.coral.validate#ValidationException")
            }
            Some(fault) => {
                self.record(call);
                self.respond_without_forwarding(&request, fault).await
            }
        }
    }

    /// The response to a call that the target never sees.
    async fn respond_without_forwarding(&self, request: &Request, fault: Fault) -> Response {
        match fault {
            Fault::Error(status, name) => error(status, name),
            Fault::FakeSuccess => {
                let content_type = [("content-type", "application/x-amz-json-1.0")];
                response(200, &content_type, r#"{"MessageId":"not sent"}"#)
            }
            Fault::Freeze => {
                self.count_held();
                std::future::pending().await
            }
            Fault::Reset => {
                request.reset_connection();
                None
            }
            _ => None,
        }
    }

    /// Returns how many there were before.
    fn count_held(&self) -> usize {
        let mut before = 0;
        self.0.held.send_modify(|count| {
            before = *count;
            *count += 1;
        });
        before
    }

    async fn hold(&self) {
        let before = self.count_held();
        let is_released = |released: &Released| released.all || released.calls > before;
        let mut released = self.0.released.subscribe();
        let _ = released.wait_for(is_released).await;
    }

    fn record(&self, call: ProxiedCall) {
        lock(&self.0.calls).push(call);
        self.0.recorded.send_modify(|count| *count += 1);
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
        let mut parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        call.units = parsed["ConsumedCapacity"]["CapacityUnits"].as_f64();
        call.condition_failed = parsed["__type"]
            .as_str()
            .is_some_and(|name| name.ends_with("ConditionalCheckFailedException"));
        if let Some(fields) = parsed.as_object_mut() {
            // Only this proxy asks for it.
            fields.remove("ConsumedCapacity");
            call.bytes_in = parsed.to_string().len();
        }
        let mut response = hyper::Response::builder().status(parts.status);
        for (name, value) in parts.headers.iter().filter(|(name, _)| {
            !["content-length", "transfer-encoding", "connection"].contains(&name.as_str())
        }) {
            response = response.header(name, value);
        }
        let shift_seconds = self.0.date_shift_seconds.load(Ordering::Relaxed);
        if shift_seconds != 0 {
            let date = parts.headers.get("date")?.to_str().ok()?;
            let date = Timestamp::from_http_date(date)? + shift_seconds;
            response
                .headers_mut()?
                .insert("date", date.to_http_date().parse().ok()?);
        }
        Some((response.body(Full::new(bytes)).ok()?, call))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
