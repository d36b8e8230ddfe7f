//! Check of a factor: one code. One write appends it to the log of the subject; the log that the
//! write returns decides.
//!
//! Invariants: a code that was not written is not compared. The confirmation of a factor is
//! permanent before the response shows it.

use super::{SubjectContext, SubjectError};
use crate::crypto::subject_ids::OpenedDecisionId;
use crate::domain::attempt_log::{Attempt, IdempotencyMismatch, KnownAttempt};
use crate::domain::code::Code;
use crate::domain::decision::DecisionState;
use crate::domain::factor::{FactorStatus, FactorType};
use crate::domain::factor_rejection::{Rejection, known, rejection};
use crate::domain::ids::{AttemptHash, AttemptNonce, DecisionNonce, FactorId};
use crate::domain::log_outcomes::Judged;
use crate::domain::subject::{Budget, FactorAttempt, FactorOutcome, RememberedCheck, Verdict};
use crate::platform::metrics::{FactorEvent, Metric};
use crate::platform::random::random_bytes;
use crate::store::{LogResult, StoreError, StoredSubject};

/// How often an attempt is appended again after the record was settled. After each settling of a
/// full log, as many parallel checks are appended as the budget allows.
const APPEND_TRIES_MAX: usize = 24;

/// A check of a factor, as requested.
pub struct FactorCheckRequest {
    /// The factor.
    pub factor: FactorId,
    /// The submitted code.
    pub code: Code,
    /// The code after it, to resynchronize a counter.
    pub next_code: Option<Code>,
    /// Id of the decision that the check is to approve.
    pub decision: Option<String>,
    /// The `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

/// A decided check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FactorChecked {
    /// What the code is; `None` if the factor is unreadable and nothing was compared.
    pub verdict: Option<Verdict>,
    /// Status of the factor right after it.
    pub status: FactorStatus,
    /// Attempts left right after it.
    pub attempts_left: u8,
    /// Backup codes left right after it.
    pub codes_left: Option<u8>,
    /// The decision that it named, right after it.
    pub decision: Option<DecisionState>,
    /// Whether an earlier check with the same `Idempotency-Key` had this outcome.
    pub is_replay: bool,
}

/// Checks a code of a factor.
///
/// # Errors
/// [`SubjectError`].
pub async fn check(
    context: SubjectContext<'_>,
    request: &FactorCheckRequest,
) -> Result<FactorChecked, SubjectError> {
    let now = context.now;
    let decision = decision(context, request)?;
    let attempt = attempt(context, request, decision.map(|decision| decision.nonce));
    if decision.is_some_and(|decision| decision.expires_at <= now) {
        return replay(context, &attempt).await;
    }
    let subjects = context.subjects;
    let (store, keyring) = (&subjects.store, &subjects.keyring);
    let budget_max = context.policy().factor_guess_budget;
    for _ in 0..APPEND_TRIES_MAX {
        let appended = store.append_factor_attempt(context.key, &attempt, budget_max);
        let stored = match appended.await? {
            LogResult::Logged(stored) => return logged(context, &stored, &attempt).await,
            LogResult::Rejected(stored) => stored,
        };
        let judged = keyring.judge(context.key, &stored.subject);
        match rejection(&judged, &attempt, budget_max, now) {
            Rejection::Known(known) => {
                confirm(context, &stored, &judged, attempt.factor).await?;
                return repeated(context, &known, &attempt);
            }
            Rejection::Unsettled => {
                // Another writer that settles it first helps as well.
                let settled = judged.settle(now);
                store
                    .save_subject(context.key, settled, stored.version, now)
                    .await?;
            }
            Rejection::Unreadable => return Ok(unreadable(context, &judged, &attempt)),
            Rejection::Locked { until } => {
                subjects
                    .metrics
                    .count(&Metric::Factor(FactorEvent::LockedOut));
                return Err(SubjectError::Locked { until });
            }
            Rejection::UnknownFactor => return Err(SubjectError::FactorNotFound),
            Rejection::UnknownDecision => return Err(SubjectError::DecisionNotFound),
            Rejection::DecisionNotPending => return Err(SubjectError::DecisionNotPending),
        }
    }
    Err(StoreError::Conflict.into())
}

/// The decision that the check names.
fn decision(
    context: SubjectContext<'_>,
    request: &FactorCheckRequest,
) -> Result<Option<OpenedDecisionId>, SubjectError> {
    let Some(id) = &request.decision else {
        return Ok(None);
    };
    let opened = context.subjects.keyring.open_decision_id(context.key, id);
    opened.map(Some).ok_or(SubjectError::DecisionNotFound)
}

fn attempt(
    context: SubjectContext<'_>,
    request: &FactorCheckRequest,
    decision: Option<DecisionNonce>,
) -> FactorAttempt {
    let (keyring, key, factor) = (&context.subjects.keyring, context.key, request.factor);
    let next_code = request.next_code.as_ref();
    FactorAttempt {
        attempt: Attempt {
            nonce: match &request.idempotency_key {
                Some(name) => keyring.factor_attempt_nonce(key, name),
                None => AttemptNonce::Random(random_bytes()),
            },
            hash: keyring.factor_code_hash(key, factor, &request.code),
            decision,
            at: context.now,
            invocation: random_bytes(),
        },
        factor,
        pair_hash: next_code
            .map(|next| keyring.factor_pair_hash(key, factor, [&request.code, next])),
    }
}

/// The response to an attempt that was just appended.
async fn logged(
    context: SubjectContext<'_>,
    stored: &StoredSubject,
    attempt: &FactorAttempt,
) -> Result<FactorChecked, SubjectError> {
    let judged = context.subjects.keyring.judge(context.key, &stored.subject);
    // The write has returned the log with the attempt.
    let Some((_, outcome)) = judged.check(attempt.attempt.nonce) else {
        return Err(StoreError::Conflict.into());
    };
    confirm(context, stored, &judged, attempt.factor).await?;
    count(context, outcome);
    Ok(checked(context, outcome, false))
}

/// The response to an attempt whose nonce is known.
fn repeated(
    context: SubjectContext<'_>,
    known: &RememberedCheck,
    attempt: &FactorAttempt,
) -> Result<FactorChecked, SubjectError> {
    let earlier = KnownAttempt {
        submitted: bound(&known.submitted),
        invocation: Some(known.submitted.attempt.invocation),
    };
    let is_replay = earlier
        .is_earlier(&bound(attempt), attempt.attempt.invocation)
        .map_err(|IdempotencyMismatch| SubjectError::IdempotencyMismatch)?;
    if !is_replay {
        // The response to our own write was lost.
        count(context, &known.outcome);
    }
    Ok(checked(context, &known.outcome, is_replay))
}

/// Everything that an `Idempotency-Key` binds.
fn bound(attempt: &FactorAttempt) -> (AttemptHash, Option<AttemptHash>, Option<DecisionNonce>) {
    let FactorAttempt {
        attempt, pair_hash, ..
    } = attempt;
    (attempt.hash, *pair_hash, attempt.decision)
}

/// A repetition of a check whose decision has expired since; anything else is too late.
async fn replay(
    context: SubjectContext<'_>,
    attempt: &FactorAttempt,
) -> Result<FactorChecked, SubjectError> {
    let stored = context.subjects.store.load_subject(context.key).await?;
    let judged = context.subjects.keyring.judge(context.key, &stored.subject);
    if judged.subject.factor(attempt.factor, context.now).is_none() {
        return Err(SubjectError::FactorNotFound);
    }
    match known(&judged, attempt, context.now) {
        Some(known) => repeated(context, &known, attempt),
        None => Err(SubjectError::DecisionNotPending),
    }
}

/// Makes the confirmation of a factor permanent, if it is in the log only.
pub(super) async fn confirm(
    context: SubjectContext<'_>,
    stored: &StoredSubject,
    judged: &Judged,
    factor: FactorId,
) -> Result<(), StoreError> {
    let find = |factors: &[crate::domain::factor::Factor]| {
        factors.iter().find(|known| known.id == factor).cloned()
    };
    let before = find(&stored.subject.factors);
    let after = find(&judged.subject.factors);
    if let (Some(before), Some(after)) = (before, after)
        && before.confirmed_at.is_none()
        && after.confirmed_at.is_some()
    {
        context
            .subjects
            .store
            .confirm_factor(context.key, &after)
            .await?;
    }
    Ok(())
}

fn count(context: SubjectContext<'_>, outcome: &FactorOutcome) {
    let event = match outcome.verdict {
        Verdict::Accepted => FactorEvent::Accepted,
        Verdict::Replayed | Verdict::Wrong => FactorEvent::Checked,
    };
    context.subjects.metrics.count(&Metric::Factor(event));
}

fn checked(context: SubjectContext<'_>, outcome: &FactorOutcome, is_replay: bool) -> FactorChecked {
    FactorChecked {
        verdict: Some(outcome.verdict),
        status: outcome.status,
        attempts_left: attempts_left(context, usize::from(outcome.wrong_codes)),
        codes_left: outcome.codes_left,
        decision: outcome.decision.clone(),
        is_replay,
    }
}

fn unreadable(
    context: SubjectContext<'_>,
    judged: &Judged,
    attempt: &FactorAttempt,
) -> FactorChecked {
    let budget = Budget::from(attempt.factor.kind().unwrap_or(FactorType::Totp));
    let wrong = judged
        .subject
        .counted_wrong_codes(budget, context.now)
        .len();
    let decision = attempt.attempt.decision;
    let decision = decision.and_then(|nonce| judged.subject.decision(nonce, context.now));
    FactorChecked {
        verdict: None,
        status: FactorStatus::Unreadable,
        attempts_left: attempts_left(context, wrong),
        codes_left: None,
        decision: decision.map(|decision| decision.state(context.now)),
        is_replay: false,
    }
}

fn attempts_left(context: SubjectContext<'_>, wrong_codes: usize) -> u8 {
    let wrong = u8::try_from(wrong_codes).unwrap_or(u8::MAX);
    context.policy().factor_guess_budget.saturating_sub(wrong)
}
