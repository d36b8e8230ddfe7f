//! Remembered sends: past verifications that left their recipient's item, and whose
//! `Idempotency-Key` is remembered for a day. They are stored in an item of their own, so that the
//! recipient's item, which each attempt writes, stays small.

use crate::domain::ids::IdempotencyKeyHash;
use crate::domain::past_verification::PastVerification;
use crate::domain::recipient::{IDEMPOTENCY_SECONDS, PAST_READABLE_MAX, Recipient};
use crate::domain::time::Timestamp;

/// Sends that are remembered apart. More of them, each with the longest values, would exceed
/// DynamoDB's item size.
const REMEMBERED_MAX: usize = 200;

impl Recipient {
    /// Whether sends of it may be remembered apart: they were before the oldest one in the record.
    #[must_use]
    pub fn may_have_remembered_sends(&self, now: Timestamp) -> bool {
        let oldest = self.past.get(PAST_READABLE_MAX - 1);
        oldest.is_some_and(|oldest| now < oldest.params.created_at + IDEMPOTENCY_SECONDS)
    }

    /// Whether sends that are remembered apart may have to be erased, also those that an erasure
    /// left because it failed.
    #[must_use]
    pub fn may_have_sends_to_erase(&self) -> bool {
        self.past.len() >= PAST_READABLE_MAX || self.sends.len() > PAST_READABLE_MAX
    }

    /// Takes out the past verifications that are no longer readable, because of their number, but
    /// whose `Idempotency-Key` is remembered.
    pub(super) fn take_remembered(&mut self, now: Timestamp) -> Vec<PastVerification> {
        let readable_max = PAST_READABLE_MAX.min(self.past.len());
        let mut leaving = self.past.split_off(readable_max);
        leaving.retain(|past| is_remembered(past, now));
        leaving
    }
}

/// The verification that a send with this `Idempotency-Key` opened in the last 24 h.
#[must_use]
pub fn find_by_idempotency_key(
    remembered: &[PastVerification],
    key: IdempotencyKeyHash,
    now: Timestamp,
) -> Option<&PastVerification> {
    remembered.iter().find(|past| {
        let idempotency = past.params.idempotency;
        is_remembered(past, now) && idempotency.is_some_and(|known| known.key == key)
    })
}

/// Those of `remembered` that need not be stored any longer once `leaving` are stored beside them.
/// One whose key was used again is replaced, so it is not among them.
pub fn outdated<'r>(
    remembered: &'r [PastVerification],
    leaving: &[PastVerification],
    now: Timestamp,
) -> Vec<&'r PastVerification> {
    let key = |past: &PastVerification| past.params.idempotency.map(|idempotency| idempotency.key);
    let is_replaced = |past: &PastVerification| leaving.iter().any(|new| key(new) == key(past));
    let mut newest_first: Vec<_> = remembered
        .iter()
        .filter(|past| !is_replaced(past))
        .collect();
    newest_first.sort_by_key(|past| std::cmp::Reverse(past.params.created_at));
    let kept_max = REMEMBERED_MAX.saturating_sub(leaving.len());
    let mut rank = 0;
    newest_first.retain(|past| {
        rank += 1;
        rank > kept_max || !is_remembered(past, now)
    });
    newest_first
}

fn is_remembered(past: &PastVerification, now: Timestamp) -> bool {
    past.params.idempotency.is_some() && now < past.params.created_at + IDEMPOTENCY_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{BodyHash, VerificationNonce};
    use crate::domain::time::DAY_SECONDS;
    use crate::domain::verification::Verification;
    use crate::domain::verification::tests::verification;
    use crate::domain::verification_params::Idempotency;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn key(n: u32) -> IdempotencyKeyHash {
        IdempotencyKeyHash(u64::from(n).to_be_bytes())
    }

    fn keyed(n: u32, at: Timestamp) -> Verification {
        let mut v = verification(5);
        v.params.nonce = VerificationNonce(n.to_be_bytes());
        v.params.created_at = at;
        v.params.idempotency = Some(Idempotency {
            key: key(n),
            body: BodyHash([8; 8]),
        });
        v
    }

    fn past(n: u32, at: Timestamp) -> PastVerification {
        PastVerification::new(keyed(n, at), at)
    }

    fn with_past(count: u32) -> Recipient {
        Recipient {
            past: (0..count).map(|n| past(n, NOW)).collect(),
            ..Recipient::default()
        }
    }

    fn nonces<'p>(all: impl IntoIterator<Item = &'p PastVerification>) -> Vec<u32> {
        let nonce = |past: &PastVerification| u32::from_be_bytes(past.params.nonce.0);
        all.into_iter().map(nonce).collect()
    }

    #[test]
    fn keyed_verification_leaves_as_the_sixth_past_one() {
        let mut recipient = Recipient::default();
        for n in 0..6 {
            let leaving = recipient.open(keyed(n, NOW + i64::from(n)), NOW + i64::from(n));
            assert_eq!(leaving, []);
        }
        let leaving = recipient.open(keyed(6, NOW + 6), NOW + 6);
        assert_eq!(nonces(&leaving), [0]);
        assert_eq!(nonces(&recipient.past), [5, 4, 3, 2, 1]);
    }

    #[test]
    fn full_record_of_a_day_may_have_remembered_sends() {
        assert!(!with_past(4).may_have_remembered_sends(NOW));
        let full = with_past(5);
        assert!(full.may_have_remembered_sends(NOW + DAY_SECONDS - 1));
        assert!(!full.may_have_remembered_sends(NOW + DAY_SECONDS));
    }

    #[test]
    fn erasure_is_repeated_while_the_sends_are_counted() {
        assert!(!with_past(4).may_have_sends_to_erase());
        let mut recipient = with_past(5);
        assert!(recipient.may_have_sends_to_erase());
        recipient.sends = vec![NOW; 6];
        recipient.forget(NOW);
        assert!(recipient.may_have_sends_to_erase());
        recipient.sends.pop();
        assert!(!recipient.may_have_sends_to_erase());
    }

    #[test]
    fn verification_without_key_is_not_remembered() {
        let mut recipient = Recipient::default();
        for _ in 0..8 {
            assert_eq!(recipient.open(verification(5), NOW), []);
        }
        assert_eq!(recipient.past.len(), 5);
    }

    #[test]
    fn key_of_yesterday_does_not_leave() {
        let mut recipient = with_past(8);
        let leaving = recipient.take_remembered(NOW + DAY_SECONDS);
        assert_eq!(leaving, []);
        assert_eq!(recipient.past.len(), 5);
    }

    #[test]
    fn all_verifications_beyond_the_readable_ones_leave() {
        let mut recipient = with_past(8);
        assert_eq!(nonces(&recipient.take_remembered(NOW)), [5, 6, 7]);
    }

    #[test]
    fn key_is_found_for_a_day() {
        let remembered = [past(1, NOW), past(2, NOW + 5)];
        let found = |n, at| find_by_idempotency_key(&remembered, key(n), at).map(|p| nonces([p]));
        assert_eq!(found(2, NOW + 6), Some(vec![2]));
        assert_eq!(found(1, NOW + DAY_SECONDS - 1), Some(vec![1]));
        assert_eq!(found(1, NOW + DAY_SECONDS), None);
        assert_eq!(found(3, NOW), None);
    }

    #[test]
    fn outdated_are_the_ended_and_the_oldest() {
        let mut remembered = vec![past(0, NOW - DAY_SECONDS)];
        let leaving = [past(1001, NOW), past(1002, NOW)];
        assert_eq!(nonces(outdated(&remembered, &leaving[..1], NOW)), [0]);
        remembered.extend((1..=200).map(|n| past(n, NOW - 1000 + i64::from(n))));
        assert_eq!(nonces(outdated(&remembered, &leaving, NOW)), [2, 1, 0]);
        assert!(nonces(outdated(&remembered[1..], &[], NOW)).is_empty());
    }

    #[test]
    fn key_that_was_used_again_is_not_outdated() {
        let remembered = [past(1, NOW - DAY_SECONDS), past(2, NOW - DAY_SECONDS)];
        let again = [past(1, NOW)];
        assert_eq!(nonces(outdated(&remembered, &again, NOW)), [2]);
    }
}
