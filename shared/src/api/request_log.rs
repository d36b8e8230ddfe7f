//! The log line of a request: one for each, with what links it to the app and to the messages.
//!
//! Invariant: nothing that a client chose freely is logged: no value, no name of an unknown field,
//! no path.

use lambda_http::http::StatusCode;

use super::problem::Problem;
use crate::domain::ids::VerificationId;
use crate::domain::rate_limit::Limit;

/// What is known of a request. Its line is logged with the response.
pub struct RequestLog {
    function: &'static str,
    request_id: String,
    app: Option<String>,
    verification: Option<String>,
    carrier: Option<String>,
}

impl RequestLog {
    /// Of a request that is not yet authorized.
    #[must_use]
    pub fn new(function: &'static str, request_id: String) -> Self {
        Self {
            function,
            request_id,
            app: None,
            verification: None,
            carrier: None,
        }
    }

    /// The id of the request.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The app whose API key it has.
    pub fn set_app(&mut self, app: &str) {
        self.app = Some(app.to_owned());
    }

    /// The verification that it is about.
    pub fn set_verification(&mut self, id: VerificationId) {
        self.verification = Some(id.log_prefix());
    }

    /// The carrier that reports.
    pub fn set_carrier(&mut self, name: &str) {
        self.carrier = Some(name.to_owned());
    }

    /// Logs a success.
    pub(super) fn completed(&self, status: StatusCode) {
        tracing::info!(
            function = self.function,
            request.id = self.request_id,
            http.status = status.as_u16(),
            app = self.app,
            verification.id = self.verification,
            carrier = self.carrier,
            "request completed"
        );
    }

    /// Logs a problem: an error with its cause if the work could not be done, else an info.
    /// `status`: of the response, which depends on the dialect.
    pub(super) fn rejected(&self, problem: &Problem, status: StatusCode) {
        let (kind, status) = (problem.code().name(), status.as_u16());
        match problem.cause() {
            Some(cause) => tracing::error!(
                function = self.function,
                request.id = self.request_id,
                http.status = status,
                app = self.app,
                verification.id = self.verification,
                carrier = self.carrier,
                error.kind = kind,
                error.cause = cause,
                "request failed"
            ),
            None => tracing::info!(
                function = self.function,
                request.id = self.request_id,
                http.status = status,
                app = self.app,
                verification.id = self.verification,
                carrier = self.carrier,
                error.kind = kind,
                fields = problem.known_fields(),
                limit = problem.limit().map(Limit::name),
                "request rejected"
            ),
        }
    }
}
