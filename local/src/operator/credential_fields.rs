//! Which fields of a carrier are credentials: they are stored apart from the other settings, and
//! are not printed.

use serde_json::{Map, Value};

/// Parts of the names of fields that have a credential.
const WORDS: [&str; 5] = ["token", "secret", "key", "hash", "password"];

/// Whether a field of this name has a credential.
pub(crate) fn is_credential(field: &str) -> bool {
    WORDS.iter().any(|word| field.contains(word))
}

/// Takes the credentials out of the entry of a carrier.
pub(crate) fn take_credentials(entry: &mut Map<String, Value>) -> Map<String, Value> {
    let fields: Vec<String> = entry.keys().cloned().collect();
    let credentials = fields.into_iter().filter(|field| is_credential(field));
    let taken = credentials.filter_map(|field| entry.remove_entry(&field));
    taken.collect()
}

#[cfg(test)]
mod tests {
    use otp::carrier::COMMON_FIELDS;
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_kept_and_credentials_are_taken() {
        let entry = json!({"kind": "twilio", "account_sid": "AC1", "auth_token": "t",
            "from": "+15017122661", "api_key": "k", "signature_secret": ["a", "b"]});
        let mut entry = entry.as_object().cloned().unwrap_or_default();
        let taken = take_credentials(&mut entry);
        let names = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&entry), "account_sid from kind");
        assert_eq!(names(&taken), "api_key auth_token signature_secret");
        assert!(!COMMON_FIELDS.iter().any(|field| is_credential(field)));
    }
}
