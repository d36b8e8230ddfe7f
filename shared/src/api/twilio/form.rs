//! Forms: the body of a request as names and values.
//!
//! Invariant: what is not a well-formed form in UTF-8 is rejected, never guessed.

use std::borrow::Cow;

use lambda_http::Request;
use lambda_http::http::header::CONTENT_TYPE;

use super::path::percent_decoded;
use super::rejection::Rejection;
use crate::api::problem::{ErrorCode, Problem};
use crate::api::request::bounded_body;

/// Names and values in order, without empty values: they are the same as absent ones.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The form in the body, for a request that has the parameters `known`.
    ///
    /// # Errors
    /// 413, 415, 400.
    pub(super) fn read(request: &Request, known: &[&'static str]) -> Result<Self, Rejection> {
        let body = bounded_body(request).map_err(Rejection::of)?;
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|value| value.split(';').next());
        let is_form = media_type.is_some_and(|media_type| {
            let media_type = media_type.trim();
            media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        if !is_form {
            return Err(Rejection::of(Problem::new(
                ErrorCode::UnsupportedMediaType,
                "",
            )));
        }
        let body = std::str::from_utf8(body).map_err(|_| Rejection::malformed(None))?;
        let pairs = body.split('&').filter(|pair| !pair.is_empty());
        let mut form = vec![];
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).ok_or_else(|| Rejection::malformed(None))?;
            let known_name = || known.iter().find(|known| **known == name).copied();
            let value = decoded(value).ok_or_else(|| Rejection::malformed(known_name()))?;
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        Ok(Self(form))
    }

    /// The values of `name`.
    pub(super) fn values<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        let named = self.0.iter().filter(move |(other, _)| other == name);
        named.map(|(_, value)| value.as_str())
    }
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decoded(&spaced).map(Cow::into_owned)
}
