//! What both benches need: a local server and a caller that costs little, a port that answers as it
//! is told, CPU times, tables.
#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "a bench ends where it is surprised"
)]

pub mod cpu;
pub mod home;
#[path = "../support/listener.rs"]
pub mod listener;
pub mod table;
