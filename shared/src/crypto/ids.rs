//! Ids: the public id of a verification, the reference of a message, and the token of its callback
//! URL.
//!
//! An id is a record key (96 bits) and 32 more bits under a pseudorandom permutation: AES-128 on
//! one block. So it names its record without an index, reveals nothing, and two ids of one
//! recipient have nothing in common.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};

use super::keyring::Keyring;
use super::signatures::equal_in_constant_time;
use crate::domain::ids::{DeliveryTag, RecordKey, VerificationId, VerificationNonce};

/// Characters of a reference: 128 bits in base32. The strictest vendor echoes up to 32 letters and
/// digits.
const REFERENCE_LENGTH: usize = 26;

impl Keyring {
    /// Public id of a verification of `app`.
    #[must_use]
    pub fn verification_id(
        &self,
        app: &str,
        key: RecordKey,
        nonce: VerificationNonce,
    ) -> VerificationId {
        VerificationId(permute(&self.id_cipher(app), key, nonce.0))
    }

    /// Record and nonce that `id` names for `app`. Every id names some record; only the table knows
    /// whether it exists.
    #[must_use]
    pub fn open_verification_id(
        &self,
        app: &str,
        id: VerificationId,
    ) -> (RecordKey, VerificationNonce) {
        let (key, nonce) = invert(&self.id_cipher(app), id.0);
        (key, VerificationNonce(nonce))
    }

    /// Reference of a message, which carriers echo: 26 lower-case letters and digits.
    #[must_use]
    pub fn reference(&self, key: RecordKey, tag: DeliveryTag) -> String {
        let block = permute(&self.reference_cipher(), key, tag.0);
        BASE32_NOPAD.encode(&block).to_ascii_lowercase()
    }

    /// Record and message that a reference names. A reference proves nothing.
    #[must_use]
    pub fn open_reference(&self, reference: &str) -> Option<(RecordKey, DeliveryTag)> {
        let has_upper_case = reference.bytes().any(|byte| byte.is_ascii_uppercase());
        if reference.len() != REFERENCE_LENGTH || has_upper_case {
            return None;
        }
        let block = BASE32_NOPAD
            .decode(reference.to_ascii_uppercase().as_bytes())
            .ok()?;
        let (key, tag) = invert(&self.reference_cipher(), block.try_into().ok()?);
        Some((key, DeliveryTag(tag)))
    }

    /// Token of a message's callback URL at `carrier`: its reference, and 128 bits that prove it.
    #[must_use]
    pub fn callback_token(&self, carrier: &str, reference: &str) -> String {
        let proof = self.callback_proof(carrier, reference);
        format!("{reference}{}", BASE64URL_NOPAD.encode(&proof))
    }

    /// The reference in a genuine token of `carrier`.
    #[must_use]
    pub fn open_callback_token<'t>(&self, carrier: &str, token: &'t str) -> Option<&'t str> {
        let (reference, proof) = token.split_at_checked(REFERENCE_LENGTH)?;
        let proof = BASE64URL_NOPAD.decode(proof.as_bytes()).ok()?;
        let expected = self.callback_proof(carrier, reference);
        equal_in_constant_time(&expected, &proof).then_some(reference)
    }

    fn callback_proof(&self, carrier: &str, reference: &str) -> [u8; 16] {
        self.hash("callback", &[carrier.as_bytes(), reference.as_bytes()])
    }

    /// One key per app: an id of another app names a record that does not exist.
    fn id_cipher(&self, app: &str) -> Aes128 {
        let key: [u8; 16] = self.hash("verification id", &[app.as_bytes()]);
        Aes128::new(&key.into())
    }

    fn reference_cipher(&self) -> Aes128 {
        let key: [u8; 16] = self.hash("delivery reference", &[]);
        Aes128::new(&key.into())
    }
}

fn permute(cipher: &Aes128, key: RecordKey, rest: [u8; 4]) -> [u8; 16] {
    let mut block = [0; 16];
    block[..12].copy_from_slice(&key.0);
    block[12..].copy_from_slice(&rest);
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

fn invert(cipher: &Aes128, block: [u8; 16]) -> (RecordKey, [u8; 4]) {
    let mut block = block.into();
    cipher.decrypt_block(&mut block);
    let block: [u8; 16] = block.into();
    let mut key = [0; 12];
    key.copy_from_slice(&block[..12]);
    (RecordKey(key), [block[12], block[13], block[14], block[15]])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn keyring() -> Keyring {
        Keyring::new("k1".into(), &BTreeMap::new(), &[9; 32])
    }

    #[test]
    fn id_names_its_record_for_its_app_only() {
        let keyring = keyring();
        let key = keyring.recipient_key("shop", "+33612345678");
        let nonce = VerificationNonce([3; 4]);
        let id = keyring.verification_id("shop", key, nonce);
        assert_eq!(keyring.open_verification_id("shop", id), (key, nonce));
        assert_ne!(keyring.open_verification_id("default", id).0, key);
    }

    #[test]
    fn ids_of_one_recipient_share_nothing() {
        let keyring = keyring();
        let key = keyring.recipient_key("shop", "+33612345678");
        let id = |n: u8| {
            keyring
                .verification_id("shop", key, VerificationNonce([0, 0, 0, n]))
                .0
        };
        for (a, b) in (0..50).map(|n| (id(n), id(n + 1))) {
            let bits: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert!((32..=96).contains(&bits), "{bits} of 128 bits differ");
        }
    }

    #[test]
    fn callback_token_is_for_one_message_of_one_carrier() {
        let keyring = keyring();
        let key = keyring.recipient_key("shop", "+33612345678");
        let reference = keyring.reference(key, DeliveryTag([1, 2, 3, 4]));
        assert_eq!(reference.len(), REFERENCE_LENGTH);
        let opened = keyring.open_reference(&reference);
        assert_eq!(opened, Some((key, DeliveryTag([1, 2, 3, 4]))));
        let token = keyring.callback_token("sim-a", &reference);
        let open = |carrier: &str, token: &str| {
            keyring
                .open_callback_token(carrier, token)
                .map(str::to_owned)
        };
        assert_eq!(open("sim-a", &token), Some(reference.clone()));
        assert_eq!(open("sim-b", &token), None);
        assert_eq!(open("sim-a", &token[..40]), None);
        let other = keyring.reference(key, DeliveryTag([1, 2, 3, 5]));
        assert_eq!(open("sim-a", &token.replace(&reference, &other)), None);
    }

    #[test]
    fn malformed_reference_names_nothing() {
        let keyring = keyring();
        let reference = keyring.reference(RecordKey([1; 12]), DeliveryTag([1; 4]));
        for malformed in [
            "",
            &reference[1..],
            &reference.to_uppercase(),
            &"0".repeat(26),
        ] {
            assert_eq!(keyring.open_reference(malformed), None, "{malformed}");
        }
    }
}
