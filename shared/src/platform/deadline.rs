//! Deadline: when Lambda ends the invocation.
//!
//! Invariant: a deadline only gets closer. It is measured on the monotonic clock, so a change of
//! the system clock does not move it.

use std::time::Duration;

use tokio::time::Instant;

use crate::platform::clock::Clock;

/// The longest time that Lambda gives an invocation. A deadline that is further away, or past when
/// the invocation starts, means that the system clock is wrong.
const INVOCATION_MAX: Duration = Duration::from_secs(900);
/// The time of an invocation whose deadline is not known: the time-out of the functions in
/// `template.yaml`.
const DEFAULT_TIME: Duration = Duration::from_secs(10);

/// When the invocation ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// `time` from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(INVOCATION_MAX))
    }

    /// Lambda's deadline of an invocation that starts now: milliseconds since 1970.
    #[must_use]
    pub fn of_invocation(deadline_millis: u64, clock: &Clock) -> Self {
        let now_millis = u64::try_from(clock.now_millis()).unwrap_or(0);
        let left = deadline_millis.checked_sub(now_millis);
        let left = left.map(Duration::from_millis);
        Self::after(
            left.filter(|left| (Duration::from_millis(1)..=INVOCATION_MAX).contains(left))
                .unwrap_or(DEFAULT_TIME),
        )
    }

    /// The time that is left.
    #[must_use]
    pub fn time_left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The moment that is `time` earlier.
    #[must_use]
    pub fn earlier_by(self, time: Duration) -> Self {
        Self(self.0.checked_sub(time).unwrap_or(self.0))
    }

    /// The moment itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::after(DEFAULT_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_is_that_of_the_invocation() {
        let clock = Clock::default();
        let now = u64::try_from(clock.now_millis()).unwrap_or(0);
        let left = Deadline::of_invocation(now + 3000, &clock).time_left();
        assert!(left > Duration::from_millis(2500) && left <= Duration::from_secs(3));
    }

    #[test]
    fn impossible_deadline_is_replaced_by_the_default() {
        for millis in [0, 1, u64::MAX] {
            let deadline = Deadline::of_invocation(millis, &Clock::default());
            let left = deadline.time_left();
            assert!(left > DEFAULT_TIME / 2 && left <= DEFAULT_TIME, "{left:?}");
        }
    }
}
