//! The dispatch queue at home: delays, visibility times and the dead-letter queue of SQS, on the movable clock.
//! A message is acknowledged to its sender only once it is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use otp::platform::clock::Clock;
use otp::platform::random::random_bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::engine::Engine;

/// One message.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    visible_at_millis: i64,
    pub(crate) receives: u32,
    is_dead: bool,
    /// A process that died was working on it: its visibility time goes on.
    #[serde(skip)]
    in_flight: bool,
}

/// The queue. Clones share it.
#[derive(Clone)]
pub(crate) struct LocalQueue(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Something may have become due.
    due: Notify,
    /// Some work has come to rest.
    rested: Notify,
    engine: Option<Engine>,
    clock: Clock,
    receives_max: u32,
    visibility_millis: i64,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    /// Work that is going on: batches, and reports on their way.
    busy: usize,
}

/// Work that an advance of the clock waits for; ends when dropped.
pub(crate) struct Busy(LocalQueue);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.0.rested.notify_waiters();
    }
}

impl LocalQueue {
    /// Kept in `engine`, where one is given, with what it already holds.
    pub(crate) fn open(
        engine: Option<Engine>,
        clock: Clock,
        receives_max: u32,
        visibility_seconds: i64,
    ) -> Result<Self, String> {
        let kept = engine.as_ref().map_or(Ok(vec![]), Engine::queued)?;
        let messages = kept
            .into_iter()
            .filter_map(|message| serde_json::from_value(message).ok())
            .collect();
        let state = Mutex::new(State { messages, busy: 0 });
        let visibility_millis = visibility_seconds * 1000;
        Ok(Self(Arc::new(Inner {
            state,
            due: Notify::new(),
            rested: Notify::new(),
            engine,
            clock,
            receives_max,
            visibility_millis,
        })))
    }

    /// Takes a message; returns its id once it is kept.
    pub(crate) fn send(&self, body: String, delay_seconds: i64) -> Result<String, String> {
        let id = data_encoding::HEXLOWER.encode(&random_bytes::<16>());
        let visible_at_millis = self.0.clock.now_millis() + delay_seconds * 1000;
        let message = Message {
            id: id.clone(),
            body,
            visible_at_millis,
            receives: 0,
            is_dead: false,
            in_flight: false,
        };
        self.keep(&message)?;
        self.state().messages.push(message);
        self.wake();
        Ok(id)
    }

    /// Up to `most` messages that are due, invisible from now on; and the work on them, to be dropped when it is done.
    pub(crate) fn receive(&self, most: usize) -> Option<(Vec<Message>, Busy)> {
        let now = self.0.clock.now_millis();
        let mut state = self.state();
        let mut batch = vec![];
        for message in state
            .messages
            .iter_mut()
            .filter(|m| !m.is_dead && !m.in_flight && m.visible_at_millis <= now)
            .take(most)
        {
            if message.receives >= self.0.receives_max {
                message.is_dead = true;
            } else {
                message.receives += 1;
                message.visible_at_millis = now + self.0.visibility_millis;
                message.in_flight = true;
                batch.push(message.clone());
            }
            let kept = self.keep(message);
            if let Err(error) = kept {
                tracing::error!(error.cause = error, "a message of the queue was not kept");
            }
        }
        if batch.is_empty() {
            self.0.rested.notify_waiters();
            return None;
        }
        state.busy += 1;
        drop(state);
        Some((batch, Busy(self.clone())))
    }

    /// What a worker made of a message: done, or to come again after its visibility time.
    pub(crate) fn resolve(&self, id: &str, is_done: bool) {
        let mut state = self.state();
        if is_done {
            state.messages.retain(|message| message.id != id);
        } else if let Some(message) = state.messages.iter_mut().find(|message| message.id == id) {
            message.in_flight = false;
        }
        drop(state);
        if let (true, Some(engine)) = (is_done, &self.0.engine)
            && let Err(error) = engine.drop_message(id)
        {
            tracing::error!(
                error.cause = error,
                "a message of the queue was not dropped"
            );
        }
    }

    /// Work other than a batch that an advance of the clock waits for.
    pub(crate) fn busy(&self) -> Busy {
        self.state().busy += 1;
        Busy(self.clone())
    }

    /// Waits until something may be due, by a message or by time.
    pub(crate) async fn wait_for_work(&self) {
        let due = self.0.due.notified();
        tokio::pin!(due);
        due.as_mut().enable();
        let now = self.0.clock.now_millis();
        let wait = match self.next_due() {
            Some(at) if at <= now => return,
            Some(at) => u64::try_from(at - now).unwrap_or(0),
            None => u64::MAX >> 24,
        };
        let _ = tokio::time::timeout(std::time::Duration::from_millis(wait), due).await;
    }

    /// Waits until nothing is due and nobody is working.
    pub(crate) async fn settle(&self) {
        loop {
            let rested = self.0.rested.notified();
            tokio::pin!(rested);
            rested.as_mut().enable();
            let is_due = self
                .next_due()
                .is_some_and(|at| at <= self.0.clock.now_millis());
            if !is_due && self.state().busy == 0 {
                return;
            }
            self.wake();
            rested.await;
        }
    }

    /// Wakes whoever waits: the clock was moved.
    pub(crate) fn wake(&self) {
        self.0.due.notify_waiters();
    }

    /// The first moment at which a message is due, in milliseconds.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.state()
            .messages
            .iter()
            .filter(|m| !m.is_dead && !m.in_flight)
            .map(|m| m.visible_at_millis)
            .min()
    }

    /// What rests in the queue and among the dead letters.
    pub(crate) fn rest(&self) -> (Vec<Value>, Vec<Value>) {
        let shown = |m: &Message| json!({"id": m.id, "body": m.body, "receives": m.receives, "visible_at_millis": m.visible_at_millis});
        let (dead, queued): (Vec<_>, Vec<_>) = self
            .state()
            .messages
            .iter()
            .cloned()
            .partition(|message| message.is_dead);
        (
            queued.iter().map(shown).collect(),
            dead.iter().map(shown).collect(),
        )
    }

    fn keep(&self, message: &Message) -> Result<(), String> {
        self.0
            .engine
            .as_ref()
            .map_or(Ok(()), |engine| engine.keep(&message.id, message))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
