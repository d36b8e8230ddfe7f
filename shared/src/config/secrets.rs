//! `OTP_SECRETS`: seal keys, lookup key, hashes of API keys, credentials of carriers, and the
//! configuration document of the first deployment.
//!
//! Invariant: no problem contains a value; some name a member.

use std::collections::{BTreeMap, HashMap};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value};

use super::advice::{shown_name, unknown_name};
use super::apps::{ApiKey, ApiKeys, is_app_name};
use crate::carrier;
use crate::crypto::keyring::Keyring;

/// The members of the document.
const MEMBERS: [&str; 6] = [
    "seal",
    "lookup",
    "carrier_seal",
    "api_keys",
    "carriers",
    "first_document",
];

/// What the document holds.
pub(super) struct Secrets {
    pub(super) keyring: Keyring,
    /// Seals the credentials in the table; `None` in functions that do not read them.
    pub(super) carrier_seal: Option<Keyring>,
    pub(super) api_keys: ApiKeys,
    /// By carrier name.
    pub(super) credentials: Map<String, Value>,
    /// What counts while the table holds no document; not read yet.
    pub(super) first_document: Option<Value>,
}

/// Reads the document. Returns what could be read, and a sentence for each problem.
pub(super) fn read(mut document: Map<String, Value>) -> (Secrets, Vec<String>) {
    let mut problems = vec![];
    let (current, keys) = seal_keys(&document.remove("seal").unwrap_or_default(), &mut problems);
    let lookup = document.remove("lookup").as_ref().and_then(key_of_32_bytes);
    if lookup.is_none() {
        problems.push("lookup must be the base64 of 32 bytes".to_owned());
    }
    let carrier_seal = document.remove("carrier_seal");
    let carrier_seal = carrier_seal.and_then(|key| {
        let key = key_of_32_bytes(&key);
        if key.is_none() {
            problems.push("carrier_seal must be the base64 of 32 bytes".to_owned());
        }
        key.map(|key| Keyring::with_one_seal_key("carrier_seal", key))
    });
    let api_keys = document.remove("api_keys");
    let api_keys = api_keys
        .map(|keys| read_api_keys(&keys, &mut problems))
        .unwrap_or_default();
    let credentials = document.remove("carriers");
    let credentials = credentials
        .map(|carriers| read_credentials(carriers, &mut problems))
        .unwrap_or_default();
    let first_document = document.remove("first_document");
    for unknown in document.keys() {
        let unknown = unknown_name(unknown, MEMBERS);
        let allowed = MEMBERS.join(", ");
        problems.push(format!("unknown field {unknown}; allowed: {allowed}"));
    }
    let keyring = Keyring::new(current, &keys, &lookup.unwrap_or_default());
    (
        Secrets {
            keyring,
            carrier_seal,
            api_keys,
            credentials,
            first_document,
        },
        problems,
    )
}

/// Id of the current key, and all keys.
fn seal_keys(seal: &Value, problems: &mut Vec<String>) -> (String, BTreeMap<String, [u8; 32]>) {
    let current = seal["current"].as_str().unwrap_or_default().to_owned();
    let mut keys = BTreeMap::new();
    for (id, key) in seal["keys"].as_object().into_iter().flatten() {
        match key_of_32_bytes(key).filter(|_| (1..=32).contains(&id.len())) {
            Some(key) => drop(keys.insert(id.clone(), key)),
            None => problems.push(format!(
                "each of seal.keys must be the base64 of 32 bytes under an id of 1 to 32 \
                 characters; {} is not",
                shown_name(id)
            )),
        }
    }
    if !keys.contains_key(&current) {
        problems.push("seal.current must name one of seal.keys".to_owned());
    }
    let is_known = |name: &String| name == "current" || name == "keys";
    if seal
        .as_object()
        .is_some_and(|seal| !seal.keys().all(is_known))
    {
        problems.push("seal: unknown field; allowed: current, keys".to_owned());
    }
    (current, keys)
}

/// App of each key, by the hash of the key.
fn read_api_keys(entries: &Value, problems: &mut Vec<String>) -> ApiKeys {
    let mut apps: HashMap<[u8; 32], ApiKey> = HashMap::new();
    let Some(entries) = entries.as_array() else {
        problems.push("api_keys must be a list".to_owned());
        return ApiKeys(apps);
    };
    for (index, entry) in entries.iter().enumerate() {
        let Some((hash, app)) = api_key(entry) else {
            problems.push(format!(
                "each of api_keys must have an app (letters, digits, - and _), a sha256 in \
                 hexadecimal, and nothing else; api_keys[{index}] does not"
            ));
            continue;
        };
        let key = ApiKey {
            app: app.to_owned(),
            expires_at: None,
        };
        let other = apps.insert(hash, key);
        if other.is_some_and(|other| other.app != app) {
            problems.push(format!(
                "a key of api_keys must belong to one app; that of api_keys[{index}] has another one"
            ));
        }
    }
    ApiKeys(apps)
}

/// Credentials by carrier name. Fields that every function needs are not allowed here.
pub(super) fn read_credentials(carriers: Value, problems: &mut Vec<String>) -> Map<String, Value> {
    let Value::Object(carriers) = carriers else {
        problems.push("carriers must be an object of credentials by carrier name".to_owned());
        return Map::new();
    };
    let is_common = |field: &String| carrier::COMMON_FIELDS.contains(&field.as_str());
    for (name, credentials) in &carriers {
        if !carrier::is_carrier_name(name) {
            problems.push(format!(
                "carriers must be named by 1 to 32 lower-case letters, digits and hyphens; {} is not",
                shown_name(name)
            ));
            continue;
        }
        match credentials.as_object() {
            None => problems.push(format!("carriers.{name} must be an object of credentials")),
            Some(credentials) if credentials.keys().any(is_common) => problems.push(format!(
                "carriers.{name} must hold credentials only; {} belong in OTP_CARRIERS",
                carrier::COMMON_FIELDS.join(", ")
            )),
            Some(_) => {}
        }
    }
    carriers
}

/// Hash of a key, and its app.
fn api_key(entry: &Value) -> Option<([u8; 32], &str)> {
    let entry = entry.as_object().filter(|entry| entry.len() == 2)?;
    let app = entry.get("app")?.as_str().filter(|app| is_app_name(app))?;
    let hash = entry.get("sha256")?.as_str()?.as_bytes();
    Some((HEXLOWER_PERMISSIVE.decode(hash).ok()?.try_into().ok()?, app))
}

pub(super) fn key_of_32_bytes(value: &Value) -> Option<[u8; 32]> {
    BASE64
        .decode(value.as_str()?.as_bytes())
        .ok()?
        .try_into()
        .ok()
}
