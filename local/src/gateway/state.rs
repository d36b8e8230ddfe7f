//! What the endpoints work on.

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;

use crate::functions::Functions;
use crate::metrics::RecordedMetrics;
use crate::queue::LocalQueue;
use crate::simulated_carriers::SimulatedCarriers;
use crate::simulated_clock::SimulatedClock;
use crate::table::Table;
use crate::template::Template;

/// The parts of the running server.
pub(crate) struct Gateway {
    pub(crate) template: Template,
    pub(crate) functions: Functions,
    pub(crate) table: Table,
    pub(crate) queue: LocalQueue,
    pub(crate) carriers: SimulatedCarriers,
    pub(crate) metrics: RecordedMetrics,
    pub(crate) clock: SimulatedClock,
    pub(crate) page: String,
    pub(crate) openapi: Value,
}

/// The gateway as an extractor.
pub(super) type Shared = State<Arc<Gateway>>;
