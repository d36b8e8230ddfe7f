//! The keys of the local server: API keys from the environment or fresh ones, and, with `--data`, all that must outlive
//! a restart.

use std::path::Path;

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};
use otp::ambient::random_bytes;
use otp::config::is_app_name;
use otp::seal::sha256;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
    /// From the environment's `OTP_SECRETS` and `OTP_LOCAL_API_KEYS`, and from `directory`, where it is given.
    pub(crate) fn open(directory: Option<&Path>, secrets: Option<&str>, keys: Option<&str>) -> Result<Self, String> {
        let kept = kept(directory)?;
        let api_keys = match keys {
            Some(keys) => keys.split(',').map(api_key).collect::<Result<_, _>>()?,
            None => vec![("default".to_owned(), kept.api_key.clone())],
        };
        let own = json!({"seal": {"current": "local", "keys": {"local": kept.seal}}, "lookup": kept.lookup, "api_keys": []});
        let mut document: Value = match secrets {
            Some(secrets) => serde_json::from_str(secrets).map_err(|_| "OTP_SECRETS: must be a JSON object")?,
            None => own,
        };
        let hashed = api_keys.iter().map(|(app, key)| json!({"app": app, "sha256": HEXLOWER.encode(&sha256(key.as_bytes()))}));
        match document.as_object_mut().map(|object| object.entry("api_keys").or_insert_with(|| json!([]))) {
            Some(Value::Array(list)) => list.extend(hashed),
            _ => return Err("OTP_SECRETS: must be a JSON object whose api_keys are a list".into()),
        }
        Ok(Self { api_keys, document: document.to_string() })
    }
}

fn api_key(entry: &str) -> Result<(String, String), String> {
    let pair = entry.split_once('=').map(|(app, key)| (app.trim(), key.trim()));
    let key_fits = |key: &str| key.len() >= 20 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    pair.filter(|(app, key)| is_app_name(app) && key_fits(key))
        .map(|(app, key)| (app.to_owned(), key.to_owned()))
        .ok_or_else(|| "OTP_LOCAL_API_KEYS: must be APP=KEY,APP=KEY with keys of 20 or more letters, digits and _".into())
}

fn kept(directory: Option<&Path>) -> Result<Kept, String> {
    let file = directory.map(|directory| directory.join("secrets.json"));
    if let Some(text) = file.as_deref().and_then(|file| std::fs::read_to_string(file).ok()) {
        return serde_json::from_str(&text).map_err(|error| format!("--data: secrets.json cannot be read: {error}"));
    }
    let key = BASE32_NOPAD.encode(&random_bytes::<20>()).to_ascii_lowercase();
    let fresh = Kept { seal: BASE64.encode(&random_bytes::<32>()), lookup: BASE64.encode(&random_bytes::<32>()), api_key: format!("otp_test_{key}") };
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(&fresh).map_err(|error| error.to_string())?;
        write_privately(&file, &text).map_err(|error| format!("--data: secrets.json cannot be written: {error}"))?;
    }
    Ok(fresh)
}

/// Whole or not at all, and for nobody else's eyes.
fn write_privately(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let unfinished = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&unfinished)?.write_all(text.as_bytes())?;
    std::fs::rename(unfinished, file)
}
