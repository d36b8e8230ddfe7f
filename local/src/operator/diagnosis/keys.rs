//! Keys: API keys that never expire, and seal keys whose rotation was not finished.

use otp::domain::time::{DAY_SECONDS, HOUR_SECONDS, RETENTION_SECONDS};
use serde_json::Map;

use super::finding::Finding;
use crate::operator::{Configuration, Deployment, SecretDocument, secret_keys};

/// Verifications are readable for so long, so that an old key is needed no longer after a change.
const ROTATION_SECONDS: i64 = RETENTION_SECONDS + HOUR_SECONDS;
/// Age of a secret with one seal key, above which that key is due for a rotation.
const SEAL_KEY_DAYS: i64 = 365;
const SHOWN_MAX: usize = 5;

/// Keys without an end. Those that a local server starts with are none: they are for tests.
pub(super) fn api_keys(
    deployment: &Deployment,
    configuration: &Configuration<'_>,
) -> Option<Finding> {
    let stored = configuration.document.api_keys.iter();
    let stored = stored.filter(|key| key.expires_at.is_none());
    let stored = stored.map(|key| format!("{} of app {}", key.id, key.app));
    let of_secret = secret_keys(deployment).into_iter();
    let of_secret = of_secret.filter(|_| !deployment.is_local());
    let of_secret = of_secret.map(|app| format!("one of app {app} in OTP_SECRETS"));
    let keys: Vec<String> = stored.chain(of_secret).collect();
    if keys.is_empty() {
        return None;
    }
    let shown = keys.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>();
    let more = keys.len() - shown.len();
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let finding = format!("keys without expiry: {}{more}", shown.join(", "));
    let advice = "replace each: `key create --expires 90d`, then `key revoke`";
    Some(Finding::advice("api-keys", finding, advice))
}

/// The document under a key that is not current.
pub(super) fn document_seal(
    deployment: &Deployment,
    configuration: &Configuration<'_>,
) -> Option<Finding> {
    let stored = configuration.current.as_ref()?;
    let current = deployment.current_seal_key().ok()?;
    if stored.seal_key == current || stored.text.is_none() {
        return None;
    }
    let finding = format!(
        "the document is sealed under {}, and {current} is current",
        stored.seal_key
    );
    Some(Finding::problem("seal-keys", finding, "run `reseal`"))
}

/// Old keys that stayed, and a current one that stayed too long.
pub(super) async fn seal_keys(deployment: &Deployment) -> Vec<Finding> {
    let changed_at = match SecretDocument::changed_at(deployment).await {
        Ok(changed_at) => changed_at,
        Err(error) => return vec![Finding::failed("seal-keys", &error)],
    };
    let mut findings = vec![];
    let seal = deployment.secret("seal");
    let ids = seal["keys"].as_object().into_iter().flat_map(Map::keys);
    let old: Vec<&str> = ids
        .map(String::as_str)
        .filter(|id| seal["current"] != *id)
        .collect();
    // Without a time, as on a local server, a rotation may have begun just now.
    let age = changed_at.map(|at| deployment.now().seconds_since(at));
    if !old.is_empty() && age.is_some_and(|age| age > ROTATION_SECONDS) {
        let finding = format!("old seal keys are still in the secret: {}", old.join(", "));
        let advice = "run `reseal`, then `seal-key remove`";
        findings.push(Finding::problem("seal-keys", finding, advice));
    }
    if old.is_empty() && age.is_some_and(|age| age > SEAL_KEY_DAYS * DAY_SECONDS) {
        let finding = format!("the seal key is more than {SEAL_KEY_DAYS} days old");
        let advice = "rotate it: see docs/operations.md, Rotate the seal key";
        findings.push(Finding::advice("seal-keys", finding, advice));
    }
    if deployment.secret("carrier_seal").is_null() {
        let finding = "the secret has no carrier_seal, without which `carrier add` cannot store \
                       credentials";
        let advice = "`seal-key add --carriers`, then deploy";
        findings.push(Finding::advice("seal-keys", finding, advice));
    }
    findings
}
