//! Check: one attempt. One write appends it to the log; the log that the write returns decides.
//!
//! Invariants: what was not written is not compared, and nothing reveals which element was wrong.

use std::sync::Arc;

use crate::config::{Apps, VerifyConfig};
use crate::crypto::keyring::Keyring;
use crate::domain::address::Address;
use crate::domain::attempt_log::{Attempt, IdempotencyMismatch, KnownAttempt};
use crate::domain::code::Code;
use crate::domain::ids::{AttemptNonce, VerificationId, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::status::CheckOutcome;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::Transaction;
use crate::domain::verification_ref::VerificationRef;
use crate::platform::aws::Service;
use crate::platform::metrics::{Metric, Metrics};
use crate::platform::random::random_bytes;
use crate::store::{AttemptResult, Store, StoreError};

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
    /// From the configuration of `verify`.
    #[must_use]
    pub fn new(config: VerifyConfig, metrics: Metrics) -> Self {
        let dynamodb = config.aws.config(Service::DynamoDb);
        let store = Store::new(&dynamodb, config.table, config.keyring.clone());
        Self {
            store,
            keyring: config.keyring,
            apps: config.apps,
            metrics,
        }
    }
}

/// A check, as requested.
pub struct CheckRequest {
    /// The submitted code.
    pub code: Code,
    /// The submitted purpose.
    pub purpose: String,
    /// The submitted transaction.
    pub transaction: Option<Transaction>,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

/// A decided check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The outcome of the attempt.
    pub outcome: CheckOutcome,
    /// Whether an earlier check with the same `Idempotency-Key` had this outcome.
    pub is_replay: bool,
    /// The verification's recipient, as stored.
    pub recipient: Recipient,
    /// The verification's nonce.
    pub nonce: VerificationNonce,
}

/// Why a check, cancel or read has no result.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such verification.
    #[error("there is no such verification")]
    NotFound,
    /// The verification has ended.
    #[error("the verification has ended")]
    NotPending,
    /// The `Idempotency-Key` was used with another code, purpose or transaction.
    #[error("the Idempotency-Key was used with another code, purpose or transaction")]
    IdempotencyMismatch,
    /// The table failed: nothing was compared.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks a code.
///
/// # Errors
/// [`VerifyError`].
pub async fn check(
    verifying: &Verifying,
    app: &str,
    id: VerificationId,
    request: &CheckRequest,
    now: Timestamp,
) -> Result<Checked, VerifyError> {
    let keyring = &verifying.keyring;
    let (key, nonce) = keyring.open_verification_id(app, id);
    let (purpose, transaction) = (&request.purpose, request.transaction.as_ref());
    let code = request.code.reveal();
    let attempt = Attempt {
        nonce: match &request.idempotency_key {
            Some(idempotency_key) => keyring.attempt_nonce(key, nonce, idempotency_key),
            None => AttemptNonce::Random(random_bytes()),
        },
        hash: keyring.attempt_hash(key, nonce, purpose, transaction, code),
        decision: None,
        at: now,
        invocation: random_bytes(),
    };
    match verifying
        .store
        .append_attempt(key, nonce, &attempt, now)
        .await?
    {
        AttemptResult::Logged(recipient) => decide(verifying, *recipient, nonce, &attempt, now),
        AttemptResult::UnknownRecipient => Err(VerifyError::NotFound),
    }
}

fn decide(
    verifying: &Verifying,
    recipient: Recipient,
    nonce: VerificationNonce,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Checked, VerifyError> {
    let verification = recipient.find(nonce, now).ok_or(VerifyError::NotFound)?;
    let (known, outcome) = match verification {
        VerificationRef::Current(current) => {
            let logged = current
                .attempts
                .iter()
                .find(|logged| logged.nonce == attempt.nonce);
            let known = logged.map(|logged| KnownAttempt {
                submitted: logged.hash,
                invocation: Some(logged.invocation),
            });
            (known, current.outcome(attempt.nonce, now))
        }
        VerificationRef::Past(past) => {
            let mut recorded = past.recorded_checks.iter();
            let recorded = recorded.find(|check| check.nonce == attempt.nonce);
            let known = recorded.map(|check| KnownAttempt {
                submitted: check.hash,
                invocation: None,
            });
            (known, past.outcome(attempt.nonce))
        }
    };
    let is_replay = match known {
        Some(known) => known
            .is_earlier(&attempt.hash, attempt.invocation)
            .map_err(|IdempotencyMismatch| VerifyError::IdempotencyMismatch)?,
        None => false,
    };
    if !is_replay {
        let country = recipient.address.as_ref().and_then(Address::country);
        let seconds = now.seconds_since(verification.params().created_at);
        let metric = match outcome.reason {
            None => Metric::Approval { country, seconds },
            Some(_) => Metric::Check,
        };
        verifying.metrics.count(&metric, now);
    }
    Ok(Checked {
        outcome,
        is_replay,
        recipient,
        nonce,
    })
}
