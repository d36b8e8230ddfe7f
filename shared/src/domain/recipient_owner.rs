//! Owner: the subject that a recipient belongs to, where an app wants recipients to be unique.
//!
//! Invariant: a recipient has at most one owner. It ends by [`Recipient::release_owner`] only.

use crate::domain::ids::SubjectKey;
use crate::domain::recipient::Recipient;
use crate::domain::verification::Verification;

impl Recipient {
    /// The subject that it belongs to: also if the approval that made it the owner is in the log
    /// and the owner is not stored yet.
    #[must_use]
    pub fn owner(&self) -> Option<SubjectKey> {
        let current = self.current.as_ref().filter(|current| !current.is_recorded);
        let approved = current.and_then(Verification::approved_subject);
        let claiming = approved.filter(|subject| subject.is_unique);
        claiming.map(|subject| subject.key).or(self.stored_owner)
    }

    /// Whether its current verification was approved for a subject, and it is not known that this
    /// was recorded.
    #[must_use]
    pub fn has_approval_to_record(&self) -> bool {
        let current = self.current.as_ref().filter(|current| !current.is_recorded);
        current.is_some_and(|current| current.approved_subject().is_some())
    }

    /// Ends the ownership of a subject.
    pub fn release_owner(&mut self) {
        self.stored_owner = None;
        if let Some(current) = &mut self.current {
            current.is_recorded |= current.approved_subject().is_some();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordKey;
    use crate::domain::time::Timestamp;
    use crate::domain::verification::tests::verification;
    use crate::domain::verification_params::VerificationSubject;

    const OWNER: SubjectKey = SubjectKey(RecordKey([8; 12]));

    /// A recipient of the subject, whose verification is approved or not.
    fn recipient(is_unique: bool, is_approved: bool) -> Recipient {
        let mut current = verification(5);
        current.params.subject = Some(VerificationSubject {
            key: OWNER,
            sealed_id: vec![],
            sealed_for: current.params.nonce,
            id: Some("user-1".parse().expect("an id")),
            is_unique,
            is_taken: false,
        });
        current.approved_at = is_approved.then_some(Timestamp(1001));
        Recipient {
            current: Some(current),
            ..Recipient::default()
        }
    }

    #[test]
    fn approval_makes_the_subject_the_owner() {
        assert_eq!(recipient(true, true).owner(), Some(OWNER));
        assert_eq!(recipient(false, true).owner(), None, "not unique");
        assert_eq!(recipient(true, false).owner(), None, "not approved");
        assert_eq!(Recipient::default().owner(), None);
        let mut stored = recipient(false, true);
        stored.stored_owner = Some(SubjectKey(RecordKey([9; 12])));
        assert_eq!(stored.owner(), stored.stored_owner);
        stored.current = recipient(true, true).current;
        assert_eq!(stored.owner(), Some(OWNER), "the approval is newer");
    }

    #[test]
    fn recorded_approval_makes_no_owner_again() {
        let mut recorded = recipient(true, true);
        assert!(recorded.has_approval_to_record());
        recorded
            .current
            .as_mut()
            .expect("a verification")
            .is_recorded = true;
        assert_eq!(recorded.owner(), None);
        assert!(!recorded.has_approval_to_record());
        assert!(!recipient(true, false).has_approval_to_record());
    }

    #[test]
    fn released_owner_does_not_come_back() {
        let mut released = recipient(true, true);
        released.stored_owner = Some(OWNER);
        released.release_owner();
        assert_eq!(released.owner(), None);
        let mut pending = recipient(true, false);
        pending.release_owner();
        pending
            .current
            .as_mut()
            .expect("a verification")
            .approved_at = Some(Timestamp(1002));
        assert_eq!(pending.owner(), Some(OWNER), "approved after the release");
    }
}
