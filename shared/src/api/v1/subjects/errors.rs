//! Errors of the use cases of subjects as problem documents.

use crate::api::problem::{ErrorCode, Problem};
use crate::api::v1::errors::{decision_not_found, decision_not_pending};
use crate::domain::policy::Policy;
use crate::domain::rate_limit::{Limit, LimitExceeded};
use crate::domain::time::Timestamp;
use crate::service::factors::SubjectError;

/// The problem document of a failed request about a subject.
#[must_use]
pub fn subject_problem(error: &SubjectError, policy: &Policy, now: Timestamp) -> Problem {
    let limited = |limit, until| {
        let exceeded = LimitExceeded { limit, until };
        Problem::rate_limited(exceeded, policy, now)
    };
    match error {
        SubjectError::FactorNotFound => factor_not_found(),
        SubjectError::RecipientNotFound => Problem::new(
            ErrorCode::NotFound,
            "This subject has no verified recipient with this id.",
        ),
        SubjectError::DecisionNotFound => decision_not_found(),
        SubjectError::DecisionNotPending => decision_not_pending(),
        SubjectError::TooManyFactors => Problem::new(
            ErrorCode::TooManyFactors,
            "The subject has as many factors as it can have. Remove one first.",
        ),
        SubjectError::TooManyDecisions { until } => limited(Limit::Decisions, *until),
        SubjectError::Locked { until } => limited(Limit::FactorGuessBudget, *until),
        SubjectError::IdempotencyMismatch => Problem::new(
            ErrorCode::IdempotencyMismatch,
            "This Idempotency-Key was used with another body for this subject.",
        ),
        SubjectError::Store(_) => Problem::unavailable(error),
    }
}

/// Unknown, malformed and other subjects' ids look alike.
#[must_use]
pub fn factor_not_found() -> Problem {
    Problem::new(
        ErrorCode::NotFound,
        "This subject has no factor with this id.",
    )
}
