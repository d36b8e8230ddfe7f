//! `OTP_SECRETS`: the sealing keys, the lookup key, the hashes of API keys, the carriers' credentials.
//! Must never print a value of them.

use std::collections::{BTreeMap, HashMap};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value};

use super::{ApiKeys, Reader, is_app_name};
use crate::carrier;
use crate::crypto::seal::Keyring;

const NAME: &str = "OTP_SECRETS";

/// What the document holds.
pub(super) struct Secrets {
    pub(super) seal: Keyring,
    pub(super) api_keys: ApiKeys,
    /// By carrier name.
    pub(super) credentials: Map<String, Value>,
}

impl Reader<'_> {
    pub(super) fn secrets(&mut self) -> Secrets {
        let problems_before = self.problems.len();
        self.required(NAME);
        let mut secrets = self.object(NAME);
        if self.problems.len() > problems_before {
            // Nothing more can be said of a document that is not there or cannot be read.
            return Secrets {
                seal: Keyring::new(String::new(), &BTreeMap::new(), &[0; 32]),
                api_keys: ApiKeys::default(),
                credentials: Map::new(),
            };
        }
        let (current, keys) = self.sealing_keys(secrets.remove("seal"));
        let lookup = secrets
            .remove("lookup")
            .as_ref()
            .and_then(key_of_32)
            .unwrap_or_else(|| {
                self.problem(NAME, "lookup must be the base64 of 32 bytes");
                [0; 32]
            });
        let api_keys = secrets
            .remove("api_keys")
            .map(|keys| self.api_keys(&keys))
            .unwrap_or_default();
        let credentials = secrets
            .remove("carriers")
            .map(|carriers| self.credentials(carriers))
            .unwrap_or_default();
        if !secrets.is_empty() {
            self.problem(NAME, "knows seal, lookup, api_keys and carriers only");
        }
        Secrets {
            seal: Keyring::new(current, &keys, &lookup),
            api_keys,
            credentials,
        }
    }

    /// The name of the current key, and all of them.
    fn sealing_keys(&mut self, seal: Option<Value>) -> (String, BTreeMap<String, [u8; 32]>) {
        let seal = seal.unwrap_or_default();
        let current = seal["current"].as_str().unwrap_or_default().to_owned();
        let mut keys = BTreeMap::new();
        for (id, key) in seal["keys"].as_object().into_iter().flatten() {
            match key_of_32(key) {
                Some(key) if (1..=32).contains(&id.len()) => drop(keys.insert(id.clone(), key)),
                _ => self.problem(NAME, "each of seal.keys must be the base64 of 32 bytes under an id of 1 to 32 characters"),
            }
        }
        if !keys.contains_key(&current) {
            self.problem(NAME, "seal.current must name one of seal.keys");
        }
        if seal
            .as_object()
            .is_some_and(|seal| seal.keys().any(|name| name != "current" && name != "keys"))
        {
            self.problem(NAME, "seal knows current and keys only");
        }
        (current, keys)
    }

    /// The app of each key, by the key's hash.
    fn api_keys(&mut self, entries: &Value) -> ApiKeys {
        let Some(entries) = entries.as_array() else {
            self.problem(NAME, "api_keys must be a list");
            return ApiKeys::default();
        };
        let mut apps: HashMap<[u8; 32], String> = HashMap::new();
        for entry in entries {
            let Some((hash, app)) = api_key(entry) else {
                self.problem(NAME, "each of api_keys must have an app (letters, digits, - and _), a sha256 in hexadecimal, and nothing else");
                continue;
            };
            if apps
                .insert(hash, app.to_owned())
                .is_some_and(|other| other != app)
            {
                self.problem(NAME, "a key of api_keys must belong to one app");
            }
        }
        ApiKeys(apps)
    }

    /// The carriers' credentials. What the functions without credentials have to know of a carrier cannot stand here.
    fn credentials(&mut self, carriers: Value) -> Map<String, Value> {
        let Value::Object(carriers) = carriers else {
            self.problem(
                NAME,
                "carriers must be an object of credentials by carrier name",
            );
            return Map::new();
        };
        for (name, credentials) in &carriers {
            let is_known = |credentials: &Map<String, Value>| {
                credentials
                    .keys()
                    .any(|field| carrier::COMMON_FIELDS.contains(&field.as_str()))
            };
            match credentials.as_object() {
                _ if !carrier::is_carrier_name(name) => self.problem(
                    NAME,
                    "carriers must be named by 1 to 32 lower-case letters, digits and hyphens",
                ),
                None => self.problem(
                    NAME,
                    &format!("carriers.{name} must be an object of credentials"),
                ),
                Some(credentials) if is_known(credentials) => {
                    self.problem(
                        NAME,
                        &format!(
                            "carriers.{name} must hold credentials only; {} belong in OTP_CARRIERS",
                            carrier::COMMON_FIELDS.join(", ")
                        ),
                    );
                }
                Some(_) => {}
            }
        }
        carriers
    }
}

/// The hash of a key, and its app.
fn api_key(entry: &Value) -> Option<([u8; 32], &str)> {
    let entry = entry.as_object().filter(|entry| entry.len() == 2)?;
    let app = entry.get("app")?.as_str().filter(|app| is_app_name(app))?;
    let hash = HEXLOWER_PERMISSIVE
        .decode(entry.get("sha256")?.as_str()?.as_bytes())
        .ok()?;
    Some((hash.try_into().ok()?, app))
}

fn key_of_32(value: &Value) -> Option<[u8; 32]> {
    BASE64
        .decode(value.as_str()?.as_bytes())
        .ok()?
        .try_into()
        .ok()
}
