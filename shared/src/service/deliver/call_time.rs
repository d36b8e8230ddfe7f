//! Call time: whether a carrier can be called before the invocation ends.

use std::time::Duration;

use tokio::time::Instant;

use crate::carrier::ConfiguredCarrier;
use crate::platform::deadline::Deadline;

/// Time for the writes after a call: the outcome and the next dispatch, each with a second try.
const AFTER_CALL: Duration = Duration::from_millis(2500);
/// Time for the claim before a call.
const BEFORE_CALL: Duration = Duration::from_millis(1000);
/// The shortest time-out that a carrier gets, whatever its invocation has.
const TIMEOUT_MIN: Duration = Duration::from_millis(500);

/// The time that an invocation has for calls of carriers.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallTime {
    deadline: Deadline,
    /// The longest call that fits into a new invocation.
    timeout_max: Duration,
}

impl CallTime {
    /// For an invocation that starts now.
    pub(super) fn new(deadline: Deadline) -> Self {
        let timeout_max = deadline
            .time_left()
            .saturating_sub(AFTER_CALL + BEFORE_CALL);
        Self {
            deadline,
            timeout_max: timeout_max.max(TIMEOUT_MIN),
        }
    }

    /// The time-out of a call: that of the carrier, as far as an invocation has time for it.
    pub(super) fn timeout(&self, carrier: &ConfiguredCarrier) -> Duration {
        carrier.timeout.min(self.timeout_max)
    }

    /// Whether a call of `carrier` that begins now, and the writes after it, end in time.
    pub(super) fn fits(&self, carrier: &ConfiguredCarrier) -> bool {
        Instant::now() <= self.latest_start(carrier)
    }

    /// Until when a charge is reserved or released: later writes need the time after it.
    pub(super) fn undo_until(&self) -> Instant {
        self.deadline.earlier_by(AFTER_CALL).instant()
    }

    /// The last moment at which a call of `carrier` may begin.
    pub(super) fn latest_start(&self, carrier: &ConfiguredCarrier) -> Instant {
        let needed = self.timeout(carrier) + AFTER_CALL;
        self.deadline.earlier_by(needed).instant()
    }
}
