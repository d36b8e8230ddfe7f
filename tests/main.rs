//! The suite: one binary, everything over the wire. A file per function and per theme; `harness` starts the service,
//! `contract` judges every answer.
#![allow(missing_docs, reason = "tests are named as sentences")]

mod contract;
mod harness;

mod journeys;
