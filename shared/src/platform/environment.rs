//! Environment variables of the process.
//!
//! Invariant: no other file reads the environment.

/// A variable of the process. What is not UTF-8 comes out with replacement characters, which no setting takes: a value that
/// cannot be read is not one that is not there.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one sanctioned reading of the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
