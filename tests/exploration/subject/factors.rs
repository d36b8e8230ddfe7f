//! The factors of the subject, and the codes that are submitted. Each code has one counter.

use otp::domain::factor::{
    Algorithm, BackupCode, Digits, Factor, FactorType, Method, StoredSecret,
};
use otp::domain::ids::{AttemptHash, FactorId};
use otp::domain::log_outcomes::CodeHashes;
use otp::domain::subject::Subject;
use otp::domain::time::Timestamp;

use super::Scenario;

pub const START: Timestamp = Timestamp(1_800_000_000);
const PERIOD: u8 = 30;
/// The next counter of a token at the start.
const NEXT_COUNTER: u64 = 5;
/// The code that no factor has.
pub const WRONG: AttemptHash = AttemptHash([0xff; 16]);

/// Hashes that show which factor and counter they are of.
pub struct Codes;

impl CodeHashes for Codes {
    fn code_hash(&self, factor: FactorId, counter: u64) -> Option<AttemptHash> {
        let mut hash = factor.0;
        hash[8..].copy_from_slice(&counter.to_be_bytes());
        Some(AttemptHash(hash))
    }

    fn pair_hash(&self, _: FactorId, _: u64) -> Option<AttemptHash> {
        None
    }
}

/// The factor that is checked and may be removed.
pub fn first_id(kind: FactorType) -> FactorId {
    FactorId::new(kind, [1; 16])
}

/// A token that shares the budget of the first factor, unless that has backup codes.
pub fn second_id() -> FactorId {
    FactorId::new(FactorType::Hotp, [2; 16])
}

pub fn initial(scenario: &Scenario) -> Subject {
    let mut first = factor(first_id(scenario.kind));
    if !scenario.is_confirmed {
        first.confirmed_at = None;
    }
    Subject {
        factors: vec![first, factor(second_id())],
        ..Subject::default()
    }
}

fn factor(id: FactorId) -> Factor {
    let secret = StoredSecret {
        sealed: vec![],
        has_live_key: true,
        algorithm: Algorithm::Sha1,
        digits: Digits::Six,
    };
    let kind = id.kind().expect("a type");
    let code = |counter| BackupCode {
        hash: Codes.code_hash(id, counter).expect("a hash"),
        is_used: false,
    };
    let method = match kind {
        FactorType::Totp => Method::Totp {
            secret,
            period: PERIOD,
            skew: 1,
            last_step: None,
        },
        FactorType::Hotp => Method::Hotp {
            secret,
            look_ahead: 3,
            next_counter: NEXT_COUNTER,
        },
        FactorType::BackupCodes => Method::BackupCodes((0..3).map(code).collect()),
    };
    Factor {
        id,
        name: None,
        created_at: START,
        confirmed_at: Some(START),
        last_used_at: None,
        counts_from: 0,
        method,
    }
}

/// What a check may submit at `now`: two right codes and a wrong one of the first factor, and a
/// wrong one of the second.
pub fn choices(kind: FactorType, now: Timestamp) -> [(FactorId, AttemptHash); 4] {
    let id = first_id(kind);
    let counter = match kind {
        FactorType::Totp => now.0.unsigned_abs() / u64::from(PERIOD),
        FactorType::Hotp => NEXT_COUNTER,
        FactorType::BackupCodes => 0,
    };
    let code = |counter| Codes.code_hash(id, counter).expect("a hash");
    [
        (id, code(counter)),
        (id, code(counter + 1)),
        (id, WRONG),
        (second_id(), WRONG),
    ]
}

/// What must only increase: the last step, the next counter, or the number of used codes.
pub fn progress(factor: &Factor) -> u64 {
    match &factor.method {
        Method::Totp { last_step, .. } => last_step.unwrap_or(0),
        Method::Hotp { next_counter, .. } => *next_counter,
        Method::BackupCodes(codes) => codes.iter().filter(|code| code.is_used).count() as u64,
    }
}

/// Drops what is known of used codes.
pub fn forget_used(factor: &mut Factor) {
    match &mut factor.method {
        Method::Totp { last_step, .. } => *last_step = None,
        Method::Hotp { next_counter, .. } => *next_counter = NEXT_COUNTER,
        Method::BackupCodes(codes) => codes.iter_mut().for_each(|code| code.is_used = false),
    }
}
