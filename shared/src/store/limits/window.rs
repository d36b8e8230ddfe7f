//! How a sliding window rests: a shift register of attributes. `t0` is the last send, `t1` the one before it; a send moves
//! all of them on by one, under the condition that the last of them has left the window. So one write decides, without a
//! read. Where there would be over a hundred, each stands for a block of sends, and `c` counts those of the newest.

use crate::domain::rate_limit::{Quota, Window};
use crate::domain::time::Timestamp;
use crate::store::attributes::{Item, number, number_value};
use crate::store::expression::Update;

const FILLED: &str = "c";

/// Adds a send, if there is room: to the newest block, or as the first of another.
pub(super) fn take(write: Update, quota: Quota, begins_block: bool, now: Timestamp) -> Update {
    let last = quota.blocks() - 1;
    let has_left = format!("(attribute_not_exists(t{last}) OR t{last} <= :edge)");
    let write = write
        .set("t0 = :now")
        .value(":now", number_value(now.0))
        .value(":edge", number_value(quota.edge(now).0));
    if !begins_block {
        return write
            // Where each moment stood for one send until now, nothing counts those of the newest.
            .set(format!("{FILLED} = if_not_exists({FILLED},:z) + :filled"))
            .and(format!("t0 > :edge AND (attribute_not_exists({FILLED}) OR {FILLED} < :last OR ({FILLED} < :full AND {has_left}))"))
            .value(":z", number_value(0))
            .value(":filled", number_value(1))
            .value(":last", number_value(quota.last_block_sends()))
            .value(":full", number_value(quota.block_sends()));
    }
    let write = (0..last).fold(write.and(has_left), |write, at| moved(write, at, at + 1));
    if quota.block_sends() == 1 {
        return write;
    }
    write
        .set(format!("{FILLED} = :filled"))
        .and(format!(
            "(attribute_not_exists({FILLED}) OR {FILLED} >= :full OR t0 <= :edge)"
        ))
        .value(":filled", number_value(1))
        .value(":full", number_value(quota.block_sends()))
}

/// Where a send is in its window.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) quota: Quota,
    /// Which of the moments, from the newest.
    pub(super) at: usize,
    /// Sends of the newest block, itself among them.
    pub(super) filled: u32,
}

impl Place {
    /// The send of `moment` in the window as it is now; `None` if it has left it. Later sends moved it on, and all of one moment are
    /// alike. Within a block one send is like another.
    pub(super) fn found(self, window: &Window, moment: Timestamp) -> Option<Self> {
        let at = if self.quota.block_sends() > 1 {
            Some(0)
        } else {
            window.moments.iter().position(|at| *at == moment)
        };
        at.filter(|_| self.quota.block_sends() == 1 || window.filled > 0)
            .map(|at| Self {
                at,
                filled: window.filled,
                ..self
            })
    }
}

/// Takes out the send of the moment `at` that is in this `place`. What it pushed out had left the window, so that long ago is as good.
/// The last send of the newest block takes the block away.
pub(super) fn give_back(write: Update, place: Place, at: Timestamp) -> Update {
    let Place { quota, filled, .. } = place;
    let (last, full) = (quota.blocks() - 1, quota.block_sends());
    if full > 1 && filled > 1 {
        return write
            .set(format!("{FILLED} = {FILLED} - :filled"))
            .and(format!("{FILLED} > :filled"))
            .value(":filled", number_value(1));
    }
    let write = (place.at..last)
        .fold(write, |write, at| moved(write, at + 1, at))
        .set(format!("t{last}=:z"))
        .value(":z", number_value(0));
    if full > 1 {
        return write
            .set(format!("{FILLED} = :full"))
            .and(format!("{FILLED} = :filled"))
            .value(":full", number_value(full))
            .value(":filled", number_value(filled));
    }
    write
        .and(format!("t{} = :at", place.at))
        .value(":at", number_value(at.0))
}

/// Reads the window.
pub(super) fn read(there: &Item, quota: Quota) -> Window {
    let moment = |at: usize| {
        there
            .get(&format!("t{at}"))
            .and_then(|v| v.as_n().ok()?.parse().ok())
            .map(Timestamp)
    };
    Window {
        moments: (0..quota.blocks()).map_while(moment).collect(),
        filled: u32::try_from(number(there, FILLED)).unwrap_or(0),
    }
}

/// Moves one moment on; where there is none yet, one long ago. Without spaces, as there are many.
fn moved(write: Update, from: usize, to: usize) -> Update {
    write
        .set(format!("t{to}=if_not_exists(t{from},:z)"))
        .value(":z", number_value(0))
}
