//! Verification: one recipient being proven once for a purpose. Its status, and the attempt log.
//!
//! Invariant: an attempt that is not in the log was not compared, and nothing restores an attempt.

use crate::domain::attempt_log::{Attempt, is_match};
use crate::domain::channel::Channel;
use crate::domain::custom_text::CustomText;
use crate::domain::delivery::{Cause, DELIVERIES_MAX, Delivery, DeliveryStatus};
use crate::domain::ids::{AttemptHash, AttemptNonce, DeliveryTag};
use crate::domain::step::{Step, StepState};
use crate::domain::text_reference::TextReference;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::{VerificationParams, VerificationSubject};
use crate::domain::verification_status::{CheckOutcome, Reason, Status};

/// The current verification of a recipient, whatever its status, until a newer one replaces it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Verification {
    /// What was agreed at its start.
    pub params: VerificationParams,
    /// The attempt log.
    pub attempts: Vec<Attempt>,
    /// Attempts before this index met an earlier code (policy `fresh`) and are wrong.
    pub attempts_at_earlier_codes: usize,
    /// Attempts before this index no longer count against the guess budget (unlocked).
    pub attempts_forgiven: usize,
    /// Whether the key that sealed the code is live. Without it no attempt is accepted and nothing
    /// can be sent.
    pub has_live_key: bool,
    /// The code, sealed.
    pub sealed_code: Vec<u8>,
    /// What the right attempt hashes to.
    pub expected_hash: AttemptHash,
    /// Whether the app chose the code: no other code ever replaces it.
    pub is_code_of_app: bool,
    /// What its texts say in place of the app's settings.
    pub custom_text: CustomText,
    /// When the app approved it without a code.
    pub approved_at: Option<Timestamp>,
    /// What its texts show beside the code, so that a page can name it.
    pub text_reference: Option<TextReference>,
    /// The device for notifications, sealed; `None` if the app named none.
    pub sealed_device: Option<Vec<u8>>,
    /// When the app canceled it.
    pub canceled_at: Option<Timestamp>,
    /// Whether its approval was recorded for its subject, and the recipient's owner is stored.
    pub is_recorded: bool,
    /// Its requested messages, oldest first, at most [`DELIVERIES_MAX`].
    pub requests: Vec<MessageRequest>,
    /// Its messages, oldest first.
    pub deliveries: Vec<Delivery>,
    /// Number of fallback channels already used.
    pub fallbacks_used: u8,
    /// The work on its deliveries.
    pub step: Step,
}

/// A message that the app requested: the first one, or a resend. Second carriers and fallback
/// channels add deliveries, and no request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MessageRequest {
    /// Names its delivery.
    pub tag: DeliveryTag,
    /// How it is sent.
    pub channel: Channel,
    /// When it was requested.
    pub at: Timestamp,
}

/// A code as it is stored: sealed, and as the hash of the right attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedCode {
    /// The code, sealed.
    pub sealed: Vec<u8>,
    /// What the right attempt hashes to.
    pub expected_hash: AttemptHash,
}

impl Verification {
    /// A verification without messages.
    #[must_use]
    pub fn new(params: VerificationParams, code: SealedCode) -> Self {
        Self {
            step: Step::due_now(1, params.created_at),
            params,
            attempts: vec![],
            attempts_at_earlier_codes: 0,
            attempts_forgiven: 0,
            has_live_key: true,
            sealed_code: code.sealed,
            expected_hash: code.expected_hash,
            is_code_of_app: false,
            custom_text: CustomText::default(),
            approved_at: None,
            text_reference: None,
            sealed_device: None,
            canceled_at: None,
            is_recorded: false,
            requests: vec![],
            deliveries: vec![],
            fallbacks_used: 0,
        }
    }

    /// Index of the successful attempt: the first one that matches the current code.
    #[must_use]
    pub fn success_index(&self) -> Option<usize> {
        let mut success = None;
        let current = self.attempts.iter().enumerate();
        for (index, attempt) in current.skip(self.attempts_at_earlier_codes) {
            // Each is compared, whatever was found before.
            if is_match(attempt.hash, self.expected_hash) && success.is_none() {
                success = Some(index);
            }
        }
        success
    }

    /// Whether the right code was submitted, or the app approved it without one.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.approved_at.is_some() || self.success_index().is_some()
    }

    /// When it was last changed for the app: by a request for a message, an attempt or its end.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        let attempts = &self.attempts[..usize::from(self.attempts_used())];
        let changes = [
            self.requests.last().map(|request| request.at),
            attempts.last().map(|attempt| attempt.at),
            self.approved_at,
            self.canceled_at,
        ];
        let changes = changes.into_iter().flatten();
        changes.max().unwrap_or(self.params.created_at)
    }

    /// Status at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        if self.is_approved() {
            self.status_of_success()
        } else if self.canceled_at.is_some() {
            Status::Canceled
        } else if self.attempts.len() >= usize::from(self.params.attempts_max) {
            Status::Exhausted
        } else if now >= self.params.expires_at || !self.has_live_key {
            Status::Expired
        } else {
            Status::Pending
        }
    }

    /// Status once the right code was submitted, or the app approved it without one.
    fn status_of_success(&self) -> Status {
        match &self.params.subject {
            Some(subject) if subject.is_taken => Status::Refused,
            _ => Status::Approved,
        }
    }

    /// The subject for whom it was approved.
    #[must_use]
    pub fn approved_subject(&self) -> Option<&VerificationSubject> {
        let subject = self.params.subject.as_ref()?;
        (self.is_approved() && !subject.is_taken).then_some(subject)
    }

    /// The attempt with the right code.
    #[must_use]
    pub fn success(&self) -> Option<&Attempt> {
        self.attempts.get(self.success_index()?)
    }

    /// Attempts that count: those after the success changed nothing.
    #[must_use]
    pub fn attempts_used(&self) -> u8 {
        let used = self
            .success_index()
            .map_or(self.attempts.len(), |index| index + 1);
        u8::try_from(used).unwrap_or(u8::MAX)
    }

    /// What is left of k and of the guess budget.
    #[must_use]
    pub fn attempts_left(&self) -> u8 {
        self.params
            .attempts_max
            .saturating_sub(self.attempts_used())
    }

    /// Times of the wrong attempts that count against the guess budget.
    pub fn wrong_attempts(&self) -> impl Iterator<Item = Timestamp> {
        let end = self.success_index().unwrap_or(self.attempts.len());
        self.attempts[..end]
            .iter()
            .skip(self.attempts_forgiven)
            .map(|attempt| attempt.at)
    }

    /// Outcome of the attempt `nonce`; if it is not in the log, why no further attempt is accepted.
    #[must_use]
    pub fn outcome(&self, nonce: AttemptNonce, now: Timestamp) -> CheckOutcome {
        match self
            .attempts
            .iter()
            .position(|attempt| attempt.nonce == nonce)
        {
            Some(index) => self.outcome_at(index),
            None => self.rejection(now),
        }
    }

    fn outcome_at(&self, index: usize) -> CheckOutcome {
        let left_after = |used: usize| {
            self.params
                .attempts_max
                .saturating_sub(u8::try_from(used).unwrap_or(u8::MAX))
        };
        match self.success_index() {
            Some(success) if index >= success => {
                let status = self.status_of_success();
                let is_valid = index == success && status == Status::Approved;
                CheckOutcome {
                    reason: status.rejection().filter(|_| !is_valid),
                    status,
                    attempts_left: left_after(success + 1),
                }
            }
            _ => {
                let attempts_left = left_after(index + 1);
                let is_last = attempts_left == 0;
                CheckOutcome {
                    reason: Some(Reason::WrongCode),
                    status: if is_last {
                        Status::Exhausted
                    } else {
                        Status::Pending
                    },
                    attempts_left,
                }
            }
        }
    }

    fn rejection(&self, now: Timestamp) -> CheckOutcome {
        // The table rejects an attempt that the rules would accept only if the clock here is behind
        // the clock of the writer.
        let status = match self.status(now) {
            Status::Pending => Status::Expired,
            ended => ended,
        };
        CheckOutcome {
            reason: status.rejection(),
            status,
            attempts_left: self.attempts_left(),
        }
    }

    /// Whether a message may be handed over now: the verification is pending, and its code does
    /// not expire before the message arrives.
    #[must_use]
    pub fn is_deliverable(&self, now: Timestamp) -> bool {
        self.status(now) == Status::Pending && self.params.is_in_time(now)
    }

    /// Fallback channels that are not used yet.
    #[must_use]
    pub fn fallback_left(&self) -> &[Channel] {
        self.params
            .fallback
            .get(usize::from(self.fallbacks_used)..)
            .unwrap_or_default()
    }

    /// Adds a message. Past [`DELIVERIES_MAX`] the oldest one is dropped.
    pub fn add_delivery(
        &mut self,
        channel: Channel,
        cause: Cause,
        tag: DeliveryTag,
        now: Timestamp,
    ) {
        if cause == Cause::Requested {
            self.requests.push(MessageRequest {
                tag,
                channel,
                at: now,
            });
            if self.requests.len() > DELIVERIES_MAX {
                self.requests.remove(0);
            }
        }
        let number = self
            .deliveries
            .last()
            .map_or(1, |latest| latest.number.saturating_add(1));
        self.deliveries.push(Delivery {
            tag,
            number,
            channel,
            status: DeliveryStatus::Queued,
            carrier: None,
            cause,
            updated_at: now,
            parts: None,
            vendor_id: None,
            early_report: None,
            is_account_fault: false,
        });
        if self.deliveries.len() > DELIVERIES_MAX {
            self.deliveries.remove(0);
        }
    }

    /// Whether the latest message was requested and no worker ever claimed it.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        let is_queued = self.latest_is_queued();
        let step = &self.step;
        let is_tried = step.retry_rounds > 0 || !step.tried_carriers.is_empty();
        is_queued && step.claim.is_none() && step.uncertain_handovers == 0 && !is_tried
    }

    /// Whether the latest message has not been handed over.
    #[must_use]
    pub fn latest_is_queued(&self) -> bool {
        self.deliveries
            .last()
            .is_some_and(|latest| latest.status == DeliveryStatus::Queued)
    }

    /// Status of a queued message that no worker will claim any more: a worker that holds it will
    /// record its status, one that crashed may have handed it over.
    #[must_use]
    pub fn final_status_of_queued(&self, now: Timestamp) -> DeliveryStatus {
        match self.step.state(now) {
            StepState::Held { .. } => DeliveryStatus::Sending,
            StepState::Abandoned => DeliveryStatus::Unknown,
            StepState::Queued | StepState::Done => DeliveryStatus::Failed,
        }
    }

    /// Moves a latest message that is still queued to its final status.
    pub fn finish_latest_delivery(&mut self, now: Timestamp) {
        let status = self.final_status_of_queued(now);
        let latest = self.deliveries.last_mut();
        if let Some(latest) = latest.filter(|latest| latest.status == DeliveryStatus::Queued) {
            (latest.status, latest.updated_at) = (status, now);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::delivery::HANDOVER_MARGIN_SECONDS;
    use crate::domain::ids::{ClaimId, RecordKey, SubjectKey, VerificationNonce};
    use crate::domain::step::StepClaim;
    use proptest::prelude::*;

    pub(crate) const RIGHT: AttemptHash = AttemptHash([7; 16]);

    pub(crate) fn verification(attempts_max: u8) -> Verification {
        Verification {
            params: VerificationParams {
                nonce: VerificationNonce([1; 4]),
                channel: Channel::Sms,
                fallback: vec![],
                locale: "en".into(),
                purpose: "default".into(),
                transaction: None,
                subject: None,
                reference: None,
                idempotency: None,
                created_at: Timestamp(1000),
                expires_at: Timestamp(1300),
                attempts_max,
            },
            attempts: vec![],
            attempts_at_earlier_codes: 0,
            attempts_forgiven: 0,
            has_live_key: true,
            sealed_code: vec![],
            expected_hash: RIGHT,
            is_code_of_app: false,
            custom_text: CustomText::default(),
            approved_at: None,
            text_reference: None,
            sealed_device: None,
            canceled_at: None,
            is_recorded: false,
            requests: vec![],
            deliveries: vec![],
            fallbacks_used: 0,
            step: Step::due_now(1, Timestamp(1000)),
        }
    }

    pub(crate) fn nonce(n: u8) -> AttemptNonce {
        AttemptNonce::Random([n; 8])
    }

    pub(crate) fn attempt(nonce: u8, right: bool) -> Attempt {
        Attempt {
            nonce: AttemptNonce::Random([nonce; 8]),
            hash: if right { RIGHT } else { AttemptHash([0; 16]) },
            decision: None,
            at: Timestamp(1001),
            invocation: [0; 4],
        }
    }

    #[test]
    fn first_match_is_the_only_success() {
        let mut v = verification(5);
        v.attempts = vec![
            attempt(1, false),
            attempt(2, true),
            attempt(3, true),
            attempt(4, false),
        ];
        let outcome = |n: u8| v.outcome(nonce(n), Timestamp(1002));
        assert_eq!(
            outcome(1),
            CheckOutcome {
                reason: Some(Reason::WrongCode),
                status: Status::Pending,
                attempts_left: 4
            }
        );
        assert_eq!(
            outcome(2),
            CheckOutcome {
                reason: None,
                status: Status::Approved,
                attempts_left: 3
            }
        );
        assert_eq!(outcome(3).reason, Some(Reason::AlreadyUsed));
        assert_eq!(
            outcome(4).reason,
            Some(Reason::AlreadyUsed),
            "nothing is compared after a success"
        );
        assert_eq!(outcome(9).reason, Some(Reason::AlreadyUsed));
        assert_eq!(v.wrong_attempts().count(), 1);
    }

    #[test]
    fn right_code_for_a_taken_recipient_is_refused() {
        let mut v = verification(5);
        v.params.subject = Some(VerificationSubject {
            key: SubjectKey(RecordKey([1; 12])),
            sealed_id: vec![],
            sealed_for: v.params.nonce,
            id: None,
            is_unique: true,
            is_taken: true,
        });
        v.attempts = vec![attempt(1, false), attempt(2, true), attempt(3, true)];
        let refused = CheckOutcome {
            reason: Some(Reason::RecipientTaken),
            status: Status::Refused,
            attempts_left: 3,
        };
        let outcome = |n: u8| v.outcome(nonce(n), Timestamp(1002));
        assert_eq!(outcome(1).reason, Some(Reason::WrongCode));
        assert_eq!([outcome(2), outcome(3)], [refused; 2]);
        assert_eq!(v.approved_subject(), None);
    }

    #[test]
    fn approval_has_its_attempt_and_its_subject() {
        let mut v = verification(5);
        let subject = VerificationSubject {
            key: SubjectKey(RecordKey([1; 12])),
            sealed_id: vec![],
            sealed_for: v.params.nonce,
            id: None,
            is_unique: true,
            is_taken: false,
        };
        v.params.subject = Some(subject.clone());
        v.attempts = vec![attempt(1, false)];
        assert_eq!((v.success(), v.approved_subject()), (None, None));
        v.attempts.push(attempt(2, true));
        assert_eq!(v.success(), Some(&attempt(2, true)));
        assert_eq!(v.approved_subject(), Some(&subject));
        assert_eq!(v.status(Timestamp(1002)), Status::Approved);
    }

    #[test]
    fn code_expires_with_its_time_or_its_key() {
        let mut v = verification(5);
        assert_eq!(v.status(Timestamp(1299)), Status::Pending);
        assert_eq!(v.status(Timestamp(1300)), Status::Expired);
        v.has_live_key = false;
        assert_eq!(v.status(Timestamp(1299)), Status::Expired);
    }

    #[test]
    fn last_wrong_code_exhausts_the_verification() {
        let mut v = verification(2);
        v.attempts = vec![attempt(1, false), attempt(2, false)];
        assert_eq!(
            v.outcome(nonce(2), Timestamp(1002)),
            CheckOutcome {
                reason: Some(Reason::WrongCode),
                status: Status::Exhausted,
                attempts_left: 0
            }
        );
        assert_eq!(
            v.outcome(nonce(3), Timestamp(1002)),
            CheckOutcome {
                reason: Some(Reason::Exhausted),
                status: Status::Exhausted,
                attempts_left: 0
            }
        );
    }

    #[test]
    fn approval_without_a_code_counts_no_attempt() {
        let mut v = verification(5);
        v.attempts = vec![attempt(1, false)];
        v.approved_at = Some(Timestamp(1002));
        let outcome = v.outcome(nonce(2), Timestamp(1003));
        assert_eq!(outcome.reason, Some(Reason::AlreadyUsed));
        assert_eq!((v.attempts_left(), v.wrong_attempts().count()), (4, 1));
        assert_eq!(v.status(Timestamp(2000)), Status::Approved);
        assert_eq!(v.changed_at(), Timestamp(1002));
    }

    #[test]
    fn code_without_its_key_is_expired() {
        let mut v = verification(5);
        v.has_live_key = false;
        v.attempts = vec![attempt(1, false)];
        assert_eq!(
            v.outcome(nonce(9), Timestamp(1002)).reason,
            Some(Reason::Expired)
        );
        v.attempts.push(attempt(2, true));
        assert_eq!(
            v.outcome(nonce(9), Timestamp(1002)).reason,
            Some(Reason::AlreadyUsed),
            "an approval is final"
        );
    }

    #[test]
    fn attempt_at_an_earlier_code_stays_wrong() {
        let mut v = verification(5);
        v.attempts = vec![attempt(1, true)];
        v.attempts_at_earlier_codes = 1;
        assert_eq!(v.status(Timestamp(1002)), Status::Pending);
        assert_eq!(
            v.outcome(nonce(1), Timestamp(1002)).reason,
            Some(Reason::WrongCode)
        );
    }

    proptest! {
        #[test]
        fn at_most_one_attempt_within_the_cap_is_valid(
            rights in proptest::collection::vec(any::<bool>(), 0..12),
            max in 1u8..=10,
        ) {
            let mut v = verification(max);
            let attempts = rights.iter().take(usize::from(max)).zip(0u8..);
            v.attempts = attempts.map(|(right, n)| attempt(n, *right)).collect();
            let outcome = |n| v.outcome(nonce(n), Timestamp(1002));
            let outcomes: Vec<_> = (0..12u8).map(outcome).collect();
            prop_assert!(outcomes.iter().filter(|o| o.reason.is_none()).count() <= 1);
            let first = rights.iter().take(usize::from(max)).position(|right| *right);
            prop_assert_eq!(first, outcomes.iter().position(|o| o.reason.is_none()));
            prop_assert_eq!(v.wrong_attempts().count(), first.unwrap_or(v.attempts.len()));
        }
    }

    fn add(v: &mut Verification, n: u8, cause: Cause) {
        let at = Timestamp(1000 + i64::from(n));
        v.add_delivery(Channel::Sms, cause, DeliveryTag([n; 4]), at);
    }

    #[test]
    fn latest_messages_and_requests_are_kept() {
        let mut v = verification(5);
        for n in 0..8 {
            add(&mut v, n, Cause::Requested);
        }
        assert_eq!((v.requests.len(), v.deliveries.len()), (8, 8));
        add(&mut v, 8, Cause::Fallback);
        assert_eq!((v.requests.len(), v.requests[0].tag.0[0]), (8, 0));
        add(&mut v, 9, Cause::Requested);
        assert_eq!((v.requests.len(), v.requests[0].tag.0[0]), (8, 1));
        let numbers: Vec<_> = v
            .deliveries
            .iter()
            .map(|delivery| delivery.number)
            .collect();
        assert_eq!(numbers, (3..=10).collect::<Vec<_>>());
    }

    #[test]
    fn change_is_the_latest_request_or_attempt_or_end() {
        let mut v = verification(5);
        assert_eq!(v.changed_at(), Timestamp(1000), "created");
        add(&mut v, 5, Cause::Requested);
        assert_eq!(v.changed_at(), Timestamp(1005), "requested");
        let at = |n: u8, right, seconds| Attempt {
            at: Timestamp(seconds),
            ..attempt(n, right)
        };
        v.attempts = vec![at(1, false, 1010), at(2, true, 1020), at(3, false, 1030)];
        assert_eq!(v.changed_at(), Timestamp(1020), "approved");
        v.attempts.clear();
        v.canceled_at = Some(Timestamp(1040));
        assert_eq!(v.changed_at(), Timestamp(1040), "canceled");
        assert_eq!(v.status(Timestamp(1041)), Status::Canceled);
    }

    #[test]
    fn attempts_left_are_those_of_the_cap() {
        let mut v = verification(5);
        v.attempts = vec![attempt(1, false), attempt(2, false)];
        assert_eq!((v.attempts_used(), v.attempts_left()), (2, 3));
        v.attempts_forgiven = 1;
        assert_eq!((v.attempts_left(), v.wrong_attempts().count()), (3, 1));
        v.attempts.extend([attempt(3, true), attempt(4, false)]);
        assert_eq!((v.attempts_used(), v.attempts_left()), (3, 2));
        let late = v.outcome(nonce(4), Timestamp(1002));
        assert_eq!(
            (late.reason, late.attempts_left),
            (Some(Reason::AlreadyUsed), 2)
        );
    }

    #[test]
    fn unwritten_attempt_at_a_pending_verification_is_expired() {
        let v = verification(5);
        let outcome = v.outcome(nonce(1), Timestamp(1299));
        assert_eq!(outcome.reason, Some(Reason::Expired));
        assert_eq!(
            (outcome.status, outcome.attempts_left),
            (Status::Expired, 5)
        );
    }

    #[test]
    fn message_is_deliverable_while_pending_and_in_time() {
        let mut v = verification(5);
        let last = v.params.expires_at - HANDOVER_MARGIN_SECONDS;
        assert!(v.is_deliverable(last));
        assert!(!v.is_deliverable(last + 1));
        v.canceled_at = Some(Timestamp(1001));
        assert!(!v.is_deliverable(last));
    }

    #[test]
    fn used_fallback_channels_are_not_left() {
        let mut v = verification(5);
        v.params.fallback = vec![Channel::Voice, Channel::Email];
        assert_eq!(v.fallback_left(), [Channel::Voice, Channel::Email]);
        v.fallbacks_used = 1;
        assert_eq!(v.fallback_left(), [Channel::Email]);
        v.fallbacks_used = 3;
        assert_eq!(v.fallback_left(), []);
    }

    #[test]
    fn only_a_queued_message_without_work_is_untouched() {
        let mut v = verification(5);
        assert!(!v.latest_is_queued() && !v.is_untouched(), "no message");
        add(&mut v, 1, Cause::Requested);
        assert!(v.latest_is_queued() && v.is_untouched());
        let claim = Some(StepClaim {
            id: ClaimId([1; 6]),
            until: Timestamp(1015),
        });
        let worked: [fn(&mut Step); 3] = [
            |step| step.retry_rounds = 1,
            |step| step.uncertain_handovers = 1,
            |step| step.tried_carriers.push("a".into()),
        ];
        for (n, work) in worked.iter().enumerate() {
            let mut touched = v.clone();
            work(&mut touched.step);
            assert!(touched.latest_is_queued() && !touched.is_untouched(), "{n}");
        }
        v.step.claim = claim;
        assert!(!v.is_untouched(), "claimed");
        v.step.claim = None;
        v.deliveries[0].status = DeliveryStatus::Sent;
        assert!(!v.latest_is_queued() && !v.is_untouched(), "sent");
    }

    #[test]
    fn queued_message_ends_as_its_step_does() {
        let now = Timestamp(1100);
        let claim = |until| {
            let id = ClaimId([1; 6]);
            Some(StepClaim { id, until })
        };
        for (claim, status) in [
            (None, DeliveryStatus::Failed),
            (claim(now + 1), DeliveryStatus::Sending),
            (claim(now), DeliveryStatus::Unknown),
        ] {
            let mut v = verification(5);
            add(&mut v, 1, Cause::Requested);
            v.step.claim = claim;
            v.finish_latest_delivery(now);
            assert_eq!(
                (v.deliveries[0].status, v.deliveries[0].updated_at),
                (status, now)
            );
            v.deliveries[0].status = DeliveryStatus::Delivered;
            v.finish_latest_delivery(now + 1);
            let latest = &v.deliveries[0];
            assert_eq!(
                (latest.status, latest.updated_at),
                (DeliveryStatus::Delivered, now)
            );
        }
    }
}
