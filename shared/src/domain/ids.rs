//! Ids, nonces and hashes as types of their own, so that swapping two arguments does not compile.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};

/// Prefix of a verification id in the native dialect.
const VERIFICATION_ID_PREFIX: &str = "ve_";
/// Characters of 128 bits in base32 without padding.
const VERIFICATION_ID_LENGTH: usize = 26;

/// Partition key of an item: keyed hash of what the item is about. 96 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordKey(pub [u8; 12]);

/// Distinguishes the verifications of one recipient. Random, unique among those that are
/// remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VerificationNonce(pub [u8; 4]);

/// Public id of a verification: 128 bits, the same in every dialect. Opaque; only the keyring maps
/// it to a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VerificationId(pub [u8; 16]);

/// Distinguishes the messages of one recipient in the reference that carriers echo. Random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeliveryTag(pub [u8; 4]);

/// Random name of a worker's claim on a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClaimId(pub [u8; 6]);

/// Keyed hash of what was submitted: purpose, transaction and code in one value, so that nothing
/// reveals which of them was wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AttemptHash(pub [u8; 16]);

/// Names an attempt. A repeated nonce is the same attempt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttemptNonce {
    /// Of a check without `Idempotency-Key`.
    Random([u8; 8]),
    /// Derived from the `Idempotency-Key`; its outcome is remembered for replays.
    Keyed([u8; 8]),
}

/// Id of a factor: 126 random bits and two that name its type, so that the format of a code is
/// checked before anything is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FactorId(pub [u8; 16]);

/// Distinguishes the decisions of one subject. Random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DecisionNonce(pub [u8; 8]);

/// Key of a subject's record: keyed hash of app and subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubjectKey(pub RecordKey);

/// Keyed hash of an `Idempotency-Key`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IdempotencyKeyHash(pub [u8; 8]);

/// Keyed hash of a request body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BodyHash(pub [u8; 8]);

impl VerificationId {
    /// The first characters of the native form, for logs.
    #[must_use]
    pub fn log_prefix(self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for VerificationId {
    /// Native form: `ve_` and 26 lower-case base32 characters (RFC 4648, no padding).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        write!(f, "{VERIFICATION_ID_PREFIX}{encoded}")
    }
}

/// A text that is not a verification id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidVerificationId;

impl FromStr for VerificationId {
    type Err = InvalidVerificationId;

    fn from_str(text: &str) -> Result<Self, InvalidVerificationId> {
        let encoded = text
            .strip_prefix(VERIFICATION_ID_PREFIX)
            .ok_or(InvalidVerificationId)?;
        let is_canonical = encoded.len() == VERIFICATION_ID_LENGTH
            && !encoded.bytes().any(|byte| byte.is_ascii_uppercase());
        let bytes = is_canonical
            .then(|| {
                BASE32_NOPAD
                    .decode(encoded.to_ascii_uppercase().as_bytes())
                    .ok()
            })
            .flatten();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(InvalidVerificationId)
    }
}

impl fmt::Display for DeliveryTag {
    /// Eight lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl AttemptNonce {
    const RANDOM: u8 = 0;
    const KEYED: u8 = 1;

    /// Stored form: kind and eight bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 9] {
        let (kind, bytes) = match self {
            Self::Random(bytes) => (Self::RANDOM, bytes),
            Self::Keyed(bytes) => (Self::KEYED, bytes),
        };
        let mut stored = [kind; 9];
        stored[1..].copy_from_slice(&bytes);
        stored
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_bytes(stored: &[u8]) -> Option<Self> {
        let (kind, bytes) = stored.split_first()?;
        let bytes = bytes.try_into().ok()?;
        match *kind {
            Self::RANDOM => Some(Self::Random(bytes)),
            Self::KEYED => Some(Self::Keyed(bytes)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verification_id_is_read_back_as_written() {
        let id = VerificationId([0xa5; 16]);
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (29, Ok(id)));
        assert_eq!(id.log_prefix(), text[..8]);
    }

    #[test]
    fn malformed_verification_id_is_rejected() {
        let id = VerificationId([7; 16]).to_string();
        let last_bits_set = format!("{}b", &id[..28]);
        for text in [
            "",
            "ve_",
            "ve_abc",
            &id[3..],
            &format!("{id}a"),
            &id.to_uppercase(),
            &id.replace("ve_", "VE_"),
            &format!("ve_{}", id[3..].to_uppercase()),
            "ve_…",
            &last_bits_set,
            "ve_00000000000000000000000000",
        ] {
            assert_eq!(
                text.parse::<VerificationId>(),
                Err(InvalidVerificationId),
                "{text}"
            );
        }
    }

    #[test]
    fn attempt_nonce_keeps_its_kind() {
        for nonce in [AttemptNonce::Random([3; 8]), AttemptNonce::Keyed([3; 8])] {
            assert_eq!(AttemptNonce::from_bytes(&nonce.to_bytes()), Some(nonce));
        }
        assert_eq!(AttemptNonce::from_bytes(&[2; 9]), None);
        assert_eq!(AttemptNonce::from_bytes(&[0; 8]), None);
    }

    #[test]
    fn tag_is_written_in_hex() {
        assert_eq!(DeliveryTag([0x01, 0xab, 0, 0xff]).to_string(), "01ab00ff");
    }
}
