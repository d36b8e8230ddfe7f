//! Environment variables of the process.
//!
//! Invariant: no other file reads the environment.

use serde_json::{Map, Value};

/// Bytes that Lambda allows for all variables of a function together.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const LAMBDA_BYTES_MAX: usize = 4096;
/// What the names of this service's variables begin with.
const PREFIX: &str = "OTP_";
/// A variable of the template that no function reads.
const SECRETS_REVISION: &str = "SECRETS_REVISION";

/// The environment variable `name`; `None` if it is not set.
///
/// Bytes that are not UTF-8 are replaced by U+FFFD, which no setting accepts: an unreadable value
/// is rejected, not ignored.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that reads the environment"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The names of the variables of this process that begin like those of this service.
#[must_use]
pub fn own_names() -> Vec<String> {
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
    names.sort();
    names
}

/// The bytes that Lambda counts for `variables`: those of a JSON object. A quotation mark within a
/// value, as in `OTP_SECRETS`, counts twice, because it is escaped.
#[must_use]
pub fn lambda_bytes<'v>(variables: impl IntoIterator<Item = (&'v str, &'v str)>) -> usize {
    let variables = variables.into_iter();
    let document: Map<String, Value> = variables
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Value::Object(document).to_string().len()
}

/// The bytes that Lambda counts for the variables of this process that the template sets.
#[must_use]
pub fn own_lambda_bytes() -> usize {
    let own: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX) || name == SECRETS_REVISION)
        .collect();
    lambda_bytes(
        own.iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_a_json_object() {
        assert_eq!(lambda_bytes([]), 2);
        assert_eq!(
            lambda_bytes([("A", "b"), ("C", "")]),
            r#"{"A":"b","C":""}"#.len()
        );
        assert_eq!(
            lambda_bytes([("A", r#"{"b":1}"#)]),
            r#"{"A":"{\"b\":1}"}"#.len()
        );
    }
}
