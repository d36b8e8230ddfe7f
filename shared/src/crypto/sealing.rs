//! Sealing: AES-256-GCM under a key of its own for each owner. During a rotation two seal keys are
//! live.

use ring::{aead, hmac};

use super::hashes::BoundToCode;
use super::keyring::Keyring;
use crate::domain::code::Code;
use crate::domain::device::Device;
use crate::domain::ids::{FactorId, RecordKey, SubjectKey, VerificationNonce};
use crate::domain::verification::{SealedCode, Verification};
use crate::domain::verification_params::VerificationParams;
use crate::platform::random::random_bytes;

const AEAD_NONCE_LENGTH: usize = 12;

/// What a value is sealed for. It opens only for the same purpose and owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealedFor {
    /// The code of one verification.
    Code(RecordKey, VerificationNonce),
    /// The address of one recipient.
    Address(RecordKey),
    /// The subject of one verification.
    Subject(RecordKey, VerificationNonce),
    /// The secret of one factor of a subject.
    FactorSecret(SubjectKey, FactorId),
    /// The address of one verified recipient of a subject.
    VerifiedRecipient(SubjectKey, RecordKey),
    /// The device for the notifications of one verification.
    Device(RecordKey, VerificationNonce),
    /// One version of the configuration document.
    Config(u64),
    /// One version of the credentials beside the configuration document.
    ConfigSecrets(u64),
}

impl SealedFor {
    /// Name and owner, which is authenticated with the value.
    fn parts(self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Code(key, nonce) => ("code", [&key.0[..], &nonce.0[..]].concat()),
            Self::Address(key) => ("address", key.0.to_vec()),
            Self::Subject(key, nonce) => ("subject", [&key.0[..], &nonce.0[..]].concat()),
            Self::FactorSecret(key, factor) => {
                ("factor secret", [&key.0.0[..], &factor.0[..]].concat())
            }
            Self::VerifiedRecipient(key, recipient) => (
                "verified recipient",
                [&key.0.0[..], &recipient.0[..]].concat(),
            ),
            Self::Device(key, nonce) => ("device", [&key.0[..], &nonce.0[..]].concat()),
            Self::Config(version) => ("config", version.to_be_bytes().to_vec()),
            Self::ConfigSecrets(version) => ("config secrets", version.to_be_bytes().to_vec()),
        }
    }
}

impl Keyring {
    /// Seals `text` under the current key. Layout: length of the key id, key id, nonce, ciphertext
    /// with tag.
    #[must_use]
    pub fn seal(&self, purpose: SealedFor, text: &str) -> Vec<u8> {
        let (name, owner) = purpose.parts();
        let nonce: [u8; AEAD_NONCE_LENGTH] = random_bytes();
        let mut ciphertext = text.as_bytes().to_vec();
        let key = self.seal_keys.get(&self.current_seal_key);
        let sealed = key.and_then(|key| {
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            derived_key(key, name, &owner)
                .seal_in_place_append_tag(nonce, aead::Aad::from(&owner), &mut ciphertext)
                .ok()
        });
        if sealed.is_none() {
            // The configuration has checked that the current key exists. Without it nothing is
            // stored in the clear: an empty ciphertext never opens.
            ciphertext.clear();
        }
        let id = self.current_seal_key.as_bytes();
        let id_length = u8::try_from(id.len()).unwrap_or(u8::MAX);
        [&[id_length], id, &nonce, &ciphertext].concat()
    }

    /// Opens a sealed value; `None` if its key was removed, or if it was altered or sealed for
    /// something else.
    #[must_use]
    pub fn open(&self, purpose: SealedFor, sealed: &[u8]) -> Option<String> {
        let (name, owner) = purpose.parts();
        let (id_length, rest) = sealed.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*id_length))?;
        let (nonce, ciphertext) = rest.split_at_checked(AEAD_NONCE_LENGTH)?;
        let key = self.seal_keys.get(std::str::from_utf8(id).ok()?)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = ciphertext.to_vec();
        let opened = derived_key(key, name, &owner)
            .open_in_place(nonce, aead::Aad::from(&owner), &mut text)
            .ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

impl Keyring {
    /// `sealed` under the current key; `None` if it is already, or cannot be opened.
    #[must_use]
    pub fn reseal(&self, purpose: SealedFor, sealed: &[u8]) -> Option<Vec<u8>> {
        if seal_key_id(sealed) == self.current_seal_key {
            return None;
        }
        let text = self.open(purpose, sealed)?;
        Some(self.seal(purpose, &text))
    }

    /// Whether the key that sealed `sealed` is live.
    #[must_use]
    pub fn has_live_key(&self, sealed: &[u8]) -> bool {
        self.seal_keys.contains_key(seal_key_id(sealed))
    }

    /// Seals the code of the verification with these parameters.
    #[must_use]
    pub fn seal_code(
        &self,
        key: RecordKey,
        params: &VerificationParams,
        code: &Code,
    ) -> SealedCode {
        let nonce = params.nonce;
        let bound = BoundToCode {
            purpose: &params.purpose,
            transaction: params.transaction.as_ref(),
            subject: params.subject.as_ref().map(|subject| subject.key),
        };
        SealedCode {
            sealed: self.seal(SealedFor::Code(key, nonce), code.reveal()),
            expected_hash: self.attempt_hash(key, nonce, &bound, code.reveal()),
        }
    }

    /// The code of `verification`; `None` if the key that sealed it was removed.
    #[must_use]
    pub fn open_code(&self, key: RecordKey, verification: &Verification) -> Option<Code> {
        let purpose = SealedFor::Code(key, verification.params.nonce);
        self.open(purpose, &verification.sealed_code)
            .map(Code::from_stored)
    }

    /// Seals the device of the verification with this nonce.
    #[must_use]
    pub fn seal_device(
        &self,
        key: RecordKey,
        nonce: VerificationNonce,
        device: &Device,
    ) -> Vec<u8> {
        self.seal(SealedFor::Device(key, nonce), device.reveal())
    }

    /// The device of `verification`; `None` if it has none, or if the key that sealed it was
    /// removed.
    #[must_use]
    pub fn open_device(&self, key: RecordKey, verification: &Verification) -> Option<Device> {
        let purpose = SealedFor::Device(key, verification.params.nonce);
        self.open(purpose, verification.sealed_device.as_ref()?)
            .map(Device::from_stored)
    }
}

/// Id of the key that `sealed` was sealed under; empty if it is not a sealed value.
#[must_use]
pub fn seal_key_id(sealed: &[u8]) -> &str {
    let id = sealed
        .split_first()
        .and_then(|(length, rest)| rest.get(..usize::from(*length)));
    id.and_then(|id| std::str::from_utf8(id).ok())
        .unwrap_or_default()
}

/// A key of its own for each owner, so that random nonces do not repeat under one key however many
/// codes are sent.
fn derived_key(key: &hmac::Key, name: &str, owner: &[u8]) -> aead::LessSafeKey {
    let mut context = hmac::Context::with_key(key);
    context.update(&(name.len() as u64).to_be_bytes());
    context.update(name.as_bytes());
    context.update(owner);
    let tag = context.sign();
    #[expect(
        clippy::expect_used,
        reason = "HMAC-SHA-256 gives the 32 bytes that AES-256 needs"
    )]
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, tag.as_ref()).expect("32 bytes");
    aead::LessSafeKey::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hashes::sha256;
    use crate::domain::verification::tests::verification;

    const KEY: RecordKey = RecordKey([1; 12]);
    const CODE: SealedFor = SealedFor::Code(KEY, VerificationNonce([1; 4]));

    fn keyring(current: &str, ids: &[&str]) -> Keyring {
        let keys = ids
            .iter()
            .map(|id| ((*id).to_owned(), sha256(id.as_bytes())))
            .collect();
        Keyring::new(current.to_owned(), &keys, &[9; 32])
    }

    #[test]
    fn sealed_value_opens_for_its_owner_only() {
        let keyring = keyring("k1", &["k1"]);
        let sealed = keyring.seal(CODE, "123456");
        assert_eq!(keyring.open(CODE, &sealed).as_deref(), Some("123456"));
        for other in [
            SealedFor::Code(KEY, VerificationNonce([2; 4])),
            SealedFor::Code(RecordKey([2; 12]), VerificationNonce([1; 4])),
            SealedFor::Address(KEY),
            SealedFor::Device(KEY, VerificationNonce([1; 4])),
        ] {
            assert_eq!(keyring.open(other, &sealed), None, "{other:?}");
        }
        assert_ne!(sealed, keyring.seal(CODE, "123456"), "each sealing differs");
    }

    #[test]
    fn altered_value_does_not_open() {
        let keyring = keyring("k1", &["k1"]);
        let sealed = keyring.seal(CODE, "123456");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(keyring.open(CODE, &altered), None, "byte {at}");
            assert_eq!(keyring.open(CODE, &sealed[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn removed_key_opens_nothing() {
        let sealed = keyring("k1", &["k1"]).seal(CODE, "123456");
        assert_eq!(seal_key_id(&sealed), "k1");
        let rotating = keyring("k2", &["k1", "k2"]);
        assert_eq!(rotating.open(CODE, &sealed).as_deref(), Some("123456"));
        assert_eq!(keyring("k2", &["k2"]).open(CODE, &sealed), None);
    }

    #[test]
    fn value_of_an_earlier_key_is_sealed_again() {
        let sealed = keyring("k1", &["k1"]).seal(CODE, "123456");
        let rotating = keyring("k2", &["k1", "k2"]);
        let again = rotating.reseal(CODE, &sealed).expect("a sealed value");
        assert_eq!(seal_key_id(&again), "k2");
        assert_eq!(rotating.open(CODE, &again).as_deref(), Some("123456"));
        assert_eq!(rotating.reseal(CODE, &again), None, "it is current");
        assert!(rotating.has_live_key(&sealed));
        let rotated = keyring("k2", &["k2"]);
        assert!(!rotated.has_live_key(&sealed));
        assert_eq!(rotated.reseal(CODE, &sealed), None, "it cannot be opened");
    }

    #[test]
    fn code_and_device_open_for_their_verification() {
        let keyring = keyring("k1", &["k1"]);
        let mut verification = verification(5);
        let nonce = verification.params.nonce;
        let code = Code::from_stored("123456".into());
        let sealed = keyring.seal_code(KEY, &verification.params, &code);
        verification.sealed_code = sealed.sealed;
        let opened = keyring.open_code(KEY, &verification);
        assert_eq!(opened.as_ref().map(Code::reveal), Some("123456"));
        assert!(keyring.open_device(KEY, &verification).is_none());
        let device = Device::from_stored("token".into());
        verification.sealed_device = Some(keyring.seal_device(KEY, nonce, &device));
        let opened = keyring.open_device(KEY, &verification);
        assert_eq!(opened.as_ref().map(Device::reveal), Some("token"));
    }
}
