//! The service resource: the app and its policy.

use serde_json::{Value, json};

use super::account::Account;
use super::path::Links;
use crate::domain::policy::Policy;

/// The resource of the app's service.
#[must_use]
pub fn render_service(account: &Account, policy: &Policy, links: &Links) -> Value {
    let path = format!("/Services/{}", account.service_sid);
    json!({
        "sid": account.service_sid,
        "account_sid": account.account_sid,
        "friendly_name": policy.brand,
        "code_length": policy.code_length,
        "custom_code_enabled": policy.caller_codes,
        "psd2_enabled": true,
        "skip_sms_to_landlines": true,
        "lookup_enabled": false,
        "dtmf_input_required": false,
        "do_not_share_warning_enabled": false,
        "verify_event_subscription_enabled": false,
        "push": {},
        "totp": {},
        "whatsapp": {},
        "passkeys": {},
        "tts_name": null,
        "default_template_sid": null,
        "date_created": null,
        "date_updated": null,
        "url": links.to(&path),
        "links": {
            "verifications": links.to(&format!("{path}/Verifications")),
            "verification_checks": links.to(&format!("{path}/VerificationCheck")),
        },
    })
}
