//! What a roll back writes: the recipient as it was before a send, with what others have written
//! since.

use crate::domain::delivery::{DeliveryStatus, ReportedStatus};
use crate::domain::ids::DeliveryTag;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;

impl Recipient {
    /// Moves the status of each message up to the one that it has in `later`. A status that only
    /// says that a send replaced the message is left out: no carrier got it, and it may be sent.
    pub fn raise_deliveries_to_those_of(&mut self, later: &Recipient, now: Timestamp) {
        let deliveries = later.verifications().flat_map(|known| known.deliveries());
        for delivery in deliveries {
            let is_of_replacement = delivery.carrier.is_none()
                && matches!(
                    delivery.status,
                    DeliveryStatus::Sending | DeliveryStatus::Failed
                );
            if is_of_replacement {
                continue;
            }
            let reported = ReportedStatus {
                status: delivery.status,
                is_account_fault: delivery.is_account_fault,
            };
            self.raise_delivery(delivery.tag, reported, delivery.carrier.as_deref(), now);
        }
    }

    /// Whether a newer send left the message to the worker that claimed it.
    #[must_use]
    pub fn has_left(&self, tag: DeliveryTag) -> bool {
        let mut deliveries = self.verifications().flat_map(|known| known.deliveries());
        deliveries.any(|left| left.tag == tag && left.status == DeliveryStatus::Sending)
    }

    /// `later` without the message that a resend added to `self`. Attempts, a cancel and an unlock
    /// since then stay. If the resend replaced the code, an attempt since then was compared with
    /// that one: it does not approve the earlier code, and an approval stays.
    #[must_use]
    pub fn with_changes_since_resend(&self, later: &Recipient, now: Timestamp) -> Recipient {
        let mut restored = later.clone();
        restored.sends.clone_from(&self.sends);
        let (Some(current), Some(before)) = (&mut restored.current, &self.current) else {
            return restored;
        };
        if !current.is_approved() {
            if current.expected_hash != before.expected_hash {
                let has_attempts = current.attempts.len() > before.attempts.len();
                current.attempts_at_earlier_codes = match has_attempts {
                    true => current.attempts.len(),
                    false => before.attempts_at_earlier_codes,
                };
            }
            current.sealed_code.clone_from(&before.sealed_code);
            current.expected_hash = before.expected_hash;
            current.has_live_key = before.has_live_key;
            current.text_reference = before.text_reference;
        }
        current.sealed_device.clone_from(&before.sealed_device);
        current.requests.clone_from(&before.requests);
        current.deliveries.clone_from(&before.deliveries);
        current.fallbacks_used = before.fallbacks_used;
        current.step.clone_from(&before.step);
        restored.raise_deliveries_to_those_of(later, now);
        restored
    }

    /// `self` with what others have written since a send, which saved the recipient as `saved` and
    /// left it as `later`, opened a verification: statuses, an unlock, the release of the owner.
    /// The verification goes; wrong attempts at it count, also for the attempts that the earlier
    /// verification accepts.
    #[must_use]
    pub fn with_changes_since_send(
        &self,
        saved: &Recipient,
        later: &Recipient,
        guess_budget: u8,
        now: Timestamp,
    ) -> Recipient {
        let mut restored = self.clone();
        if later.failures != saved.failures || later.failure_streak != saved.failure_streak {
            restored.unlock();
        }
        if later.stored_owner.is_none() && saved.stored_owner.is_some() {
            restored.release_owner();
        }
        let opened = later.current.iter();
        let wrong: Vec<_> = opened.flat_map(Verification::wrong_attempts).collect();
        if !wrong.is_empty() {
            restored.count_failures(&wrong);
            restored.limit_attempts(guess_budget, now);
        }
        restored.raise_deliveries_to_those_of(later, now);
        restored
    }

    /// Counts wrong attempts at a verification that is undone.
    fn count_failures(&mut self, wrong: &[Timestamp]) {
        self.failures.extend(wrong);
        self.failures.sort_unstable();
        let streak = u32::try_from(wrong.len()).unwrap_or(u32::MAX);
        self.failure_streak = self.failure_streak.saturating_add(streak);
    }

    /// Limits the attempts that the current verification accepts to what is left of the budget.
    fn limit_attempts(&mut self, guess_budget: u8, now: Timestamp) {
        let budget_left = usize::from(guess_budget).saturating_sub(self.failures_in_a_day(now));
        if let Some(current) = &mut self.current {
            let accepted = current.attempts.len().saturating_add(budget_left);
            let accepted = u8::try_from(accepted).unwrap_or(u8::MAX);
            current.params.attempts_max = current.params.attempts_max.min(accepted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt_log::Attempt;
    use crate::domain::channel::Channel;
    use crate::domain::delivery::Cause;
    use crate::domain::ids::{AttemptHash, RecordKey, SubjectKey};
    use crate::domain::verification::SealedCode;
    use crate::domain::verification::tests::{attempt, verification};

    const AT: Timestamp = Timestamp(1010);

    fn before() -> Recipient {
        let mut current = verification(5);
        current.add_delivery(Channel::Sms, Cause::Requested, DeliveryTag([1; 4]), AT);
        Recipient {
            sends: vec![AT],
            current: Some(current),
            ..Recipient::default()
        }
    }

    fn resent(fresh: Option<AttemptHash>) -> Recipient {
        let mut resent = before();
        let code = fresh.map(|expected_hash| SealedCode {
            sealed: vec![9],
            expected_hash,
        });
        resent.resend(Channel::Sms, DeliveryTag([2; 4]), code, AT + 1);
        resent
    }

    fn attempts_of(recipient: &mut Recipient) -> &mut Vec<Attempt> {
        &mut recipient.current.as_mut().expect("a verification").attempts
    }

    #[test]
    fn undone_resend_leaves_everything_as_it_was() {
        for fresh in [None, Some(AttemptHash([8; 16]))] {
            let restored = before().with_changes_since_resend(&resent(fresh), AT + 2);
            assert_eq!(restored, before());
        }
    }

    #[test]
    fn undone_resend_keeps_attempts_and_reports() {
        let mut later = resent(None);
        attempts_of(&mut later).push(attempt(1, false));
        later.cancel(AT + 1);
        let report = DeliveryStatus::Delivered.into();
        later.raise_delivery(DeliveryTag([1; 4]), report, Some("a"), AT + 1);
        let restored = before().with_changes_since_resend(&later, AT + 2);
        let current = restored.current.expect("a verification");
        assert_eq!(current.attempts.len(), 1);
        assert_eq!(current.canceled_at, Some(AT + 1));
        let statuses: Vec<_> = current.deliveries.iter().map(|d| d.status).collect();
        assert_eq!(statuses, [DeliveryStatus::Delivered]);
    }

    #[test]
    fn attempt_at_an_undone_code_approves_nothing() {
        let mut later = resent(Some(AttemptHash([8; 16])));
        attempts_of(&mut later).push(attempt(1, true));
        let restored = before().with_changes_since_resend(&later, AT + 2);
        let current = restored.current.expect("a verification");
        assert!(!current.is_approved(), "it was answered with wrong_code");
        assert_eq!(current.attempts_left(), 4);
    }

    #[test]
    fn approval_by_an_undone_code_stays() {
        let mut later = resent(Some(AttemptHash([0; 16])));
        attempts_of(&mut later).push(attempt(1, false));
        assert!(
            later
                .current
                .as_ref()
                .is_some_and(Verification::is_approved)
        );
        let restored = before().with_changes_since_resend(&later, AT + 2);
        assert!(restored.current.is_some_and(|v| v.is_approved()));
    }

    #[test]
    fn undone_resend_leaves_earlier_attempts_as_they_were() {
        let mut before = before();
        attempts_of(&mut before).push(attempt(1, false));
        let mut later = before.clone();
        let code = SealedCode {
            sealed: vec![9],
            expected_hash: AttemptHash([8; 16]),
        };
        later.resend(Channel::Sms, DeliveryTag([2; 4]), Some(code), AT + 1);
        assert_eq!(before.with_changes_since_resend(&later, AT + 2), before);
    }

    /// The recipient after a send opened another verification.
    fn replaced(mut before: Recipient) -> Recipient {
        let mut new = verification(5);
        new.params.nonce.0 = [9; 4];
        new.add_delivery(Channel::Sms, Cause::Requested, DeliveryTag([2; 4]), AT + 1);
        before.open(new, AT + 1);
        before
    }

    fn before_with_failures() -> Recipient {
        let mut before = before();
        (before.failures, before.failure_streak) = (vec![AT; 2], 2);
        attempts_of(&mut before).push(attempt(1, false));
        before
    }

    fn undone(before: &Recipient, later: &Recipient, guess_budget: u8) -> Recipient {
        let saved = replaced(before.clone());
        before.with_changes_since_send(&saved, later, guess_budget, AT + 2)
    }

    #[test]
    fn undone_send_leaves_everything_as_it_was() {
        for before in [before(), before_with_failures()] {
            let later = replaced(before.clone());
            assert_eq!(undone(&before, &later, 20), before);
        }
    }

    #[test]
    fn attempts_at_an_undone_verification_stay_counted() {
        let before = before_with_failures();
        let mut later = replaced(before.clone());
        attempts_of(&mut later).extend([attempt(2, false), attempt(3, false)]);
        for (guess_budget, attempts_left) in [(20, 4), (7, 2), (5, 0), (4, 0)] {
            let restored = undone(&before, &later, guess_budget);
            assert_eq!(restored.wrong_attempts().len(), 5);
            assert_eq!(restored.consecutive_failures(), 5);
            let current = restored.current.expect("a verification");
            assert_eq!(current.attempts_left(), attempts_left, "{guess_budget}");
        }
    }

    #[test]
    fn unlock_before_an_undone_send_is_kept() {
        let before = before_with_failures();
        let mut later = replaced(before.clone());
        later.unlock();
        assert_eq!(undone(&before, &later, 20).wrong_attempts(), []);
        attempts_of(&mut later).push(attempt(2, false));
        let restored = undone(&before, &later, 20);
        assert_eq!(restored.wrong_attempts().len(), 1, "the attempt after it");
    }

    #[test]
    fn owner_released_before_an_undone_send_stays_released() {
        let owner = SubjectKey(RecordKey([8; 12]));
        let mut before = before();
        before.stored_owner = Some(owner);
        let mut later = replaced(before.clone());
        assert_eq!(undone(&before, &later, 20).owner(), Some(owner));
        later.release_owner();
        assert_eq!(undone(&before, &later, 20).owner(), None);
    }

    #[test]
    fn only_a_claimed_message_is_left_to_its_worker() {
        let left = |status, tag| {
            let mut recipient = before();
            let current = recipient.current.as_mut().expect("a verification");
            current.deliveries[0].status = status;
            recipient.has_left(DeliveryTag([tag; 4]))
        };
        assert!(left(DeliveryStatus::Sending, 1));
        assert!(!left(DeliveryStatus::Sending, 2));
        assert!(!left(DeliveryStatus::Queued, 1));
        assert!(!Recipient::default().has_left(DeliveryTag([1; 4])));
    }

    #[test]
    fn status_of_a_replacement_alone_is_left_out() {
        use DeliveryStatus as S;
        let raised = |status, carrier: Option<&str>| {
            let mut later = before();
            let current = later.current.as_mut().expect("a verification");
            current.deliveries[0].status = status;
            current.deliveries[0].carrier = carrier.map(str::to_owned);
            let mut restored = before();
            restored.raise_deliveries_to_those_of(&later, AT + 1);
            let current = restored.current.expect("a verification");
            current.deliveries[0].status
        };
        assert_eq!(raised(S::Failed, None), S::Queued);
        assert_eq!(raised(S::Sending, None), S::Queued);
        assert_eq!(raised(S::Failed, Some("a")), S::Failed);
        assert_eq!(raised(S::Delivered, None), S::Delivered);
    }
}
