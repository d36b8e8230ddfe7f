//! Store: the DynamoDB table. One item per app and recipient, a second one for its older sends with
//! a key, one per app and subject, one per rate limit, one for the breakers, one for the
//! configuration document and one for its credentials.
//!
//! Invariants: one decision is one conditional write; limits are decided by conditions, never
//! read and then written. This folder alone names the DynamoDB client.

mod attributes;
mod expression;
mod versioned;
mod recipient_subject_codec;
mod recipient_codec;
mod sealed_address;
mod recipient_item;
mod recipients;
mod remembered_sends;
mod attempt_log;
mod attempts;
mod subject_codec;
mod subject_item;
mod subjects;
mod subject_log;
mod deliveries;
mod delivery_item;
mod delivery_status;
mod breakers;
mod config_items;
mod config_keys;
mod limits;
mod owners;
mod scan;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

pub use attempts::AttemptResult;
pub use breakers::BreakerState;
pub use config_items::{ConfigItem, ConfigReadError, ConfigVersion, ConfigWrite, StoredVersions};
pub use config_keys::is_config_key;
pub use deliveries::{Claim, ClaimResult, DeliveryRecord, HandoverDetails, StepResult};
pub use delivery_status::RaiseResult;
pub use limits::{Exceeded, Reservation, ReserveOrder, ReserveResult, SharedLimits};
pub use recipients::{Change, RestoreResult, SaveResult, StoredRecipient};
pub use scan::{OutdatedRecord, ScannedPage};
pub use subject_log::LogResult;
pub use subjects::{StoredSubject, SubjectSaveResult};
pub use versioned::jittered_backoff;

use limits::GuardCache;

use crate::crypto::keyring::Keyring;
use crate::domain::time::{HOUR_SECONDS, RETENTION_SECONDS};
use crate::platform::aws::ClientConfig;
use crate::platform::random::random_bytes;

/// Longer than every window that an item enforces.
const TTL_SECONDS: i64 = RETENTION_SECONDS + HOUR_SECONDS;

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    keyring: Arc<Keyring>,
    /// What this instance remembers of conversion guards.
    guards: Arc<GuardCache>,
}

/// The table did not do what was requested, or it is not known whether it did.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No response, or an error response.
    #[error("the request to the table failed")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Other writers were first on every try. Nothing was written.
    #[error("other writers were first on every try")]
    Conflict,
    /// The time for the request is over.
    #[error("the time for the request is over")]
    OutOfTime,
    /// The item has a format of a later version.
    #[error("the item has the unknown format {0}")]
    UnknownFormat(i64),
}

impl StoreError {
    fn request(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Request(Box::new(error))
    }
}

/// Random id of a write: the version of the item that it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteId([u8; 8]);

impl WriteId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(random_bytes())
    }
}

impl Store {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &ClientConfig, table: String, keyring: Arc<Keyring>) -> Self {
        let mut settings = aws_sdk_dynamodb::config::Builder::from(&config.sdk);
        if let Some(signing) = &config.signing {
            settings = settings.push_auth_scheme(signing.clone());
        }
        Self {
            client: Client::from_conf(settings.build()),
            table,
            keyring,
            guards: Arc::default(),
        }
    }
}
