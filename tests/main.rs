//! The suite: one binary, everything over the wire. A file per function and per theme; `harness` starts the service,
//! `contract` judges every answer.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, reason = "tests are sentences, and end where they are surprised")]

mod carrier;
mod contract;
mod harness;
mod listener;
mod wire;

mod boundaries;
mod breaker;
mod callback;
mod delivery;
mod events;
mod fallback;
mod faults;
mod journeys;
mod process;
mod units;
mod worker;
