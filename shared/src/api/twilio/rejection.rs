//! Rejections: an error of a use case or of the dialect as Twilio's error, and its response.
//!
//! Invariant: `Retry-After` accompanies 503 only. An SDK of Twilio sleeps for it in the thread of
//! the program and sends the request again, which would then send a text that no user waits for.

use lambda_http::http::StatusCode;
use lambda_http::http::header::RETRY_AFTER;
use lambda_http::{Body, Request, Response};
use serde_json::{Value, json};

use super::error_table::{Row, When, row_of, row_of_limit};
use super::path;
use crate::api::problem::{ErrorCode, Problem};
use crate::api::request_log::RequestLog;
use crate::api::response::{Success, write};
use crate::api::v1::errors::send_problem;
use crate::config::Apps;
use crate::domain::rate_limit::Limit;
use crate::domain::time::Timestamp;
use crate::domain::verification_status::Status;
use crate::platform::json::FieldError;
use crate::service::sending::SendError;
use crate::service::verifying::VerifyError;

/// Why a request is not served.
#[derive(Debug)]
pub struct Rejection {
    /// The native error: its code, limit, invalid fields, headers and cause.
    problem: Box<Problem>,
    row: &'static Row,
    /// The parameter that the message names.
    parameter: Option<&'static str>,
    /// Seconds until the request may succeed.
    retry_after: Option<i64>,
    /// How the verification ended.
    ended: Option<Status>,
}

impl Rejection {
    /// That of a native error with one condition.
    #[must_use]
    pub fn of(problem: Problem) -> Self {
        Self::when(problem, When::Always)
    }

    /// That of a native error under a condition.
    pub(super) fn when(problem: Problem, when: When) -> Self {
        match row_of(problem.code(), when) {
            Some(row) => Self::new(problem, row),
            None => Self::unexpected(problem.code()),
        }
    }

    fn new(problem: Problem, row: &'static Row) -> Self {
        Self {
            problem: Box::new(problem),
            row,
            parameter: None,
            retry_after: None,
            ended: None,
        }
    }

    /// 503 for an error that no request of this dialect can cause.
    fn unexpected(code: ErrorCode) -> Self {
        let row = row_of(ErrorCode::Unavailable, When::Always);
        let row = row.unwrap_or(&super::error_table::ROWS[0]);
        Self::new(Problem::unavailable(&UnexpectedError(code.name())), row)
    }

    /// 404 for a path, a service or a verification: the responses do not differ.
    #[must_use]
    pub fn not_found() -> Self {
        Self::of(Problem::new(ErrorCode::NotFound, ""))
    }

    /// 400 for a body that cannot be read, or for one parameter of it.
    pub(super) fn malformed(parameter: Option<&'static str>) -> Self {
        let problem = Problem::new(ErrorCode::MalformedRequest, "");
        match parameter {
            None => Self::of(problem),
            Some(name) => {
                let errors = vec![FieldError {
                    field: name.to_owned(),
                    detail: "Must be given once, in well-formed UTF-8.".to_owned(),
                }];
                Self::when(problem.errors(errors), When::Wrong).about(name)
            }
        }
    }

    /// Names the parameter in the message.
    pub(super) fn about(self, parameter: &'static str) -> Self {
        Self {
            parameter: Some(parameter),
            ..self
        }
    }

    /// That of a create which sent nothing.
    #[must_use]
    pub fn of_send(error: &SendError, apps: &Apps, app: &str, now: Timestamp) -> Self {
        let problem = send_problem(error, apps, app, now);
        match error {
            SendError::LimitExceeded(exceeded) => match row_of_limit(exceeded.limit) {
                Some(row) => Self {
                    retry_after: Some(exceeded.until.seconds_since(now).max(1)),
                    ..Self::new(problem, row)
                },
                None => Self::unexpected(problem.code()),
            },
            SendError::ChannelMismatch { .. } => Self::when(problem, When::Wrong).about("Channel"),
            SendError::PrefixBlocked => Self::when(problem, When::Blocked),
            SendError::FixedLine => Self::when(problem, When::FixedLine),
            _ => Self::of(problem),
        }
    }

    /// That of a check, fetch or update.
    #[must_use]
    pub fn of_verify(error: &VerifyError, now: Timestamp) -> Self {
        match error {
            VerifyError::NotPending { status, expires_at } => {
                Self::ended(*status, *expires_at, now)
            }
            // No check of this dialect names a decision.
            VerifyError::NotFound
            | VerifyError::DecisionNotFound
            | VerifyError::DecisionNotPending => Self::not_found(),
            VerifyError::IdempotencyMismatch => Self::unexpected(ErrorCode::IdempotencyMismatch),
            VerifyError::Store(_) => Self::of(Problem::unavailable(error)),
        }
    }

    /// That of a request about a verification that has ended.
    pub(super) fn ended(status: Status, expires_at: Timestamp, now: Timestamp) -> Self {
        if status == Status::Exhausted && now < expires_at {
            let problem = Problem::new(ErrorCode::NotPending, "");
            return Self {
                retry_after: Some(expires_at.seconds_since(now).max(1)),
                ..Self::when(problem, When::NoAttemptsLeft)
            };
        }
        let ended = match status {
            Status::Exhausted => Status::Expired,
            status => status,
        };
        Self {
            ended: Some(ended),
            ..Self::not_found()
        }
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.row.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn body(&self, path: &str, request_id: &str) -> Value {
        let (number, code) = (self.row.number, self.problem.code());
        let subject = match code {
            ErrorCode::NotFound => path::shown(path),
            _ => self.parameter.unwrap_or_default().to_owned(),
        };
        let mut details = json!({"code": code.name(), "request_id": request_id});
        if let Some(seconds) = self.retry_after {
            details["retry_after"] = seconds.into();
        }
        if let Some(limit) = self.problem.limit() {
            details["limit"] = Limit::name(limit).into();
        }
        if let Some(ended) = self.ended {
            details["status"] = ended.name().into();
        }
        if code == ErrorCode::InvalidRequest && self.row.status == 400 {
            let errors = self.problem.field_errors().iter();
            let error = |e: &FieldError| json!({"field": e.field, "detail": e.detail});
            details["errors"] = errors.map(error).collect();
        }
        json!({
            "code": number,
            "message": self.row.message.replace("{}", &subject),
            "more_info": format!("https://www.twilio.com/docs/errors/{number}"),
            "status": self.row.status,
            "details": details,
        })
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self::of(problem)
    }
}

/// An error of the native API that should not occur in this dialect.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` has no row in the table of errors")]
struct UnexpectedError(&'static str);

/// The response to `request`, at `path` of this dialect. The request is logged here, once.
#[must_use]
pub fn respond(
    log: &RequestLog,
    request: &Request,
    path: &str,
    result: Result<Success, Rejection>,
) -> Response<Body> {
    let request_id = log.request_id();
    let reply = match result {
        Ok(success) => {
            log.completed(success.status());
            success
        }
        Err(rejection) => {
            let status = rejection.status();
            log.rejected(&rejection.problem, status);
            let body = rejection.body(path, request_id);
            let headers = rejection.problem.into_headers().into_iter();
            let headers =
                headers.filter(|(name, _)| name != RETRY_AFTER || status.is_server_error());
            Success::ok(&body).with_status(status).with_headers(headers)
        }
    };
    write(request, request_id, reply)
}
