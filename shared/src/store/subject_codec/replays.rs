//! Replays: what is stored for repeated requests, packed. Checks, enrolments, approvals.

use serde::{Deserialize, Serialize};

use super::log_entry::StoredAttempt;
use super::{Packed, number_of, numbered, proof_lists, seconds, stored_proof_lists, time};
use crate::domain::decision::{DecisionState, DecisionStatus};
use crate::domain::factor::FactorStatus;
use crate::domain::ids::{AttemptNonce, BodyHash, DecisionNonce, FactorId, IdempotencyKeyHash};
use crate::domain::subject::{
    FactorAttempt, FactorOutcome, KeyedEnrolment, RememberedCheck, Verdict,
};
use crate::domain::verification_params::Idempotency;
use crate::domain::verified_recipient::RecordedApproval;

const STATUSES: [FactorStatus; 3] = [
    FactorStatus::Unconfirmed,
    FactorStatus::Active,
    FactorStatus::Unreadable,
];
const VERDICTS: [Verdict; 3] = [Verdict::Accepted, Verdict::Replayed, Verdict::Wrong];

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredCheck {
    submitted: StoredAttempt,
    verdict: u8,
    status: u8,
    wrong_codes: u16,
    codes_left: Option<u8>,
    decision: Option<StoredDecisionState>,
}

#[derive(Serialize, Deserialize)]
struct StoredDecisionState {
    nonce: [u8; 8],
    status: u8,
    missing: Vec<Vec<u8>>,
}

impl Packed for RememberedCheck {
    type Stored = StoredCheck;

    fn to_stored(&self) -> StoredCheck {
        let outcome = &self.outcome;
        StoredCheck {
            submitted: self.submitted.to_stored(),
            verdict: number_of(&VERDICTS, &outcome.verdict),
            status: number_of(&STATUSES, &outcome.status),
            wrong_codes: outcome.wrong_codes,
            codes_left: outcome.codes_left,
            decision: outcome.decision.as_ref().map(|state| StoredDecisionState {
                nonce: state.nonce.0,
                status: number_of(&DecisionStatus::ALL, &state.status),
                missing: stored_proof_lists(&state.missing),
            }),
        }
    }

    fn from_stored(stored: StoredCheck) -> Option<Self> {
        let decision = match stored.decision {
            Some(state) => Some(DecisionState {
                nonce: DecisionNonce(state.nonce),
                status: numbered(&DecisionStatus::ALL, state.status)?,
                missing: proof_lists(state.missing)?,
            }),
            None => None,
        };
        Some(Self {
            submitted: FactorAttempt::from_stored(stored.submitted)?,
            outcome: FactorOutcome {
                verdict: numbered(&VERDICTS, stored.verdict)?,
                status: numbered(&STATUSES, stored.status)?,
                wrong_codes: stored.wrong_codes,
                codes_left: stored.codes_left,
                decision,
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredEnrolment {
    key: [u8; 8],
    body: [u8; 8],
    factor: [u8; 16],
    at: u32,
}

impl Packed for KeyedEnrolment {
    type Stored = StoredEnrolment;

    fn to_stored(&self) -> StoredEnrolment {
        StoredEnrolment {
            key: self.idempotency.key.0,
            body: self.idempotency.body.0,
            factor: self.factor.0,
            at: seconds(self.at),
        }
    }

    fn from_stored(stored: StoredEnrolment) -> Option<Self> {
        Some(Self {
            idempotency: Idempotency {
                key: IdempotencyKeyHash(stored.key),
                body: BodyHash(stored.body),
            },
            factor: FactorId(stored.factor),
            at: time(stored.at),
        })
    }
}

impl Packed for RecordedApproval {
    type Stored = ([u8; 9], u32);

    fn to_stored(&self) -> Self::Stored {
        (self.nonce.to_bytes(), seconds(self.at))
    }

    fn from_stored((nonce, at): Self::Stored) -> Option<Self> {
        Some(Self {
            nonce: AttemptNonce::from_bytes(&nonce)?,
            at: time(at),
        })
    }
}
