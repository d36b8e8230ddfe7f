//! A recipient's own limits: cooldown, sends per hour and day, guess budget, code length.
//!
//! Does not rely on TTL deletion: every window is compared with `now`.

use crate::domain::policy::Policy;
use crate::domain::rate_limit::{Limit, LimitExceeded};
use crate::domain::recipient::Recipient;
use crate::domain::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use crate::domain::verification::Verification;

/// Consecutive failures from which new codes are longer, and their length.
const LENGTH_BY_FAILURES: [(u32, u8); 2] = [(50, 10), (10, 8)];

impl Recipient {
    /// Wrong attempts that count against the guess budget, oldest first.
    #[must_use]
    pub fn wrong_attempts(&self) -> Vec<Timestamp> {
        let current = self.current.iter().flat_map(Verification::wrong_attempts);
        let mut all: Vec<_> = self.failures.iter().copied().chain(current).collect();
        all.sort_unstable();
        all
    }

    /// Whether a send is allowed now.
    ///
    /// # Errors
    /// The exceeded limit that ends last.
    pub fn check_limits(&self, policy: &Policy, now: Timestamp) -> Result<(), LimitExceeded> {
        let sends = self.counted_sends(now);
        let per_hour = usize::from(policy.sends_per_hour);
        let per_day = usize::from(policy.sends_per_day);
        let budget = usize::from(policy.guess_budget);
        let ends = [
            (
                Limit::Cooldown,
                cooldown_end(sends, &policy.cooldown_seconds, now),
            ),
            (
                Limit::RecipientHour,
                window_end(sends, per_hour, HOUR_SECONDS, now),
            ),
            (
                Limit::RecipientDay,
                window_end(sends, per_day, DAY_SECONDS, now),
            ),
            (
                Limit::GuessBudget,
                window_end(&self.wrong_attempts(), budget, DAY_SECONDS, now),
            ),
        ];
        let exceeded = ends.into_iter().filter(|(_, until)| *until > now);
        match exceeded.max_by_key(|(_, until)| *until) {
            Some((limit, until)) => Err(LimitExceeded { limit, until }),
            None => Ok(()),
        }
    }

    /// Whether the guess budget alone allows a send now: for test numbers, which have no other
    /// limit.
    ///
    /// # Errors
    /// The guess budget, with its end.
    pub fn check_guess_budget(&self, policy: &Policy, now: Timestamp) -> Result<(), LimitExceeded> {
        let budget = usize::from(policy.guess_budget);
        let until = window_end(&self.wrong_attempts(), budget, DAY_SECONDS, now);
        let limit = Limit::GuessBudget;
        let exceeded = (until > now).then_some(LimitExceeded { limit, until });
        exceeded.map_or(Ok(()), Err)
    }

    /// The first moment from `now` on at which these limits allow a send.
    #[must_use]
    pub fn next_send_at(&self, policy: &Policy, now: Timestamp) -> Timestamp {
        let mut at = now;
        // Each round passes the end of at least one limit, and there are four.
        for _ in 0..8 {
            match self.check_limits(policy, at) {
                Ok(()) => break,
                Err(exceeded) => at = exceeded.until,
            }
        }
        at
    }

    /// Sends left within the hourly limit.
    #[must_use]
    pub fn sends_left(&self, policy: &Policy, now: Timestamp) -> u16 {
        let hour_ago = now - HOUR_SECONDS;
        let used = self
            .counted_sends(now)
            .iter()
            .filter(|at| **at > hour_ago)
            .count();
        policy
            .sends_per_hour
            .saturating_sub(u16::try_from(used).unwrap_or(u16::MAX))
    }

    /// Attempts that a new verification accepts: k, or what is left of the guess budget.
    #[must_use]
    pub fn attempts_allowed(&self, policy: &Policy, now: Timestamp) -> u8 {
        let used = u8::try_from(self.failures_in_a_day(now)).unwrap_or(u8::MAX);
        let left = policy.guess_budget.saturating_sub(used);
        policy.max_attempts.min(left)
    }

    /// Wrong attempts of the last 24 h that count against the guess budget.
    #[must_use]
    pub fn failures_in_a_day(&self, now: Timestamp) -> usize {
        let day_ago = now - DAY_SECONDS;
        let mut wrong = self.wrong_attempts();
        wrong.retain(|at| *at > day_ago);
        wrong.len()
    }

    /// Length of the next code: `requested`, or longer after many consecutive failures.
    #[must_use]
    pub fn code_length(&self, requested: u8) -> u8 {
        let failures = self.consecutive_failures();
        let step = LENGTH_BY_FAILURES
            .into_iter()
            .find(|(from, _)| failures >= *from);
        step.map_or(requested, |(_, length)| requested.max(length))
    }
}

/// First moment from `now` on at which fewer than `quota` of the `events` (oldest first) lie within
/// the window.
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

/// First moment from `now` on at which the cooldown allows a send. `waits`: before the 2nd, 3rd, …
/// send of an hour; the last one repeats. Sends leave the hour during the wait, which may shorten
/// it.
fn cooldown_end(sends: &[Timestamp], waits: &[i64], now: Timestamp) -> Timestamp {
    let Some(last) = sends.last() else { return now };
    let from = sends.partition_point(|at| *at <= now - HOUR_SECONDS);
    for at in from..sends.len() {
        // From `at` on, sends are within the hour. That begins when the send before `at` leaves it.
        let begins = if at == from {
            now
        } else {
            sends[at - 1] + HOUR_SECONDS
        };
        let within = sends.len() - at;
        let wait = waits.get(within - 1).or(waits.last()).copied().unwrap_or(0);
        // The clock of the last send's writer may be a second ahead: a wait of 0 is never a wait.
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
    use proptest::prelude::*;

    use super::*;
    use crate::domain::attempt_log::Attempt;
    use crate::domain::channel::Channel;
    use crate::domain::delivery::{Cause, DeliveryStatus};
    use crate::domain::ids::DeliveryTag;
    use crate::domain::verification::Verification;
    use crate::domain::verification::tests::{attempt, verification};
    use crate::domain::verification_status::Status;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn opened(at: Timestamp) -> Verification {
        let mut v = verification(5);
        v.params.created_at = at;
        v.params.expires_at = at + 300;
        v.add_delivery(Channel::Sms, Cause::Requested, DeliveryTag([0; 4]), at);
        v.deliveries[0].status = DeliveryStatus::Sent;
        v
    }

    fn limit(recipient: &Recipient, now: Timestamp) -> Option<(Limit, i64)> {
        let exceeded = recipient.check_limits(&Policy::default(), now).err()?;
        Some((exceeded.limit, exceeded.until.seconds_since(now)))
    }

    #[test]
    fn cooldown_grows_until_the_hourly_limit_applies() {
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
        // The cooldown asks for 600 s, the hour for the rest of 3600 s since the first: the later
        // wins.
        assert_eq!(
            limit(&recipient, now),
            Some((Limit::RecipientHour, 3600 - 510))
        );
        assert_eq!(recipient.sends_left(&Policy::default(), now), 0);
        assert_eq!(limit(&recipient, NOW + 3600), None);
        assert_eq!(recipient.next_send_at(&Policy::default(), now), NOW + 3600);
    }

    #[test]
    fn daily_limit_slides() {
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
    fn guess_budget_spans_verifications() {
        let mut recipient = Recipient::default();
        let mut now = NOW;
        for round in 0..4u8 {
            assert_eq!(recipient.attempts_allowed(&Policy::default(), now), 5);
            recipient.open(opened(now), now);
            let v = recipient.current.as_mut().expect("just opened");
            v.attempts = (0..5)
                .map(|n| Attempt {
                    at: now,
                    ..attempt(round * 5 + n, false)
                })
                .collect();
            now = now + 1000;
        }
        assert_eq!(recipient.attempts_allowed(&Policy::default(), now), 0);
        assert_eq!(
            limit(&recipient, now),
            Some((Limit::GuessBudget, DAY_SECONDS - 4000))
        );
        assert_eq!(recipient.code_length(6), 8, "twenty consecutive failures");
        let freed = NOW + DAY_SECONDS;
        assert_eq!(limit(&recipient, freed), None);
        assert_eq!(
            recipient.attempts_allowed(&Policy::default(), freed),
            5,
            "all five attempts of the first verification left the window"
        );
        recipient.unlock();
        assert_eq!(
            (
                recipient.attempts_allowed(&Policy::default(), now),
                recipient.code_length(6)
            ),
            (5, 6)
        );
        let status = recipient.current.as_ref().map(|v| v.status(now));
        assert_eq!(
            status,
            Some(Status::Exhausted),
            "an ended verification stays ended"
        );
    }

    #[test]
    fn success_resets_the_streak_but_not_the_budget() {
        let mut recipient = Recipient {
            failure_streak: 9,
            ..Recipient::default()
        };
        recipient.open(opened(NOW), NOW);
        let v = recipient.current.as_mut().expect("just opened");
        v.attempts = vec![Attempt {
            at: NOW,
            ..attempt(1, false)
        }];
        assert_eq!(recipient.code_length(6), 8);
        recipient
            .current
            .as_mut()
            .expect("still there")
            .attempts
            .push(attempt(2, true));
        assert_eq!(recipient.code_length(6), 6);
        assert_eq!(recipient.wrong_attempts().len(), 1);
    }

    #[test]
    fn send_that_was_not_enqueued_does_not_count() {
        let mut recipient = Recipient::default();
        recipient.open(opened(NOW), NOW);
        recipient.current.as_mut().expect("just opened").deliveries[0].status =
            DeliveryStatus::Queued;
        assert_eq!(
            limit(&recipient, NOW + 15),
            Some((Limit::Cooldown, 15)),
            "its dispatch may be in flight"
        );
        assert_eq!(limit(&recipient, NOW + 16), None);
        recipient.open(opened(NOW + 16), NOW + 16);
        assert_eq!(recipient.sends, [NOW + 16]);
    }

    fn since_last(sends: &[Timestamp], t: Timestamp) -> i64 {
        t.seconds_since(*sends.last().expect("a send"))
    }

    /// The cooldown after `n` sends.
    fn wait_after(waits: &[i64], n: usize) -> i64 {
        *waits.get(n - 1).or(waits.last()).expect("a wait")
    }

    proptest! {
        /// For any cooldown and history, no send is allowed too early.
        #[test]
        fn announced_end_is_the_first_allowed_moment(
            gaps in proptest::collection::vec(0i64..2000, 0..12),
            waits in proptest::collection::vec(0i64..4000, 1..5),
            hour in 1u16..6, day in 1u16..12, wait in 0i64..4000,
        ) {
            let policy = Policy {
                cooldown_seconds: waits.clone(),
                sends_per_hour: hour,
                sends_per_day: day,
                ..Policy::default()
            };
            let mut at = NOW;
            let sends: Vec<_> = gaps.iter().map(|gap| { at = at + (*gap); at }).collect();
            let now = at + wait;
            let recipient = Recipient { sends: sends.clone(), ..Recipient::default() };
            let allowed = |t: Timestamp| {
                let within = |seconds: i64| {
                    sends.iter().filter(|s| t.seconds_since(**s) < seconds).count()
                };
                let n = within(HOUR_SECONDS);
                let cooldown_is_over = n == 0 || since_last(&sends, t) >= wait_after(&waits, n);
                cooldown_is_over && n < usize::from(hour) && within(DAY_SECONDS) < usize::from(day)
            };
            prop_assert_eq!(recipient.check_limits(&policy, now).is_ok(), allowed(now));
            let end = recipient.next_send_at(&policy, now);
            prop_assert!(allowed(end));
            let cooldown = cooldown_end(&sends, &waits, now);
            for t in (now.0..cooldown.0).step_by(7) {
                let t = Timestamp(t);
                let n = sends.iter().filter(|s| t.seconds_since(**s) < HOUR_SECONDS).count();
                prop_assert!(n > 0 && since_last(&sends, t) < wait_after(&waits, n));
            }
        }
    }

    #[test]
    fn guess_budget_alone_limits_test_numbers() {
        let budget = i64::from(Policy::default().guess_budget);
        let mut recipient = Recipient {
            failures: (1..budget).map(|n| NOW + n).collect(),
            ..Recipient::default()
        };
        recipient.open(opened(NOW), NOW);
        let check = |recipient: &Recipient, now| {
            let exceeded = recipient.check_guess_budget(&Policy::default(), now);
            exceeded.map_err(|exceeded| (exceeded.limit, exceeded.until))
        };
        assert_eq!(check(&recipient, NOW), Ok(()));
        recipient.failures.push(NOW + budget);
        let end = NOW + 1 + DAY_SECONDS;
        assert_eq!(check(&recipient, NOW), Err((Limit::GuessBudget, end)));
        assert_eq!(check(&recipient, end), Ok(()));
    }

    #[test]
    fn codes_are_longer_after_many_failures() {
        for (failures, requested, length) in
            [(9, 6, 6), (10, 6, 8), (49, 6, 8), (50, 6, 10), (10, 9, 9)]
        {
            let recipient = Recipient {
                failure_streak: failures,
                ..Recipient::default()
            };
            assert_eq!(recipient.code_length(requested), length, "{failures}");
        }
    }

    #[test]
    fn quota_of_zero_is_no_limit() {
        assert_eq!(window_end(&[NOW], 0, HOUR_SECONDS, NOW), NOW);
        assert_eq!(window_end(&[NOW], 1, HOUR_SECONDS, NOW), NOW + HOUR_SECONDS);
    }

    #[test]
    fn long_cooldown_ends_when_a_send_leaves_the_hour() {
        let sends = [NOW, NOW + 100];
        for shorter in [0, 10] {
            let end = cooldown_end(&sends, &[shorter, 3590], NOW + 200);
            assert_eq!(end, NOW + HOUR_SECONDS, "one send is left");
        }
        let longer = cooldown_end(&sends, &[3550, 3500], NOW + 200);
        assert_eq!(
            longer,
            NOW + 100 + 3550,
            "the wait for one send applies then"
        );
    }

    #[test]
    fn sends_left_are_those_of_the_hour() {
        let policy = Policy::default();
        let recipient = Recipient {
            sends: vec![NOW, NOW + 10],
            ..Recipient::default()
        };
        let left = |now| recipient.sends_left(&policy, now);
        assert_eq!(left(NOW + 10), policy.sends_per_hour - 2);
        assert_eq!(left(NOW + HOUR_SECONDS), policy.sends_per_hour - 1);
        assert_eq!(left(NOW + (HOUR_SECONDS + 10)), policy.sends_per_hour);
    }
}
