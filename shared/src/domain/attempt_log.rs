//! Attempt log: what the logs of verifications and of subjects share. An attempt is appended to a
//! log before it is compared, and the log that the write returns decides.
//!
//! Invariants: an attempt that is not in the log was not compared. A repeated nonce is one attempt.

use crate::domain::ids::{AttemptHash, AttemptNonce, DecisionNonce};
use crate::domain::time::Timestamp;

/// One submitted code. A log has the order in which the table accepted its entries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attempt {
    /// Names the attempt.
    pub nonce: AttemptNonce,
    /// What was submitted.
    pub hash: AttemptHash,
    /// The decision that it is to approve.
    pub decision: Option<DecisionNonce>,
    /// When.
    pub at: Timestamp,
    /// The invocation that wrote it: distinguishes the client's retry of a write from the
    /// app's retry of a request.
    pub invocation: [u8; 4],
}

/// Whether two hashes are equal, in constant time.
#[must_use]
pub fn is_match(submitted: AttemptHash, expected: AttemptHash) -> bool {
    let pairs = submitted.0.iter().zip(expected.0);
    let difference = pairs.fold(0u8, |bits, (a, b)| bits | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// An attempt with the same nonce that is already known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownAttempt<T> {
    /// Everything that its `Idempotency-Key` binds.
    pub submitted: T,
    /// The invocation that wrote it; `None` if that is not remembered.
    pub invocation: Option<[u8; 4]>,
}

/// The `Idempotency-Key` of an attempt was used with something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdempotencyMismatch;

impl<T: PartialEq> KnownAttempt<T> {
    /// Whether it is an earlier attempt: `false` if the invocation that submits `submitted` wrote
    /// it itself.
    ///
    /// # Errors
    /// [`IdempotencyMismatch`] if it submitted something else.
    pub fn is_earlier(
        &self,
        submitted: &T,
        invocation: [u8; 4],
    ) -> Result<bool, IdempotencyMismatch> {
        if self.submitted != *submitted {
            return Err(IdempotencyMismatch);
        }
        Ok(self.invocation != Some(invocation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_in_every_byte() {
        let hash = AttemptHash([7; 16]);
        assert!(is_match(hash, hash));
        for at in 0..16 {
            let mut other = hash;
            other.0[at] ^= 1;
            assert!(!is_match(hash, other), "{at}");
        }
        assert!(
            !is_match(hash, AttemptHash([6; 16])),
            "the differences are equal"
        );
    }

    #[test]
    fn attempt_of_another_invocation_is_earlier() {
        let known = |invocation| KnownAttempt {
            submitted: "123456",
            invocation,
        };
        let own = [1; 4];
        assert_eq!(known(Some(own)).is_earlier(&"123456", own), Ok(false));
        assert_eq!(known(Some([2; 4])).is_earlier(&"123456", own), Ok(true));
        assert_eq!(known(None).is_earlier(&"123456", own), Ok(true));
        let other = known(Some(own)).is_earlier(&"654321", own);
        assert_eq!(other, Err(IdempotencyMismatch));
    }
}
