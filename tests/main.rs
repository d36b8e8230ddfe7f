//! The suite: one binary, everything over the wire. A file per function and per theme; `harness` starts the service,
//! `contract` judges every answer, `given` is what several files need.
#![allow(missing_docs, reason = "tests are named as sentences")]

mod contract;
mod given;
mod harness;
mod process;

mod budget;
mod hostile;
mod journeys;
mod races;
mod rotation;
mod secrecy;
mod send;
mod verify;
