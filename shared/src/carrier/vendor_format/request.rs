//! Builds requests to vendors.
//!
//! Invariant: URLs and header values are built from configuration that was validated, so an invalid
//! one cannot occur. If it did, the request would have no host or lack the header; it would not
//! panic.

use ::http::{HeaderValue, Method, Request};
use data_encoding::BASE64;
use serde_json::Value;

use super::form;
use crate::domain::address::Address;

/// A GET.
#[must_use]
pub fn get(url: &str) -> Request<String> {
    let mut request = Request::new(String::new());
    *request.uri_mut() = url.parse().unwrap_or_default();
    request
}

/// A POST.
#[must_use]
pub fn post(url: &str, headers: &[(&'static str, String)], body: String) -> Request<String> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.parse().unwrap_or_default();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            request.headers_mut().insert(*name, value);
        }
    }
    request
}

/// A POST of a JSON document.
#[must_use]
pub fn post_json(url: &str, headers: &[(&'static str, String)], body: &Value) -> Request<String> {
    let content_type = ("content-type", "application/json".to_owned());
    post(url, &[headers, &[content_type]].concat(), body.to_string())
}

/// A POST of a form.
#[must_use]
pub fn post_form(
    url: &str,
    headers: &[(&'static str, String)],
    fields: &[(&str, &str)],
) -> Request<String> {
    let content_type = (
        "content-type",
        "application/x-www-form-urlencoded".to_owned(),
    );
    let body = form::encode(fields);
    post(url, &[headers, &[content_type]].concat(), body)
}

/// The `authorization` header of HTTP Basic.
#[must_use]
pub fn basic_auth(user: &str, password: &str) -> (&'static str, String) {
    let credentials = BASE64.encode(format!("{user}:{password}").as_bytes());
    ("authorization", format!("Basic {credentials}"))
}

/// A phone number without its `+`.
#[must_use]
pub fn digits(to: &Address) -> &str {
    to.reveal().trim_start_matches('+')
}
