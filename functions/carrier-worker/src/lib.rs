//! carrier-worker: takes dispatches, from the queue or from `send` itself, and hands messages to
//! carriers.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;
use otp::carrier::Carriers;
use otp::config::document::StoredConfig;
use otp::config::instance_config::{Configured, InstanceConfig};
use otp::config::{ConfigError, Environment, Infrastructure, WorkerConfig};
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use otp::platform::log_line::in_one_line;
use otp::platform::logging::causes;
use otp::platform::metrics::Metrics;
use otp::platform::queue::{Dispatch, FeedbackDispatch, Queue};
use otp::service::deliver::Delivering;
use otp::service::deliver::breakers::Breakers;
use otp::store::{ConfigReadError, StoredVersions};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

/// What the function keeps between invocations. Clones share it.
#[derive(Clone)]
pub struct State(Arc<InstanceConfig<SettingsSource>>);

/// What the function is invoked with.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// A batch of the queue.
    Batch(SqsEvent),
    /// One dispatch, from `send`.
    Dispatch(Value),
}

/// A dispatch that must be delivered again. The reason was logged.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the dispatch must be delivered again")]
pub struct DispatchFailed;

/// Reads the configuration, and makes what deliveries need of it.
struct SettingsSource {
    infrastructure: Infrastructure,
    /// Has the connections to carriers.
    carriers: Carriers,
    breakers: Arc<Breakers>,
    clock: Clock,
    metrics: Metrics,
}

impl Configured for SettingsSource {
    type Settings = Delivering<Carriers>;

    const FUNCTION: &'static str = "carrier-worker";

    async fn read_stored(&self, is_consistent: bool) -> Result<StoredVersions, ConfigReadError> {
        let store = &self.infrastructure.store;
        let carrier_seal = self.infrastructure.carrier_seal();
        store
            .read_config_and_secrets(carrier_seal, is_consistent)
            .await
    }

    fn configure(
        &self,
        stored: StoredConfig<'_>,
    ) -> Result<(Self::Settings, Vec<String>), ConfigError> {
        let config = WorkerConfig::read(self.infrastructure.reader(stored))?;
        let delivering = Delivering {
            store: self.infrastructure.store.clone(),
            queue: Some(Queue::new(&config.aws, config.queue_url)),
            carriers: self.carriers.with_carriers(config.carriers),
            breakers: self.breakers.clone(),
            keyring: config.keyring,
            apps: config.apps,
            waits: config.waits,
            public_url: Some(config.public_url),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        };
        Ok((delivering, config.warnings))
    }
}

impl State {
    /// With the infrastructure that the variables define. Nothing is read from the table yet.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn new(
        environment: impl Into<Environment>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, ConfigError> {
        let infrastructure = Infrastructure::read(environment, WorkerConfig::read)?;
        let max_age_seconds = infrastructure.config_max_age_seconds;
        let store = infrastructure.store.clone();
        let breakers = Breakers::new(store, infrastructure.keyring(), clock.clone());
        let source = SettingsSource {
            carriers: Carriers::new(vec![], infrastructure.aws()),
            breakers: Arc::new(breakers),
            infrastructure,
            clock: clock.clone(),
            metrics,
        };
        let config = InstanceConfig::new(source, clock, max_age_seconds);
        Ok(Self(Arc::new(config)))
    }

    /// Does during init what the first dispatch would wait for.
    ///
    /// # Errors
    /// All invalid variables and members of the configuration document.
    pub async fn warm_up(&self) -> Result<(), ConfigError> {
        self.0.start().await?;
        // A message is claimed while the breakers are read.
        let aws = self.0.configured().infrastructure.aws();
        aws.host(Service::DynamoDb).connect(2).await;
        Ok(())
    }
}

/// Processes an event within its deadline. Only a batch has a response.
///
/// # Errors
/// [`DispatchFailed`]: the function must be invoked with the dispatch again.
pub async fn invoke(
    state: &State,
    event: LambdaEvent<Event>,
    clock: &Clock,
) -> Result<Option<SqsBatchResponse>, DispatchFailed> {
    let deadline = Deadline::of_invocation(event.context.deadline, clock);
    match event.payload {
        Event::Batch(batch) => Ok(Some(handle(state, batch, deadline).await)),
        Event::Dispatch(dispatch) => {
            let request_id = &event.context.request_id;
            let handled = handle_dispatch(state, &dispatch, request_id, deadline);
            handled.await.map(|()| None)
        }
    }
}

/// Processes a batch at once, within `deadline`. Returns the ids of the messages that must be
/// received again.
pub async fn handle(state: &State, batch: SqsEvent, deadline: Deadline) -> SqsBatchResponse {
    state.0.beside(process_all(state, batch, deadline)).await
}

/// Processes the dispatch that the function was invoked with, within `deadline`. `request_id` is
/// that of the invocation.
///
/// # Errors
/// [`DispatchFailed`]: the function must be invoked with it again.
pub async fn handle_dispatch(
    state: &State,
    dispatch: &Value,
    request_id: &str,
    deadline: Deadline,
) -> Result<(), DispatchFailed> {
    let processed = async {
        // The reason of an error was logged where it was found.
        let delivering = state.0.current().await.map_err(|_| DispatchFailed)?;
        let body = dispatch.to_string();
        let done = in_one_line(process(&delivering, request_id, &body, deadline)).await;
        done.then_some(()).ok_or(DispatchFailed)
    };
    state.0.beside(processed).await
}

async fn process_all(state: &State, batch: SqsEvent, deadline: Deadline) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    let Ok(settings) = state.0.current().await else {
        // The reason was logged where it was found.
        for record in batch.records {
            response.add_failure(record.message_id.unwrap_or_default());
        }
        return response;
    };
    let (mut running, mut message_ids) = (JoinSet::new(), HashMap::new());
    for record in batch.records {
        let (delivering, message_id) = (settings.clone(), record.message_id.unwrap_or_default());
        let body = record.body.unwrap_or_default();
        let task = running.spawn({
            let message_id = message_id.clone();
            async move { in_one_line(process(&delivering, &message_id, &body, deadline)).await }
        });
        message_ids.insert(task.id(), message_id);
    }
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
        "failed to give conversion feedback; it is delivered again"
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
            "the message is not a dispatch"
        );
        return false;
    };
    let Err(error) = delivering.deliver(&dispatch, deadline).await else {
        tracing::info!(
            function = SettingsSource::FUNCTION,
            verification.id = dispatch.id.log_prefix(),
            app = dispatch.app,
            dispatch.step = dispatch.step,
            "processed a dispatch"
        );
        return true;
    };
    tracing::error!(
        verification.id = dispatch.id.log_prefix(),
        app = dispatch.app,
        dispatch.step = dispatch.step,
        message.id = message_id,
        error.kind = "delivery_failed",
        error.cause = causes(&error),
        "failed to process a dispatch; it is delivered again"
    );
    false
}
