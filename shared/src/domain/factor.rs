//! Factors: authenticator apps (TOTP, RFC 6238), tokens with a counter (HOTP, RFC 4226) and backup
//! codes of a subject.
//!
//! Invariants: an accepted step, counter or backup code is never accepted again; `last_step` and
//! `next_counter` only increase. The window of a factor is fixed when it is enrolled.

use std::ops::RangeInclusive;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use thiserror::Error;

use crate::domain::ids::{AttemptHash, FactorId};
use crate::domain::time::Timestamp;

/// An unconfirmed factor expires this long after it was enrolled.
pub const UNCONFIRMED_SECONDS: i64 = 600;
/// Seconds of a TOTP step.
pub const PERIOD_SECONDS: RangeInclusive<i64> = 15..=60;
/// The default, and the only period that all apps support.
pub const PERIOD_SECONDS_DEFAULT: u8 = 30;
/// Steps that are accepted before and after the current one.
pub const SKEW_STEPS: RangeInclusive<u8> = 0..=2;
/// Counters that are accepted from the next expected one on.
pub const LOOK_AHEAD: RangeInclusive<u8> = 1..=50;
/// Counters within which two codes in a row resynchronize a token.
pub const RESYNC_COUNTERS: u64 = 100;
/// Largest counter of an imported token: 2^53 - 1, the largest exact integer of JSON.
pub const COUNTER_MAX: u64 = 9_007_199_254_740_991;
/// Codes of one set.
pub const BACKUP_CODES: usize = 10;
/// Characters of a backup code.
pub const BACKUP_CODE_LENGTH: u8 = 10;

/// Prefix of a factor id.
const FACTOR_ID_PREFIX: &str = "fa_";
/// The bits of the first byte of an id that name the type.
const TYPE_BITS: u8 = 0b1100_0000;

/// What kind of factor it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FactorType {
    /// Codes of the time, RFC 6238.
    Totp,
    /// Codes of a counter, RFC 4226.
    Hotp,
    /// A set of codes that are used once each.
    BackupCodes,
}

impl FactorType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Totp, Self::Hotp, Self::BackupCodes];

    /// The name in requests and responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Hotp => "hotp",
            Self::BackupCodes => "backup_codes",
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Totp => 0b0000_0000,
            Self::Hotp => 0b0100_0000,
            Self::BackupCodes => 0b1000_0000,
        }
    }
}

/// No factor type has this name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("unknown factor type")]
pub struct UnknownFactorType;

impl FromStr for FactorType {
    type Err = UnknownFactorType;

    fn from_str(name: &str) -> Result<Self, UnknownFactorType> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.name() == name)
            .ok_or(UnknownFactorType)
    }
}

impl FactorId {
    /// The id of a new factor, of random bytes.
    #[must_use]
    pub fn new(kind: FactorType, mut random: [u8; 16]) -> Self {
        random[0] = (random[0] & !TYPE_BITS) | kind.bits();
        Self(random)
    }

    /// The type that the id names; `None` if it names none.
    #[must_use]
    pub fn kind(self) -> Option<FactorType> {
        let bits = self.0[0] & TYPE_BITS;
        FactorType::ALL.into_iter().find(|kind| kind.bits() == bits)
    }
}

impl std::fmt::Display for FactorId {
    /// `fa_` and 22 base64url characters.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{FACTOR_ID_PREFIX}{}", BASE64URL_NOPAD.encode(&self.0))
    }
}

/// A text that is not a factor id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a factor id")]
pub struct InvalidFactorId;

impl FromStr for FactorId {
    type Err = InvalidFactorId;

    fn from_str(text: &str) -> Result<Self, InvalidFactorId> {
        let encoded = text.strip_prefix(FACTOR_ID_PREFIX).ok_or(InvalidFactorId)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).ok();
        let id = bytes.and_then(|bytes| bytes.try_into().ok()).map(Self);
        id.filter(|id| id.kind().is_some()).ok_or(InvalidFactorId)
    }
}

/// The hash behind the codes of a factor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// HMAC-SHA-1, the default: many apps compute it whatever the URI says.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The name in requests and responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of a new secret: as many as the hash has.
    #[must_use]
    pub fn secret_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// How many digits the codes of a factor have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Digits {
    /// The default.
    Six,
    /// A hundred times as many codes.
    Eight,
}

impl Digits {
    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Six => 6,
            Self::Eight => 8,
        }
    }
}

/// A stored secret and how codes are made of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSecret {
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    /// Whether the key that sealed it is live.
    pub has_live_key: bool,
    /// The hash.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: Digits,
}

/// One code of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupCode {
    /// Keyed hash of the code.
    pub hash: AttemptHash,
    /// Whether it was accepted.
    pub is_used: bool,
}

/// What the codes of a factor are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Method {
    /// A code for each step of time.
    Totp {
        /// The secret.
        secret: StoredSecret,
        /// Seconds of a step.
        period: u8,
        /// Steps that are accepted before and after the current one.
        skew: u8,
        /// The latest step of which a code was accepted.
        last_step: Option<u64>,
    },
    /// A code for each counter.
    Hotp {
        /// The secret.
        secret: StoredSecret,
        /// Counters that are accepted from `next_counter` on.
        look_ahead: u8,
        /// The next expected counter.
        next_counter: u64,
    },
    /// A set of codes.
    BackupCodes(Vec<BackupCode>),
}

/// Status of a factor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FactorStatus {
    /// No code of it was accepted yet.
    Unconfirmed,
    /// It proves the subject.
    Active,
    /// The key that sealed its secret was removed.
    Unreadable,
}

impl FactorStatus {
    /// The name in responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Active => "active",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A factor of a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Factor {
    /// Its id, which names its type.
    pub id: FactorId,
    /// Shown in lists.
    pub name: Option<String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When its first code was accepted, or when it was enrolled as confirmed.
    pub confirmed_at: Option<Timestamp>,
    /// When its latest code was accepted.
    pub last_used_at: Option<Timestamp>,
    /// Number of the first decision that was made while it was active.
    pub counts_from: u32,
    /// Its codes.
    pub method: Method,
}

impl Factor {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> FactorType {
        match self.method {
            Method::Totp { .. } => FactorType::Totp,
            Method::Hotp { .. } => FactorType::Hotp,
            Method::BackupCodes(_) => FactorType::BackupCodes,
        }
    }

    /// Its secret; backup codes have none.
    #[must_use]
    pub fn secret(&self) -> Option<&StoredSecret> {
        match &self.method {
            Method::Totp { secret, .. } | Method::Hotp { secret, .. } => Some(secret),
            Method::BackupCodes(_) => None,
        }
    }

    /// Its secret, to seal it again.
    pub fn secret_mut(&mut self) -> Option<&mut StoredSecret> {
        match &mut self.method {
            Method::Totp { secret, .. } | Method::Hotp { secret, .. } => Some(secret),
            Method::BackupCodes(_) => None,
        }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> FactorStatus {
        if self.secret().is_some_and(|secret| !secret.has_live_key) {
            FactorStatus::Unreadable
        } else if self.confirmed_at.is_some() {
            FactorStatus::Active
        } else {
            FactorStatus::Unconfirmed
        }
    }

    /// When it expires unless it is confirmed; `None` once it is.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.confirmed_at {
            Some(_) => None,
            None => Some(self.created_at + UNCONFIRMED_SECONDS),
        }
    }

    /// Backup codes that were not accepted yet; `None` for other types.
    #[must_use]
    pub fn codes_left(&self) -> Option<u8> {
        match &self.method {
            Method::BackupCodes(codes) => {
                let left = codes.iter().filter(|code| !code.is_used).count();
                u8::try_from(left).ok()
            }
            Method::Totp { .. } | Method::Hotp { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factor_id_names_its_type() {
        for kind in FactorType::ALL {
            for bytes in [[0; 16], [0xff; 16], [0xa5; 16]] {
                let id = FactorId::new(kind, bytes);
                let text = id.to_string();
                assert_eq!((id.kind(), text.len()), (Some(kind), 25));
                assert_eq!(text.parse(), Ok(id));
            }
        }
    }

    #[test]
    fn malformed_factor_id_is_rejected() {
        let id = FactorId::new(FactorType::Totp, [7; 16]).to_string();
        let of_no_type = FactorId([0xff; 16]).to_string();
        let with_spare_bits = format!("{}x", &id[..24]);
        for text in [
            "",
            "fa_",
            &id[3..],
            &id[..24],
            &of_no_type,
            &with_spare_bits,
            "fa_é",
        ] {
            assert_eq!(text.parse::<FactorId>(), Err(InvalidFactorId), "{text}");
        }
    }

    #[test]
    fn names_are_those_of_requests_and_responses() {
        let kinds = FactorType::ALL.map(FactorType::name);
        assert_eq!(kinds, ["totp", "hotp", "backup_codes"]);
        for kind in FactorType::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("sms".parse::<FactorType>(), Err(UnknownFactorType));
        let algorithms = Algorithm::ALL.map(|a| (a.name(), a.secret_bytes()));
        assert_eq!(algorithms, [("sha1", 20), ("sha256", 32), ("sha512", 64)]);
        assert_eq!([Digits::Six.number(), Digits::Eight.number()], [6, 8]);
        let statuses = [
            FactorStatus::Unconfirmed,
            FactorStatus::Active,
            FactorStatus::Unreadable,
        ];
        let names = statuses.map(FactorStatus::name);
        assert_eq!(names, ["unconfirmed", "active", "unreadable"]);
    }

    fn factor(kind: FactorType, method: Method) -> Factor {
        Factor {
            id: FactorId::new(kind, [7; 16]),
            name: None,
            created_at: Timestamp(1000),
            confirmed_at: None,
            last_used_at: None,
            counts_from: 0,
            method,
        }
    }

    fn totp(has_live_key: bool) -> Factor {
        let secret = StoredSecret {
            sealed: vec![1],
            has_live_key,
            algorithm: Algorithm::Sha1,
            digits: Digits::Six,
        };
        let method = Method::Totp {
            secret,
            period: 30,
            skew: 1,
            last_step: None,
        };
        factor(FactorType::Totp, method)
    }

    #[test]
    fn unconfirmed_factor_expires_and_a_confirmed_one_stays() {
        let mut app = totp(true);
        assert_eq!(app.status(), FactorStatus::Unconfirmed);
        assert_eq!(app.expires_at(), Some(Timestamp(1600)));
        app.confirmed_at = Some(Timestamp(1001));
        assert_eq!(app.status(), FactorStatus::Active);
        assert_eq!(app.expires_at(), None);
        assert_eq!(totp(false).status(), FactorStatus::Unreadable);
    }

    #[test]
    fn backup_codes_have_codes_left_and_no_secret() {
        let code = |is_used| BackupCode {
            hash: AttemptHash([0; 16]),
            is_used,
        };
        let method = Method::BackupCodes(vec![code(true), code(false), code(false)]);
        let mut set = factor(FactorType::BackupCodes, method);
        assert_eq!(
            (set.kind(), set.codes_left()),
            (FactorType::BackupCodes, Some(2))
        );
        assert!(set.secret().is_none() && set.secret_mut().is_none());
        let mut app = totp(true);
        assert_eq!((app.kind(), app.codes_left()), (FactorType::Totp, None));
        assert_eq!(app.secret().cloned(), app.secret_mut().cloned());
        assert!(app.secret().is_some());
    }
}
