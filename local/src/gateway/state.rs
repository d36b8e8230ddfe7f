//! What the endpoints work on.

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;

use crate::configured_carriers::ConfiguredCarriers;
use crate::functions::Functions;
use crate::metrics::RecordedMetrics;
use crate::queue::LocalQueue;
use crate::simulated_carriers::SimulatedCarriers;
use crate::simulated_clock::SimulatedClock;
use crate::table::Table;
use crate::template::Template;

/// The parts of the running server.
pub(crate) struct Gateway {
    pub(crate) template: Arc<Template>,
    pub(crate) functions: Functions,
    pub(crate) table: Table,
    pub(crate) queue: LocalQueue,
    pub(crate) carriers: SimulatedCarriers,
    pub(crate) configured_carriers: ConfiguredCarriers,
    pub(crate) metrics: RecordedMetrics,
    pub(crate) clock: SimulatedClock,
    pub(crate) page: String,
    pub(crate) openapi: Value,
    /// Lets the functions start over with new state.
    pub(crate) restart_functions: Box<dyn Fn() + Send + Sync>,
}

/// The gateway as an extractor.
pub(super) type Shared = State<Arc<Gateway>>;
