//! The keys of the local server: API keys from the environment or new ones, and the keys that seal
//! and look up. With `--data` they are stored, so that they outlive a restart.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use otp::config::is_app_name;
use otp::crypto::hashes::sha256;
use otp::platform::json::parse_object;
use otp::platform::random::random_bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data_dir::{DataDir, DataDirError};

/// Name of the file in the data directory.
const SECRETS_FILE: &str = "secrets.json";
/// The shortest API key that `OTP_LOCAL_API_KEYS` may set.
const API_KEY_CHARS_MIN: usize = 20;
/// The API key of app `default` without `OTP_LOCAL_API_KEYS`: always the same, so that pasted
/// commands work.
const DEVELOPMENT_KEY: &str = "otp_test_local_development_key";

/// The keys.
pub(crate) struct Secrets {
    /// App and key, in the order given.
    pub(crate) api_keys: Vec<(String, String)>,
    /// `OTP_SECRETS` for the functions.
    pub(crate) document: String,
}

/// What is wrong with `OTP_LOCAL_API_KEYS`.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum ApiKeysError {
    #[error(
        "OTP_LOCAL_API_KEYS: must be APP=KEY,APP=KEY with keys of {API_KEY_CHARS_MIN} or more letters, digits and _"
    )]
    Format,
    #[error("OTP_LOCAL_API_KEYS: a key must belong to one app")]
    SharedKey,
}

impl Secrets {
    /// Reads `OTP_SECRETS` and `OTP_LOCAL_API_KEYS`, and the keys that the data directory stores.
    ///
    /// An error in `OTP_LOCAL_API_KEYS` is returned beside the secrets, so that it can be reported
    /// with those of all other settings. `OTP_SECRETS` is validated where the functions read it.
    pub(crate) fn open(
        data_dir: Option<&DataDir>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Option<ApiKeysError>), DataDirError> {
        let generated = load_or_generate(data_dir)?;
        let (api_keys, error) = match variable("OTP_LOCAL_API_KEYS") {
            Some(entries) => match parse_api_keys(&entries) {
                Ok(api_keys) => (api_keys, None),
                Err(error) => (vec![], Some(error)),
            },
            None => (
                vec![("default".to_owned(), DEVELOPMENT_KEY.to_owned())],
                None,
            ),
        };
        let given = variable("OTP_SECRETS").unwrap_or_else(|| "{}".to_owned());
        let document = generated.complete(&given).unwrap_or(given);
        let document = add_api_keys(&document, &api_keys).unwrap_or(document);
        Ok((Self { api_keys, document }, error))
    }
}

/// `OTP_SECRETS` of the server that uses the data directory at `data`, without API keys: as given,
/// with the stored keys where it has none.
pub(crate) fn stored(data: &Path, given: Option<String>) -> Result<String, DataDirError> {
    let given = given.unwrap_or_else(|| "{}".to_owned());
    let Some(text) = DataDir::of_a_running_server(data).read(SECRETS_FILE)? else {
        return Ok(given);
    };
    let keys: GeneratedKeys = serde_json::from_str(&text).map_err(invalid)?;
    Ok(keys.complete(&given).unwrap_or(given))
}

/// By what the keys of an `OTP_SECRETS` are recognized; `None` if it is not an object. The keys are
/// random, so it reveals none.
pub(crate) fn fingerprint(document: &str) -> Option<String> {
    let document = parse_object(document.as_bytes()).ok()?;
    let keys = ["seal", "lookup", "carrier_seal"].map(|name| document.get(name));
    let digest = sha256(format!("lambda-otp keys {}", json!(keys)).as_bytes());
    Some(HEXLOWER.encode(&digest[..16]))
}

/// `api_keys` of an `OTP_SECRETS`.
pub(crate) fn api_keys(document: &str) -> Value {
    let mut document: Value = serde_json::from_str(document).unwrap_or_default();
    document["api_keys"].take()
}

/// An `OTP_SECRETS` with these `api_keys` in place of its own.
pub(crate) fn with_api_keys(document: String, api_keys: &Value) -> String {
    let Ok(mut entries) = parse_object(document.as_bytes()) else {
        return document;
    };
    entries.insert("api_keys".into(), api_keys.clone());
    Value::Object(entries).to_string()
}

/// `OTP_SECRETS` with new keys in place of those that are missing.
pub(crate) fn completed(given: &str) -> String {
    GeneratedKeys::new()
        .complete(given)
        .unwrap_or_else(|| given.to_owned())
}

/// What the data directory stores.
#[derive(Serialize, Deserialize)]
struct GeneratedKeys {
    seal: String,
    lookup: String,
    /// Missing in the directories of earlier versions.
    carrier_seal: Option<String>,
}

impl GeneratedKeys {
    fn new() -> Self {
        Self {
            seal: BASE64.encode(&random_bytes::<32>()),
            lookup: BASE64.encode(&random_bytes::<32>()),
            carrier_seal: Some(BASE64.encode(&random_bytes::<32>())),
        }
    }

    /// `OTP_SECRETS` as given, with these keys where it has none; `None` if it is not an object.
    fn complete(&self, given: &str) -> Option<String> {
        let mut document = parse_object(given.as_bytes()).ok()?;
        let seal = || json!({"current": "local", "keys": {"local": self.seal}});
        document.entry("seal").or_insert_with(seal);
        document
            .entry("lookup")
            .or_insert_with(|| json!(self.lookup));
        if let Some(key) = &self.carrier_seal {
            let member = document.entry("carrier_seal");
            member.or_insert_with(|| json!(key));
        }
        Some(Value::Object(document).to_string())
    }
}

/// The stored keys, or new ones, which are then stored.
fn load_or_generate(data_dir: Option<&DataDir>) -> Result<GeneratedKeys, DataDirError> {
    let Some(data_dir) = data_dir else {
        return Ok(GeneratedKeys::new());
    };
    // A file that cannot be read is an error: with new keys, all that the stored ones have sealed
    // would be lost.
    let mut keys = GeneratedKeys::new();
    if let Some(text) = data_dir.read(SECRETS_FILE)? {
        let stored: GeneratedKeys = serde_json::from_str(&text).map_err(invalid)?;
        if stored.carrier_seal.is_some() {
            return Ok(stored);
        }
        keys = GeneratedKeys {
            carrier_seal: keys.carrier_seal,
            ..stored
        };
    }
    let text = serde_json::to_string_pretty(&keys).map_err(invalid)?;
    data_dir.write(SECRETS_FILE, &text)?;
    Ok(keys)
}

fn invalid(error: serde_json::Error) -> DataDirError {
    DataDirError::Invalid {
        file: SECRETS_FILE,
        problem: error.to_string(),
    }
}

/// `document` with the hashes of these keys added to its own; `None` if it is not a secrets
/// document.
fn add_api_keys(document: &str, api_keys: &[(String, String)]) -> Option<String> {
    let mut document = parse_object(document.as_bytes()).ok()?;
    let hashed = api_keys
        .iter()
        .map(|(app, key)| json!({"app": app, "sha256": HEXLOWER.encode(&sha256(key.as_bytes()))}));
    document
        .entry("api_keys")
        .or_insert_with(|| json!([]))
        .as_array_mut()?
        .extend(hashed);
    Some(Value::Object(document).to_string())
}

/// App and key, in the order given.
fn parse_api_keys(entries: &str) -> Result<Vec<(String, String)>, ApiKeysError> {
    let api_keys: Vec<(String, String)> = entries
        .split(',')
        .map(parse_api_key)
        .collect::<Option<_>>()
        .ok_or(ApiKeysError::Format)?;
    let is_shared = |(app, key): &(String, String)| {
        api_keys
            .iter()
            .any(|(other_app, other_key)| other_key == key && other_app != app)
    };
    if api_keys.iter().any(is_shared) {
        Err(ApiKeysError::SharedKey)
    } else {
        Ok(api_keys)
    }
}

fn parse_api_key(entry: &str) -> Option<(String, String)> {
    let (app, key) = entry.split_once('=')?;
    let (app, key) = (app.trim(), key.trim());
    let is_key = key.len() >= API_KEY_CHARS_MIN
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_app_name(app) && is_key).then(|| (app.to_owned(), key.to_owned()))
}
