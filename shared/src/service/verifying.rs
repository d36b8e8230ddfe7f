//! Verifying: what checks, reads and ends of a verification share. Dependencies and errors.

use std::sync::Arc;

use super::approvals::Approvals;
use crate::config::{Apps, VerifyConfig};
use crate::crypto::keyring::Keyring;
use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;
use crate::domain::verification_status::Status;
use crate::platform::metrics::Metrics;
use crate::store::{Store, StoreError};

/// What checks, cancels and reads need.
pub struct Verifying {
    /// The table.
    pub store: Store,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Policies of the apps.
    pub apps: Apps,
    pub(super) metrics: Metrics,
}

impl Verifying {
    /// What approvals of the recipient under `key` need.
    pub(super) fn approvals(&self, key: RecordKey, now: Timestamp) -> Approvals<'_> {
        Approvals {
            store: &self.store,
            keyring: &self.keyring,
            key,
            now,
        }
    }

    /// From the configuration of `verify`, with the connections of `store`.
    #[must_use]
    pub fn new(store: Store, config: VerifyConfig, metrics: Metrics) -> Self {
        Self {
            store,
            keyring: config.keyring,
            apps: config.apps,
            metrics,
        }
    }
}

/// Why a check, cancel or read has no result.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such verification.
    #[error("there is no such verification")]
    NotFound,
    /// The verification has ended.
    #[error("the verification has ended")]
    NotPending {
        /// How.
        status: Status,
        /// When its validity ends or ended.
        expires_at: Timestamp,
    },
    /// The `Idempotency-Key` was used with another body.
    #[error("the Idempotency-Key was used with another body")]
    IdempotencyMismatch,
    /// There is no such decision.
    #[error("there is no such decision")]
    DecisionNotFound,
    /// The decision is expired.
    #[error("the decision is expired")]
    DecisionNotPending,
    /// The table failed: nothing was compared.
    #[error(transparent)]
    Store(#[from] StoreError),
}
