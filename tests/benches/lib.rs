//! What both benchmarks need: a local server with a cheap client, a stub server, CPU times, tables.
#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "a benchmark stops at any unexpected result"
)]

pub mod cpu;
pub mod local_server;
#[path = "../support/listener.rs"]
pub mod listener;
pub mod table;
