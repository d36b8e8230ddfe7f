//! The partition keys of the configuration's items: names in ASCII, so that policies can name them.

/// Of the document.
pub(super) const CONFIG: &[u8] = b"config";
/// Of the credentials.
pub(super) const CONFIG_SECRETS: &[u8] = b"config_secrets";
/// Versions that are kept.
pub(super) const HISTORY_LENGTH: u64 = 20;

/// Where a version is kept: each place has every 20th one.
pub(super) fn history_key(slot: u64) -> Vec<u8> {
    format!("config_version_{slot:02}").into_bytes()
}

/// Whether `key` is that of an item of the configuration, or of a version in its history.
#[must_use]
pub fn is_config_key(key: &[u8]) -> bool {
    let is_version = || (0..HISTORY_LENGTH).any(|slot| history_key(slot) == key);
    key == CONFIG || key == CONFIG_SECRETS || is_version()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_configuration_are_known() {
        for key in ["config", "config_secrets", "config_version_07"] {
            assert!(is_config_key(key.as_bytes()), "{key}");
        }
        for key in ["config_version_20", "config_other", ""] {
            assert!(!is_config_key(key.as_bytes()), "{key}");
        }
    }
}
