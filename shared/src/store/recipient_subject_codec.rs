//! The subject of a verification, packed: it follows the other values of the verification.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DecisionNonce, RecordKey, SubjectKey};
use crate::domain::past_verification::RecordedCheck;
use crate::domain::verification_params::{VerificationParams, VerificationSubject};

/// What a verification for a subject has more than others. It follows the other values, so that
/// verifications without subject are stored as before.
#[derive(Serialize, Deserialize)]
struct StoredSubject {
    key: [u8; 12],
    sealed_id: Vec<u8>,
    is_unique: bool,
    is_taken: bool,
    /// Index and decision of the recorded checks that named one.
    decisions: Vec<(u8, [u8; 8])>,
}

/// The packed values, or nothing.
pub(super) fn pack_subject(params: &VerificationParams, checks: &[RecordedCheck]) -> Vec<u8> {
    let Some(subject) = &params.subject else {
        return vec![];
    };
    let decisions = (0u8..).zip(checks);
    let decisions = decisions.filter_map(|(n, check)| Some((n, check.decision?.0)));
    // Plain values with derived shapes: writing them to memory cannot fail.
    let packed = postcard::to_allocvec(&StoredSubject {
        key: subject.key.0.0,
        sealed_id: subject.sealed_id.clone(),
        is_unique: subject.is_unique,
        is_taken: subject.is_taken,
        decisions: decisions.collect(),
    });
    packed.unwrap_or_default()
}

/// Reads what follows the other values. Returns what follows the subject.
pub(super) fn unpack_subject<'p>(
    packed: &'p [u8],
    params: &mut VerificationParams,
    checks: &mut [RecordedCheck],
) -> &'p [u8] {
    let Ok((stored, rest)) = postcard::take_from_bytes::<StoredSubject>(packed) else {
        return packed;
    };
    params.subject = Some(VerificationSubject {
        key: SubjectKey(RecordKey(stored.key)),
        sealed_id: stored.sealed_id,
        sealed_for: params.nonce,
        // Opened once the item is read.
        id: None,
        is_unique: stored.is_unique,
        is_taken: stored.is_taken,
    });
    for (index, decision) in stored.decisions {
        if let Some(check) = checks.get_mut(usize::from(index)) {
            check.decision = Some(DecisionNonce(decision));
        }
    }
    rest
}
