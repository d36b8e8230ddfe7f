//! What keeps codes and numbers unreadable at rest: sealed values (AEAD, two keys live during a rotation) and keyed hashes.
//! The only file that names the crypto library. Must never hash a number or a code without a key.

use std::collections::BTreeMap;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ring::{aead, digest, hmac, signature};

use crate::domain::delivery::DeliveryTag;
use crate::domain::verification::{
    AttemptHash, KEYED_ATTEMPT_NONCE_LENGTH, KeyHash, Nonce, Transaction,
};
use crate::platform::random::random_bytes;

/// Partition key of a recipient's record: keyed hash of app and canonical address.
pub type RecordKey = [u8; 16];

/// What every verification id begins with.
const ID_PREFIX: &str = "ve_";
/// Characters of a reference: 20 bytes in base32, within the 32 letters and digits that the strictest carrier echoes.
const REFERENCE_LENGTH: usize = 32;
const AEAD_NONCE_LENGTH: usize = 12;

/// The keys, ready for use. Cannot be printed.
pub struct Keyring {
    current: String,
    sealing: BTreeMap<String, hmac::Key>,
    lookup: hmac::Key,
}

impl Keyring {
    /// `sealing` by key id (32 bytes each), the id that new values are sealed under, and the lookup key (32 bytes).
    #[must_use]
    pub fn new(current: String, sealing: &BTreeMap<String, [u8; 32]>, lookup: &[u8; 32]) -> Self {
        let sealing = sealing
            .iter()
            .map(|(id, key)| (id.clone(), hmac::Key::new(hmac::HMAC_SHA256, key)))
            .collect();
        Self {
            current,
            sealing,
            lookup: hmac::Key::new(hmac::HMAC_SHA256, lookup),
        }
    }

    /// Seals `text`; it opens again only with the same `purpose` and `owner`. Layout: length of the key id, key id,
    /// nonce, ciphertext with tag.
    #[must_use]
    pub fn seal(&self, purpose: &str, owner: &[u8], text: &str) -> Vec<u8> {
        let nonce: [u8; AEAD_NONCE_LENGTH] = random_bytes();
        let mut ciphertext = text.as_bytes().to_vec();
        let key = self
            .sealing
            .get(&self.current)
            .map(|master| derived(master, purpose, owner));
        let sealed = key.and_then(|key| {
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, aead::Aad::from(owner), &mut ciphertext)
                .ok()
        });
        if sealed.is_none() {
            // Cannot happen: the configuration checks that `current` names a key. Sealed under nothing, it never opens.
            ciphertext.clear();
        }
        let id_length = u8::try_from(self.current.len()).unwrap_or(u8::MAX);
        [&[id_length], self.current.as_bytes(), &nonce, &ciphertext].concat()
    }

    /// Opens what [`Self::seal`] made; `None` if the key is gone, or it was altered, moved or made for something else.
    #[must_use]
    pub fn open(&self, purpose: &str, owner: &[u8], sealed: &[u8]) -> Option<String> {
        let (id_length, rest) = sealed.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*id_length))?;
        let (nonce, ciphertext) = rest.split_at_checked(AEAD_NONCE_LENGTH)?;
        let master = self.sealing.get(std::str::from_utf8(id).ok()?)?;
        let mut text = ciphertext.to_vec();
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = derived(master, purpose, owner)
            .open_in_place(nonce, aead::Aad::from(owner), &mut text)
            .ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }

    /// The id of the key that `sealed` was sealed under.
    #[must_use]
    pub fn key_id(sealed: &[u8]) -> &str {
        let id = sealed
            .split_first()
            .and_then(|(id_length, rest)| rest.get(..usize::from(*id_length)));
        id.and_then(|id| std::str::from_utf8(id).ok())
            .unwrap_or_default()
    }

    /// The ids of the keys that open something.
    pub fn live_key_ids(&self) -> impl Iterator<Item = &str> {
        self.sealing.keys().map(String::as_str)
    }

    /// Where the record of `address` (canonical) in `app` is kept.
    #[must_use]
    pub fn recipient_key(&self, app: &str, address: &str) -> RecordKey {
        self.hash("recipient", &[app.as_bytes(), address.as_bytes()])
    }

    /// The public id: 128 random bits, and the recipient's key under a mask that only we can lift for this app.
    /// Two ids of one recipient share nothing.
    #[must_use]
    pub fn verification_id(&self, app: &str, key: &RecordKey, nonce: &Nonce) -> String {
        let masked = masked(key, &self.hash("id", &[app.as_bytes(), nonce]));
        format!(
            "{ID_PREFIX}{}",
            BASE64URL_NOPAD.encode(&[*nonce, masked].concat())
        )
    }

    /// The record and the verification that an id names, for callers of `app`. Every well-formed id names some record;
    /// whether anything is there, only the table knows.
    #[must_use]
    pub fn open_verification_id(&self, app: &str, id: &str) -> Option<(RecordKey, Nonce)> {
        let bytes = BASE64URL_NOPAD
            .decode(id.strip_prefix(ID_PREFIX)?.as_bytes())
            .ok()?;
        let (nonce, key) = bytes.split_first_chunk::<16>()?;
        let key: [u8; 16] = key.try_into().ok()?;
        Some((
            masked(&key, &self.hash("id", &[app.as_bytes(), nonce])),
            *nonce,
        ))
    }

    /// Our name for one message: 32 lower-case letters and digits, from which its record is found again.
    #[must_use]
    pub fn reference(&self, key: &RecordKey, tag: &DeliveryTag) -> String {
        let masked = masked(key, &self.hash("reference", &[tag]));
        BASE32_NOPAD
            .encode(&[&masked[..], &tag[..]].concat())
            .to_ascii_lowercase()
    }

    /// The record and the message that a reference names. A reference proves nothing.
    #[must_use]
    pub fn open_reference(&self, reference: &str) -> Option<(RecordKey, DeliveryTag)> {
        if reference.len() != REFERENCE_LENGTH || reference.bytes().any(|b| b.is_ascii_uppercase())
        {
            return None;
        }
        let bytes = BASE32_NOPAD
            .decode(reference.to_ascii_uppercase().as_bytes())
            .ok()?;
        let (key, tag) = bytes.split_first_chunk::<16>()?;
        let tag: DeliveryTag = tag.try_into().ok()?;
        Some((masked(key, &self.hash("reference", &[&tag])), tag))
    }

    /// The token of a message's callback URL: its reference and 128 bits that only we can make, for one carrier.
    #[must_use]
    pub fn callback_token(&self, carrier: &str, reference: &str) -> String {
        let proof: [u8; 16] = self.hash("callback", &[carrier.as_bytes(), reference.as_bytes()]);
        format!("{reference}{}", BASE64URL_NOPAD.encode(&proof))
    }

    /// The reference in a genuine token of `carrier`.
    #[must_use]
    pub fn open_callback_token<'t>(&self, carrier: &str, token: &'t str) -> Option<&'t str> {
        let (reference, proof) = token.split_at_checked(REFERENCE_LENGTH)?;
        let expected: [u8; 16] = self.hash("callback", &[carrier.as_bytes(), reference.as_bytes()]);
        let proof = BASE64URL_NOPAD.decode(proof.as_bytes()).ok()?;
        equal_in_constant_time(&expected, &proof).then_some(reference)
    }

    /// What an attempt at a verification comes to: purpose, transaction and code in one value.
    #[must_use]
    pub fn attempt_hash(
        &self,
        nonce: &Nonce,
        purpose: &str,
        transaction: Option<&Transaction>,
        code: &str,
    ) -> AttemptHash {
        let none = ["", "", ""].map(str::as_bytes);
        let parts = transaction.map_or(none, |t| {
            [
                t.amount.as_bytes(),
                t.currency.as_bytes(),
                t.payee.as_bytes(),
            ]
        });
        let bound: &[u8] = if transaction.is_some() {
            b"transaction"
        } else {
            b""
        };
        self.hash(
            "attempt",
            &[
                nonce,
                purpose.as_bytes(),
                bound,
                parts[0],
                parts[1],
                parts[2],
                code.as_bytes(),
            ],
        )
    }

    /// Name of the attempt that carries this `Idempotency-Key`.
    #[must_use]
    pub fn attempt_nonce(&self, nonce: &Nonce, idempotency_key: &str) -> Vec<u8> {
        let hash: [u8; KEYED_ATTEMPT_NONCE_LENGTH] =
            self.hash("attempt nonce", &[nonce, idempotency_key.as_bytes()]);
        hash.to_vec()
    }

    /// Keyed hash of an `Idempotency-Key` of `app`, or of a body.
    #[must_use]
    pub fn key_hash(&self, app: &str, label: &str, bytes: &[u8]) -> KeyHash {
        self.hash("idempotency", &[app.as_bytes(), label.as_bytes(), bytes])
    }

    /// Key of a record that is not a recipient's: the carriers' breakers.
    #[must_use]
    pub fn record_key(&self, label: &str, parts: &[&[u8]]) -> RecordKey {
        self.hash(label, parts)
    }

    /// Keyed hash of `parts`, each framed by its length so that no two lists meet, cut to `N` (at most 32) bytes.
    fn hash<const N: usize>(&self, label: &str, parts: &[&[u8]]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.lookup);
        for part in std::iter::once(&label.as_bytes()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut hash = [0; N];
        hash.copy_from_slice(&tag.as_ref()[..N]);
        hash
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// SHA-256, for API keys: 128 random bits and more, so a plain hash is enough to keep them unreadable.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// HMAC-SHA-256 with a carrier's secret.
#[must_use]
pub fn hmac_sha256(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    parts.iter().for_each(|part| context.update(part));
    let mut mac = [0; 32];
    mac.copy_from_slice(context.sign().as_ref());
    mac
}

/// HMAC-SHA-1 with a carrier's secret, for Twilio, which signs its reports with nothing newer.
#[must_use]
pub fn hmac_sha1(secret: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut context =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret));
    parts.iter().for_each(|part| context.update(part));
    let mut mac = [0; 20];
    mac.copy_from_slice(context.sign().as_ref());
    mac
}

/// Whether `signature` over `text` was made with the key that belongs to `public_key` (an RSAPublicKey of PKCS #1, the
/// content of a SubjectPublicKeyInfo) and SHA-256: RSASSA-PKCS1-v1_5, 2048 bits and more.
#[must_use]
pub fn is_rsa_sha256(public_key: &[u8], text: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, public_key)
        .verify(text, signature)
        .is_ok()
}

/// The same with SHA-1, which SNS signs with unless its topic says otherwise.
#[must_use]
pub fn is_rsa_sha1(public_key: &[u8], text: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(
        &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        public_key,
    )
    .verify(text, signature)
    .is_ok()
}

/// Whether two values are equal, in a time that depends on their lengths only.
#[must_use]
pub fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0u8, |bits, (x, y)| bits | (x ^ y));
    std::hint::black_box(differing) == 0 && a.len() == b.len()
}

/// A key of its own for each owner, so that random nonces never meet under one key however many codes are sent.
fn derived(master: &hmac::Key, purpose: &str, owner: &[u8]) -> aead::LessSafeKey {
    let mut context = hmac::Context::with_key(master);
    context.update(&(purpose.len() as u64).to_be_bytes());
    context.update(purpose.as_bytes());
    context.update(owner);
    let tag = context.sign();
    #[expect(
        clippy::expect_used,
        reason = "HMAC-SHA-256 makes 32 bytes, which is what AES-256 takes"
    )]
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, tag.as_ref()).expect("32 bytes");
    aead::LessSafeKey::new(key)
}

fn masked(value: &[u8; 16], mask: &[u8; 16]) -> [u8; 16] {
    std::array::from_fn(|at| value[at] ^ mask[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(current: &str, ids: &[&str]) -> Keyring {
        let keys = ids
            .iter()
            .map(|id| ((*id).to_owned(), sha256(id.as_bytes())))
            .collect();
        Keyring::new(current.to_owned(), &keys, &[9; 32])
    }

    #[test]
    fn a_sealed_value_opens_only_for_its_owner_and_purpose() {
        let seal = seal("k1", &["k1"]);
        let sealed = seal.seal("code", b"owner", "123456");
        assert_eq!(
            seal.open("code", b"owner", &sealed).as_deref(),
            Some("123456")
        );
        assert_eq!(seal.open("code", b"other", &sealed), None);
        assert_eq!(seal.open("address", b"owner", &sealed), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(seal.open("code", b"owner", &altered), None, "byte {at}");
            assert_eq!(
                seal.open("code", b"owner", &sealed[..at]),
                None,
                "cut at {at}"
            );
        }
        assert_ne!(
            sealed,
            seal.seal("code", b"owner", "123456"),
            "the same code rests differently each time"
        );
    }

    #[test]
    fn two_keys_live_during_a_rotation_and_a_retired_one_opens_nothing() {
        let sealed = seal("k1", &["k1"]).seal("code", b"o", "123456");
        assert_eq!(
            seal("k2", &["k1", "k2"])
                .open("code", b"o", &sealed)
                .as_deref(),
            Some("123456")
        );
        assert_eq!(seal("k2", &["k2"]).open("code", b"o", &sealed), None);
    }

    #[test]
    fn an_id_names_its_record_for_its_app_only() {
        let seal = seal("k1", &["k1"]);
        let key = seal.recipient_key("shop", "+33612345678");
        let id = seal.verification_id("shop", &key, &[3; 16]);
        assert_eq!(id.len(), 46);
        assert_eq!(seal.open_verification_id("shop", &id), Some((key, [3; 16])));
        assert_ne!(
            seal.open_verification_id("default", &id),
            Some((key, [3; 16]))
        );
        for malformed in [
            "",
            "ve_",
            "ve_abc",
            &id[3..],
            &format!("{id}A"),
            &id.replace("ve_", "VE_"),
            "ve_…",
        ] {
            assert_eq!(
                seal.open_verification_id("shop", malformed),
                None,
                "{malformed}"
            );
        }
        let other = seal.verification_id("shop", &key, &[4; 16]);
        let shared = id
            .bytes()
            .skip(24)
            .zip(other.bytes().skip(24))
            .filter(|(a, b)| a == b)
            .count();
        assert!(shared < 8, "two ids of one recipient share nothing");
    }

    #[test]
    fn a_callback_token_is_for_one_message_of_one_carrier() {
        let seal = seal("k1", &["k1"]);
        let key = seal.recipient_key("shop", "+33612345678");
        let reference = seal.reference(&key, &[1, 2, 3, 4]);
        assert_eq!(seal.open_reference(&reference), Some((key, [1, 2, 3, 4])));
        let token = seal.callback_token("sim-a", &reference);
        assert_eq!(
            seal.open_callback_token("sim-a", &token),
            Some(reference.as_str())
        );
        assert_eq!(seal.open_callback_token("sim-b", &token), None);
        assert_eq!(seal.open_callback_token("sim-a", &token[..50]), None);
        assert_eq!(
            seal.open_callback_token(
                "sim-a",
                &token.replace(&reference, &seal.reference(&key, &[1, 2, 3, 5]))
            ),
            None
        );
    }

    #[test]
    fn an_attempt_binds_purpose_and_transaction_without_ambiguity() {
        let seal = seal("k1", &["k1"]);
        let t = |amount: &str, payee: &str| Transaction {
            amount: amount.into(),
            currency: "EUR".into(),
            payee: payee.into(),
        };
        let hash = |purpose: &str, t: Option<&Transaction>| {
            seal.attempt_hash(&[1; 16], purpose, t, "123456")
        };
        let all = [
            hash("a", None),
            hash("b", None),
            hash("a", Some(&t("1", "2x"))),
            hash("a", Some(&t("12", "x"))),
            hash("a", Some(&t("", ""))),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
    }
}
