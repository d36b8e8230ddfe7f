//! Clock: the current time.
//!
//! Invariant: no other file reads the system clock; everything else takes `now` as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// Real time plus an offset, which is always zero in Lambda and is advanced by the local server.
/// Clones share the offset.
#[derive(Clone, Default, Debug)]
pub struct Clock {
    offset_millis: Arc<AtomicI64>,
}

impl Clock {
    /// The current time in whole seconds. Read once per invocation and passed on as a value.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now_millis().div_euclid(1000))
    }

    /// The current time in milliseconds since 1970, to compute how long to wait. Rules use
    /// [`Clock::now`].
    #[must_use]
    pub fn now_millis(&self) -> i64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the only place that reads the clock"
        )]
        let real = SystemTime::now();
        // Before 1970 the system clock is wrong. Zero is used then.
        let real_millis = real
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        real_millis.saturating_add(self.offset_millis.load(Ordering::SeqCst))
    }

    /// Moves this clock and all its clones forward to `millis` since 1970. Does nothing if that
    /// time has passed.
    pub fn advance_to_millis(&self, millis: i64) {
        let distance = millis.saturating_sub(self.now_millis()).max(0);
        self.offset_millis.fetch_add(distance, Ordering::SeqCst);
    }

    /// Moves this clock and all its clones back to real time. Only for a service whose stored data
    /// has been deleted: anything that was dated later would outlive its end.
    pub fn reset(&self) {
        self.offset_millis.store(0, Ordering::SeqCst);
    }

    /// How far the clock is ahead of real time.
    #[must_use]
    pub fn offset_millis(&self) -> i64 {
        self.offset_millis.load(Ordering::SeqCst)
    }
}
