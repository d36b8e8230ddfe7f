//! The handlers of the functions, called in this process.

use aws_lambda_events::sqs::SqsBatchResponse;
use axum::body::Body;
use axum::response::Response;
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use serde_json::Value;

use crate::metrics::RecordedMetrics;
use crate::settings::Settings;
use crate::template::HttpFunction;

/// The handlers with their state.
pub(crate) struct InProcess {
    send: send::State,
    verify: verify::State,
    delivery_callback: delivery_callback::State,
    carrier_worker: carrier_worker::State,
}

impl InProcess {
    pub(crate) fn new(settings: Settings, clock: &Clock, metrics: &RecordedMetrics) -> Self {
        Self {
            send: send::State::new(settings.send, clock.clone(), metrics.sink()),
            verify: verify::State::new(settings.verify, clock.clone(), metrics.sink()),
            delivery_callback: delivery_callback::State::new(
                settings.delivery_callback,
                clock.clone(),
                metrics.sink(),
            ),
            carrier_worker: carrier_worker::State::new(
                settings.carrier_worker,
                clock.clone(),
                metrics.sink(),
            ),
        }
    }

    /// Runs on the task of the connection: a panic ends this connection and nothing else.
    pub(super) async fn handle_http(
        &self,
        function: HttpFunction,
        event: &str,
    ) -> Option<Response> {
        let request = lambda_http::request::from_str(event).ok()?;
        let response = match function {
            HttpFunction::Send => send::handle(&self.send, &request).await,
            HttpFunction::Verify => verify::handle(&self.verify, &request).await,
            HttpFunction::DeliveryCallback => {
                delivery_callback::handle(&self.delivery_callback, &request).await
            }
        };
        Some(response.map(|body| Body::from(body.as_ref().to_vec())))
    }

    pub(super) async fn handle_batch(&self, batch: Value) -> Option<SqsBatchResponse> {
        let batch = serde_json::from_value(batch).ok()?;
        Some(carrier_worker::handle(&self.carrier_worker, batch, Deadline::default()).await)
    }
}
