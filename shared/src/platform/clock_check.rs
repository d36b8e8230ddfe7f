//! Clock check: compares the system clock with the `Date` of DynamoDB's responses.
//!
//! Codes, cooldowns and budgets end at moments that instances compare with their own clock. An
//! instance whose clock is wrong must not decide anything.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::time::Timestamp;

/// Largest difference that is accepted. `Date` has whole seconds.
const SKEW_SECONDS_MAX: i64 = 5;

/// The difference that the latest response showed.
#[derive(Default, Debug)]
pub struct ClockCheck {
    /// Seconds that the system clock is behind; negative if it is ahead.
    behind_seconds: AtomicI64,
}

/// The system clock is wrong, or that of the table.
#[derive(Debug, thiserror::Error)]
#[error("the system clock differs from the clock of the table by {} s", .behind_seconds.abs())]
pub struct ClockSkewError {
    behind_seconds: i64,
}

impl ClockCheck {
    /// Notes the `Date` of a response to a request that was `sent` and answered by `received`, both
    /// by the system clock. Without a readable date nothing changes.
    pub fn note(&self, date: Option<&str>, sent: Timestamp, received: Timestamp) {
        let Some(date) = date.and_then(Timestamp::from_http_date) else {
            return;
        };
        let nearest = date.clamp(sent.min(received), received.max(sent));
        self.behind_seconds
            .store(date.seconds_since(nearest), Ordering::Relaxed);
    }

    /// Whether the latest response showed no difference that matters.
    ///
    /// # Errors
    /// [`ClockSkewError`].
    pub fn result(&self) -> Result<(), ClockSkewError> {
        let behind_seconds = self.behind_seconds.load(Ordering::Relaxed);
        match behind_seconds.abs() > SKEW_SECONDS_MAX {
            true => Err(ClockSkewError { behind_seconds }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T20:00:00Z.
    const DATE: &str = "Sat, 21 Nov 2026 20:00:00 GMT";
    const AT: Timestamp = Timestamp(1_795_291_200);

    #[test]
    fn clock_may_differ_by_five_seconds() {
        let check = ClockCheck::default();
        for (behind, is_accepted) in [(0, true), (5, true), (-5, true), (6, false), (-6, false)] {
            check.note(Some(DATE), AT - behind, AT - behind);
            assert_eq!(check.result().is_ok(), is_accepted, "{behind}");
        }
    }

    #[test]
    fn slow_response_is_no_difference() {
        let check = ClockCheck::default();
        check.note(Some(DATE), AT - 60, AT + 60);
        assert!(check.result().is_ok());
    }

    #[test]
    fn response_without_a_date_changes_nothing() {
        let check = ClockCheck::default();
        check.note(Some(DATE), AT + 60, AT + 60);
        for date in [None, Some(""), Some("yesterday")] {
            check.note(date, AT, AT);
            assert!(check.result().is_err(), "{date:?}");
        }
    }
}
