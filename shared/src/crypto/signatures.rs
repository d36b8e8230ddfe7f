//! Signatures that carriers and AWS put on their reports.

use ring::rand::SystemRandom;
use ring::{hmac, signature};

/// A private key for RSASSA-PKCS1-v1_5 with SHA-256 (RS256), 2048 bits and more.
pub struct RsaPrivateKey(signature::RsaKeyPair);

impl RsaPrivateKey {
    /// Reads PKCS #8; `None` for anything else.
    #[must_use]
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        signature::RsaKeyPair::from_pkcs8(der).ok().map(Self)
    }

    /// Signs `text`; `None` if the operating system has no entropy.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        let padding = &signature::RSA_PKCS1_SHA256;
        // The randomness only hides the key from measurements of time.
        self.0
            .sign(padding, &SystemRandom::new(), text, &mut signature)
            .ok()?;
        Some(signature)
    }
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

/// Whether `signature` over `text` was made with the key that belongs to `public_key` (an
/// RSAPublicKey of PKCS #1, the content of a SubjectPublicKeyInfo) and SHA-256: RSASSA-PKCS1-v1_5,
/// 2048 bits and more.
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
