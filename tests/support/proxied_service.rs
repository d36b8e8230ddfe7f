//! A service with a fault proxy before its table and one before its queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use local::{BuiltFunctions, Wires};
use serde_json::{Value, json};

use super::built_functions;
use super::deliveries::enqueue;
use super::fault::{BROKEN, Fault};
use super::fault_proxy::FaultProxy;
use super::http_carrier::HttpCarrier;
use super::processes::FunctionProcesses;
use super::proxied_call::ProxiedCall;
use super::response::TestResponse;
use super::service::Service;
use super::values::TO;

/// A service with a proxy before its table and one before its queue.
pub struct ProxiedService {
    pub service: Service,
    pub table: FaultProxy,
    pub queue: FaultProxy,
}

impl ProxiedService {
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_as(variables, built_functions::for_suite()).await
    }

    /// A service with these carriers, in this order.
    pub async fn start_with_carriers(
        carriers: &[&HttpCarrier],
        variables: &[(&str, &str)],
    ) -> Self {
        let entries: Value = carriers.iter().map(|carrier| carrier.entry()).collect();
        let entries = entries.to_string();
        Self::start(&[&[("OTP_CARRIERS", entries.as_str())], variables].concat()).await
    }

    /// A service whose functions are processes: at most `processes` of each. Without `carriers` it
    /// has the simulated ones.
    pub async fn start_processes(
        carriers: &[&HttpCarrier],
        variables: &[(&str, &str)],
        processes: usize,
    ) -> (Self, FunctionProcesses) {
        let functions = BuiltFunctions {
            processes,
            ..built_functions::functions()
        };
        let of_service = FunctionProcesses::of(&functions);
        let entries: Value = carriers.iter().map(|carrier| carrier.entry()).collect();
        let entries = entries.to_string();
        let mut variables = variables.to_vec();
        if !carriers.is_empty() {
            variables.push(("OTP_CARRIERS", entries.as_str()));
        }
        (
            Self::start_as(&variables, Some(functions)).await,
            of_service,
        )
    }

    async fn start_as(variables: &[(&str, &str)], functions: Option<BuiltFunctions>) -> Self {
        let (table, queue) = (FaultProxy::open().await, FaultProxy::open().await);
        let wires = Wires {
            dynamodb: table.url(),
            sqs: queue.url(),
            sns: None,
        };
        let service = Service::try_start_as(variables, None, wires, functions)
            .await
            .expect("the service starts");
        table.set_target(&service.dynamodb_url);
        queue.set_target(&service.sqs_url);
        Self {
            service,
            table,
            queue,
        }
    }

    /// A service that has sent one message to [`TO`], with no call recorded yet; returns the id of
    /// the verification.
    pub async fn start_with_one_send(variables: &[(&str, &str)]) -> (Self, String) {
        let proxied = Self::start(variables).await;
        let id = proxied.service.send(TO).await.id();
        proxied.service.settle().await;
        proxied.forget_calls();
        (proxied, id)
    }

    /// Keeps dispatches from the queue from now on. [`Self::take_dispatches`] returns them.
    pub fn keep_dispatches(&self) {
        self.queue.break_all(Fault::FakeSuccess);
    }

    /// The bodies of all dispatches since the last time.
    pub fn take_dispatches(&self) -> Vec<String> {
        let calls = self.queue.take_calls().into_iter();
        let body = |call: ProxiedCall| call.body["MessageBody"].as_str().map(str::to_owned);
        calls.filter_map(body).collect()
    }

    /// Puts a dispatch into the queue itself, past the proxy.
    pub async fn enqueue(&self, dispatch: &str) {
        enqueue(&self.service, dispatch, 0).await;
    }

    /// Invokes a process of the worker with one batch.
    pub async fn invoke_worker(&self, dispatches: &[String]) -> TestResponse {
        let record = |(n, body): (usize, &String)| json!({"messageId": format!("m{n}"), "body": body, "eventSource": "aws:sqs"});
        let records: Value = dispatches.iter().enumerate().map(record).collect();
        let event = json!({"Records": records}).to_string();
        self.service.invoke("carrier-worker", &event).await
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        drop((self.table.take_calls(), self.queue.take_calls()));
    }

    /// Breaks every call to the table and the queue but the first `count`, as for a function that
    /// crashes after them.
    pub fn crash_after(&self, count: usize) {
        let left = Arc::new(Mutex::new(count));
        for proxy in [&self.table, &self.queue] {
            let left = left.clone();
            proxy.break_by(move |_| {
                let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                let passes = *left > 0;
                *left -= usize::from(passes);
                (!passes).then_some(BROKEN)
            });
        }
    }

    /// Breaks every call after the next write of a whole recipient, as for a function that crashes
    /// between saving and enqueueing.
    pub fn crash_after_save(&self) {
        let saved = Arc::new(AtomicBool::new(false));
        for proxy in [&self.table, &self.queue] {
            let saved = saved.clone();
            proxy.break_by(move |call| {
                let breaks = saved.load(Ordering::Relaxed);
                saved.fetch_or(call.operation == "PutItem", Ordering::Relaxed);
                breaks.then_some(BROKEN)
            });
        }
    }

    /// Forwards every call again.
    pub fn clear_faults(&self) {
        self.table.clear_faults();
        self.queue.clear_faults();
    }
}
