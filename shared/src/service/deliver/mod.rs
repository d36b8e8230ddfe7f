//! Deliver: one step with the deliveries of a verification. A worker claims the step before it
//! calls a carrier, so that a dispatch that is received twice sends once, and records the next step
//! when it ends this one.
//!
//! Invariants: no message is handed over after its verification has ended, and nothing is done for
//! a stale dispatch.

pub mod breakers;
pub mod carrier_client;
mod charge;
mod fallback;
mod handover;
mod lost_claim;
mod poll;
mod record;
mod single_handover;
pub mod sns_publisher;
mod step_work;

use std::sync::Arc;

pub use single_handover::SingleHandover;

use breakers::Breakers;
use carrier_client::CarrierClient;
use step_work::StepWork;

use crate::config::Apps;
use crate::crypto::keyring::Keyring;
use crate::domain::delivery_plan::ReportWaits;
use crate::platform::clock::Clock;
use crate::platform::metrics::Metrics;
use crate::platform::queue::{Dispatch, Queue, QueueError};
use crate::store::{ClaimResult, Store, StoreError};

/// What delivering needs. `C` calls the carriers.
pub struct Delivering<C> {
    /// The table.
    pub store: Store,
    /// The queue for later steps; `None` if messages are handed over within the request.
    pub queue: Option<Queue>,
    /// The carriers.
    pub carriers: C,
    /// Their circuit breakers.
    pub breakers: Breakers,
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

impl<C: CarrierClient> Delivering<C> {
    /// Takes the step that `dispatch` names, if it is the current one.
    ///
    /// # Errors
    /// [`DeliverError`]: the dispatch must be received again.
    pub async fn deliver(&self, dispatch: &Dispatch) -> Result<(), DeliverError> {
        let (work, claimed) = StepWork::claim(self, dispatch).await?;
        match claimed {
            ClaimResult::Written(stored) => work.take_step(&stored.recipient).await,
            ClaimResult::Lost(Some(recipient)) => work.handle_lost_claim(&recipient).await,
            ClaimResult::Lost(None) => Ok(()),
        }
    }
}
