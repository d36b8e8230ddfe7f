//! The clock that all handlers use: real time plus an offset that `POST /local/clock` increases.
//!
//! Invariant: the clock never goes back, not over a restart either: that would make expired codes
//! valid again. Only a reset sets it back, after it has deleted all of them.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use otp::platform::clock::Clock;
use tokio::sync::{Mutex, MutexGuard};

use crate::data_dir::{DataDir, DataDirError};
use crate::queue::LocalQueue;

/// Name of the file in the data directory: the offset in milliseconds.
const OFFSET_FILE: &str = "clock";
/// The end of the year 9998: the times of a verification are written with four digits for the year.
const CLOCK_MILLIS_MAX: i64 = 253_370_764_800_000;

/// A library that is loaded into each process of the functions and adds an offset to real time.
pub struct MovedClock {
    /// The library.
    pub library: PathBuf,
    /// The file from which it reads the offset in milliseconds: eight bytes in the machine's order.
    /// The server deletes it when it ends.
    pub offset_file: PathBuf,
}

/// The clock.
pub(crate) struct SimulatedClock {
    clock: Clock,
    can_advance: bool,
    data_dir: Option<DataDir>,
    shared_offset: Option<SharedOffset>,
    /// One advance at a time.
    advancing: Mutex<()>,
}

/// Why the clock cannot advance.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum AdvanceError {
    #[error(
        "the functions are processes with real time, so the clock cannot be moved; 0 waits until all that is due has run"
    )]
    RealTime,
    #[error("advance_seconds would move the clock past the year 9998, the last one supported")]
    TooFar,
}

/// Why the clock cannot be restored or shared with processes.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{}: {source}", file.display())]
    SharedOffset {
        file: PathBuf,
        source: std::io::Error,
    },
}

impl SimulatedClock {
    /// Restores the offset that the data directory stores. `can_advance` is false where functions
    /// run as processes with real time.
    pub(crate) fn open(
        clock: Clock,
        can_advance: bool,
        data_dir: Option<DataDir>,
        moved_clock: Option<&MovedClock>,
    ) -> Result<Self, ClockError> {
        if let Some(data_dir) = &data_dir {
            clock.advance_to_millis(clock.now_millis() + stored_offset(data_dir)?);
        }
        let shared_offset = match moved_clock {
            Some(moved_clock) => Some(SharedOffset::create(moved_clock, &clock)?),
            None => None,
        };
        Ok(Self {
            clock,
            can_advance,
            data_dir,
            shared_offset,
            advancing: Mutex::default(),
        })
    }

    /// The clock to read.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the clock from one due moment of the queue to the next, so that each message is
    /// handled at its time. Returns when all that became due has run.
    pub(crate) async fn advance(
        &self,
        seconds: i64,
        queue: &LocalQueue,
    ) -> Result<(), AdvanceError> {
        if seconds > 0 && !self.can_advance {
            return Err(AdvanceError::RealTime);
        }
        let _one_at_a_time = self.advancing.lock().await;
        let target = self.clock.now_millis() + seconds * 1000;
        if target > CLOCK_MILLIS_MAX {
            return Err(AdvanceError::TooFar);
        }
        loop {
            queue.settle().await;
            let next = queue.next_due_millis().filter(|at| *at <= target);
            self.clock.advance_to_millis(next.unwrap_or(target));
            self.save();
            queue.wake();
            if next.is_none() {
                break;
            }
        }
        queue.settle().await;
        Ok(())
    }

    /// Waits until no advance is running, and prevents another one.
    pub(crate) async fn pause(&self) -> PausedClock<'_> {
        PausedClock {
            clock: self,
            _no_advance: self.advancing.lock().await,
        }
    }

    /// Stores the offset and shares it with processes.
    fn save(&self) {
        let offset = self.clock.offset_millis();
        if let Some(data_dir) = &self.data_dir
            && let Err(error) = data_dir.write(OFFSET_FILE, &offset.to_string())
        {
            tracing::warn!(
                error.cause = error.to_string(),
                "failed to store the clock; a restart would set it back"
            );
        }
        if let Some(shared_offset) = &self.shared_offset
            && let Err(error) = shared_offset.write(offset)
        {
            tracing::warn!(
                error.cause = error.to_string(),
                "failed to move the clock of the functions' processes"
            );
        }
    }
}

/// The clock while no advance can run.
pub(crate) struct PausedClock<'c> {
    clock: &'c SimulatedClock,
    _no_advance: MutexGuard<'c, ()>,
}

impl PausedClock<'_> {
    /// Sets the clock back to real time. The table and the queue are empty.
    pub(crate) fn reset(&self) {
        self.clock.clock.reset();
        self.clock.save();
    }
}

/// The stored offset in milliseconds; 0 if none is stored.
fn stored_offset(data_dir: &DataDir) -> Result<i64, DataDirError> {
    let Some(text) = data_dir.read(OFFSET_FILE)? else {
        return Ok(0);
    };
    let offset = text.trim().parse().ok();
    offset
        .filter(|offset| (0..=CLOCK_MILLIS_MAX).contains(offset))
        .ok_or_else(|| DataDirError::Invalid {
            file: OFFSET_FILE,
            problem: format!(
                "{text:?}; allowed: the milliseconds ahead of real time, 0 to {CLOCK_MILLIS_MAX}"
            ),
        })
}

/// The offset as the processes of the functions read it. The file is deleted when this value is
/// dropped.
struct SharedOffset {
    file: File,
    path: PathBuf,
}

impl SharedOffset {
    fn create(moved_clock: &MovedClock, clock: &Clock) -> Result<Self, ClockError> {
        let path = moved_clock.offset_file.clone();
        let created = File::create(&path).and_then(|file| {
            let shared = Self {
                file,
                path: path.clone(),
            };
            shared.write(clock.offset_millis())?;
            Ok(shared)
        });
        created.map_err(|source| ClockError::SharedOffset { file: path, source })
    }

    /// Processes map the file into memory, so it is overwritten in place and never truncated.
    fn write(&self, millis: i64) -> std::io::Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(&millis.to_ne_bytes())
    }
}

impl Drop for SharedOffset {
    fn drop(&mut self) {
        // If it is already gone, there is nothing to delete.
        let _ = std::fs::remove_file(&self.path);
    }
}
