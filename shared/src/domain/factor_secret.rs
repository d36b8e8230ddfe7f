//! Secrets that an authenticator shares with the service, and the codes made of them.
//!
//! Invariant: a secret is never printed or formatted; `reveal` and `to_base32` are the only access
//! to its bytes.

use std::fmt;

use data_encoding::BASE32_NOPAD;

use crate::domain::code::Code;

/// Shortest secret that can be imported, in bytes.
const SECRET_BYTES_MIN: usize = 16;
/// Longest secret, in bytes.
const SECRET_BYTES_MAX: usize = 128;
/// Fewer bytes than this are less than the 160 bits that RFC 4226 recommends.
pub const SECRET_BYTES_RECOMMENDED: usize = 20;

/// The secret of a TOTP or HOTP factor.
#[derive(Clone, PartialEq, Eq)]
pub struct FactorSecret(Vec<u8>);

impl FactorSecret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Reads base32 of 16 to 128 bytes. Case, spaces, hyphens and trailing `=` do not matter.
    /// `None` for other characters, another length, and bits that belong to no byte.
    #[must_use]
    pub fn from_base32(text: &str) -> Option<Self> {
        let kept = text.chars().filter(|c| !matches!(c, ' ' | '-'));
        let kept: String = kept.map(|c| c.to_ascii_uppercase()).collect();
        let bytes = BASE32_NOPAD
            .decode(kept.trim_end_matches('=').as_bytes())
            .ok()?;
        let fits = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len());
        fits.then_some(Self(bytes))
    }

    /// Base32, upper case, without padding.
    #[must_use]
    pub fn to_base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// The bytes.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FactorSecret {
    /// Masked: `FactorSecret(…)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FactorSecret(…)")
    }
}

/// The code of `digits` digits that RFC 4226, section 5.3, makes of an HMAC of 20 or more bytes.
#[must_use]
pub fn truncate(mac: &[u8], digits: u8) -> Code {
    let offset = usize::from(mac.last().copied().unwrap_or(0) & 0x0f);
    let chunk = mac
        .get(offset..offset + 4)
        .and_then(|bytes| bytes.try_into().ok());
    let number = u32::from_be_bytes(chunk.unwrap_or_default()) & 0x7fff_ffff;
    let modulus = 10u32.pow(u32::from(digits.min(9)));
    let width = usize::from(digits);
    Code::from_stored(format!("{:0width$}", number % modulus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_read_as_people_copy_it() {
        let secret = FactorSecret::new((0..20).collect());
        let text = secret.to_base32();
        assert_eq!(text, "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT");
        let grouped: Vec<_> = text
            .as_bytes()
            .chunks(4)
            .map(String::from_utf8_lossy)
            .collect();
        for typed in [
            text.clone(),
            text.to_lowercase(),
            grouped.join(" "),
            grouped.join("-"),
            format!(" {text}====== "),
        ] {
            assert_eq!(
                FactorSecret::from_base32(&typed),
                Some(secret.clone()),
                "{typed}"
            );
        }
    }

    #[test]
    fn malformed_base32_is_rejected() {
        let text = FactorSecret::new(vec![7; 16]).to_base32();
        let with_spare_bits = format!("{}B", &text[..text.len() - 1]);
        for typed in [
            "",
            "AAAA",
            &text[1..],
            &with_spare_bits,
            &format!("{text}1"),
            &text.replacen('A', "=", 1),
            &FactorSecret::new(vec![7; 15]).to_base32(),
            &FactorSecret::new(vec![7; 129]).to_base32(),
        ] {
            assert_eq!(FactorSecret::from_base32(typed), None, "{typed}");
        }
        assert!(FactorSecret::from_base32(&FactorSecret::new(vec![7; 128]).to_base32()).is_some());
    }

    #[test]
    fn truncation_is_that_of_rfc_4226() {
        // The example of section 5.4.
        let mac = [
            0x1f, 0x86, 0x98, 0x69, 0x0e, 0x02, 0xca, 0x16, 0x61, 0x85, 0x50, 0xef, 0x7f, 0x19,
            0xda, 0x8e, 0x94, 0x5b, 0x55, 0x5a,
        ];
        assert_eq!(truncate(&mac, 6).reveal(), "872921");
        assert_eq!(truncate(&mac, 8).reveal(), "57872921");
        assert_eq!(truncate(&[0; 20], 6).reveal(), "000000");
    }

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(
            format!("{:?}", FactorSecret::new(vec![65; 20])),
            "FactorSecret(…)"
        );
    }

    #[test]
    fn secret_reveals_its_bytes() {
        let secret = FactorSecret::new((0..20).collect());
        assert_eq!(secret.reveal(), (0..20).collect::<Vec<_>>());
    }
}
