//! Shared parts: the parts of the running server that the endpoints of the gateway use.

use std::sync::Arc;

use axum::extract::State;
use otp::api::routing::BasePath;
use serde_json::Value;

use crate::configured_carriers::ConfiguredCarriers;
use crate::functions::Functions;
use crate::metrics::RecordedMetrics;
use crate::queue::LocalQueue;
use crate::simulated_carriers::SimulatedCarriers;
use crate::simulated_clock::SimulatedClock;
use crate::table::Table;
use crate::template::{DEFAULT_ROUTE, HttpFunction, Template};

/// The parts of the running server.
pub(crate) struct Gateway {
    pub(crate) template: Arc<Template>,
    pub(crate) functions: Functions,
    pub(crate) table: Table,
    /// The URL of DynamoDB itself.
    pub(crate) dynamodb_url: String,
    /// The URL of SQS itself.
    pub(crate) sqs_url: String,
    pub(crate) queue: LocalQueue,
    pub(crate) carriers: SimulatedCarriers,
    pub(crate) configured_carriers: ConfiguredCarriers,
    /// `OTP_CARRIERS` with the simulated carriers, if they are used.
    pub(crate) simulated_carriers: Option<String>,
    /// Fingerprint of the keys in `OTP_SECRETS`.
    pub(crate) keys: Option<String>,
    /// Hashes of API keys, as in `OTP_SECRETS`.
    pub(crate) api_keys: Value,
    pub(crate) metrics: RecordedMetrics,
    pub(crate) clock: SimulatedClock,
    pub(crate) page: String,
    pub(crate) openapi: Value,
    /// Lets the functions start over with new state.
    pub(crate) restart_functions: Box<dyn Fn() + Send + Sync>,
    /// The path of `OTP_PUBLIC_URL`: a custom domain with a base path.
    pub(crate) base: BasePath,
}

impl Gateway {
    /// The function that API Gateway calls for `path`, the route, and the path without the base
    /// path, which is not part of a route.
    pub(super) fn route<'p>(&self, path: &'p str) -> (HttpFunction, &str, &'p str) {
        let mut paths = self.base.strip(path, "");
        let known = paths.find_map(|path| {
            let (function, route) = self.template.route(path);
            (route != DEFAULT_ROUTE).then_some((function, route, path))
        });
        known.unwrap_or((HttpFunction::Verify, DEFAULT_ROUTE, path))
    }
}

/// The gateway as an extractor.
pub(super) type Shared = State<Arc<Gateway>>;
