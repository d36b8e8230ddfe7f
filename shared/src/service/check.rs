//! Check: one attempt. One write appends it to the log; the log that the write returns decides.
//!
//! Invariants: a code that was not written is not compared, and nothing reveals which of purpose,
//! transaction, subject and code was wrong.

use super::show::show;
use super::target::Target;
use super::verifying::{VerifyError, Verifying};
use crate::crypto::hashes::BoundToCode;
use crate::crypto::keyring::Keyring;
use crate::crypto::subject_ids::OpenedDecisionId;
use crate::domain::address::Address;
use crate::domain::attempt_log::{Attempt, IdempotencyMismatch, KnownAttempt};
use crate::domain::code::Code;
use crate::domain::decision::DecisionState;
use crate::domain::ids::{AttemptNonce, RecordKey, SubjectKey, VerificationId, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::subject_id::SubjectId;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::Transaction;
use crate::domain::verification_ref::VerificationRef;
use crate::domain::verification_status::CheckOutcome;
use crate::platform::metrics::Metric;
use crate::platform::random::random_bytes;
use crate::store::AttemptResult;

/// The subject of a check.
#[derive(Clone, Copy)]
struct CheckSubject {
    key: SubjectKey,
    decision: Option<OpenedDecisionId>,
}

/// A check, as requested.
pub struct CheckRequest {
    /// The submitted code.
    pub code: Code,
    /// The submitted purpose.
    pub purpose: String,
    /// The submitted transaction.
    pub transaction: Option<Transaction>,
    /// The submitted subject.
    pub subject: Option<SubjectId>,
    /// Id of the decision that the check is to approve. Only with a subject.
    pub decision: Option<String>,
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
    /// The decision that was named, in its current state, if the check is valid.
    pub decision: Option<DecisionState>,
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
    let subject = check_subject(keyring, app, request)?;
    let bound = BoundToCode {
        purpose: &request.purpose,
        transaction: request.transaction.as_ref(),
        subject: subject.map(|subject| subject.key),
    };
    let decision = subject.and_then(|subject| subject.decision);
    let attempt = Attempt {
        nonce: match &request.idempotency_key {
            Some(idempotency_key) => keyring.attempt_nonce(key, nonce, idempotency_key),
            None => AttemptNonce::Random(random_bytes()),
        },
        hash: keyring.attempt_hash(key, nonce, &bound, request.code.reveal()),
        decision: decision.map(|decision| decision.nonce),
        at: now,
        invocation: random_bytes(),
    };
    let is_expired = decision.is_some_and(|decision| decision.expires_at <= now);
    let logged = match is_expired {
        true => replayed_attempt(verifying, app, key, &attempt, now).await?,
        false => {
            let store = &verifying.store;
            store.append_attempt(key, nonce, &attempt, now).await?
        }
    };
    let mut checked = match logged {
        AttemptResult::Logged(recipient) => {
            decide(verifying, *recipient, id, nonce, &attempt, now)?
        }
        AttemptResult::UnknownRecipient => return Err(VerifyError::NotFound),
    };
    if let (Some(subject), None) = (subject, checked.outcome.reason) {
        checked.decision = complete(verifying, key, subject, &checked, now).await?;
    }
    Ok(checked)
}

/// The recipient, if `attempt` repeats an earlier one: its decision has expired since.
async fn replayed_attempt(
    verifying: &Verifying,
    app: &str,
    key: RecordKey,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<AttemptResult, VerifyError> {
    if matches!(attempt.nonce, AttemptNonce::Random(_)) {
        return Err(VerifyError::DecisionNotPending);
    }
    let recipient = verifying.store.load(key, app, now).await?.recipient;
    match has_attempt(&recipient, attempt.nonce) {
        true => Ok(AttemptResult::Logged(Box::new(recipient))),
        false => Err(VerifyError::DecisionNotPending),
    }
}

/// Whether the current verification of `recipient` or a past one knows the attempt `nonce`.
fn has_attempt(recipient: &Recipient, nonce: AttemptNonce) -> bool {
    let mut current = recipient
        .current
        .iter()
        .flat_map(|current| &current.attempts);
    let mut past = recipient.past.iter().flat_map(|past| &past.recorded_checks);
    current.any(|attempt| attempt.nonce == nonce) || past.any(|check| check.nonce == nonce)
}

/// The subject and the decision that the check names.
fn check_subject(
    keyring: &Keyring,
    app: &str,
    request: &CheckRequest,
) -> Result<Option<CheckSubject>, VerifyError> {
    let Some(subject) = &request.subject else {
        return Ok(None);
    };
    let key = keyring.subject_key(app, subject);
    let decision = match &request.decision {
        Some(id) => {
            let opened = keyring.open_decision_id(key, id);
            Some(opened.ok_or(VerifyError::DecisionNotFound)?)
        }
        None => None,
    };
    Ok(Some(CheckSubject { key, decision }))
}

/// Completes the approval of a valid check. Returns the decision that it named.
async fn complete(
    verifying: &Verifying,
    key: RecordKey,
    subject: CheckSubject,
    checked: &Checked,
    now: Timestamp,
) -> Result<Option<DecisionState>, VerifyError> {
    let current = checked.recipient.current.as_ref();
    let is_current = current.is_some_and(|current| current.params.nonce == checked.nonce);
    let record = match is_current {
        true => {
            verifying
                .approvals(key, now)
                .record(&checked.recipient)
                .await?
        }
        // A send has replaced it, and has completed its approval.
        false => None,
    };
    let Some(decision) = subject.decision else {
        return Ok(None);
    };
    let record = match record {
        Some(record) => record,
        None => {
            let stored = verifying.store.load_subject(subject.key).await?;
            verifying
                .keyring
                .judge(subject.key, &stored.subject)
                .subject
        }
    };
    let decision = record.decision(decision.nonce, now);
    Ok(decision.map(|decision| decision.state(now)))
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
            let known = logged.map(|logged| KnownAttempt {
                submitted: (logged.hash, logged.decision),
                invocation: Some(logged.invocation),
            });
            (known, current.outcome(attempt.nonce, now))
        }
        VerificationRef::Past(past) => {
            let mut recorded = past.recorded_checks.iter();
            let recorded = recorded.find(|check| check.nonce == attempt.nonce);
            let known = recorded.map(|check| KnownAttempt {
                submitted: (check.hash, check.decision),
                invocation: None,
            });
            (known, past.outcome(attempt.nonce))
        }
    };
    let is_replay = match known {
        Some(known) => known
            .is_earlier(&(attempt.hash, attempt.decision), attempt.invocation)
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
        verifying.metrics.count(&metric);
    }
    Ok(Checked {
        outcome,
        is_replay,
        id,
        recipient,
        nonce,
        decision: None,
    })
}
