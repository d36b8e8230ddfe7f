//! Recipient: the aggregate. Sends, failures, the guess budget, the verification of now, how the last ones ended.
//! Pure: takes `now`, changes itself, returns values. Never trusted for being there: every window is a comparison with `now`.

use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::{Cause, DELIVERIES_MAX, Delivery, DeliveryStatus, DeliveryTag};
use crate::domain::past_verification::PastVerification;
use crate::domain::policy::{Policy, ResendCode};
use crate::domain::rate_limit::{Limit, LimitExceeded};
use crate::domain::time::{DAY_SECONDS, HOUR_SECONDS, RETENTION_SECONDS, Timestamp};
use crate::domain::verification::{
    AttemptHash, ClaimId, KeyHash, Nonce, Status, Step, Verification,
};
use crate::domain::verification_ref::VerificationRef;

/// PastVerification verifications that stay readable, beside the one of now.
const ENDED_MAX: usize = 5;
/// How long an `Idempotency-Key` is remembered.
const IDEMPOTENCY_SECONDS: i64 = DAY_SECONDS;
/// PastVerification verifications that are kept for their `Idempotency-Key`: more, with the longest of everything, would outgrow the table's items.
const KEYED_MAX: usize = 200;
/// A message still untouched after this time never left the queue: the function that should have enqueued it had 10 s.
const STUCK_AFTER_SECONDS: i64 = 15;
/// Failures in a row from which on new codes are longer, and how long.
const STRENGTH_STEPS: [(u32, u8); 2] = [(50, 10), (10, 8)];

/// All that is known of one recipient of one app.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recipient {
    /// The app whose recipient it is; empty until it is written.
    pub app: String,
    /// Where it is reached, unless it was forgotten or the key that sealed it is gone.
    pub address: Option<Address>,
    /// The address as it rests.
    pub sealed_address: Vec<u8>,
    /// Sends of the last 24 h, oldest first.
    pub sends: Vec<Timestamp>,
    /// Wrong attempts of the last 24 h in verifications that have ended, oldest first.
    pub failures: Vec<Timestamp>,
    /// Wrong attempts since the last success, in verifications that have ended.
    pub failures_in_a_row: u32,
    /// The verification of now.
    pub verification: Option<Verification>,
    /// The ones before it, newest first.
    pub ended: Vec<PastVerification>,
}

/// What a resend changes besides adding a message.
pub struct FreshCode {
    /// The new code, as it rests.
    pub sealed_code: Vec<u8>,
    /// What the right attempt hashes to from now on.
    pub expected: AttemptHash,
}

impl Recipient {
    /// Drops what no window needs any more.
    pub fn prune(&mut self, now: Timestamp) {
        let day_ago = now - DAY_SECONDS;
        self.sends.retain(|at| *at > day_ago);
        self.failures.retain(|at| *at > day_ago);
        let mut place = 0;
        self.ended.retain(|ended| {
            place += 1;
            let readable = place <= ENDED_MAX && now < ended.ended_at + RETENTION_SECONDS;
            let is_keyed = place <= KEYED_MAX && ended.params.idempotency.is_some();
            readable || (is_keyed && now < ended.params.created_at + IDEMPOTENCY_SECONDS)
        });
    }

    /// Whether anything is known of it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        *self
            != Self {
                app: self.app.clone(),
                ..Self::default()
            }
    }

    /// Whether a send may go out now.
    ///
    /// # Errors
    /// The limit that ends last.
    pub fn check_limits(&self, policy: &Policy, now: Timestamp) -> Result<(), LimitExceeded> {
        let sends = self.sends_that_count(now);
        let ends = [
            (
                Limit::Cooldown,
                cooldown_end(sends, &policy.cooldown_seconds, now),
            ),
            (
                Limit::RecipientHour,
                window_end(sends, usize::from(policy.sends_per_hour), HOUR_SECONDS, now),
            ),
            (
                Limit::RecipientDay,
                window_end(sends, usize::from(policy.sends_per_day), DAY_SECONDS, now),
            ),
            (
                Limit::GuessBudget,
                window_end(
                    &self.wrong_attempts(),
                    usize::from(policy.guess_budget),
                    DAY_SECONDS,
                    now,
                ),
            ),
        ];
        let last = ends
            .into_iter()
            .filter(|(_, until)| *until > now)
            .max_by_key(|(_, until)| *until);
        last.map_or(Ok(()), |(limit, until)| Err(LimitExceeded { limit, until }))
    }

    /// The first moment from `now` on at which a further message may be sent, limits alone considered.
    #[must_use]
    pub fn next_send_at(&self, policy: &Policy, now: Timestamp) -> Timestamp {
        let mut at = now;
        // Each round ends at least one limit for good, and there are few.
        for _ in 0..8 {
            match self.check_limits(policy, at) {
                Ok(()) => break,
                Err(limited) => at = limited.until,
            }
        }
        at
    }

    /// Sends left within the hourly limit.
    #[must_use]
    pub fn sends_left(&self, policy: &Policy, now: Timestamp) -> u16 {
        let hour_ago = now - HOUR_SECONDS;
        let used = self
            .sends_that_count(now)
            .iter()
            .filter(|at| **at > hour_ago)
            .count();
        policy
            .sends_per_hour
            .saturating_sub(u16::try_from(used).unwrap_or(u16::MAX))
    }

    /// Attempts that a new verification may take: k, or what is left of the guess budget.
    #[must_use]
    pub fn attempts_allowed(&self, policy: &Policy, now: Timestamp) -> u8 {
        let day_ago = now - DAY_SECONDS;
        let used = self
            .wrong_attempts()
            .iter()
            .filter(|at| **at > day_ago)
            .count();
        policy.max_attempts.min(
            policy
                .guess_budget
                .saturating_sub(u8::try_from(used).unwrap_or(u8::MAX)),
        )
    }

    /// Characters of the next code: `asked`, or more after many failures in a row (strength instead of a long lock).
    #[must_use]
    pub fn code_length(&self, asked: u8) -> u8 {
        let failures = self.failures_in_a_row_now();
        STRENGTH_STEPS
            .into_iter()
            .find(|(from, _)| failures >= *from)
            .map_or(asked, |(_, length)| asked.max(length))
    }

    /// Makes `new` the verification of now and counts a send. Ask [`Self::check_limits`] first.
    pub fn open(&mut self, new: Verification, now: Timestamp) {
        self.take_back_stuck_send(now);
        self.put_aside(now);
        self.verification = Some(new);
        self.sends.push(now);
        self.prune(now);
    }

    /// Adds a message to the verification of now and counts a send. Ask [`Self::check_limits`] first.
    /// Nothing happens without a verification.
    pub fn resend(
        &mut self,
        channel: Channel,
        tag: DeliveryTag,
        fresh: Option<FreshCode>,
        now: Timestamp,
    ) {
        self.take_back_stuck_send(now);
        let Some(verification) = &mut self.verification else {
            return;
        };
        if let Some(fresh) = fresh {
            verification.attempts_settled = verification.attempts.len();
            verification.is_openable = true;
            verification.sealed_code = fresh.sealed_code;
            verification.expected = fresh.expected;
        }
        verification.leave_latest(now);
        verification.add_delivery(channel, Cause::Asked, tag, now);
        let sequence = verification.step.sequence.saturating_add(1);
        verification.step = Step {
            sequence,
            due: now,
            held_until: Timestamp(0),
            holder: ClaimId::default(),
            rounds: 0,
        };
        self.sends.push(now);
        self.prune(now);
    }

    /// Undoes [`Self::open`] or [`Self::resend`], whose message nobody could be asked to send, as if it had not been.
    /// What else has happened since stays: reports, a cancel, attempts, an unlock, a forget.
    pub fn take_back(&mut self, before: &Self) {
        let Some(mut verification) = self.verification.take() else {
            return;
        };
        self.sends.clone_from(&before.sends);
        let Some(old) = before
            .verification
            .as_ref()
            .filter(|old| old.params.nonce == verification.params.nonce)
        else {
            self.bring_back(before);
            // Nobody was told its id; but nothing gives attempts back.
            let wrong: Vec<_> = verification.wrong_attempts().collect();
            self.failures_in_a_row = self
                .failures_in_a_row
                .saturating_add(u32::try_from(wrong.len()).unwrap_or(u32::MAX));
            self.failures.extend(wrong);
            return;
        };
        verification.deliveries.pop();
        if let Some(dropped) = old
            .deliveries
            .first()
            .filter(|_| old.deliveries.len() == DELIVERIES_MAX)
        {
            verification.deliveries.insert(0, dropped.clone());
        }
        queue_again(&mut verification.deliveries, &old.deliveries);
        verification.step = old.step;
        if verification.sealed_code != old.sealed_code {
            // Attempts at the fresh code stay wrong, even those that were right before it.
            verification.attempts_settled = verification.attempts.len();
            verification.sealed_code.clone_from(&old.sealed_code);
            verification.expected = old.expected;
        }
        self.verification = Some(verification);
    }

    /// Takes back a send of this moment that another one has overtaken, or a forget, before its message could be asked for: it does not
    /// count, and a verification that has no other message was never made.
    pub fn take_back_overtaken(&mut self, nonce: &Nonce, tag: &DeliveryTag, sent_at: Timestamp) {
        if let Some(place) = self.sends.iter().position(|at| *at == sent_at) {
            self.sends.remove(place);
        }
        self.ended.retain(|ended| {
            ended.params.nonce != *nonce
                || ended.deliveries.iter().any(|delivery| delivery.tag != *tag)
        });
        let of_now = self
            .verification
            .iter_mut()
            .flat_map(|verification| verification.deliveries.iter_mut());
        for delivery in of_now.chain(
            self.ended
                .iter_mut()
                .flat_map(|ended| ended.deliveries.iter_mut()),
        ) {
            if delivery.tag == *tag {
                delivery.status = DeliveryStatus::Failed;
            }
        }
    }

    /// Makes the verification of `before` the one of now again, unless it was forgotten meanwhile.
    fn bring_back(&mut self, before: &Self) {
        let Some(old) = &before.verification else {
            return;
        };
        let Some(place) = self
            .ended
            .iter()
            .position(|ended| ended.params.nonce == old.params.nonce)
        else {
            return;
        };
        let mut deliveries = self.ended.remove(place).deliveries;
        queue_again(&mut deliveries, &old.deliveries);
        for delivery in &mut deliveries {
            // An ended verification keeps no names of carriers' messages.
            delivery.vendor_id = old
                .deliveries
                .iter()
                .find(|was| was.tag == delivery.tag)
                .and_then(|was| was.vendor_id.clone());
        }
        let mut old = Verification {
            deliveries,
            ..old.clone()
        };
        let is_unlocked = self.failures.is_empty() && self.failures_in_a_row == 0;
        if is_unlocked {
            old.attempts_forgiven = old.attempts.len();
        } else {
            self.failures.clone_from(&before.failures);
            self.failures_in_a_row = before.failures_in_a_row;
        }
        self.verification = Some(old);
    }

    /// Ends the verification of now at the caller's wish; `false` if it already ended.
    pub fn cancel(&mut self, now: Timestamp) -> bool {
        match &mut self.verification {
            Some(verification) if verification.status(now) == Status::Pending => {
                verification.canceled_at = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Clears the counts of failures. No ended verification comes back to life.
    pub fn unlock(&mut self) {
        self.failures.clear();
        self.failures_in_a_row = 0;
        if let Some(verification) = &mut self.verification {
            verification.attempts_forgiven = verification.attempts.len();
        }
    }

    /// Erases who it is and what was verified; keeps the counts, or erasure would be a reset.
    pub fn forget(&mut self, now: Timestamp) {
        self.put_aside(now);
        self.ended.clear();
        self.address = None;
        self.sealed_address.clear();
        self.prune(now);
    }

    /// The verification with this nonce, while it is readable.
    #[must_use]
    pub fn find(&self, nonce: &Nonce, now: Timestamp) -> Option<VerificationRef<'_>> {
        if let Some(verification) = self
            .verification
            .as_ref()
            .filter(|v| v.params.nonce == *nonce)
        {
            return Some(VerificationRef::Current(verification));
        }
        let readable = |ended: &&PastVerification| now < ended.ended_at + RETENTION_SECONDS;
        self.ended
            .iter()
            .take(ENDED_MAX)
            .filter(readable)
            .find(|ended| ended.params.nonce == *nonce)
            .map(VerificationRef::Past)
    }

    /// The verification that was made with this `Idempotency-Key` in the last 24 h, and the hash of its body.
    #[must_use]
    pub fn made_with(
        &self,
        key: &KeyHash,
        now: Timestamp,
    ) -> Option<(VerificationRef<'_>, KeyHash)> {
        let all = self
            .verification
            .iter()
            .map(VerificationRef::Current)
            .chain(self.ended.iter().map(VerificationRef::Past));
        let remembered = all.filter(|found| now < found.params().created_at + IDEMPOTENCY_SECONDS);
        remembered.into_iter().find_map(|found| {
            found
                .params()
                .idempotency
                .filter(|(k, _)| k == key)
                .map(|(_, body)| (found, body))
        })
    }

    /// Raises the state of a message, of whichever verification; `None` if nothing is known of it, `false` if it is there or
    /// above already or with another carrier. A bad end makes the next step due.
    pub fn raise(
        &mut self,
        tag: &DeliveryTag,
        status: DeliveryStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) -> Option<bool> {
        let of_now = self
            .verification
            .iter_mut()
            .flat_map(|verification| verification.deliveries.iter_mut());
        let mut all = of_now.chain(
            self.ended
                .iter_mut()
                .flat_map(|ended| ended.deliveries.iter_mut()),
        );
        let delivery = all.find(|delivery| delivery.tag == *tag)?;
        let is_with_another = carrier.is_some_and(|carrier| {
            delivery
                .carrier
                .as_deref()
                .is_some_and(|has| has != carrier)
        });
        if is_with_another || !delivery.status.may_become(status) {
            return Some(false);
        }
        delivery.status = status;
        delivery.carrier = carrier.map(str::to_owned).or(delivery.carrier.take());
        delivery.updated_at = now;
        let of_now = self.verification.as_mut().filter(|v| {
            status.ended_badly() && v.deliveries.iter().any(|delivery| delivery.tag == *tag)
        });
        if let Some(verification) = of_now {
            verification.step.due = now;
        }
        Some(true)
    }

    /// Moves the verification of now to the ended ones, with its failures.
    fn put_aside(&mut self, now: Timestamp) {
        self.failures_in_a_row = self.failures_in_a_row_now();
        if let Some(verification) = self.verification.take() {
            self.failures.extend(verification.wrong_attempts());
            self.failures.sort_unstable();
            self.ended
                .insert(0, PastVerification::new(verification, now));
        }
    }

    /// The send of a message that never left the queue is taken back: nobody is made to wait for it.
    fn take_back_stuck_send(&mut self, now: Timestamp) {
        let kept = self.sends_that_count(now).len();
        self.sends.truncate(kept);
    }

    fn sends_that_count(&self, now: Timestamp) -> &[Timestamp] {
        let stuck = self
            .verification
            .as_ref()
            .is_some_and(|v| v.is_stuck(now, STUCK_AFTER_SECONDS));
        &self.sends[..self.sends.len().saturating_sub(usize::from(stuck))]
    }

    fn wrong_attempts(&self) -> Vec<Timestamp> {
        let of_now = self
            .verification
            .iter()
            .flat_map(Verification::wrong_attempts);
        let mut all: Vec<_> = self.failures.iter().copied().chain(of_now).collect();
        all.sort_unstable();
        all
    }

    fn failures_in_a_row_now(&self) -> u32 {
        match &self.verification {
            Some(verification) if verification.winner().is_some() => 0,
            Some(verification) => self.failures_in_a_row.saturating_add(
                u32::try_from(verification.wrong_attempts().count()).unwrap_or(u32::MAX),
            ),
            None => self.failures_in_a_row,
        }
    }
}

/// Messages that were queued and that only a send which is taken back made something else of.
fn queue_again(deliveries: &mut [Delivery], before: &[Delivery]) {
    use DeliveryStatus::{Failed, Queued, Sending, Unknown};
    for delivery in deliveries
        .iter_mut()
        .filter(|left| left.carrier.is_none() && matches!(left.status, Failed | Sending | Unknown))
    {
        if let Some(was) = before
            .iter()
            .find(|was| was.tag == delivery.tag && was.status == Queued)
        {
            (delivery.status, delivery.updated_at) = (was.status, was.updated_at);
        }
    }
}

impl Verification {
    /// Adds a message to the end of its deliveries.
    pub fn add_delivery(
        &mut self,
        channel: Channel,
        cause: Cause,
        tag: DeliveryTag,
        now: Timestamp,
    ) {
        let number = self.next_delivery_number();
        let status = DeliveryStatus::Queued;
        self.deliveries.push(Delivery {
            tag,
            number,
            channel,
            status,
            carrier: None,
            cause,
            updated_at: now,
            parts: 0,
            vendor_id: None,
        });
        if self.deliveries.len() > DELIVERIES_MAX {
            self.deliveries.remove(0);
        }
    }
}

/// Whether a resend must make a fresh code.
#[must_use]
pub fn makes_fresh_code(policy: &Policy) -> bool {
    policy.resend_code == ResendCode::Fresh
}

/// First moment from `now` on at which fewer than `quota` of the `events` (oldest first) lie within the window.
fn window_end(
    events: &[Timestamp],
    quota: usize,
    window_seconds: i64,
    now: Timestamp,
) -> Timestamp {
    let from = events.partition_point(|at| *at <= now - window_seconds);
    let within = &events[from..];
    match within.len().checked_sub(quota) {
        Some(over) if quota > 0 => within[over] + window_seconds,
        _ => now,
    }
}

/// First moment from `now` on at which the ladder allows a further send. Sends leave the hour while one waits, which
/// may shorten the wait.
fn cooldown_end(sends: &[Timestamp], ladder: &[i64], now: Timestamp) -> Timestamp {
    let Some(last) = sends.last() else { return now };
    let from = sends.partition_point(|at| *at <= now - HOUR_SECONDS);
    for at in from..sends.len() {
        // From `at` on sends are within the hour, starting when the one before `at` left it.
        let begins = if at == from {
            now
        } else {
            sends[at - 1] + HOUR_SECONDS
        };
        let within = sends.len() - at;
        let wait = ladder
            .get(within - 1)
            .or(ladder.last())
            .copied()
            .unwrap_or(0);
        // A send of this very second may be a second ahead of our clock: without a wait it is no reason to wait.
        let allowed = if wait == 0 {
            begins
        } else {
            begins.max(*last + wait)
        };
        if allowed < sends[at] + HOUR_SECONDS {
            return allowed;
        }
    }
    now.max(*last + HOUR_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::verification::VerificationParams;
    use crate::domain::verification::tests::{attempt, verification};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn policy() -> Policy {
        Policy::default()
    }

    fn opened(at: Timestamp) -> Verification {
        let mut v = verification(5);
        v.params.created_at = at;
        v.params.expires_at = at + 300;
        v.add_delivery(Channel::Sms, Cause::Asked, [0; 4], at);
        v.deliveries[0].status = DeliveryStatus::Sent;
        v
    }

    fn limit(recipient: &Recipient, now: Timestamp) -> Option<(Limit, i64)> {
        recipient
            .check_limits(&policy(), now)
            .err()
            .map(|l| (l.limit, l.until.seconds_since(now)))
    }

    #[test]
    fn the_cooldown_climbs_its_ladder_and_the_hourly_limit_follows() {
        let mut recipient = Recipient::default();
        let mut now = NOW;
        for wait in [30, 60, 120, 300] {
            assert_eq!(limit(&recipient, now), None);
            recipient.open(opened(now), now);
            assert_eq!(limit(&recipient, now), Some((Limit::Cooldown, wait)));
            assert_eq!(
                limit(&recipient, now + (wait - 1)),
                Some((Limit::Cooldown, 1))
            );
            now = now + wait;
        }
        recipient.open(opened(now), now);
        // The fifth send: the cooldown asks for 600 s, the hour for the rest of 3600 s since the first; the later wins.
        assert_eq!(
            limit(&recipient, now),
            Some((Limit::RecipientHour, 3600 - 510))
        );
        assert_eq!(recipient.sends_left(&policy(), now), 0);
        assert_eq!(limit(&recipient, NOW + 3600), None);
        assert_eq!(recipient.next_send_at(&policy(), now), NOW + 3600);
    }

    #[test]
    fn of_several_limits_the_one_that_ends_last_is_told() {
        let limited = |limit, seconds| LimitExceeded {
            limit,
            until: NOW + seconds,
        };
        let others = [
            limited(Limit::Prefix, 9),
            limited(Limit::Spend, 9),
            limited(Limit::Country, 3),
        ];
        assert_eq!(
            limited(Limit::Client, 5).or_later(others),
            limited(Limit::Prefix, 9)
        );
        assert_eq!(
            limited(Limit::Client, 9).or_later(others),
            limited(Limit::Client, 9)
        );
    }

    #[test]
    fn ten_sends_a_day_are_all_and_the_day_slides() {
        let mut recipient = Recipient {
            sends: (0..10).map(|n| NOW + (n * 3700)).collect(),
            ..Recipient::default()
        };
        let now = NOW + (10 * 3700);
        assert_eq!(
            limit(&recipient, now),
            Some((Limit::RecipientDay, DAY_SECONDS - 37_000))
        );
        assert_eq!(limit(&recipient, NOW + DAY_SECONDS), None);
        recipient.open(opened(NOW + DAY_SECONDS), NOW + DAY_SECONDS);
        assert_eq!(recipient.sends.len(), 10, "a send a day old is dropped");
    }

    #[test]
    fn the_guess_budget_spans_verifications_and_resends() {
        let mut recipient = Recipient::default();
        let mut now = NOW;
        for round in 0..4u8 {
            assert_eq!(recipient.attempts_allowed(&policy(), now), 5);
            recipient.open(opened(now), now);
            let v = recipient.verification.as_mut().expect("just opened");
            v.attempts = (0..5)
                .map(|n| crate::domain::verification::Attempt {
                    at: now,
                    ..attempt(round * 5 + n, false)
                })
                .collect();
            now = now + 1000;
        }
        assert_eq!(recipient.attempts_allowed(&policy(), now), 0);
        assert_eq!(
            limit(&recipient, now),
            Some((Limit::GuessBudget, DAY_SECONDS - 4000))
        );
        assert_eq!(recipient.code_length(6), 8, "twenty failures in a row");
        let freed = NOW + DAY_SECONDS;
        assert_eq!(limit(&recipient, freed), None);
        assert_eq!(
            recipient.attempts_allowed(&policy(), freed),
            5,
            "all five of the first verification left together"
        );
        recipient.unlock();
        assert_eq!(
            (
                recipient.attempts_allowed(&policy(), now),
                recipient.code_length(6)
            ),
            (5, 6)
        );
        let status = recipient.verification.as_ref().map(|v| v.status(now));
        assert_eq!(
            status,
            Some(Status::Exhausted),
            "an ended verification stays ended"
        );
    }

    #[test]
    fn a_success_ends_the_row_of_failures_but_not_the_day_of_them() {
        let mut recipient = Recipient {
            failures_in_a_row: 9,
            ..Recipient::default()
        };
        recipient.open(opened(NOW), NOW);
        let v = recipient.verification.as_mut().expect("just opened");
        v.attempts = vec![crate::domain::verification::Attempt {
            at: NOW,
            ..attempt(1, false)
        }];
        assert_eq!(recipient.code_length(6), 8);
        recipient
            .verification
            .as_mut()
            .expect("still there")
            .attempts
            .push(attempt(2, true));
        assert_eq!(recipient.code_length(6), 6);
        assert_eq!(recipient.wrong_attempts().len(), 1);
    }

    #[test]
    fn a_message_that_never_left_the_queue_makes_nobody_wait() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        recipient
            .verification
            .as_mut()
            .expect("just opened")
            .deliveries[0]
            .status = DeliveryStatus::Queued;
        assert_eq!(
            limit(&recipient, NOW + 15),
            Some((Limit::Cooldown, 15)),
            "it may still be on its way"
        );
        assert_eq!(limit(&recipient, NOW + 16), None);
        recipient.open(opened(NOW + 16), NOW + 16);
        assert_eq!(recipient.sends, [NOW + 16]);
    }

    #[test]
    fn a_send_that_is_taken_back_leaves_no_trace_but_what_happened_since() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        recipient
            .verification
            .as_mut()
            .expect("just opened")
            .attempts = vec![crate::domain::verification::Attempt {
            at: NOW,
            ..attempt(1, false)
        }];
        let before = recipient.clone();
        let mut second = opened(NOW + 40);
        second.params.nonce = [2; 16];
        recipient.open(second, NOW + 40);
        let mut undone = recipient.clone();
        undone.take_back(&before);
        assert_eq!(undone, before);
        recipient.ended[0].deliveries[0].status = DeliveryStatus::Delivered;
        recipient.take_back(&before);
        assert_eq!(
            recipient
                .verification
                .as_ref()
                .map(|v| v.deliveries[0].status),
            Some(DeliveryStatus::Delivered),
            "a report came meanwhile"
        );
    }

    #[test]
    fn attempts_at_a_verification_that_is_taken_back_stay_counted() {
        let wrong_attempt = |n| crate::domain::verification::Attempt {
            at: NOW,
            ..attempt(n, false)
        };
        for has_one_before in [false, true] {
            let mut recipient = Recipient::default();
            if has_one_before {
                recipient.open(opened(NOW), NOW);
                recipient
                    .verification
                    .as_mut()
                    .expect("just opened")
                    .attempts = vec![wrong_attempt(1)];
            }
            let before = recipient.clone();
            recipient.open(
                Verification {
                    params: VerificationParams {
                        nonce: [2; 16],
                        ..opened(NOW).params
                    },
                    ..opened(NOW)
                },
                NOW + 40,
            );
            recipient
                .verification
                .as_mut()
                .expect("just opened")
                .attempts = vec![wrong_attempt(2), wrong_attempt(3)];
            let wrong = recipient.wrong_attempts();
            recipient.take_back(&before);
            assert_eq!(
                (recipient.wrong_attempts(), recipient.sends.len()),
                (wrong, usize::from(has_one_before))
            );
            assert_eq!(
                recipient.failures_in_a_row_now(),
                2 + u32::from(has_one_before)
            );
        }
    }

    #[test]
    fn a_send_that_was_overtaken_before_it_went_is_taken_back_from_where_it_is() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        recipient.resend(Channel::Sms, [1; 4], None, NOW + 40);
        recipient.resend(Channel::Sms, [2; 4], None, NOW + 50);
        recipient.take_back_overtaken(&[1; 16], &[1; 4], NOW + 40);
        let statuses = |recipient: &Recipient| {
            recipient
                .verification
                .as_ref()
                .map(|v| v.deliveries.iter().map(|d| d.status).collect::<Vec<_>>())
        };
        let expected = [
            DeliveryStatus::Sent,
            DeliveryStatus::Failed,
            DeliveryStatus::Queued,
        ];
        assert_eq!(
            (statuses(&recipient), &recipient.sends),
            (Some(expected.to_vec()), &vec![NOW, NOW + 50])
        );
        let second = Verification {
            params: VerificationParams {
                nonce: [2; 16],
                ..opened(NOW).params
            },
            ..opened(NOW)
        };
        recipient.open(second, NOW + 60);
        recipient.open(
            Verification {
                params: VerificationParams {
                    nonce: [3; 16],
                    ..opened(NOW).params
                },
                ..opened(NOW)
            },
            NOW + 70,
        );
        recipient.take_back_overtaken(&[2; 16], &[0; 4], NOW + 60);
        assert!(
            recipient.find(&[2; 16], NOW + 70).is_none()
                && recipient.find(&[1; 16], NOW + 70).is_some()
        );
        assert_eq!(recipient.sends, [NOW, NOW + 50, NOW + 70]);
    }

    #[test]
    fn a_resend_that_is_taken_back_brings_back_the_message_that_it_pushed_out() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        let v = recipient.verification.as_mut().expect("just opened");
        (1..8).for_each(|n| v.add_delivery(Channel::Sms, Cause::Asked, [n; 4], NOW));
        v.deliveries
            .iter_mut()
            .for_each(|delivery| delivery.status = DeliveryStatus::Sent);
        let before = recipient.clone();
        recipient.resend(Channel::Sms, [9; 4], None, NOW + 40);
        recipient.take_back(&before);
        assert_eq!(recipient, before);
    }

    #[test]
    fn a_resend_that_is_taken_back_keeps_a_cancel_and_never_turns_a_wrong_attempt_right() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        let before = recipient.clone();
        let fresh = FreshCode {
            sealed_code: vec![9],
            expected: [9; 16],
        };
        recipient.resend(Channel::Sms, [1; 4], Some(fresh), NOW + 40);
        let v = recipient.verification.as_mut().expect("still there");
        v.attempts = vec![crate::domain::verification::Attempt {
            at: NOW,
            ..attempt(1, true)
        }];
        v.canceled_at = Some(NOW + 41);
        recipient.take_back(&before);
        let v = recipient.verification.as_ref().expect("still there");
        assert_eq!(
            (
                v.deliveries.len(),
                v.status(NOW + 42),
                recipient.sends.len()
            ),
            (1, Status::Canceled, 1)
        );
    }

    #[test]
    fn the_last_five_stay_readable_and_keys_are_remembered_for_a_day() {
        let mut recipient = Recipient::default();
        for n in 0..8u8 {
            let at = NOW + (i64::from(n) * 1000);
            let mut v = opened(at);
            v.params.nonce = [n; 16];
            v.params.idempotency = (n == 0).then_some(([9; 8], [8; 8]));
            recipient.open(v, at);
        }
        let now = NOW + 8000;
        let readable: Vec<u8> = (0..8)
            .filter(|n| recipient.find(&[*n; 16], now).is_some())
            .collect();
        assert_eq!(readable, [2, 3, 4, 5, 6, 7]);
        assert_eq!(
            recipient
                .made_with(&[9; 8], now)
                .map(|(found, body)| (found.params().nonce[0], body)),
            Some((0, [8; 8]))
        );
        assert!(recipient.made_with(&[9; 8], NOW + DAY_SECONDS).is_none());
        assert!(
            recipient
                .find(&[6; 16], NOW + (7000 + RETENTION_SECONDS))
                .is_none()
        );
    }

    #[test]
    fn no_more_keys_are_remembered_than_fit_into_an_item() {
        let mut recipient = Recipient::default();
        let key = |n: u16| (u64::from(n).to_be_bytes(), [8; 8]);
        for n in 0..300 {
            let mut v = opened(NOW);
            v.params.idempotency = Some(key(n));
            recipient.open(v, NOW);
        }
        assert_eq!(recipient.ended.len(), 200);
        let remembered = (0..300).filter(|n| recipient.made_with(&key(*n).0, NOW).is_some());
        assert_eq!(
            remembered.collect::<Vec<_>>(),
            (99..300).collect::<Vec<_>>(),
            "the latest"
        );
    }

    #[test]
    fn forgetting_keeps_the_counts_and_nothing_else() {
        let mut recipient = Recipient {
            sealed_address: vec![1],
            ..Recipient::default()
        };
        recipient.open(opened(NOW), NOW);
        recipient
            .verification
            .as_mut()
            .expect("just opened")
            .attempts = vec![crate::domain::verification::Attempt {
            at: NOW,
            ..attempt(1, false)
        }];
        recipient.forget(NOW + 1);
        let kept = Recipient {
            sends: vec![NOW],
            failures: vec![NOW],
            failures_in_a_row: 1,
            ..Recipient::default()
        };
        assert_eq!(recipient, kept);
    }

    proptest! {
        /// Whatever the ladder and the history, no send is allowed too early and the announced end is the first moment.
        #[test]
        fn the_announced_end_is_the_first_moment(
            gaps in proptest::collection::vec(0i64..2000, 0..12),
            ladder in proptest::collection::vec(0i64..4000, 1..5),
            hour in 1u16..6, day in 1u16..12, wait in 0i64..4000,
        ) {
            let policy = Policy { cooldown_seconds: ladder.clone(), sends_per_hour: hour, sends_per_day: day, ..Policy::default() };
            let mut at = NOW;
            let sends: Vec<_> = gaps.iter().map(|gap| { at = at + (*gap); at }).collect();
            let now = at + wait;
            let recipient = Recipient { sends: sends.clone(), ..Recipient::default() };
            let allowed = |t: Timestamp| {
                let within = |seconds: i64| sends.iter().filter(|s| t.seconds_since(**s) < seconds).count();
                let n = within(HOUR_SECONDS);
                let ladder_holds = n == 0 || t.seconds_since(*sends.last().expect("n > 0")) >= *ladder.get(n - 1).or(ladder.last()).expect("not empty");
                ladder_holds && n < usize::from(hour) && within(DAY_SECONDS) < usize::from(day)
            };
            prop_assert_eq!(recipient.check_limits(&policy, now).is_ok(), allowed(now));
            let end = recipient.next_send_at(&policy, now);
            prop_assert!(allowed(end));
            let cooldown = cooldown_end(&sends, &ladder, now);
            for t in (now.0..cooldown.0).step_by(7) {
                let n = sends.iter().filter(|s| Timestamp(t).seconds_since(**s) < HOUR_SECONDS).count();
                prop_assert!(n > 0 && Timestamp(t).seconds_since(*sends.last().expect("n > 0")) < *ladder.get(n - 1).or(ladder.last()).expect("not empty"));
            }
        }
    }
}
