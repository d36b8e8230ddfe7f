//! The app of an API key, with the sids that it has in Twilio's dialect.

use serde_json::{Value, json};

use crate::api::twilio::account::Account;
use crate::crypto::keyring::Keyring;
use crate::domain::policy::Policy;

/// The app called `app`.
#[must_use]
pub fn render_app(app: &str, policy: &Policy, keyring: &Keyring) -> Value {
    let account = Account::of(app, keyring);
    json!({
        "app": app,
        "brand": policy.brand,
        "twilio": {
            "account_sid": account.account_sid,
            "service_sid": account.service_sid,
        },
    })
}
