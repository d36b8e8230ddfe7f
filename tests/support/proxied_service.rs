//! A service with a fault proxy before its table and one before its queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use local::Wires;

use super::fault_proxy::{BROKEN, FaultProxy};
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
        let (table, queue) = (FaultProxy::open().await, FaultProxy::open().await);
        let wires = Wires {
            dynamodb: table.url(),
            sqs: queue.url(),
            sns: None,
        };
        let service = Service::try_start_behind(variables, None, wires)
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
