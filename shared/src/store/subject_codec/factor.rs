//! Factors, packed.

use serde::{Deserialize, Serialize};

use super::{number_of, numbered, seconds, time};
use crate::domain::factor::{Algorithm, BackupCode, Digits, Factor, Method, StoredSecret};
use crate::domain::ids::{AttemptHash, FactorId};

/// The parts of a factor that no condition reads.
#[derive(Serialize, Deserialize)]
struct StoredFactor {
    name: Option<String>,
    created_at: u32,
    last_used_at: Option<u32>,
    method: StoredMethod,
}

#[derive(Serialize, Deserialize)]
enum StoredMethod {
    Totp {
        secret: StoredSecretParts,
        period: u8,
        skew: u8,
        last_step: Option<u64>,
    },
    Hotp {
        secret: StoredSecretParts,
        look_ahead: u8,
        next_counter: u64,
    },
    /// Hashes, and whether each was used.
    BackupCodes(Vec<([u8; 16], bool)>),
}

#[derive(Serialize, Deserialize)]
struct StoredSecretParts {
    sealed: Vec<u8>,
    algorithm: u8,
    digits: u8,
}

impl StoredSecretParts {
    fn new(secret: &StoredSecret) -> Self {
        Self {
            sealed: secret.sealed.clone(),
            algorithm: number_of(&Algorithm::ALL, &secret.algorithm),
            digits: secret.digits.number(),
        }
    }

    fn secret(self) -> Option<StoredSecret> {
        Some(StoredSecret {
            sealed: self.sealed,
            // Known once the item is read.
            has_live_key: false,
            algorithm: numbered(&Algorithm::ALL, self.algorithm)?,
            digits: [Digits::Six, Digits::Eight]
                .into_iter()
                .find(|digits| digits.number() == self.digits)?,
        })
    }
}

/// Packs the parts of a factor that no condition reads.
pub(in crate::store) fn pack_factor(factor: &Factor) -> Vec<u8> {
    let method = match &factor.method {
        Method::Totp {
            secret,
            period,
            skew,
            last_step,
        } => StoredMethod::Totp {
            secret: StoredSecretParts::new(secret),
            period: *period,
            skew: *skew,
            last_step: *last_step,
        },
        Method::Hotp {
            secret,
            look_ahead,
            next_counter,
        } => StoredMethod::Hotp {
            secret: StoredSecretParts::new(secret),
            look_ahead: *look_ahead,
            next_counter: *next_counter,
        },
        Method::BackupCodes(codes) => {
            let codes = codes.iter().map(|code| (code.hash.0, code.is_used));
            StoredMethod::BackupCodes(codes.collect())
        }
    };
    let stored = StoredFactor {
        name: factor.name.clone(),
        created_at: seconds(factor.created_at),
        last_used_at: factor.last_used_at.map(seconds),
        method,
    };
    postcard::to_allocvec(&stored).unwrap_or_default()
}

/// Reads a factor. Its confirmation and its key are attributes of their own.
pub(in crate::store) fn unpack_factor(id: FactorId, packed: &[u8]) -> Option<Factor> {
    let stored: StoredFactor = postcard::from_bytes(packed).ok()?;
    let method = match stored.method {
        StoredMethod::Totp {
            secret,
            period,
            skew,
            last_step,
        } => Method::Totp {
            secret: secret.secret()?,
            period,
            skew,
            last_step,
        },
        StoredMethod::Hotp {
            secret,
            look_ahead,
            next_counter,
        } => Method::Hotp {
            secret: secret.secret()?,
            look_ahead,
            next_counter,
        },
        StoredMethod::BackupCodes(codes) => {
            let codes = codes.into_iter().map(|(hash, is_used)| BackupCode {
                hash: AttemptHash(hash),
                is_used,
            });
            Method::BackupCodes(codes.collect())
        }
    };
    Some(Factor {
        id,
        name: stored.name,
        created_at: time(stored.created_at),
        confirmed_at: None,
        last_used_at: stored.last_used_at.map(time),
        counts_from: 0,
        method,
    })
}
