//! Apps: the policy and the decision rules of each, and the API keys that belong to it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::decision_rules::RULES;
use super::policy::SETTINGS;
use crate::crypto::hashes::sha256;
use crate::domain::decision_rules::Rules;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::platform::spelling::did_you_mean;

/// Policies by app.
#[derive(Clone, Debug)]
pub struct Apps {
    pub(super) default: Policy,
    pub(super) apps: BTreeMap<String, Policy>,
}

impl Apps {
    /// The policy of `app`: its own, or else the default.
    #[must_use]
    pub fn policy(&self, app: &str) -> &Policy {
        self.apps.get(app).unwrap_or(&self.default)
    }

    /// The default policy, without a name, and those of the apps that have their own.
    pub fn all(&self) -> impl Iterator<Item = (Option<&str>, &Policy)> + Clone {
        let own = self.apps.iter();
        std::iter::once((None, &self.default))
            .chain(own.map(|(app, policy)| (Some(app.as_str()), policy)))
    }
}

/// Decision rules by app.
#[derive(Clone, Debug)]
pub struct AppRules {
    pub(super) default: Rules,
    pub(super) apps: BTreeMap<String, Rules>,
}

impl AppRules {
    /// The rules of `app`: its own, or else the default.
    #[must_use]
    pub fn of(&self, app: &str) -> &Rules {
        self.apps.get(app).unwrap_or(&self.default)
    }
}

/// API keys, as hashes, and their apps.
#[derive(Clone, Default)]
pub struct ApiKeys(pub(super) HashMap<[u8; 32], ApiKey>);

/// What is known of one API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ApiKey {
    pub(super) app: String,
    /// From this moment on it is refused.
    pub(super) expires_at: Option<Timestamp>,
}

impl ApiKeys {
    /// The app that `key` belongs to; `None` if the key is unknown or expired. The lookup is by
    /// hash, so its timing reveals nothing about the key.
    #[must_use]
    pub fn app_of(&self, key: &str, now: Timestamp) -> Option<&str> {
        let key = self.0.get(&sha256(key.as_bytes()))?;
        let is_expired = key.expires_at.is_some_and(|expires_at| expires_at <= now);
        (!is_expired).then_some(key.app.as_str())
    }
}

/// Whether `name` can be the name of an app.
#[must_use]
pub fn is_app_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Sets a policy setting from a JSON text or number, which is read as in the environment.
pub(super) fn set_by_json(policy: &mut Policy, name: &str, value: &Value) -> Result<(), String> {
    let setting = SETTINGS.iter().find(|setting| setting.name == name);
    let setting = setting.ok_or_else(|| {
        let known = SETTINGS.iter().map(|setting| setting.name).chain([RULES]);
        format!("is not a setting of an app{}", did_you_mean(name, known))
    })?;
    match value {
        Value::String(text) => setting.set(policy, text),
        Value::Number(number) => setting.set(policy, &number.to_string()),
        _ => Err("must be a string or a number".into()),
    }
}
