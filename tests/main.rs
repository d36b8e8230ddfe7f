//! The suite: one binary, everything over the wire. A file per function and per theme; `harness` starts the service,
//! `contract` judges every answer, `given` is what several files need.
#![allow(
    missing_docs,
    clippy::bool_assert_comparison,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests are sentences, and end where they are surprised"
)]

mod built;
mod carrier;
mod contract;
mod given;
mod harness;
mod listener;
mod spawned;
mod wire;

mod bootstraps;
mod boundaries;
mod breaker;
mod budget;
mod callback;
mod causes;
mod delivery;
mod document;
#[path = "source/documentation.rs"]
mod documentation;
mod events;
mod fallback;
mod figures;
mod faults;
mod hostile;
mod journeys;
mod limits;
mod privileges;
mod process;
mod races;
mod rotation;
mod secrecy;
mod send;
mod settings;
mod simulation;
mod traffic;
mod units;
mod vendors;
mod verify;
mod worker;
