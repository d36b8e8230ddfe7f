//! v1: the native dialect. JSON in, JSON and problem documents out.

pub mod app;
pub mod check;
pub mod errors;
mod fields;
mod proofs;
pub mod recipient;
pub mod send;
pub mod subjects;
pub mod verification;
