//! Decisions: whether an action may proceed, needs proof or may not proceed.
//!
//! Invariants: what a decision requires never changes. A proof counts only while the decision is
//! pending, and only from a factor or recipient that was known when the decision was made.

use crate::domain::decision_rules::{ConditionName, RuleOutcome};
use crate::domain::ids::DecisionNonce;
use crate::domain::place::RequestPlace;
use crate::domain::proof::Proof;
use crate::domain::time::{DAY_SECONDS, Timestamp};
use crate::domain::verification_params::Idempotency;

/// Decisions of a subject that are remembered; pending ones are never dropped for newer ones.
pub const DECISIONS_MAX: usize = 20;
/// How long a decision is remembered.
pub const DECISION_SECONDS: i64 = DAY_SECONDS;

/// Status of a decision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DecisionStatus {
    /// Waiting for proof.
    Pending,
    /// The action may proceed.
    Approved,
    /// The action may not proceed. Final.
    Denied,
    /// It was not approved in time, or its approval has expired. Final.
    Expired,
}

impl DecisionStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Approved, Self::Denied, Self::Expired];

    /// The name in responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }
}

/// One decision of a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Distinguishes it from the subject's other decisions.
    pub nonce: DecisionNonce,
    /// The subject's decisions are numbered from 1.
    pub number: u32,
    /// What is to be done.
    pub action: String,
    /// Name of the rule that decided.
    pub rule: String,
    /// The conditions of that rule.
    pub reasons: Vec<ConditionName>,
    /// What the rule says.
    pub outcome: RuleOutcome,
    /// What was proven, in this order.
    pub approved_by: Vec<Proof>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was approved.
    pub approved_at: Option<Timestamp>,
    /// Whether the rule or the app denied it.
    pub is_denied: bool,
    /// Whether the subject had no active factor and no verified recipient: any may approve it.
    pub any_counts: bool,
    /// Where the request came from: known once a challenge is approved.
    pub place: RequestPlace,
    /// The `Idempotency-Key` and the body that it came with.
    pub idempotency: Option<Idempotency>,
}

/// A decision as a check shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionState {
    /// The decision.
    pub nonce: DecisionNonce,
    /// Its status.
    pub status: DecisionStatus,
    /// What each list of its requirements still needs.
    pub missing: Vec<Vec<Proof>>,
}

impl Decision {
    /// Its status at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> DecisionStatus {
        if self.is_denied {
            DecisionStatus::Denied
        } else if now >= self.expires_at {
            DecisionStatus::Expired
        } else if self.approved_at.is_some() {
            DecisionStatus::Approved
        } else {
            DecisionStatus::Pending
        }
    }

    /// What it requires: all of one list.
    #[must_use]
    pub fn requires(&self) -> &[Vec<Proof>] {
        self.outcome.requires()
    }

    /// What each list of [`Self::requires`] still needs.
    #[must_use]
    pub fn missing(&self) -> Vec<Vec<Proof>> {
        let still_needed = |list: &Vec<Proof>| {
            let missing = list
                .iter()
                .filter(|proof| !self.approved_by.contains(proof));
            missing.copied().collect()
        };
        self.requires().iter().map(still_needed).collect()
    }

    /// What a check at `now` shows of it.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> DecisionState {
        DecisionState {
            nonce: self.nonce,
            status: self.status(now),
            missing: self.missing(),
        }
    }

    /// Adds a proof that was given at `at` by a factor or recipient that counts for decisions from
    /// the number `counts_from` on. `true` if it approves the decision.
    pub fn add_proof(&mut self, proof: Proof, counts_from: u32, at: Timestamp) -> bool {
        let was_known = self.any_counts || counts_from <= self.number;
        let is_new = !self.approved_by.contains(&proof);
        if self.status(at) != DecisionStatus::Pending || !was_known || !is_new {
            return false;
        }
        self.approved_by.push(proof);
        let is_approved = self.missing().iter().any(Vec::is_empty);
        if is_approved {
            self.approved_at = Some(at);
        }
        is_approved
    }

    /// Whether it is remembered at `now`.
    #[must_use]
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        now < self.created_at + DECISION_SECONDS
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const AT: Timestamp = Timestamp(1_000_000);

    pub(crate) fn challenge(number: u32, requires: Vec<Vec<Proof>>) -> Decision {
        Decision {
            nonce: DecisionNonce([7; 8]),
            number,
            action: "payment".into(),
            rule: "rest".into(),
            reasons: vec![],
            outcome: RuleOutcome::Challenge(requires),
            approved_by: vec![],
            created_at: AT,
            expires_at: AT + 600,
            approved_at: None,
            is_denied: false,
            any_counts: false,
            place: RequestPlace::default(),
            idempotency: None,
        }
    }

    #[test]
    fn all_proofs_of_one_list_approve() {
        let requires = vec![vec![Proof::Totp, Proof::Sms], vec![Proof::BackupCodes]];
        let mut decision = challenge(3, requires);
        assert!(!decision.add_proof(Proof::Totp, 3, AT + 1));
        assert_eq!(
            decision.missing(),
            [vec![Proof::Sms], vec![Proof::BackupCodes]]
        );
        assert_eq!(decision.status(AT + 2), DecisionStatus::Pending);
        assert!(decision.add_proof(Proof::Sms, 1, AT + 2));
        assert_eq!(decision.missing(), [vec![], vec![Proof::BackupCodes]]);
        assert_eq!(decision.status(AT + 599), DecisionStatus::Approved);
        assert_eq!(decision.status(AT + 600), DecisionStatus::Expired);
        assert!(!decision.add_proof(Proof::BackupCodes, 1, AT + 3));
        assert_eq!(decision.approved_by, [Proof::Totp, Proof::Sms]);
        assert_eq!(decision.approved_at, Some(AT + 2));
    }

    #[test]
    fn factor_enrolled_after_the_decision_does_not_count() {
        let mut decision = challenge(3, vec![vec![Proof::Totp]]);
        assert!(!decision.add_proof(Proof::Totp, 4, AT));
        decision.any_counts = true;
        assert!(decision.add_proof(Proof::Totp, 4, AT));
    }

    #[test]
    fn denied_or_expired_decision_is_never_approved() {
        let mut denied = challenge(1, vec![vec![Proof::Totp]]);
        denied.is_denied = true;
        assert!(!denied.add_proof(Proof::Totp, 1, AT));
        assert_eq!(denied.status(AT + 9999), DecisionStatus::Denied);
        let mut expired = challenge(1, vec![vec![Proof::Totp]]);
        assert!(!expired.add_proof(Proof::Totp, 1, AT + 600));
        assert_eq!(expired.approved_by, []);
    }

    #[test]
    fn names_of_statuses_are_those_of_responses() {
        let names = DecisionStatus::ALL.map(DecisionStatus::name);
        assert_eq!(names, ["pending", "approved", "denied", "expired"]);
    }

    #[test]
    fn decision_is_remembered_for_a_day() {
        let decision = challenge(1, vec![vec![Proof::Totp]]);
        assert!(decision.is_remembered(AT + (DECISION_SECONDS - 1)));
        assert!(!decision.is_remembered(AT + DECISION_SECONDS));
    }

    #[test]
    fn repeated_proof_changes_nothing() {
        let mut decision = challenge(1, vec![vec![Proof::Totp, Proof::Sms]]);
        assert!(!decision.add_proof(Proof::Totp, 1, AT));
        assert!(!decision.add_proof(Proof::Totp, 1, AT + 1));
        assert_eq!(decision.approved_by, [Proof::Totp]);
        let state = decision.state(AT + 1);
        assert_eq!(state.missing, [vec![Proof::Sms]]);
        assert_eq!(
            (state.nonce, state.status),
            (decision.nonce, DecisionStatus::Pending)
        );
    }
}
