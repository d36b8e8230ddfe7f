//! Keyring: the seal keys and the lookup key, ready for use. Cannot be printed.

use std::collections::BTreeMap;
use std::fmt;

use ring::hmac;

/// The seal keys, by id, and the lookup key.
#[derive(Clone)]
pub struct Keyring {
    pub(super) current_seal_key: String,
    pub(super) seal_keys: BTreeMap<String, hmac::Key>,
    pub(super) lookup: hmac::Key,
}

impl Keyring {
    /// `current`: id of the key that new values are sealed under. `seal_keys`: 32 bytes each, by
    /// id. `lookup`: 32 bytes.
    #[must_use]
    pub fn new(current: String, seal_keys: &BTreeMap<String, [u8; 32]>, lookup: &[u8; 32]) -> Self {
        let hmac_key = |key: &[u8; 32]| hmac::Key::new(hmac::HMAC_SHA256, key);
        Self {
            current_seal_key: current,
            seal_keys: seal_keys
                .iter()
                .map(|(id, key)| (id.clone(), hmac_key(key)))
                .collect(),
            lookup: hmac_key(lookup),
        }
    }

    /// For values that are sealed under one key of their own, called `id`. Nothing is hashed with
    /// it.
    #[must_use]
    pub fn with_one_seal_key(id: &str, key: [u8; 32]) -> Self {
        let keys = BTreeMap::from([(id.to_owned(), key)]);
        Self::new(id.to_owned(), &keys, &[0; 32])
    }

    /// Ids of the seal keys that can open values.
    pub fn seal_key_ids(&self) -> impl Iterator<Item = &str> {
        self.seal_keys.keys().map(String::as_str)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_keyring_shows_no_key() {
        let keys = BTreeMap::from([("k1".to_owned(), [1; 32]), ("k2".to_owned(), [2; 32])]);
        let keyring = Keyring::new("k2".into(), &keys, &[9; 32]);
        assert_eq!(keyring.seal_key_ids().collect::<Vec<_>>(), ["k1", "k2"]);
        assert_eq!(format!("{keyring:?}"), "Keyring(…)");
    }
}
