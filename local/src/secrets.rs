//! The keys of the local server: API keys from the environment or fresh ones, and, with `--data`, all that must outlive
//! a restart.

use std::path::Path;

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};
use otp::config::is_app_name;
use otp::crypto::hashes::sha256;
use otp::platform::json::parse_object;
use otp::platform::random::random_bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::directory::write_whole;

/// What is kept with `--data`, beside the engine's file.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    seal: String,
    lookup: String,
    api_key: String,
}

/// The keys.
pub(crate) struct Secrets {
    /// App and key, in the order given.
    pub(crate) api_keys: Vec<(String, String)>,
    /// `OTP_SECRETS` for the functions.
    pub(crate) document: String,
}

impl Secrets {
    /// From the environment's `OTP_SECRETS` and `OTP_LOCAL_API_KEYS`, and from `directory`, where it is given; and what is wrong
    /// with the API keys. What is wrong with `OTP_SECRETS` is told where the functions read it.
    pub(crate) fn open(
        directory: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Option<String>), String> {
        let kept = kept(directory)?;
        let (api_keys, wrong_keys) =
            match variable("OTP_LOCAL_API_KEYS").map(|keys| api_keys(&keys)) {
                Some(Ok(api_keys)) => (api_keys, None),
                Some(Err(problem)) => (vec![], Some(format!("OTP_LOCAL_API_KEYS: {problem}"))),
                None => (vec![("default".to_owned(), kept.api_key.clone())], None),
            };
        let own = json!({"seal": {"current": "local", "keys": {"local": kept.seal}}, "lookup": kept.lookup}).to_string();
        let document = variable("OTP_SECRETS").unwrap_or(own);
        let document = with_keys(&document, &api_keys).unwrap_or(document);
        Ok((Self { api_keys, document }, wrong_keys))
    }
}

/// `document` with these keys beside its own; `None` if it is none.
fn with_keys(document: &str, api_keys: &[(String, String)]) -> Option<String> {
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
fn api_keys(entries: &str) -> Result<Vec<(String, String)>, &'static str> {
    let api_keys: Vec<(String, String)> = entries
        .split(',')
        .map(api_key)
        .collect::<Option<_>>()
        .ok_or(API_KEYS)?;
    let is_of_two = |(app, key): &(String, String)| {
        api_keys
            .iter()
            .any(|(other, same)| same == key && other != app)
    };
    if api_keys.iter().any(is_of_two) {
        Err("a key must belong to one app")
    } else {
        Ok(api_keys)
    }
}

const API_KEYS: &str = "must be APP=KEY,APP=KEY with keys of 20 or more letters, digits and _";

fn api_key(entry: &str) -> Option<(String, String)> {
    let (app, key) = entry
        .split_once('=')
        .map(|(app, key)| (app.trim(), key.trim()))?;
    let key_fits = key.len() >= 20 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_app_name(app) && key_fits).then(|| (app.to_owned(), key.to_owned()))
}

fn kept(directory: Option<&Path>) -> Result<Kept, String> {
    let file = directory.map(|directory| directory.join("secrets.json"));
    match file.as_deref().map(std::fs::read_to_string) {
        Some(Ok(text)) => {
            return serde_json::from_str(&text)
                .map_err(|error| format!("--data: secrets.json cannot be read: {error}"));
        }
        // Fresh keys in the place of those that are there would lose all that they seal.
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("--data: secrets.json cannot be read: {error}"));
        }
        Some(Err(_)) | None => {}
    }
    let key = BASE32_NOPAD
        .encode(&random_bytes::<20>())
        .to_ascii_lowercase();
    let fresh = Kept {
        seal: BASE64.encode(&random_bytes::<32>()),
        lookup: BASE64.encode(&random_bytes::<32>()),
        api_key: format!("otp_test_{key}"),
    };
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(&fresh).map_err(|error| error.to_string())?;
        write_whole(&file, &text)
            .map_err(|error| format!("--data: secrets.json cannot be written: {error}"))?;
    }
    Ok(fresh)
}
