//! The tests of the whole service, in one binary. `support` starts the service and makes requests
//! to it; each other folder has the tests of one part. `README.md` says how to run and add tests.
#![allow(
    missing_docs,
    clippy::bool_assert_comparison,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends at the first value that it did not expect"
)]

extern crate support;

mod api;
mod carriers;
mod exploration;
mod factors;
mod limits;
mod local;
mod operations;
mod simulation;
mod source;
mod twilio;
mod worker;
