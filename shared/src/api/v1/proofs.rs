//! Proofs and decisions as checks show them.

use serde_json::{Value, json};

use crate::domain::decision::DecisionState;
use crate::domain::proof::Proof;

/// Lists of words: `[["totp","sms"],["backup_codes"]]`.
pub(super) fn render_proof_lists(lists: &[Vec<Proof>]) -> Value {
    lists.iter().map(|list| render_proofs(list)).collect()
}

/// A list of words.
pub(super) fn render_proofs(proofs: &[Proof]) -> Value {
    proofs.iter().map(|proof| proof.name()).collect()
}

/// The decision `id` in the response to a check.
pub(super) fn render_decision_state(id: &str, state: &DecisionState) -> Value {
    json!({
        "id": id,
        "status": state.status.name(),
        "missing": render_proof_lists(&state.missing),
    })
}
