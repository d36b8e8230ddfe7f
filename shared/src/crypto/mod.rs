//! Crypto: sealed values, ids and keyed hashes.

pub mod seal;
