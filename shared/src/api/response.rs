//! Responses: a success or a problem document, logged once.

use lambda_http::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use lambda_http::http::{HeaderName, HeaderValue, Method, StatusCode};
use lambda_http::{Body, Request, Response};
use serde_json::Value;

use super::problem::Problem;
use super::request_log::RequestLog;

/// A successful response.
pub struct Success {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    headers: Vec<(HeaderName, String)>,
}

impl Success {
    /// 200 with a JSON body.
    #[must_use]
    pub fn ok(body: &Value) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "application/json",
            body: body.to_string(),
            headers: vec![],
        }
    }

    /// 200 with plain text, for carriers that expect a fixed word.
    #[must_use]
    pub fn text(body: &str) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned(),
            headers: vec![],
        }
    }

    /// 201 with a JSON body and its `Location`.
    #[must_use]
    pub fn created(body: &Value, location: String) -> Self {
        let headers = vec![(LOCATION, location)];
        Self {
            status: StatusCode::CREATED,
            headers,
            ..Self::ok(body)
        }
    }

    /// Another status of a success.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Adds headers.
    #[must_use]
    pub(super) fn with_headers(
        mut self,
        headers: impl IntoIterator<Item = (HeaderName, String)>,
    ) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds `Idempotent-Replayed: true` if `is_replayed`.
    #[must_use]
    pub fn replayed(mut self, is_replayed: bool) -> Self {
        if is_replayed {
            self.headers.push((
                HeaderName::from_static("idempotent-replayed"),
                "true".into(),
            ));
        }
        self
    }
}

/// The response to `request`, for the result of a use case. The request is logged here, once. The
/// response to a `HEAD` is that to the `GET`, without its body.
#[must_use]
pub fn respond(
    log: &RequestLog,
    request: &Request,
    result: Result<Success, Problem>,
) -> Response<Body> {
    let request_id = log.request_id();
    let success = match result {
        Ok(success) => {
            log.completed(success.status);
            success
        }
        Err(problem) => {
            let status = problem.code().status();
            log.rejected(&problem, status);
            Success {
                status,
                content_type: "application/problem+json",
                body: problem.body(request_id).to_string(),
                headers: problem.into_headers(),
            }
        }
    };
    write(request, request_id, success)
}

/// The response to `request` with the status, headers and body of `reply`.
pub(super) fn write(request: &Request, request_id: &str, reply: Success) -> Response<Body> {
    let mut response = Response::new(Body::Text(match *request.method() {
        Method::HEAD => String::new(),
        _ => reply.body,
    }));
    *response.status_mut() = reply.status;
    let common = [
        (CONTENT_TYPE, reply.content_type.to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
        (HeaderName::from_static("request-id"), request_id.to_owned()),
    ];
    for (name, value) in common.into_iter().chain(reply.headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
