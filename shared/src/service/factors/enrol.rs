//! Enrolment: adds a factor. The only response that shows its secret.

use super::{SubjectContext, SubjectError};
use crate::domain::code::{Alphabet, Code};
use crate::domain::factor::{
    Algorithm, BACKUP_CODE_LENGTH, BACKUP_CODES, BackupCode, Digits, Factor, FactorType, Method,
    StoredSecret,
};
use crate::domain::factor_secret::FactorSecret;
use crate::domain::ids::FactorId;
use crate::domain::subject::{KeyedEnrolment, Subject, TooManyFactors};
use crate::domain::verification_params::Idempotency;
use crate::platform::random::{entropy, random_bytes};
use crate::store::Change;

/// An enrolment, as requested.
pub struct EnrolRequest {
    /// Shown in lists.
    pub name: Option<String>,
    /// What is enrolled.
    pub factor: NewFactor,
    /// The `Idempotency-Key` and the body that it came with.
    pub idempotency: Option<Idempotency>,
}

/// A factor to enrol.
pub enum NewFactor {
    /// An authenticator app.
    Totp {
        /// Its secret.
        secret: NewSecret,
        /// Seconds of a step.
        period: u8,
        /// Steps that are accepted before and after the current one; `None`: as the policy says.
        skew: Option<u8>,
    },
    /// A token with a counter.
    Hotp {
        /// Its secret.
        secret: NewSecret,
        /// The first counter that is accepted.
        counter: u64,
    },
    /// Ten codes that replace the earlier set.
    BackupCodes,
}

impl NewFactor {
    /// Its secret; backup codes have none.
    #[must_use]
    pub fn secret(&self) -> Option<&NewSecret> {
        match self {
            Self::Totp { secret, .. } | Self::Hotp { secret, .. } => Some(secret),
            Self::BackupCodes => None,
        }
    }
}

/// The secret of a factor to enrol.
pub struct NewSecret {
    /// The hash.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: Digits,
    /// The secret, if it is imported.
    pub imported: Option<FactorSecret>,
    /// Whether the user has proven it elsewhere.
    pub is_confirmed: bool,
}

/// An enrolled factor and what only its enrolment shows.
pub struct Enrolled {
    /// The factor.
    pub factor: Factor,
    /// Its secret; of a replay only while it is unconfirmed.
    pub secret: Option<FactorSecret>,
    /// Its codes; `None` for a replay: they are stored only as hashes.
    pub codes: Option<Vec<Code>>,
    /// Whether an earlier request with the same `Idempotency-Key` enrolled it.
    pub is_replay: bool,
}

/// Enrols a factor.
///
/// # Errors
/// [`SubjectError`].
pub async fn enrol(
    context: SubjectContext<'_>,
    request: &EnrolRequest,
) -> Result<Enrolled, SubjectError> {
    let now = context.now;
    let new = new_factor(context, request);
    let enrolled = |subject: &mut Subject| {
        if let Some(replayed) = replayed(context, subject, request.idempotency)? {
            return Ok(Change::Keep(replayed));
        }
        let mut factor = new.factor.clone();
        factor.counts_from = subject.decisions_made.saturating_add(1);
        let added = subject.enrol(factor.clone());
        added.map_err(|TooManyFactors| SubjectError::TooManyFactors)?;
        subject
            .enrolments
            .extend(request.idempotency.map(|idempotency| KeyedEnrolment {
                idempotency,
                factor: factor.id,
                at: now,
            }));
        subject.prune(now);
        Ok(Change::Write(Enrolled {
            factor,
            secret: new.secret.clone(),
            codes: new.codes.clone(),
            is_replay: false,
        }))
    };
    context.record().change(enrolled).await
}

/// The factor that an earlier request with the same `Idempotency-Key` enrolled.
fn replayed(
    context: SubjectContext<'_>,
    subject: &Subject,
    idempotency: Option<Idempotency>,
) -> Result<Option<Enrolled>, SubjectError> {
    let Some(idempotency) = idempotency else {
        return Ok(None);
    };
    let mut keyed = subject.enrolments.iter();
    let Some(earlier) = keyed.find(|earlier| earlier.idempotency.key == idempotency.key) else {
        return Ok(None);
    };
    if earlier.idempotency.body != idempotency.body {
        return Err(SubjectError::IdempotencyMismatch);
    }
    let factor = subject.factor(earlier.factor, context.now);
    let factor = factor.ok_or(SubjectError::FactorNotFound)?;
    let is_unconfirmed = factor.confirmed_at.is_none();
    let secret = context.subjects.keyring.open_secret(context.key, factor);
    Ok(Some(Enrolled {
        factor: factor.clone(),
        secret: secret.filter(|_| is_unconfirmed),
        codes: None,
        is_replay: true,
    }))
}

/// A new factor with what only its enrolment shows.
fn new_factor(context: SubjectContext<'_>, request: &EnrolRequest) -> Enrolled {
    let (now, policy) = (context.now, context.policy());
    let (kind, is_confirmed) = match &request.factor {
        NewFactor::Totp { secret, .. } => (FactorType::Totp, secret.is_confirmed),
        NewFactor::Hotp { secret, .. } => (FactorType::Hotp, secret.is_confirmed),
        NewFactor::BackupCodes => (FactorType::BackupCodes, true),
    };
    let id = FactorId::new(kind, random_bytes());
    let (method, secret, codes) = match &request.factor {
        NewFactor::Totp {
            secret,
            period,
            skew,
        } => {
            let (stored, secret) = sealed_secret(context, id, secret);
            let method = Method::Totp {
                secret: stored,
                period: *period,
                skew: skew.unwrap_or(policy.totp_skew),
                last_step: None,
            };
            (method, Some(secret), None)
        }
        NewFactor::Hotp { secret, counter } => {
            let (stored, secret) = sealed_secret(context, id, secret);
            let method = Method::Hotp {
                secret: stored,
                look_ahead: policy.hotp_look_ahead,
                next_counter: *counter,
            };
            (method, Some(secret), None)
        }
        NewFactor::BackupCodes => {
            let codes = backup_codes();
            let hashed = codes.iter().map(|code| BackupCode {
                hash: context
                    .subjects
                    .keyring
                    .factor_code_hash(context.key, id, code),
                is_used: false,
            });
            (Method::BackupCodes(hashed.collect()), None, Some(codes))
        }
    };
    Enrolled {
        factor: Factor {
            id,
            name: request.name.clone(),
            created_at: now,
            confirmed_at: is_confirmed.then_some(now),
            last_used_at: None,
            counts_from: 0,
            method,
        },
        secret,
        codes,
        is_replay: false,
    }
}

fn sealed_secret(
    context: SubjectContext<'_>,
    id: FactorId,
    new: &NewSecret,
) -> (StoredSecret, FactorSecret) {
    let fresh = || {
        let bytes: [u8; 64] = random_bytes();
        FactorSecret::new(bytes[..new.algorithm.secret_bytes()].to_vec())
    };
    let secret = new.imported.clone().unwrap_or_else(fresh);
    let stored = StoredSecret {
        sealed: context
            .subjects
            .keyring
            .seal_secret(context.key, id, &secret),
        has_live_key: true,
        algorithm: new.algorithm,
        digits: new.digits,
    };
    (stored, secret)
}

/// Ten different codes.
fn backup_codes() -> Vec<Code> {
    let mut codes: Vec<Code> = vec![];
    while codes.len() < BACKUP_CODES {
        let code = Code::generate(Alphabet::Alphanumeric, BACKUP_CODE_LENGTH, &mut entropy());
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    codes
}
