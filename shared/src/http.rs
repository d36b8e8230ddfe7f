//! The HTTP edge that all functions share: routes, API keys, bodies, answers, problem documents.
//! The only file beside the functions that names lambda_http. No message holds a code, a number, an ARN or a path.

use lambda_http::http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use lambda_http::http::{HeaderName, HeaderValue, Method, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use serde_json::{Map, Value, json};

use crate::config::ApiKeys;
use crate::json::{self, FieldError, Fields};
use crate::message::shows;
use crate::policy::{Limit, Policy};
use crate::recipient::Limited;
use crate::timestamp::Timestamp;
use crate::verification::Transaction;

/// Largest body that is read.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// What a caller is asked to wait after a 503.
const UNAVAILABLE_RETRY_SECONDS: i64 = 1;
/// Longest `Idempotency-Key`.
const IDEMPOTENCY_KEY_LENGTH_MAX: usize = 255;

/// Each of amount, currency and payee.
const TRANSACTION_TEXT_LENGTH_MAX: usize = 64;

/// A path that a function serves: segments, `{}` for a value, and the methods.
pub struct Route {
    /// Such as `/v1/verifications/{}/check`.
    pub path: &'static str,
    /// What may be done there.
    pub methods: &'static [Method],
}

/// The route that a request takes, and the values in its path.
///
/// # Errors
/// 404 for an unknown path, 405 for another method.
pub fn route(request: &Request, routes: &'static [Route]) -> Result<(&'static str, Vec<String>), Problem> {
    let path = request.raw_http_path();
    let taken = routes.iter().find_map(|route| path_values(route.path, path).map(|values| (route, values)));
    let (route, values) = taken.ok_or_else(|| Problem::new(Code::NotFound, "There is nothing at this path."))?;
    if route.methods.contains(request.method()) {
        return Ok((route.path, values));
    }
    let allowed: Vec<_> = route.methods.iter().map(Method::as_str).collect();
    Err(Problem::new(Code::MethodNotAllowed, "This path does not take this method.").header(ALLOW, allowed.join(", ")))
}

fn path_values(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut values, mut segments) = (vec![], path.split('/'));
    for expected in pattern.split('/') {
        match segments.next()? {
            segment if expected == "{}" && !segment.is_empty() => values.push(segment.to_owned()),
            segment if segment == expected => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(values)
}

/// The app whose API key the request carries.
///
/// # Errors
/// 401.
pub fn authorize(request: &Request, keys: &ApiKeys) -> Result<String, Problem> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key.trim());
    let app = key.and_then(|key| keys.app_of(key));
    app.map(str::to_owned).ok_or_else(|| {
        Problem::new(Code::Unauthorized, "Send `Authorization: Bearer` with a valid API key.").header(WWW_AUTHENTICATE, "Bearer".into())
    })
}

/// The JSON object in the body.
///
/// # Errors
/// 413, 415, 400.
pub fn json_body(request: &Request) -> Result<Map<String, Value>, Problem> {
    let body = bounded_body(request)?;
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(Code::UnsupportedMediaType, "Send `Content-Type: application/json`."));
    }
    json::parse_object(body).map_err(|detail| Problem::new(Code::MalformedRequest, &detail))
}

/// Like [`json_body`], where no body at all is an empty object.
///
/// # Errors
/// 413, 415, 400.
pub fn optional_json_body(request: &Request) -> Result<Map<String, Value>, Problem> {
    if request.body().is_empty() { Ok(Map::new()) } else { json_body(request) }
}

/// The raw body.
///
/// # Errors
/// 413.
pub fn bounded_body(request: &Request) -> Result<&[u8], Problem> {
    let body: &[u8] = request.body().as_ref();
    if body.len() > BODY_BYTES_MAX {
        return Err(Problem::new(Code::BodyTooLarge, &format!("A body has at most {BODY_BYTES_MAX} bytes.")));
    }
    Ok(body)
}

/// The `Idempotency-Key`, without the quotes of its structured spelling.
///
/// # Errors
/// 400 unless it is 1 to 255 printable ASCII characters.
pub fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let mut headers = request.headers().get_all("idempotency-key").iter();
    let Some(header) = headers.next() else { return Ok(None) };
    let text = std::str::from_utf8(header.as_bytes()).unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let printable = key.bytes().all(|b| (0x20..=0x7e).contains(&b));
    if !printable || !(1..=IDEMPOTENCY_KEY_LENGTH_MAX).contains(&key.len()) || headers.next().is_some() {
        let error = FieldError { field: "Idempotency-Key".into(), detail: "Must be 1 to 255 printable ASCII characters, once.".into() };
        return Err(Problem::new(Code::MalformedRequest, "The Idempotency-Key header cannot be used.").errors(vec![error]));
    }
    Ok(Some(key.to_owned()))
}

/// What a purpose may be, for messages.
pub const PURPOSE_WORDS: &str = "1 to 32 characters of a-z, 0-9, _ and -";

/// A purpose, if `text` can be one.
#[must_use]
pub fn purpose(text: &str) -> Option<String> {
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    fits.then(|| text.to_owned())
}

/// The `transaction` of a body.
pub fn transaction(fields: &mut Fields) -> Option<Transaction> {
    fields.object("transaction", |nested| {
        let [amount, currency, payee] = ["amount", "currency", "payee"].map(|name| {
            let text = nested.required_text_of(name, 1..=TRANSACTION_TEXT_LENGTH_MAX);
            if !text.is_empty() && !shows(&text) {
                nested.refuse(name, "Must have something that the text can show.");
            }
            text
        });
        Transaction { amount, currency, payee }
    })
}

/// The gateway's name for this request.
#[must_use]
pub fn request_id(request: &Request) -> String {
    let id = request.request_context_ref().and_then(|context| match context {
        RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
        _ => None,
    });
    let usable = |id: &String| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic());
    id.filter(usable).unwrap_or_else(|| data_encoding::HEXLOWER.encode(&crate::ambient::random_bytes::<16>()))
}

/// A success.
pub struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    headers: Vec<(HeaderName, String)>,
}

impl Answer {
    /// 200 with a JSON body.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json", body: serde_json::to_string(&body).unwrap_or_default(), headers: vec![] }
    }

    /// 200 with a plain text, for carriers that look for one.
    #[must_use]
    pub fn text(body: &str) -> Self {
        Self { status: StatusCode::OK, content_type: "text/plain; charset=utf-8", body: body.to_owned(), headers: vec![] }
    }

    /// 201 with a JSON body and where it is found again.
    #[must_use]
    pub fn created(body: Value, location: String) -> Self {
        Self { status: StatusCode::CREATED, headers: vec![(LOCATION, location)], ..Self::ok(body) }
    }

    /// Says whether an `Idempotency-Key` was answered before.
    #[must_use]
    pub fn replayed(mut self, replayed: bool) -> Self {
        if replayed {
            self.headers.push((HeaderName::from_static("idempotent-replayed"), "true".into()));
        }
        self
    }
}

/// Closed set of error codes; each has one status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// 400
    MalformedRequest,
    /// 401
    Unauthorized,
    /// 403
    CountryNotAllowed,
    /// 403
    NumberNotAllowed,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    NotPending,
    /// 409
    InProgress,
    /// 413
    BodyTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422
    InvalidRequest,
    /// 422
    InvalidNumber,
    /// 422
    InvalidEmail,
    /// 422
    InvalidCode,
    /// 422
    ChannelNotConfigured,
    /// 422
    IdempotencyMismatch,
    /// 429
    RateLimited,
    /// 503
    Unavailable,
}

impl Code {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed_request", "The request cannot be read"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "No valid API key"),
            Self::CountryNotAllowed => (StatusCode::FORBIDDEN, "country_not_allowed", "Country not allowed"),
            Self::NumberNotAllowed => (StatusCode::FORBIDDEN, "number_not_allowed", "Number not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::NotPending => (StatusCode::CONFLICT, "not_pending", "The verification has ended"),
            Self::InProgress => (StatusCode::CONFLICT, "in_progress", "The same call is still under way"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type"),
            Self::InvalidRequest => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "A field is wrong"),
            Self::InvalidNumber => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_number", "Not a valid phone number"),
            Self::InvalidEmail => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_email", "Not a valid e-mail address"),
            Self::InvalidCode => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_code", "This cannot be a code"),
            Self::ChannelNotConfigured => (StatusCode::UNPROCESSABLE_ENTITY, "channel_not_configured", "No carrier for this channel"),
            Self::IdempotencyMismatch => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "The Idempotency-Key was used with another body"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable"),
        }
    }
}

/// An RFC 9457 problem document, and what the log says about it.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    limit: Option<Limit>,
    headers: Vec<(HeaderName, String)>,
    cause: Option<String>,
}

impl Problem {
    /// `detail`: a sentence for the caller's developer.
    #[must_use]
    pub fn new(code: Code, detail: &str) -> Self {
        Self { code, detail: detail.to_owned(), errors: vec![], limit: None, headers: vec![], cause: None }
    }

    /// 422 about one field.
    #[must_use]
    pub fn field(code: Code, field: &str, detail: &str) -> Self {
        Self::new(code, detail).errors(vec![FieldError { field: field.to_owned(), detail: detail.to_owned() }])
    }

    /// 422 `invalid_request` about all that is wrong.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let names: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        Self::new(Code::InvalidRequest, &format!("Wrong: {}.", names.join(", "))).errors(errors)
    }

    /// 429.
    #[must_use]
    pub fn limited(limited: Limited, policy: &Policy, now: Timestamp) -> Self {
        let (limit, wait) = (limited.limit, limited.until.since(now).max(1));
        let (quota, window) = policy.quota(limit);
        let mut problem = Self::new(Code::RateLimited, &format!("The limit `{}` allows no send for another {wait} s.", limit.name()));
        problem.limit = Some(limit);
        problem
            .header(RETRY_AFTER, wait.to_string())
            .header(HeaderName::from_static("ratelimit"), format!("\"{}\";r=0;t={wait}", limit.name()))
            .header(HeaderName::from_static("ratelimit-policy"), format!("\"{}\";q={quota};w={window}", limit.name()))
    }

    /// 503: nothing was charged, nothing was compared. `cause` is for the log only.
    #[must_use]
    pub fn unavailable(cause: String) -> Self {
        let mut problem = Self::new(Code::Unavailable, "The service could not do its work; nothing was charged. Try again.");
        problem.cause = Some(cause);
        problem.header(RETRY_AFTER, UNAVAILABLE_RETRY_SECONDS.to_string())
    }

    /// With what is wrong, field by field.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn body(&self, request_id: &str) -> Value {
        let (status, code, title) = self.code.parts();
        let mut body = json!({
            "type": format!("/problems/{code}"), "title": title, "status": status.as_u16(), "detail": self.detail,
            "code": code, "request_id": request_id,
        });
        if !self.errors.is_empty() {
            body["errors"] = self.errors.iter().map(|e| json!({"field": e.field, "detail": e.detail})).collect();
        }
        if let Some(limit) = self.limit {
            body["limit"] = limit.name().into();
        }
        body
    }
}

/// Turns the outcome of a use case into the response, and logs it, once.
#[must_use]
pub fn respond(function: &str, request_id: &str, outcome: Result<Answer, Problem>) -> Response<Body> {
    let (status, content_type, body, headers) = match outcome {
        Ok(answer) => (answer.status, answer.content_type, answer.body, answer.headers),
        Err(problem) => {
            let (status, code, _) = problem.code.parts();
            let limit = problem.limit.map_or("", Limit::name);
            match &problem.cause {
                Some(cause) => tracing::error!(function, request.id = request_id, error.kind = code, error.cause = cause, "a request failed"),
                None => {
                    tracing::info!(function, request.id = request_id, error.kind = code, limit, status = status.as_u16(), "a request was refused")
                }
            }
            (status, "application/problem+json", problem.body(request_id).to_string(), problem.headers)
        }
    };
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    let fixed = [(CONTENT_TYPE, content_type.to_owned()), (CACHE_CONTROL, "no-store".to_owned())];
    let own = (HeaderName::from_static("request-id"), request_id.to_owned());
    for (name, value) in fixed.into_iter().chain([own]).chain(headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROUTES: &[Route] = &[
        Route { path: "/v1/verifications/{}", methods: &[Method::GET, Method::DELETE] },
        Route { path: "/v1/verifications/{}/check", methods: &[Method::POST] },
    ];

    fn request(method: Method, path: &str) -> Request {
        let mut request = Request::new(Body::Empty).with_raw_http_path(path);
        *request.method_mut() = method;
        request
    }

    #[test]
    fn a_known_path_with_another_method_names_the_allowed_ones() {
        let (path, values) = route(&request(Method::GET, "/v1/verifications/ve_1"), ROUTES).expect("a route");
        assert_eq!((path, values), ("/v1/verifications/{}", vec!["ve_1".to_owned()]));
        let problem = route(&request(Method::PUT, "/v1/verifications/ve_1"), ROUTES).expect_err("no PUT");
        assert_eq!((problem.code, &problem.headers[0]), (Code::MethodNotAllowed, &(ALLOW, "GET, DELETE".to_owned())));
        for path in ["/", "/v1/verifications", "/v1/verifications/a/b", "/v1/verifications/a/check/", "/v1/verifications/", "/v2/verifications/a"] {
            assert_eq!(route(&request(Method::GET, path), ROUTES).expect_err("no such path").code, Code::NotFound, "{path}");
        }
    }

    #[test]
    fn a_key_and_its_quoted_spelling_are_one() {
        let key = |value: &str| {
            let mut request = request(Method::POST, "/");
            request.headers_mut().insert("idempotency-key", HeaderValue::from_str(value).expect("a header value"));
            idempotency_key(&request).map_err(|p| p.code)
        };
        assert_eq!(key("k"), Ok(Some("k".into())));
        assert_eq!(key("\"k\""), Ok(Some("k".into())));
        assert_eq!(key(""), Err(Code::MalformedRequest));
        assert_eq!(key("\"\""), Err(Code::MalformedRequest));
        assert_eq!(key(&"k".repeat(256)), Err(Code::MalformedRequest));
        assert_eq!(idempotency_key(&request(Method::POST, "/")).map_err(|p| p.code), Ok(None));
    }
}
