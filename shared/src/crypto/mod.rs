//! Crypto: sealed values, ids and keyed hashes.
//!
//! Invariant: no number and no code is hashed without a key.

pub mod factor_codes;
pub mod hashes;
pub mod ids;
pub mod keyring;
pub mod sealing;
pub mod signatures;
pub mod subject_ids;
