//! Clock: the current time.
//!
//! Invariant: no other file reads the system clock; everything else takes `now` as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// Real time plus an offset that only the local server ever moves. Clones share the offset.
#[derive(Clone, Default, Debug)]
pub struct Clock {
    offset_millis: Arc<AtomicI64>,
}

impl Clock {
    /// Whole seconds; read once per invocation and handed on as a value.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now_millis().div_euclid(1000))
    }

    /// Milliseconds since 1970, for waiting until a moment rather than for deciding.
    #[must_use]
    pub fn now_millis(&self) -> i64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one sanctioned reading of the clock"
        )]
        let real = SystemTime::now();
        // A host whose clock stands before 1970 is broken; zero keeps every code expired rather than alive.
        let real_millis = real
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        real_millis.saturating_add(self.offset_millis.load(Ordering::SeqCst))
    }

    /// Moves this clock and all its clones forward to a moment; never back.
    pub fn advance_to_millis(&self, millis: i64) {
        let behind = millis.saturating_sub(self.now_millis()).max(0);
        self.offset_millis.fetch_add(behind, Ordering::SeqCst);
    }

    /// How far it is ahead of real time.
    #[must_use]
    pub fn offset_millis(&self) -> i64 {
        self.offset_millis.load(Ordering::SeqCst)
    }
}
