//! Requests: body, `Idempotency-Key` and request id.

use data_encoding::HEXLOWER;
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use serde_json::{Map, Value};

use super::problem::{ErrorCode, Problem};
use crate::platform::json::{self, FieldError};
use crate::platform::random::random_bytes;

/// Largest body that is read.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest `Idempotency-Key`.
const IDEMPOTENCY_KEY_LENGTH_MAX: usize = 255;
/// Longest request id of the gateway that is passed on.
const REQUEST_ID_LENGTH_MAX: usize = 128;

/// UTF-8's byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The JSON object in the body.
///
/// # Errors
/// 413, 415, 400.
pub fn json_body(request: &Request) -> Result<Map<String, Value>, Problem> {
    let body = without_mark(bounded_body(request)?);
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = content_type
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        let detail = "Send `Content-Type: application/json`.";
        return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
    }
    json::parse_object(body)
        .map_err(|error| Problem::new(ErrorCode::MalformedRequest, &error.to_string()))
}

/// Like [`json_body`]; an empty body is an empty object.
///
/// # Errors
/// 413, 415, 400.
pub fn optional_json_body(request: &Request) -> Result<Map<String, Value>, Problem> {
    if without_mark(request.body()).is_empty() {
        Ok(Map::new())
    } else {
        json_body(request)
    }
}

/// `body` without the byte order mark that some editors and libraries put in front of it.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// The raw body.
///
/// # Errors
/// 413.
pub fn bounded_body(request: &Request) -> Result<&[u8], Problem> {
    let body: &[u8] = request.body().as_ref();
    if body.len() > BODY_BYTES_MAX {
        let detail = format!("The body must have at most {BODY_BYTES_MAX} bytes.");
        return Err(Problem::new(ErrorCode::BodyTooLarge, &detail));
    }
    Ok(body)
}

/// The `Idempotency-Key`; `"k"` and `k` are the same key.
///
/// # Errors
/// 400 unless it is 1 to 255 printable ASCII characters.
pub fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let mut headers = request.headers().get_all("idempotency-key").iter();
    let Some(header) = headers.next() else {
        return Ok(None);
    };
    let text = std::str::from_utf8(header.as_bytes()).unwrap_or_default();
    let unquoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let key = unquoted.unwrap_or(text);
    let is_printable = key.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    let fits = (1..=IDEMPOTENCY_KEY_LENGTH_MAX).contains(&key.len());
    if !is_printable || !fits || headers.next().is_some() {
        let error = FieldError {
            field: "Idempotency-Key".into(),
            detail: "Must be one value of 1 to 255 printable ASCII characters.".into(),
        };
        let problem = Problem::new(
            ErrorCode::MalformedRequest,
            "Invalid Idempotency-Key header.",
        );
        return Err(problem.errors(vec![error]));
    }
    Ok(Some(key.to_owned()))
}

/// The gateway's id of this request, or a random one.
#[must_use]
pub fn request_id(request: &Request) -> String {
    let id = request
        .request_context_ref()
        .and_then(|context| match context {
            RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
            _ => None,
        });
    let is_usable = |id: &String| {
        (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    id.filter(is_usable)
        .unwrap_or_else(|| HEXLOWER.encode(&random_bytes::<16>()))
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use lambda_http::http::HeaderValue;

    use super::*;

    #[test]
    fn one_byte_order_mark_is_ignored() {
        let read = |body: &str| {
            let mut request = Request::new(Body::from(body));
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            (
                json_body(&request).is_ok(),
                optional_json_body(&request).is_ok(),
            )
        };
        assert_eq!(read("\u{feff}{}"), (true, true));
        assert_eq!(read("\u{feff} {\"a\":1}\n"), (true, true));
        assert_eq!(read("\u{feff}"), (false, true));
        assert_eq!(read("\u{feff}\u{feff}{}"), (false, false));
        assert_eq!(read(" \u{feff}{}"), (false, false));
        assert_eq!(read("{}\u{feff}"), (false, false));
    }

    #[test]
    fn idempotency_key_ignores_surrounding_quotes() {
        let key = |value: &str| {
            let mut request = Request::new(Body::Empty);
            let value = HeaderValue::from_str(value).expect("a header value");
            request.headers_mut().insert("idempotency-key", value);
            idempotency_key(&request).map_err(|problem| problem.code())
        };
        assert_eq!(key("k"), Ok(Some("k".into())));
        assert_eq!(key("\"k\""), Ok(Some("k".into())));
        assert_eq!(key(""), Err(ErrorCode::MalformedRequest));
        assert_eq!(key("\"\""), Err(ErrorCode::MalformedRequest));
        assert_eq!(key(&"k".repeat(256)), Err(ErrorCode::MalformedRequest));
        let without = idempotency_key(&Request::new(Body::Empty));
        assert_eq!(without.map_err(|problem| problem.code()), Ok(None));
    }
}
