//! v1: the native dialect. JSON in, JSON and problem documents out.

pub mod fields;
pub mod verification;
