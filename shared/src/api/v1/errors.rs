//! Errors of the use cases as problem documents.

use super::fields;
use crate::api::problem::{ErrorCode, Problem};
use crate::config::Apps;
use crate::domain::time::Timestamp;
use crate::service::sending::SendError;
use crate::service::verifying::VerifyError;

/// The problem document of a failed send or resend.
#[must_use]
pub fn send_problem(error: &SendError, apps: &Apps, app: &str, now: Timestamp) -> Problem {
    match error {
        SendError::NotFound => not_found(),
        SendError::NotPending => Problem::new(
            ErrorCode::NotPending,
            "Only a pending verification can be resent.",
        ),
        SendError::TooLate => Problem::new(
            ErrorCode::NotPending,
            "The code expires before another message could arrive.",
        ),
        SendError::IdempotencyMismatch => Problem::new(
            ErrorCode::IdempotencyMismatch,
            "This Idempotency-Key was used with another body for this recipient.",
        ),
        SendError::InProgress => Problem::new(
            ErrorCode::InProgress,
            "A request with this Idempotency-Key is still in progress. Retry in a moment.",
        ),
        SendError::ChannelMismatch { is_fallback } => {
            let field = if *is_fallback { "fallback" } else { "channel" };
            let detail = "Must be a channel that reaches this type of recipient.";
            Problem::field(ErrorCode::InvalidRequest, field, detail)
        }
        SendError::DeviceMissing => fields::device_missing(),
        SendError::ChannelNotConfigured(channel) => {
            let channel = channel.name();
            let detail = format!("No carrier serves channel `{channel}` for this recipient.");
            Problem::new(ErrorCode::ChannelNotConfigured, &detail)
        }
        SendError::CountryNotAllowed => Problem::new(
            ErrorCode::CountryNotAllowed,
            "This app does not send to this country.",
        ),
        SendError::PrefixBlocked => Problem::new(
            ErrorCode::NumberNotAllowed,
            "This app does not send to this number range.",
        ),
        SendError::FixedLine => Problem::new(
            ErrorCode::NumberNotAllowed,
            "A fixed line receives no text messages. Use channel `voice`.",
        ),
        SendError::LimitExceeded(exceeded) => {
            Problem::rate_limited(*exceeded, apps.policy(app), now)
        }
        SendError::Store(_)
        | SendError::Queue(_)
        | SendError::OutOfTime
        | SendError::NotAccepted => Problem::unavailable(error),
    }
}

/// The problem document of a failed check, cancel or read.
#[must_use]
pub fn verify_problem(error: &VerifyError) -> Problem {
    match error {
        VerifyError::NotFound => not_found(),
        VerifyError::NotPending { .. } => Problem::new(
            ErrorCode::NotPending,
            "Only a pending verification can be canceled.",
        ),
        VerifyError::IdempotencyMismatch => Problem::new(
            ErrorCode::IdempotencyMismatch,
            "This Idempotency-Key was used with another body.",
        ),
        VerifyError::DecisionNotFound => decision_not_found(),
        VerifyError::DecisionNotPending => decision_not_pending(),
        VerifyError::Store(_) => Problem::unavailable(error),
    }
}

pub(super) fn decision_not_found() -> Problem {
    Problem::new(ErrorCode::NotFound, "There is no decision with this id.")
}

pub(super) fn decision_not_pending() -> Problem {
    Problem::new(
        ErrorCode::DecisionNotPending,
        "The decision has ended: it is denied or expired.",
    )
}

/// Unknown, malformed and other apps' ids look alike.
#[must_use]
pub fn not_found() -> Problem {
    Problem::new(
        ErrorCode::NotFound,
        "There is no verification with this id.",
    )
}
