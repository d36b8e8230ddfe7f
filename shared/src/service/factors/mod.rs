//! Factors: enrols, checks and removes the factors of a subject, shows and erases it, and decides
//! what it may do. One file for each use case.

pub mod check;
pub mod decide;
pub mod enrol;
pub mod remove;
pub mod reseal;
pub mod show;

use std::sync::Arc;

use super::subject_change::SubjectRecord;
use crate::config::{AppRules, Apps, FactorsConfig};
use crate::crypto::keyring::Keyring;
use crate::domain::ids::SubjectKey;
use crate::domain::policy::Policy;
use crate::domain::subject_id::SubjectId;
use crate::domain::time::Timestamp;
use crate::platform::aws::Service;
use crate::platform::metrics::Metrics;
use crate::store::{Store, StoreError};

/// What all use cases of subjects need.
pub struct Subjects {
    /// The table.
    pub store: Store,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Policies of the apps.
    pub apps: Apps,
    rules: AppRules,
    metrics: Metrics,
}

/// The subject of one request.
#[derive(Clone, Copy)]
pub struct SubjectContext<'a> {
    subjects: &'a Subjects,
    app: &'a str,
    /// Key of its record.
    pub key: SubjectKey,
    now: Timestamp,
}

impl Subjects {
    /// From the configuration of `factors`.
    #[must_use]
    pub fn new(config: FactorsConfig, metrics: Metrics) -> Self {
        let dynamodb = config.aws.client(Service::DynamoDb);
        let table = config.table.clone();
        let store = Store::new(dynamodb, table, config.keyring.clone());
        Self::with_store(store, config, metrics)
    }

    /// From the configuration of `factors`, with the connections of `store`.
    #[must_use]
    pub fn with_store(store: Store, config: FactorsConfig, metrics: Metrics) -> Self {
        Self {
            store,
            keyring: config.keyring,
            apps: config.apps,
            rules: config.rules,
            metrics,
        }
    }

    /// The subject `id` of `app`, at `now`.
    #[must_use]
    pub fn of<'a>(&'a self, app: &'a str, id: &SubjectId, now: Timestamp) -> SubjectContext<'a> {
        SubjectContext {
            subjects: self,
            app,
            key: self.keyring.subject_key(app, id),
            now,
        }
    }
}

impl SubjectContext<'_> {
    fn policy(&self) -> &Policy {
        self.subjects.apps.policy(self.app)
    }

    fn record(&self) -> SubjectRecord<'_> {
        SubjectRecord {
            store: &self.subjects.store,
            keyring: &self.subjects.keyring,
            key: self.key,
            now: self.now,
        }
    }
}

/// Why a request about a subject has no result.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// There is no such factor.
    #[error("there is no such factor")]
    FactorNotFound,
    /// There is no such verified recipient.
    #[error("there is no such verified recipient")]
    RecipientNotFound,
    /// There is no such decision.
    #[error("there is no such decision")]
    DecisionNotFound,
    /// The decision has ended.
    #[error("the decision has ended")]
    DecisionNotPending,
    /// The subject has as many factors as it can have.
    #[error("the subject has as many factors as it can have")]
    TooManyFactors,
    /// As many decisions are pending as can be.
    #[error("as many decisions are pending as can be")]
    TooManyDecisions {
        /// When the first of them ends.
        until: Timestamp,
    },
    /// The budget of wrong codes is used up: nothing was compared.
    #[error("the budget of wrong codes is used up")]
    Locked {
        /// When the first attempt is available again.
        until: Timestamp,
    },
    /// The `Idempotency-Key` was used with another body.
    #[error("the Idempotency-Key was used with another body")]
    IdempotencyMismatch,
    /// The table failed: nothing was compared.
    #[error(transparent)]
    Store(#[from] StoreError),
}
