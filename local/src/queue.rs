//! The dispatch queue in this process: delays, visibility time-outs and the dead-letter queue of
//! SQS, on the simulated clock. It also holds the events with which `send` invokes the worker, as
//! Lambda does.
//!
//! Invariant: a message is acknowledged to its sender only once it is stored.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use otp::platform::clock::Clock;
use otp::platform::random::random_bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::dynamodb::EngineError;
use crate::queue_store::QueueStore;

/// The longest wait for a message that may become due. After it the queue is looked at again.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How long Lambda waits before it repeats a failed invocation.
const EVENT_RETRY_MILLIS: i64 = 60_000;

/// One message.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    visible_at_millis: i64,
    pub(crate) receives: u32,
    is_dead: bool,
    /// The event of an asynchronous invocation, not a message of the queue.
    #[serde(default)]
    pub(crate) is_event: bool,
    /// Not stored: after a restart no worker has the message, and it becomes visible when its
    /// time-out ends.
    #[serde(skip)]
    in_flight: bool,
}

/// The queue. Clones share it.
#[derive(Clone)]
pub(crate) struct LocalQueue(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Notified when a message may have become due.
    due: Notify,
    /// Notified when work has ended.
    idle: Notify,
    store: Option<QueueStore>,
    clock: Clock,
    receives_max: u32,
    visibility_millis: i64,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    /// Batches in flight, and reports that carriers are sending.
    work_count: usize,
}

impl State {
    fn next_due_millis(&self) -> Option<i64> {
        self.messages
            .iter()
            .filter(|message| message.is_waiting())
            .map(|message| message.visible_at_millis)
            .min()
    }
}

/// Work in progress, which [`LocalQueue::settle`] waits for. The work ends when this value is
/// dropped.
pub(crate) struct Work(LocalQueue);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.state().work_count -= 1;
        self.0.0.idle.notify_waiters();
    }
}

/// All messages of the queue, as `GET /local/state` shows them.
pub(crate) struct QueueContents {
    pub(crate) queued: Vec<Value>,
    pub(crate) dead_letters: Vec<Value>,
}

impl LocalQueue {
    /// With the messages in `store`; without one the queue is in memory only.
    pub(crate) fn open(
        store: Option<QueueStore>,
        clock: Clock,
        receives_max: u32,
        visibility_seconds: i64,
    ) -> Result<Self, EngineError> {
        let messages = match &store {
            Some(store) => store.load()?,
            None => vec![],
        };
        Ok(Self(Arc::new(Inner {
            state: Mutex::new(State {
                messages,
                work_count: 0,
            }),
            due: Notify::new(),
            idle: Notify::new(),
            store,
            clock,
            receives_max,
            visibility_millis: visibility_seconds * 1000,
        })))
    }

    /// Enqueues a message; returns its id once it is stored.
    pub(crate) fn send(&self, body: String, delay_seconds: i64) -> Result<String, EngineError> {
        self.add(body, delay_seconds, false)
    }

    /// Stores the event of an asynchronous invocation; returns its id.
    pub(crate) fn send_event(&self, event: String) -> Result<String, EngineError> {
        self.add(event, 0, true)
    }

    fn add(&self, body: String, delay_seconds: i64, is_event: bool) -> Result<String, EngineError> {
        let id = HEXLOWER.encode(&random_bytes::<16>());
        let message = Message {
            id: id.clone(),
            body,
            visible_at_millis: self.0.clock.now_millis() + delay_seconds * 1000,
            receives: 0,
            is_dead: false,
            is_event,
            in_flight: false,
        };
        self.store(&message)?;
        self.state().messages.push(message);
        self.wake();
        Ok(id)
    }

    /// Up to `batch_size` messages that are due, or one event, now in flight; `None` if there are
    /// none. What was received too often becomes a dead letter instead. The batch is in progress
    /// until the returned [`Work`] is dropped.
    pub(crate) fn receive(&self, batch_size: usize) -> Option<(Vec<Message>, Work)> {
        let now = self.0.clock.now_millis();
        let mut state = self.state();
        let mut batch = vec![];
        let due = state.messages.iter_mut();
        let mut due = due.filter(|m| m.is_waiting() && m.visible_at_millis <= now);
        let first = due.next();
        let (is_event, more_max) = match &first {
            Some(message) if message.is_event => (true, 0),
            _ => (false, batch_size.saturating_sub(1)),
        };
        let more = due.filter(|message| message.is_event == is_event);
        for message in first.into_iter().chain(more.take(more_max)) {
            if message.receives >= self.0.receives_max {
                message.is_dead = true;
                message.visible_at_millis = now;
            } else {
                message.receives += 1;
                message.visible_at_millis = now + self.0.wait_millis(message);
                message.in_flight = true;
                batch.push(message.clone());
            }
            if let Err(error) = self.store(message) {
                tracing::error!(
                    queue.message = message.id,
                    error.cause = error.to_string(),
                    "failed to store that a queue message was received"
                );
            }
        }
        if batch.is_empty() {
            self.0.idle.notify_waiters();
            return None;
        }
        state.work_count += 1;
        drop(state);
        Some((batch, Work(self.clone())))
    }

    /// Up to `count_max` dead letters, hidden for `hidden_seconds` from other readers.
    pub(crate) fn receive_dead_letters(
        &self,
        count_max: usize,
        hidden_seconds: i64,
    ) -> Vec<Message> {
        let now = self.0.clock.now_millis();
        let mut state = self.state();
        let dead = state.messages.iter_mut().filter(|message| message.is_dead);
        let visible = dead.filter(|message| message.visible_at_millis <= now);
        let hide = |message: &mut Message| {
            message.visible_at_millis = now + hidden_seconds * 1000;
            message.clone()
        };
        visible.take(count_max).map(hide).collect()
    }

    /// Shows a dead letter to readers after so many seconds.
    pub(crate) fn hide_dead_letter(&self, id: &str, hidden_seconds: i64) {
        let now = self.0.clock.now_millis();
        let mut state = self.state();
        if let Some(message) = state.messages.iter_mut().find(|m| m.id == id && m.is_dead) {
            message.visible_at_millis = now + hidden_seconds * 1000;
        }
    }

    /// Deletes a message that a worker has handled, or a dead letter.
    pub(crate) fn delete(&self, id: &str) {
        self.state().messages.retain(|message| message.id != id);
        if let Some(store) = &self.0.store
            && let Err(error) = store.delete(id)
        {
            tracing::error!(
                queue.message = id,
                error.cause = error.to_string(),
                "failed to delete a handled queue message; a restart redelivers it"
            );
        }
    }

    /// Deletes all messages, dead letters included.
    pub(crate) fn clear(&self) {
        let messages = std::mem::take(&mut self.state().messages);
        for message in messages {
            self.delete(&message.id);
        }
    }

    /// Returns a message that a worker has failed to handle: it is redelivered after its visibility
    /// time-out.
    pub(crate) fn redeliver(&self, id: &str) {
        let mut state = self.state();
        if let Some(message) = state.messages.iter_mut().find(|message| message.id == id) {
            message.in_flight = false;
        }
        drop(state);
        // Until now nothing waited for its time-out.
        self.wake();
    }

    /// Work other than a batch that [`LocalQueue::settle`] waits for.
    pub(crate) fn begin_work(&self) -> Work {
        self.state().work_count += 1;
        Work(self.clone())
    }

    /// Waits until a message may be due, because of [`LocalQueue::wake`] or because time has
    /// passed.
    pub(crate) async fn wait_for_work(&self) {
        let due = self.0.due.notified();
        tokio::pin!(due);
        due.as_mut().enable();
        let now = self.0.clock.now_millis();
        let wait = match self.next_due_millis() {
            Some(at) if at <= now => return,
            Some(at) => Duration::from_millis((at - now).unsigned_abs()).min(WAIT_MAX),
            None => WAIT_MAX,
        };
        let _ = tokio::time::timeout(wait, due).await;
    }

    /// Waits until no message is due and no work is in progress.
    pub(crate) async fn settle(&self) {
        loop {
            let idle = self.0.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.is_idle() {
                return;
            }
            self.wake();
            idle.await;
        }
    }

    /// Whether no message is due and no work is in progress, at one moment: a worker may enqueue a
    /// message and end between two looks.
    fn is_idle(&self) -> bool {
        let now = self.0.clock.now_millis();
        let state = self.state();
        let is_due = state.next_due_millis().is_some_and(|at| at <= now);
        !is_due && state.work_count == 0
    }

    /// Ends [`LocalQueue::wait_for_work`]: a message was sent or the clock was moved.
    pub(crate) fn wake(&self) {
        self.0.due.notify_waiters();
    }

    /// The first moment at which a message is due, in milliseconds since 1970.
    pub(crate) fn next_due_millis(&self) -> Option<i64> {
        self.state().next_due_millis()
    }

    /// All messages.
    pub(crate) fn contents(&self) -> QueueContents {
        let state = self.state();
        let (dead, queued): (Vec<_>, Vec<_>) = state.messages.iter().partition(|m| m.is_dead);
        let to_json =
            |messages: Vec<&Message>| messages.into_iter().map(Message::to_json).collect();
        QueueContents {
            queued: to_json(queued),
            dead_letters: to_json(dead),
        }
    }

    fn store(&self, message: &Message) -> Result<(), EngineError> {
        match &self.0.store {
            Some(store) => store.put(&message.id, message),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How long after it was received `message` is received again. Lambda repeats a failed
    /// invocation after one minute, and then after two; then the event is a dead letter.
    fn wait_millis(&self, message: &Message) -> i64 {
        match message.is_event {
            true if message.receives >= self.receives_max => 0,
            true => EVENT_RETRY_MILLIS * i64::from(message.receives),
            false => self.visibility_millis,
        }
    }
}

impl Message {
    fn is_waiting(&self) -> bool {
        !self.is_dead && !self.in_flight
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id, "body": self.body, "receives": self.receives,
            "visible_at_millis": self.visible_at_millis,
        })
    }
}
