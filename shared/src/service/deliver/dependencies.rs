//! The dependencies of the work on deliveries, and its errors.

use std::sync::Arc;

use super::breakers::Breakers;
use crate::config::Apps;
use crate::crypto::keyring::Keyring;
use crate::domain::delivery_plan::ReportWaits;
use crate::platform::clock::Clock;
use crate::platform::metrics::Metrics;
use crate::platform::queue::{Queue, QueueError};
use crate::store::{Store, StoreError};

/// The dependencies of the work on deliveries. `C` calls the carriers.
pub struct Delivering<C> {
    /// The table.
    pub store: Store,
    /// The queue for later steps; `None` if messages are handed over within the request.
    pub queue: Option<Queue>,
    /// The carriers.
    pub carriers: C,
    /// Their circuit breakers.
    pub breakers: Arc<Breakers>,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Policies of the apps.
    pub apps: Apps,
    /// Waits for reports.
    pub waits: ReportWaits,
    /// Where carriers report to; `None` if they do not.
    pub public_url: Option<String>,
    /// The clock: a step takes time.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
}

/// Why a dispatch must be received again.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}
