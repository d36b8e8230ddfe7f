//! Environment variables of the process.
//!
//! Invariant: no other file reads the environment.

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
