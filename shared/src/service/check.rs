//! Check: one attempt. One write appends it to the log; the log that the write returns decides.
//!
//! Invariants: what was not written is not compared, and nothing reveals which element was wrong.

use super::show::show;
use super::target::Target;
use super::verifying::{VerifyError, Verifying};
use crate::domain::address::Address;
use crate::domain::code::Code;
use crate::domain::ids::{AttemptHash, AttemptNonce, VerificationId, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::status::CheckOutcome;
use crate::domain::time::Timestamp;
use crate::domain::verification::Attempt;
use crate::domain::verification_params::Transaction;
use crate::domain::verification_ref::VerificationRef;
use crate::platform::metrics::Metric;
use crate::platform::random::random_bytes;
use crate::store::AttemptResult;

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
    /// The verification's id.
    pub id: VerificationId,
    /// The verification's recipient, as stored.
    pub recipient: Recipient,
    /// The verification's nonce.
    pub nonce: VerificationNonce,
}

/// Checks a code. One write; to find the latest verification of a recipient, a read before it.
///
/// # Errors
/// [`VerifyError`].
pub async fn check(
    verifying: &Verifying,
    app: &str,
    target: &Target,
    request: &CheckRequest,
    now: Timestamp,
) -> Result<Checked, VerifyError> {
    let keyring = &verifying.keyring;
    let id = match target {
        Target::Id(id) => *id,
        Target::LatestOf(_) => show(verifying, app, target, now).await?.id,
    };
    let (key, nonce) = keyring.open_verification_id(app, id);
    let (purpose, transaction) = (&request.purpose, request.transaction.as_ref());
    let code = request.code.reveal();
    let attempt = Attempt {
        nonce: match &request.idempotency_key {
            Some(idempotency_key) => keyring.attempt_nonce(key, nonce, idempotency_key),
            None => AttemptNonce::Random(random_bytes()),
        },
        hash: keyring.attempt_hash(key, nonce, purpose, transaction, code),
        at: now,
        invocation: random_bytes(),
    };
    match verifying
        .store
        .append_attempt(key, nonce, &attempt, now)
        .await?
    {
        AttemptResult::Logged(recipient) => decide(verifying, *recipient, id, nonce, &attempt, now),
        AttemptResult::UnknownRecipient => Err(VerifyError::NotFound),
    }
}

/// An attempt with the same nonce that is already known.
struct Known {
    hash: AttemptHash,
    /// Whether this invocation wrote it.
    is_ours: bool,
}

fn decide(
    verifying: &Verifying,
    recipient: Recipient,
    id: VerificationId,
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
            let known = logged.map(|logged| Known {
                hash: logged.hash,
                is_ours: logged.invocation == attempt.invocation,
            });
            (known, current.outcome(attempt.nonce, now))
        }
        VerificationRef::Past(past) => {
            let mut recorded = past.recorded_checks.iter();
            let recorded = recorded.find(|check| check.nonce == attempt.nonce);
            let known = recorded.map(|check| Known {
                hash: check.hash,
                is_ours: false,
            });
            (known, past.outcome(attempt.nonce))
        }
    };
    if known
        .as_ref()
        .is_some_and(|known| known.hash != attempt.hash)
    {
        return Err(VerifyError::IdempotencyMismatch);
    }
    let is_replay = known.is_some_and(|known| !known.is_ours);
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
        id,
        recipient,
        nonce,
    })
}
