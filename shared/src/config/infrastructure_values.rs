//! What a function reads of its variables once, however often it reads the rest again.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::apps::ApiKeys;
use super::document::Document;
use crate::crypto::keyring::Keyring;
use crate::platform::aws::Aws;

/// The values.
#[derive(Clone)]
pub(super) struct InfrastructureValues {
    pub(super) table: String,
    pub(super) aws: Aws,
    pub(super) keyring: Arc<Keyring>,
    pub(super) carrier_seal: Option<Keyring>,
    /// Of `OTP_SECRETS`.
    pub(super) api_keys: ApiKeys,
    /// Of `OTP_SECRETS`, by carrier name.
    pub(super) credentials: Map<String, Value>,
    /// What counts while the table holds no document.
    pub(super) first_document: Option<Document>,
}
