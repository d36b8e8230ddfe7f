//! The apps of a deployment, wherever they are defined: in the document, in variables, or by an
//! API key alone.

use std::collections::BTreeMap;

use otp::config::document::Document;
use serde_json::{Map, Value};

use super::Deployment;

/// An app that needs no definition.
const DEFAULT_APP: &str = "default";

/// What is known of an app.
#[derive(Default)]
pub(crate) struct KnownApp {
    /// Settings in the document.
    pub(crate) stored: Option<Map<String, Value>>,
    /// Settings in `OTP_APPS`, which those of the document replace.
    pub(crate) variable: Option<Map<String, Value>>,
    /// Keys in the document, and in `OTP_SECRETS`.
    pub(crate) keys: usize,
}

impl KnownApp {
    /// The settings that count, and where they are.
    pub(crate) fn settings(&self) -> (Map<String, Value>, &'static str) {
        match (&self.stored, &self.variable) {
            (Some(settings), _) => (settings.clone(), "document"),
            (None, Some(settings)) => (settings.clone(), "OTP_APPS"),
            (None, None) => (Map::new(), "-"),
        }
    }
}

/// All apps, by name.
pub(crate) fn known_apps(
    deployment: &Deployment,
    document: &Document,
) -> BTreeMap<String, KnownApp> {
    let mut apps = BTreeMap::from([(DEFAULT_APP.to_owned(), KnownApp::default())]);
    let of_object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let variable = deployment.variable("OTP_APPS").unwrap_or_default();
    let variable: Value = serde_json::from_str(&variable).unwrap_or_default();
    for (name, settings) in of_object(&variable) {
        apps.entry(name).or_default().variable = Some(of_object(&settings));
    }
    for (name, settings) in &document.apps {
        apps.entry(name.clone()).or_default().stored = Some(of_object(settings));
    }
    let stored = document.api_keys.iter().map(|key| key.app.clone());
    for app in stored.chain(secret_keys(deployment)) {
        apps.entry(app).or_default().keys += 1;
    }
    apps
}

/// The app of each API key of `OTP_SECRETS`.
pub(crate) fn secret_keys(deployment: &Deployment) -> Vec<String> {
    let keys = deployment.secret("api_keys");
    let keys = keys.as_array().into_iter().flatten();
    keys.filter_map(|key| key["app"].as_str().map(str::to_owned))
        .collect()
}
