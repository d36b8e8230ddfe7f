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

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    #[test]
    fn macs_are_those_of_rfc_2202_and_4231() {
        // Test case 2 of both.
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        let sha1 = hmac_sha1(b"Jefe", &parts);
        assert_eq!((sha1[0], sha1[1], sha1[19]), (0xef, 0xfc, 0x79));
        let sha256 = hmac_sha256(b"Jefe", &parts);
        assert_eq!((sha256[0], sha256[1], sha256[31]), (0x5b, 0xdc, 0x43));
    }

    #[test]
    fn every_byte_and_the_length_are_compared() {
        assert!(equal_in_constant_time(b"", b""));
        assert!(equal_in_constant_time(b"ab", b"ab"));
        for (a, b) in [
            ("ab", "aa"),
            ("ab", "bb"),
            ("aa", "bb"),
            ("ab", "a"),
            ("", "a"),
        ] {
            assert!(
                !equal_in_constant_time(a.as_bytes(), b.as_bytes()),
                "{a} {b}"
            );
        }
    }

    #[test]
    fn rsa_signature_is_for_its_text_and_hash() {
        let pem = include_str!("../../../tests/data/sns-for-tests.key.pem");
        let encoded: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64.decode(encoded.as_bytes()).expect("base64");
        assert!(RsaPrivateKey::from_pkcs8(&der[1..]).is_none());
        let key = RsaPrivateKey::from_pkcs8(&der).expect("a key");
        let public_key = key.0.public().as_ref().to_vec();
        let signature = key.sign(b"text").expect("a signature");
        assert!(is_rsa_sha256(&public_key, b"text", &signature));
        assert!(!is_rsa_sha256(&public_key, b"other", &signature));
        assert!(!is_rsa_sha1(&public_key, b"text", &signature));
    }
}
