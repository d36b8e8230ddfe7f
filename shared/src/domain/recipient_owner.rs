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
