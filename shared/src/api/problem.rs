//! Problem documents (RFC 9457): the closed set of error codes and how each becomes a response.
//!
//! Invariant: no message contains a code, a number, an ARN or a path.

use std::error::Error;

use lambda_http::http::header::RETRY_AFTER;
use lambda_http::http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use crate::domain::policy::Policy;
use crate::domain::rate_limit::{Limit, LimitExceeded};
use crate::domain::time::Timestamp;
use crate::platform::json::FieldError;
use crate::platform::logging::causes;

/// `Retry-After` of a 503, in seconds.
const UNAVAILABLE_RETRY_SECONDS: i64 = 1;

/// Error code: stable, one status each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorCode {
    /// The request cannot be parsed.
    MalformedRequest,
    /// No valid API key.
    Unauthorized,
    /// The app does not send to this country.
    CountryNotAllowed,
    /// The app does not send to this number.
    NumberNotAllowed,
    /// Unknown path or id.
    NotFound,
    /// The path exists, with other methods.
    MethodNotAllowed,
    /// The verification has ended.
    NotPending,
    /// The decision has ended.
    DecisionNotPending,
    /// The subject has as many factors as it can have.
    TooManyFactors,
    /// The same request is still being processed.
    InProgress,
    /// The body is too large.
    BodyTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// A field is invalid.
    InvalidRequest,
    /// Not a valid phone number.
    InvalidNumber,
    /// Not a valid e-mail address.
    InvalidEmail,
    /// Cannot be a code of this app.
    InvalidCode,
    /// No carrier serves the channel.
    ChannelNotConfigured,
    /// The `Idempotency-Key` was used with another body.
    IdempotencyMismatch,
    /// A limit is exceeded.
    RateLimited,
    /// A dependency failed.
    Unavailable,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::MalformedRequest,
        Self::Unauthorized,
        Self::CountryNotAllowed,
        Self::NumberNotAllowed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotPending,
        Self::DecisionNotPending,
        Self::TooManyFactors,
        Self::InProgress,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::InvalidNumber,
        Self::InvalidEmail,
        Self::InvalidCode,
        Self::ChannelNotConfigured,
        Self::IdempotencyMismatch,
        Self::RateLimited,
        Self::Unavailable,
    ];

    /// HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::CountryNotAllowed | Self::NumberNotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotPending
            | Self::DecisionNotPending
            | Self::TooManyFactors
            | Self::InProgress => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidRequest
            | Self::InvalidNumber
            | Self::InvalidEmail
            | Self::InvalidCode
            | Self::ChannelNotConfigured
            | Self::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Member `code` of the document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::Unauthorized => "unauthorized",
            Self::CountryNotAllowed => "country_not_allowed",
            Self::NumberNotAllowed => "number_not_allowed",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotPending => "not_pending",
            Self::DecisionNotPending => "decision_not_pending",
            Self::TooManyFactors => "too_many_factors",
            Self::InProgress => "in_progress",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidNumber => "invalid_number",
            Self::InvalidEmail => "invalid_email",
            Self::InvalidCode => "invalid_code",
            Self::ChannelNotConfigured => "channel_not_configured",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
        }
    }

    /// Member `title` of the document.
    fn title(self) -> &'static str {
        match self {
            Self::MalformedRequest => "Malformed request",
            Self::Unauthorized => "Unauthorized",
            Self::CountryNotAllowed => "Country not allowed",
            Self::NumberNotAllowed => "Number not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotPending => "Verification is not pending",
            Self::DecisionNotPending => "Decision is not pending",
            Self::TooManyFactors => "Too many factors",
            Self::InProgress => "Request in progress",
            Self::BodyTooLarge => "Body too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::InvalidRequest => "Invalid request",
            Self::InvalidNumber => "Invalid phone number",
            Self::InvalidEmail => "Invalid e-mail address",
            Self::InvalidCode => "Invalid code",
            Self::ChannelNotConfigured => "Channel not configured",
            Self::IdempotencyMismatch => "Idempotency-Key used with another body",
            Self::RateLimited => "Too many requests",
            Self::Unavailable => "Service unavailable",
        }
    }
}

/// A problem document, and what the log says about it.
#[derive(Debug)]
pub struct Problem {
    code: ErrorCode,
    detail: String,
    errors: Vec<FieldError>,
    limit: Option<Limit>,
    headers: Vec<(HeaderName, String)>,
    cause: Option<String>,
}

impl Problem {
    /// `detail`: a sentence for the developer of the calling app.
    #[must_use]
    pub fn new(code: ErrorCode, detail: &str) -> Self {
        let detail = detail.to_owned();
        Self {
            code,
            detail,
            errors: vec![],
            limit: None,
            headers: vec![],
            cause: None,
        }
    }

    /// 422 about one field.
    #[must_use]
    pub fn field(code: ErrorCode, field: &str, detail: &str) -> Self {
        let error = FieldError {
            field: field.to_owned(),
            detail: detail.to_owned(),
        };
        Self::new(code, detail).errors(vec![error])
    }

    /// 422 `invalid_request` about all invalid fields.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let names: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("Invalid fields: {}.", names.join(", "));
        Self::new(ErrorCode::InvalidRequest, &detail).errors(errors)
    }

    /// 429.
    #[must_use]
    pub fn rate_limited(exceeded: LimitExceeded, policy: &Policy, now: Timestamp) -> Self {
        let wait = exceeded.until.seconds_since(now).max(1);
        let (quota, window) = policy.quota(exceeded.limit);
        let name = exceeded.limit.name();
        let detail = format!("The limit `{name}` applies for another {wait} s.");
        let problem = Self {
            limit: Some(exceeded.limit),
            ..Self::new(ErrorCode::RateLimited, &detail)
        };
        problem
            .header(RETRY_AFTER, wait.to_string())
            .header(
                HeaderName::from_static("ratelimit"),
                format!("\"{name}\";r=0;t={wait}"),
            )
            .header(
                HeaderName::from_static("ratelimit-policy"),
                format!("\"{name}\";q={quota};w={window}"),
            )
    }

    /// 503: nothing was charged and nothing was compared. `cause` goes to the log only.
    #[must_use]
    pub fn unavailable(cause: &dyn Error) -> Self {
        let detail = "The service is temporarily unavailable. No attempt or send was counted. \
                      Retry after `Retry-After`.";
        let problem = Self {
            cause: Some(causes(cause)),
            ..Self::new(ErrorCode::Unavailable, detail)
        };
        problem.header(RETRY_AFTER, UNAVAILABLE_RETRY_SECONDS.to_string())
    }

    /// Adds the invalid fields.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The error code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The headers that were added.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, String)] {
        &self.headers
    }

    /// The invalid fields.
    pub(super) fn field_errors(&self) -> &[FieldError] {
        &self.errors
    }

    pub(super) fn into_headers(self) -> Vec<(HeaderName, String)> {
        self.headers
    }

    /// The document.
    pub(super) fn body(&self, request_id: &str) -> Value {
        let code = self.code.name();
        let mut body = json!({
            "type": format!("/problems/{code}"),
            "title": self.code.title(),
            "status": self.code.status().as_u16(),
            "detail": self.detail,
            "code": code,
            "request_id": request_id,
        });
        if !self.errors.is_empty() {
            let error = |e: &FieldError| json!({"field": e.field, "detail": e.detail});
            body["errors"] = self.errors.iter().map(error).collect();
        }
        if let Some(limit) = self.limit {
            body["limit"] = limit.name().into();
        }
        if let Some(scope) = self.limit.and_then(Limit::scope) {
            body["scope"] = scope.into();
        }
        body
    }

    /// The limit that rejects the request.
    pub(super) fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// Why the work could not be done.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The invalid fields, separated by commas, with `?` for all unknown ones: their names are the
    /// client's. `None` if the problem is about no field.
    pub(super) fn known_fields(&self) -> Option<String> {
        let name = |error: &FieldError| match error.detail == FieldError::UNKNOWN {
            true => "?".to_owned(),
            false => error.field.clone(),
        };
        let mut names: Vec<String> = self.errors.iter().map(name).collect();
        names.sort();
        names.dedup();
        (!names.is_empty()).then(|| names.join(","))
    }
}
