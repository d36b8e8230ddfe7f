//! The suite: one binary, everything over the wire. `support` starts the service and talks to it; a
//! folder per part of the service holds the tests. See README.md beside this file.
#![allow(
    missing_docs,
    clippy::bool_assert_comparison,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends at the first value that it did not expect"
)]

mod support;

mod api;
mod carriers;
mod limits;
mod local;
mod operations;
mod simulation;
mod source;
mod worker;
