//! Decisions, packed.

use serde::{Deserialize, Serialize};

use super::{
    Packed, number_of, numbered, proof_lists, proofs, seconds, stored_proof_lists, stored_proofs,
    time,
};
use crate::domain::decision::Decision;
use crate::domain::decision_rules::{ConditionName, RuleOutcome};
use crate::domain::ids::{BodyHash, DecisionNonce, IdempotencyKeyHash};
use crate::domain::place::{PlaceHash, RequestPlace};
use crate::domain::verification_params::Idempotency;

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredDecision {
    nonce: [u8; 8],
    number: u32,
    action: String,
    rule: String,
    reasons: Vec<u8>,
    /// 0 allow, 1 challenge, 2 deny.
    outcome: u8,
    requires: Vec<Vec<u8>>,
    approved_by: Vec<u8>,
    created_at: u32,
    expires_at: u32,
    approved_at: Option<u32>,
    is_denied: bool,
    any_counts: bool,
    /// Country, device, network.
    place: [Option<[u8; 8]>; 3],
    /// Hashes of key and body.
    idempotency: Option<([u8; 8], [u8; 8])>,
}

impl Packed for Decision {
    type Stored = StoredDecision;

    fn to_stored(&self) -> StoredDecision {
        let place = [self.place.country, self.place.device, self.place.network];
        let reasons = self.reasons.iter();
        StoredDecision {
            nonce: self.nonce.0,
            number: self.number,
            action: self.action.clone(),
            rule: self.rule.clone(),
            reasons: reasons
                .map(|reason| number_of(&ConditionName::ALL, reason))
                .collect(),
            outcome: match self.outcome {
                RuleOutcome::Allow => 0,
                RuleOutcome::Challenge(_) => 1,
                RuleOutcome::Deny => 2,
            },
            requires: stored_proof_lists(self.requires()),
            approved_by: stored_proofs(&self.approved_by),
            created_at: seconds(self.created_at),
            expires_at: seconds(self.expires_at),
            approved_at: self.approved_at.map(seconds),
            is_denied: self.is_denied,
            any_counts: self.any_counts,
            place: place.map(|hash| hash.map(|hash| hash.0)),
            idempotency: self
                .idempotency
                .map(|idempotency| (idempotency.key.0, idempotency.body.0)),
        }
    }

    fn from_stored(stored: StoredDecision) -> Option<Self> {
        let [country, device, network] = stored.place.map(|hash| hash.map(PlaceHash));
        let reasons = stored.reasons.into_iter();
        let reasons = reasons.map(|number| numbered(&ConditionName::ALL, number));
        Some(Self {
            nonce: DecisionNonce(stored.nonce),
            number: stored.number,
            action: stored.action,
            rule: stored.rule,
            reasons: reasons.collect::<Option<_>>()?,
            outcome: match stored.outcome {
                0 => RuleOutcome::Allow,
                1 => RuleOutcome::Challenge(proof_lists(stored.requires)?),
                2 => RuleOutcome::Deny,
                _ => return None,
            },
            approved_by: proofs(stored.approved_by)?,
            created_at: time(stored.created_at),
            expires_at: time(stored.expires_at),
            approved_at: stored.approved_at.map(time),
            is_denied: stored.is_denied,
            any_counts: stored.any_counts,
            place: RequestPlace {
                country,
                device,
                network,
            },
            idempotency: stored.idempotency.map(|(key, body)| Idempotency {
                key: IdempotencyKeyHash(key),
                body: BodyHash(body),
            }),
        })
    }
}
