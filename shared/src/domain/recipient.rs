//! Recipient: all that is known of one recipient of one app. Its sends, its wrong attempts, its
//! current verification and the past ones.

use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::{Cause, DeliveryStatus, ReportedStatus};
use crate::domain::ids::{DeliveryTag, IdempotencyKeyHash, SubjectKey, VerificationNonce};
use crate::domain::past_verification::PastVerification;
use crate::domain::step::Step;
use crate::domain::test_number::TEST_CARRIER;
use crate::domain::time::{DAY_SECONDS, RETENTION_SECONDS, Timestamp};
use crate::domain::verification::{SealedCode, Verification};
use crate::domain::verification_params::{Idempotency, VerificationSubject};
use crate::domain::verification_ref::VerificationRef;
use crate::domain::verification_status::Status;

/// Past verifications that stay readable.
pub(super) const PAST_READABLE_MAX: usize = 5;
/// How long an `Idempotency-Key` is remembered.
pub(super) const IDEMPOTENCY_SECONDS: i64 = DAY_SECONDS;
/// A message that no worker claimed for this long was never enqueued: the function that should
/// have enqueued it ran for at most 10 s.
const NOT_ENQUEUED_AFTER_SECONDS: i64 = 15;

/// All that is known of one recipient of one app.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Recipient {
    /// The app.
    pub app: String,
    /// Phone number or e-mail address; `None` once forgotten, or if the key that sealed it was
    /// removed.
    pub address: Option<Address>,
    /// The address, sealed.
    pub sealed_address: Vec<u8>,
    /// The subject that it belongs to, as stored. See [`Self::owner`].
    pub stored_owner: Option<SubjectKey>,
    /// Sends of the last 24 h, oldest first.
    pub sends: Vec<Timestamp>,
    /// Wrong attempts of the last 24 h at past verifications, oldest first.
    pub failures: Vec<Timestamp>,
    /// Wrong attempts since the last success, at past verifications.
    pub failure_streak: u32,
    /// The current verification.
    pub current: Option<Verification>,
    /// Past verifications, newest first.
    pub past: Vec<PastVerification>,
}

impl Recipient {
    /// Drops what no window needs any more.
    pub fn prune(&mut self, now: Timestamp) {
        let day_ago = now - DAY_SECONDS;
        self.sends.retain(|at| *at > day_ago);
        self.failures.retain(|at| *at > day_ago);
        let mut rank = 0;
        self.past.retain(|past| {
            rank += 1;
            let is_readable = rank <= PAST_READABLE_MAX && now < past.ended_at + RETENTION_SECONDS;
            let is_keyed = past.params.idempotency.is_some();
            is_readable || (is_keyed && now < past.params.created_at + IDEMPOTENCY_SECONDS)
        });
    }

    /// Whether it has a verification, current or past, with this nonce.
    #[must_use]
    pub fn has_nonce(&self, nonce: VerificationNonce) -> bool {
        let mut all = self.verifications();
        all.any(|verification| verification.params().nonce == nonce)
    }

    /// Replaces the current verification by `new` and counts a send. Call
    /// [`Self::check_limits`] first. Returns the past verifications that leave the record and have
    /// to be remembered apart.
    pub fn open(&mut self, new: Verification, now: Timestamp) -> Vec<PastVerification> {
        let leaving = self.replace_current(new, now);
        self.sends.push(now);
        self.prune(now);
        leaving
    }

    /// Replaces the current verification by `new`, that of a test number: its message counts as
    /// delivered, and no send is counted. Returns what [`Self::open`] returns.
    pub fn open_uncounted(&mut self, new: Verification, now: Timestamp) -> Vec<PastVerification> {
        let leaving = self.replace_current(new, now);
        self.finish_test_message(now);
        self.prune(now);
        leaving
    }

    fn replace_current(&mut self, new: Verification, now: Timestamp) -> Vec<PastVerification> {
        self.drop_send_that_was_not_enqueued(now);
        self.archive_current(now);
        self.current = Some(new);
        let leaving = self.take_remembered(now);
        self.share_sealed_subjects();
        leaving
    }

    /// Adds a message to the current verification and counts a send. Call
    /// [`Self::check_limits`] first. Does nothing without a current verification.
    pub fn resend(
        &mut self,
        channel: Channel,
        tag: DeliveryTag,
        fresh_code: Option<SealedCode>,
        now: Timestamp,
    ) {
        self.drop_send_that_was_not_enqueued(now);
        if self.add_message(channel, tag, fresh_code, now) {
            self.sends.push(now);
        }
        self.prune(now);
    }

    /// Adds a message to the current verification; `false` if there is none.
    fn add_message(
        &mut self,
        channel: Channel,
        tag: DeliveryTag,
        fresh_code: Option<SealedCode>,
        now: Timestamp,
    ) -> bool {
        let Some(verification) = &mut self.current else {
            return false;
        };
        if let Some(code) = fresh_code {
            verification.attempts_at_earlier_codes = verification.attempts.len();
            verification.has_live_key = true;
            verification.sealed_code = code.sealed;
            verification.expected_hash = code.expected_hash;
        }
        verification.finish_latest_delivery(now);
        verification.add_delivery(channel, Cause::Requested, tag, now);
        let sequence = verification.step.sequence.saturating_add(1);
        verification.step = Step::due_now(sequence, now);
        true
    }

    /// Adds a message of a test number to the current verification: the code is known, and no send
    /// is counted.
    pub fn resend_uncounted(
        &mut self,
        channel: Channel,
        tag: DeliveryTag,
        code: SealedCode,
        now: Timestamp,
    ) {
        self.add_message(channel, tag, Some(code), now);
        self.finish_test_message(now);
        self.prune(now);
    }

    /// Ends the latest message, which goes to a test number, as delivered.
    fn finish_test_message(&mut self, now: Timestamp) {
        let Some(current) = &mut self.current else {
            return;
        };
        current.step.due = None;
        if let Some(latest) = current.deliveries.last_mut() {
            latest.status = DeliveryStatus::Delivered;
            latest.carrier = Some(TEST_CARRIER.to_owned());
            latest.updated_at = now;
        }
    }

    /// Cancels the current verification; `false` if it is not pending.
    pub fn cancel(&mut self, now: Timestamp) -> bool {
        match &mut self.current {
            Some(verification) if verification.status(now) == Status::Pending => {
                verification.canceled_at = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Approves the current verification without a code; `false` if it is not pending. It counts no
    /// attempt.
    pub fn approve(&mut self, now: Timestamp) -> bool {
        match &mut self.current {
            Some(verification) if verification.status(now) == Status::Pending => {
                verification.approved_at = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Clears the failure counts. A verification that has ended stays ended.
    pub fn unlock(&mut self) {
        self.failures.clear();
        self.failure_streak = 0;
        if let Some(verification) = &mut self.current {
            verification.attempts_forgiven = verification.attempts.len();
        }
    }

    /// Erases the address and all verifications, but for the sends that are remembered apart. Keeps
    /// the counts; otherwise erasure would reset the limits.
    pub fn forget(&mut self, now: Timestamp) {
        self.archive_current(now);
        self.past.clear();
        self.address = None;
        self.sealed_address.clear();
        self.prune(now);
    }

    /// The verification with this nonce, while it is readable.
    #[must_use]
    pub fn find(&self, nonce: VerificationNonce, now: Timestamp) -> Option<VerificationRef<'_>> {
        self.readable(now)
            .find(|verification| verification.params().nonce == nonce)
    }

    /// The verifications that may be shown, the current one first, then newest first.
    pub fn readable(&self, now: Timestamp) -> impl Iterator<Item = VerificationRef<'_>> {
        let past = self
            .past
            .iter()
            .take(PAST_READABLE_MAX)
            .filter(move |past| now < past.ended_at + RETENTION_SECONDS)
            .map(VerificationRef::Past);
        let current = self.current.iter().map(VerificationRef::Current);
        current.chain(past)
    }

    /// The verification that a send with this `Idempotency-Key` opened in the last 24 h, if it is
    /// not remembered apart.
    #[must_use]
    pub fn find_by_idempotency_key(
        &self,
        key: IdempotencyKeyHash,
        now: Timestamp,
    ) -> Option<(VerificationRef<'_>, Idempotency)> {
        let mut remembered = self
            .verifications()
            .filter(|verification| now < verification.params().created_at + IDEMPOTENCY_SECONDS);
        remembered.find_map(|verification| {
            let idempotency = verification.params().idempotency?;
            (idempotency.key == key).then_some((verification, idempotency))
        })
    }

    /// All verifications that are kept, the current one first, then newest first.
    pub fn verifications(&self) -> impl Iterator<Item = VerificationRef<'_>> {
        let past = self.past.iter().map(VerificationRef::Past);
        self.current
            .iter()
            .map(VerificationRef::Current)
            .chain(past)
    }

    /// Moves the status of a message up. A failure makes the next step of the current
    /// verification due.
    pub fn raise_delivery(
        &mut self,
        tag: DeliveryTag,
        reported: ReportedStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) -> RaiseOutcome {
        let status = reported.status;
        let current = self
            .current
            .iter_mut()
            .flat_map(|current| current.deliveries.iter_mut());
        let past = self
            .past
            .iter_mut()
            .flat_map(|past| past.deliveries.iter_mut());
        let Some(delivery) = current.chain(past).find(|delivery| delivery.tag == tag) else {
            return RaiseOutcome::UnknownMessage;
        };
        let holder = delivery.carrier.as_deref();
        let is_of_another = carrier
            .zip(holder)
            .is_some_and(|(reporting, has)| reporting != has);
        let is_foreign = is_of_another && status != DeliveryStatus::Delivered;
        if is_foreign || !delivery.status.may_become(status) {
            return RaiseOutcome::Unchanged;
        }
        delivery.status = status;
        delivery.is_account_fault = reported.is_account_fault;
        delivery.carrier = carrier.map(str::to_owned).or(delivery.carrier.take());
        delivery.updated_at = now;
        if let Some(current) = &mut self.current
            && status.is_failure()
            && current
                .deliveries
                .iter()
                .any(|delivery| delivery.tag == tag)
        {
            current.step.due = Some(now);
        }
        RaiseOutcome::Raised
    }

    /// Applies a report of `carrier` about a message, if it counts now.
    pub fn apply_report(
        &mut self,
        tag: DeliveryTag,
        reported: ReportedStatus,
        carrier: &str,
        now: Timestamp,
    ) -> RaiseOutcome {
        let is_accepted = self.verifications().find_map(|verification| {
            let mut deliveries = verification.deliveries().iter();
            let delivery = deliveries.find(|delivery| delivery.tag == tag)?;
            Some(delivery.accepts_report(carrier, reported.status))
        });
        match is_accepted {
            None => RaiseOutcome::UnknownMessage,
            Some(false) => RaiseOutcome::Unchanged,
            Some(true) => self.raise_delivery(tag, reported, Some(carrier), now),
        }
    }

    /// Wrong attempts since the last success.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        match &self.current {
            Some(verification) if verification.is_approved() => 0,
            Some(verification) => {
                let current = u32::try_from(verification.wrong_attempts().count());
                self.failure_streak
                    .saturating_add(current.unwrap_or(u32::MAX))
            }
            None => self.failure_streak,
        }
    }

    /// The sends that count for the limits: not one whose message was never enqueued.
    #[must_use]
    pub fn counted_sends(&self, now: Timestamp) -> &[Timestamp] {
        let is_not_enqueued = self.current.as_ref().is_some_and(|verification| {
            let latest = verification.deliveries.last();
            verification.is_untouched()
                && latest.is_some_and(|latest| {
                    now.seconds_since(latest.updated_at) > NOT_ENQUEUED_AFTER_SECONDS
                })
        });
        &self.sends[..self
            .sends
            .len()
            .saturating_sub(usize::from(is_not_enqueued))]
    }

    /// Makes verifications for one subject share one sealed id, that of the newest of them: it is
    /// stored once then.
    pub fn share_sealed_subjects(&mut self) {
        let current = self.current.iter_mut().map(|current| &mut current.params);
        let past = self.past.iter_mut().map(|past| &mut past.params);
        let mut newest: Vec<VerificationSubject> = vec![];
        for subject in current.chain(past).flat_map(|params| &mut params.subject) {
            let is_same =
                |newer: &&VerificationSubject| newer.key == subject.key && newer.id == subject.id;
            match newest.iter().find(is_same) {
                Some(newer) => {
                    subject.sealed_id.clone_from(&newer.sealed_id);
                    subject.sealed_for = newer.sealed_for;
                }
                None => newest.push(subject.clone()),
            }
        }
    }

    /// Moves the current verification to the past ones, and its failures to the counts.
    fn archive_current(&mut self, now: Timestamp) {
        self.failure_streak = self.consecutive_failures();
        self.stored_owner = self.owner();
        if let Some(verification) = self.current.take() {
            self.failures.extend(verification.wrong_attempts());
            self.failures.sort_unstable();
            self.past
                .insert(0, PastVerification::new(verification, now));
        }
    }

    fn drop_send_that_was_not_enqueued(&mut self, now: Timestamp) {
        let counted = self.counted_sends(now).len();
        self.sends.truncate(counted);
    }
}

/// What a report did to the status of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RaiseOutcome {
    /// The status moved up.
    Raised,
    /// The status was as high already, or another carrier has the message.
    Unchanged,
    /// The recipient has no such message.
    UnknownMessage,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt_log::Attempt;
    use crate::domain::delivery::{Delivery, DeliveryStatus};
    use crate::domain::ids::{AttemptHash, BodyHash, RecordKey};
    use crate::domain::verification::tests::{attempt, verification};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn opened(at: Timestamp) -> Verification {
        let mut v = verification(5);
        v.params.created_at = at;
        v.params.expires_at = at + 300;
        v.add_delivery(Channel::Sms, Cause::Requested, DeliveryTag([0; 4]), at);
        v.deliveries[0].status = DeliveryStatus::Sent;
        v
    }

    #[test]
    fn past_verifications_and_keys_are_kept_within_bounds() {
        let mut recipient = Recipient::default();
        for n in 0..8u8 {
            let at = NOW + (i64::from(n) * 1000);
            let mut v = opened(at);
            v.params.nonce = VerificationNonce([n; 4]);
            v.params.idempotency = (n == 4).then_some(Idempotency {
                key: IdempotencyKeyHash([9; 8]),
                body: BodyHash([8; 8]),
            });
            recipient.open(v, at);
        }
        let now = NOW + 8000;
        let readable: Vec<u8> = (0..8)
            .filter(|n| recipient.find(VerificationNonce([*n; 4]), now).is_some())
            .collect();
        assert_eq!(readable, [2, 3, 4, 5, 6, 7]);
        let found = |at| {
            let found = recipient.find_by_idempotency_key(IdempotencyKeyHash([9; 8]), at);
            found.map(|(found, idempotency)| (found.params().nonce.0[0], idempotency.body))
        };
        let keyed_at = NOW + 4000;
        assert_eq!(
            found(keyed_at + DAY_SECONDS - 1),
            Some((4, BodyHash([8; 8])))
        );
        assert_eq!(found(keyed_at + DAY_SECONDS), None);
        assert!(
            recipient
                .find(VerificationNonce([6; 4]), NOW + (7000 + RETENTION_SECONDS))
                .is_none()
        );
    }

    #[test]
    fn forget_keeps_the_counts_only() {
        let mut recipient = Recipient {
            sealed_address: vec![1],
            ..Recipient::default()
        };
        recipient.open(opened(NOW), NOW);
        recipient.current.as_mut().expect("just opened").attempts = vec![Attempt {
            at: NOW,
            ..attempt(1, false)
        }];
        recipient.forget(NOW + 1);
        let kept = Recipient {
            sends: vec![NOW],
            failures: vec![NOW],
            failure_streak: 1,
            ..Recipient::default()
        };
        assert_eq!(recipient, kept);
    }

    #[test]
    fn fresh_code_is_not_approved_by_an_earlier_attempt() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        let earlier = attempt(1, false);
        let fresh = SealedCode {
            sealed: vec![9],
            expected_hash: AttemptHash([9; 16]),
        };
        let current = recipient.current.as_mut().expect("just opened");
        current.attempts = vec![Attempt {
            hash: fresh.expected_hash,
            at: NOW,
            ..earlier.clone()
        }];
        recipient.resend(
            Channel::Sms,
            DeliveryTag([1; 4]),
            Some(fresh.clone()),
            NOW + 40,
        );
        let current = recipient.current.as_mut().expect("still current");
        assert_eq!(current.status(NOW + 41), Status::Pending);
        let right = Attempt {
            hash: fresh.expected_hash,
            ..attempt(2, false)
        };
        current.attempts.push(right);
        assert_eq!(current.status(NOW + 41), Status::Approved);
    }

    #[test]
    fn negative_report_of_another_carrier_changes_nothing() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        let tag = DeliveryTag([0; 4]);
        recipient.current.as_mut().expect("just opened").deliveries[0].carrier = Some("a".into());
        let failed = DeliveryStatus::Undelivered.into();
        let other = recipient.raise_delivery(tag, failed, Some("b"), NOW + 1);
        assert_eq!(other, RaiseOutcome::Unchanged);
        let own = recipient.raise_delivery(tag, failed, Some("a"), NOW + 1);
        assert_eq!(own, RaiseOutcome::Raised);
        let unknown = recipient.raise_delivery(DeliveryTag([5; 4]), failed, None, NOW + 1);
        assert_eq!(unknown, RaiseOutcome::UnknownMessage);
    }

    #[test]
    fn nonces_of_current_and_past_verifications_are_known() {
        let mut recipient = Recipient::default();
        for n in 1..=2 {
            let mut v = opened(NOW);
            v.params.nonce = VerificationNonce([n; 4]);
            recipient.open(v, NOW);
        }
        let known = [1, 2, 3].map(|n| recipient.has_nonce(VerificationNonce([n; 4])));
        assert_eq!(known, [true, true, false]);
    }

    #[test]
    fn message_of_a_test_number_is_delivered_uncounted() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW - 400), NOW - 400);
        recipient.open_uncounted(opened(NOW), NOW + 1);
        let code = SealedCode {
            sealed: vec![9],
            expected_hash: AttemptHash([9; 16]),
        };
        recipient.resend_uncounted(Channel::Voice, DeliveryTag([1; 4]), code, NOW + 2);
        assert_eq!(recipient.sends, [NOW - 400]);
        assert_eq!(recipient.past.len(), 1);
        let current = recipient.current.expect("a current verification");
        assert_eq!(current.expected_hash, AttemptHash([9; 16]));
        assert_eq!(current.step.due, None);
        let delivered = |delivery: &Delivery| {
            (delivery.carrier.as_deref() == Some(TEST_CARRIER)).then_some(delivery.updated_at)
        };
        let times: Vec<_> = current.deliveries.iter().map(delivered).collect();
        assert_eq!(times, [Some(NOW + 1), Some(NOW + 2)]);
        let mut statuses = current.deliveries.iter().map(|delivery| delivery.status);
        assert!(statuses.all(|status| status == DeliveryStatus::Delivered));
    }

    #[test]
    fn only_a_pending_verification_is_canceled_or_approved() {
        let mut none = Recipient::default();
        assert!(!none.cancel(NOW) && !none.approve(NOW));
        let mut canceled = Recipient::default();
        canceled.open(opened(NOW), NOW);
        let mut approved = canceled.clone();
        let mut expired = canceled.clone();
        assert!(canceled.cancel(NOW + 299));
        assert!(approved.approve(NOW + 299));
        assert!(!expired.cancel(NOW + 300) && !expired.approve(NOW + 300));
        for ended in [&mut canceled, &mut approved] {
            assert!(!ended.cancel(NOW + 299) && !ended.approve(NOW + 299));
        }
        let status =
            |recipient: &Recipient| recipient.current.as_ref().map(|v| v.status(NOW + 299));
        assert_eq!(status(&canceled), Some(Status::Canceled));
        assert_eq!(status(&approved), Some(Status::Approved));
    }

    #[test]
    fn failure_of_a_current_message_makes_a_step_due() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        let mut second = opened(NOW + 60);
        second.deliveries[0].tag = DeliveryTag([1; 4]);
        recipient.open(second, NOW + 60);
        let mut due_after = |tag, status: DeliveryStatus| {
            recipient.current.as_mut().expect("a current one").step.due = None;
            recipient.raise_delivery(DeliveryTag([tag; 4]), status.into(), None, NOW + 61);
            recipient.current.as_ref().expect("a current one").step.due
        };
        assert_eq!(
            due_after(0, DeliveryStatus::Undelivered),
            None,
            "of a past one"
        );
        assert_eq!(due_after(1, DeliveryStatus::Undelivered), Some(NOW + 61));
        assert_eq!(due_after(1, DeliveryStatus::Delivered), None);
        let all: Vec<_> = recipient
            .verifications()
            .flat_map(|v| v.deliveries())
            .collect();
        let raised: Vec<_> = all.iter().map(|d| (d.status, d.updated_at)).collect();
        let expected = [DeliveryStatus::Delivered, DeliveryStatus::Undelivered];
        assert_eq!(raised, expected.map(|status| (status, NOW + 61)));
    }

    #[test]
    fn report_counts_for_the_message_of_its_carrier() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        let current = recipient.current.as_mut().expect("just opened");
        let tag = DeliveryTag([1; 4]);
        current.add_delivery(Channel::Sms, Cause::SecondCarrier, tag, NOW);
        for (delivery, carrier) in current.deliveries.iter_mut().zip(["a", "b"]) {
            delivery.status = DeliveryStatus::Sent;
            delivery.carrier = Some(carrier.into());
        }
        let mut report = |tag: u8, carrier: &str, status: DeliveryStatus| {
            recipient.apply_report(DeliveryTag([tag; 4]), status.into(), carrier, NOW + 1)
        };
        use DeliveryStatus::{Delivered, Undelivered};
        assert_eq!(report(1, "a", Undelivered), RaiseOutcome::Unchanged);
        assert_eq!(report(1, "b", Undelivered), RaiseOutcome::Raised);
        assert_eq!(report(1, "a", Delivered), RaiseOutcome::Raised);
        assert_eq!(report(1, "b", Delivered), RaiseOutcome::Unchanged);
        assert_eq!(report(2, "b", Delivered), RaiseOutcome::UnknownMessage);
    }

    #[test]
    fn history_is_dropped_once_its_window_is_over() {
        let mut recipient = Recipient {
            sends: vec![NOW],
            failures: vec![NOW],
            past: vec![PastVerification::new(opened(NOW), NOW + 100); PAST_READABLE_MAX],
            ..Recipient::default()
        };
        let mut keyed = recipient.past[0].clone();
        keyed.params.idempotency = Some(Idempotency {
            key: IdempotencyKeyHash([9; 8]),
            body: BodyHash([8; 8]),
        });
        recipient.past.push(keyed);
        let left = |seconds| {
            let mut pruned = recipient.clone();
            pruned.prune(NOW + seconds);
            (pruned.sends.len(), pruned.failures.len(), pruned.past.len())
        };
        assert_eq!(left(DAY_SECONDS - 1), (1, 1, PAST_READABLE_MAX + 1));
        assert_eq!(left(DAY_SECONDS), (0, 0, PAST_READABLE_MAX));
        assert_eq!(left(100 + RETENTION_SECONDS - 1), (0, 0, PAST_READABLE_MAX));
        assert_eq!(left(100 + RETENTION_SECONDS), (0, 0, 0));
    }

    fn subject_of(nonce: u8, sealed: u8) -> VerificationSubject {
        VerificationSubject {
            key: SubjectKey(RecordKey([7; 12])),
            sealed_id: vec![sealed],
            sealed_for: VerificationNonce([nonce; 4]),
            id: None,
            is_unique: false,
            is_taken: false,
        }
    }

    #[test]
    fn verifications_for_one_subject_share_the_newest_seal() {
        let mut recipient = Recipient::default();
        for n in 1..=3u8 {
            let mut new = opened(NOW + i64::from(n));
            new.params.nonce = VerificationNonce([n; 4]);
            let is_other = n == 2;
            new.params.subject = Some(VerificationSubject {
                key: SubjectKey(RecordKey([if is_other { 8 } else { 7 }; 12])),
                is_unique: n == 1,
                ..subject_of(n, n)
            });
            let _ = recipient.open(new, NOW + i64::from(n));
        }
        let subjects: Vec<_> = recipient
            .verifications()
            .filter_map(|verification| verification.params().subject.clone())
            .collect();
        let sealed: Vec<_> = subjects
            .iter()
            .map(|subject| (subject.sealed_id[0], subject.sealed_for.0[0]))
            .collect();
        assert_eq!(sealed, [(3, 3), (2, 2), (3, 3)]);
        assert!(subjects[2].is_unique, "what is its own stays");
    }
}
