//! What identifies a simulated carrier to the functions: its port and its credentials. With
//! `--data` they are stored, because the configuration document can name them as well.
//!
//! Invariant: the stored ports stay. While one is in use by another program, the carrier has
//! another port.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use otp::platform::random::random_bytes;
use serde::{Deserialize, Serialize};

use super::network::new_id;
use crate::data_dir::{DataDir, DataDirError};

/// Name of the file in the data directory.
const FILE: &str = "simulated_carriers.json";

/// The identity of one carrier.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) port: u16,
    #[serde(flatten)]
    pub(super) credentials: Credentials,
}

/// What the worker and the carrier authenticate with.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credentials {
    /// Of requests to the carrier.
    pub(super) token: String,
    /// Signs its reports.
    pub(super) secret: String,
}

impl Credentials {
    /// New ones.
    pub(super) fn generate() -> Self {
        Self {
            token: new_id(),
            secret: format!("whsec_{}", BASE64.encode(&random_bytes::<32>())),
        }
    }
}

/// The stored identities by carrier name; none in a new directory.
pub(super) fn load(data_dir: &DataDir) -> Result<BTreeMap<String, Identity>, DataDirError> {
    match data_dir.read(FILE)? {
        Some(text) => serde_json::from_str(&text).map_err(invalid),
        None => Ok(BTreeMap::new()),
    }
}

/// Stores the identities of all carriers.
pub(super) fn store(
    data_dir: &DataDir,
    identities: &BTreeMap<String, Identity>,
) -> Result<(), DataDirError> {
    let text = serde_json::to_string_pretty(identities).map_err(invalid)?;
    data_dir.write(FILE, &text)
}

fn invalid(error: serde_json::Error) -> DataDirError {
    DataDirError::Invalid {
        file: FILE,
        problem: error.to_string(),
    }
}
