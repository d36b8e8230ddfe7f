//! The handlers of the functions, called in this process.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lambda_events::sqs::SqsBatchResponse;
use axum::body::Body;
use axum::response::Response;
use lambda_http::{Context, LambdaEvent};
use otp::config::{ConfigError, Environment};
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use serde_json::Value;

use crate::metrics::RecordedMetrics;
use crate::template::HttpFunction;

/// The handlers. Clones share them.
#[derive(Clone)]
pub(crate) struct InProcess(Arc<RwLock<Arc<Handlers>>>);

/// The handlers with the state that they keep between invocations.
struct Handlers {
    send: send::State,
    verify: verify::State,
    factors: factors::State,
    delivery_callback: delivery_callback::State,
    carrier_worker: carrier_worker::State,
}

impl InProcess {
    /// # Errors
    /// One line per invalid variable.
    pub(crate) fn new(
        environment: &Environment,
        clock: &Clock,
        metrics: &RecordedMetrics,
    ) -> Result<Self, ConfigError> {
        let handlers = Arc::new(Handlers::new(environment, clock, metrics)?);
        Ok(Self(Arc::new(RwLock::new(handlers))))
    }

    /// Starts over with new state, as new instances do.
    pub(crate) fn restart(
        &self,
        environment: &Environment,
        clock: &Clock,
        metrics: &RecordedMetrics,
    ) {
        // The same variables were valid at the start.
        if let Ok(handlers) = Handlers::new(environment, clock, metrics) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(handlers);
        }
    }

    fn handlers(&self) -> Arc<Handlers> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Runs on the task of the connection: a panic ends this connection and nothing else.
    pub(super) async fn handle_http(
        &self,
        function: HttpFunction,
        event: &str,
    ) -> Option<Response> {
        let handlers = self.handlers();
        let request = lambda_http::request::from_str(event).ok()?;
        let response = match function {
            HttpFunction::Send => send::handle(&handlers.send, &request).await,
            HttpFunction::Verify => verify::handle(&handlers.verify, &request).await,
            HttpFunction::Factors => factors::handle(&handlers.factors, &request).await,
            HttpFunction::DeliveryCallback => {
                delivery_callback::handle(&handlers.delivery_callback, &request).await
            }
        };
        Some(response.map(|body| Body::from(body.as_ref().to_vec())))
    }

    /// Calls `factors` with an event that is not of the gateway.
    pub(super) async fn invoke_factors(&self, event: Value) -> Option<Value> {
        let handlers = self.handlers();
        let event = LambdaEvent::new(event, Context::default());
        factors::invoke(&handlers.factors, event).await.ok()
    }

    /// Runs on a task of its own: a panic fails this dispatch and nothing else.
    pub(super) async fn handle_dispatch(&self, dispatch: &str) -> bool {
        let handlers = self.handlers();
        let Ok(dispatch) = serde_json::from_str(dispatch) else {
            return false;
        };
        let handled = tokio::spawn(async move {
            let (worker, request_id) = (&handlers.carrier_worker, Context::default().request_id);
            carrier_worker::handle_dispatch(worker, &dispatch, &request_id, Deadline::default())
                .await
        });
        handled.await.is_ok_and(|result| result.is_ok())
    }

    pub(super) async fn handle_batch(&self, batch: Value) -> Option<SqsBatchResponse> {
        let handlers = self.handlers();
        let batch = serde_json::from_value(batch).ok()?;
        Some(carrier_worker::handle(&handlers.carrier_worker, batch, Deadline::default()).await)
    }
}

impl Handlers {
    fn new(
        environment: &Environment,
        clock: &Clock,
        metrics: &RecordedMetrics,
    ) -> Result<Self, ConfigError> {
        let (environment, clock) = (|| environment.clone(), || clock.clone());
        let sink = |function| metrics.sink(function);
        Ok(Self {
            send: send::State::new(environment(), clock(), sink("send"))?,
            verify: verify::State::new(environment(), clock(), sink("verify"))?,
            factors: factors::State::new(environment(), clock(), sink("factors"))?,
            delivery_callback: delivery_callback::State::new(
                environment(),
                clock(),
                sink("delivery-callback"),
            )?,
            carrier_worker: carrier_worker::State::new(
                environment(),
                clock(),
                sink("carrier-worker"),
            )?,
        })
    }
}
