//! carrier-worker: takes dispatches from the queue and hands messages to carriers.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use otp::carrier::Carriers;
use otp::config::WorkerConfig;
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use otp::platform::logging::causes;
use otp::platform::metrics::Metrics;
use otp::platform::queue::{Dispatch, FeedbackDispatch, Queue};
use otp::service::deliver::Delivering;
use otp::service::deliver::breakers::Breakers;
use otp::store::Store;
use tokio::task::JoinSet;

/// What the function keeps between invocations.
#[derive(Clone)]
pub struct State(Arc<Delivering<Carriers>>);

impl State {
    /// From the configuration.
    #[must_use]
    pub fn new(config: WorkerConfig, clock: Clock, metrics: Metrics) -> Self {
        let dynamodb = config.aws.config(Service::DynamoDb);
        let store = Store::new(&dynamodb, config.table, config.keyring.clone());
        let queue = Queue::new(&config.aws, config.queue_url);
        Self(Arc::new(Delivering {
            breakers: Breakers::new(store.clone(), &config.keyring, clock.clone()),
            store,
            queue: Some(queue),
            carriers: Carriers::new(config.carriers, &config.aws),
            keyring: config.keyring,
            apps: config.apps,
            waits: config.waits,
            public_url: Some(config.public_url),
            clock,
            metrics,
        }))
    }

    /// Does during init what the first dispatch would wait for.
    pub async fn warm_up(&self) {
        self.0.store.warm_up().await;
    }
}

/// Processes a batch at once, within `deadline`. Returns the ids of the messages that must be
/// received again.
pub async fn handle(state: &State, batch: SqsEvent, deadline: Deadline) -> SqsBatchResponse {
    let (mut running, mut message_ids) = (JoinSet::new(), HashMap::new());
    for record in batch.records {
        let (delivering, message_id) = (state.0.clone(), record.message_id.unwrap_or_default());
        let body = record.body.unwrap_or_default();
        let task = running.spawn({
            let message_id = message_id.clone();
            async move { process(&delivering, &message_id, &body, deadline).await }
        });
        message_ids.insert(task.id(), message_id);
    }
    let mut response = SqsBatchResponse::default();
    while let Some(joined) = running.join_next_with_id().await {
        let failed = match joined {
            Ok((_, true)) => continue,
            Ok((task, false)) => task,
            // The panic was logged where it happened.
            Err(panicked) => panicked.id(),
        };
        response.add_failure(message_ids.remove(&failed).unwrap_or_default());
    }
    response
}

/// Whether the feedback is done. A failure is logged here.
async fn give_feedback(
    delivering: &Delivering<Carriers>,
    message_id: &str,
    feedback: &FeedbackDispatch,
) -> bool {
    let Err(error) = delivering.give_feedback(feedback).await else {
        return true;
    };
    tracing::error!(
        verification.id = feedback.id.log_prefix(),
        app = feedback.app,
        message.id = message_id,
        error.kind = "feedback_failed",
        error.cause = causes(&error),
        "failed to give conversion feedback; the queue delivers it again"
    );
    false
}

/// Whether the message is done. A failure is logged here.
async fn process(
    delivering: &Delivering<Carriers>,
    message_id: &str,
    body: &str,
    deadline: Deadline,
) -> bool {
    if let Some(feedback) = FeedbackDispatch::parse(body) {
        return give_feedback(delivering, message_id, &feedback).await;
    }
    let Some(dispatch) = Dispatch::parse(body) else {
        tracing::error!(
            message.id = message_id,
            error.kind = "unreadable_dispatch",
            "the queue message is not a dispatch"
        );
        return false;
    };
    let Err(error) = delivering.deliver(&dispatch, deadline).await else {
        return true;
    };
    tracing::error!(
        verification.id = dispatch.id.log_prefix(),
        app = dispatch.app,
        dispatch.step = dispatch.step,
        message.id = message_id,
        error.kind = "delivery_failed",
        error.cause = causes(&error),
        "failed to process a dispatch; the queue delivers it again"
    );
    false
}
