//! CPU time as counted by Linux's scheduler, read from `/proc`.

use std::time::Duration;

/// The CPU time that threads used, and how long they waited for a core.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    pub used: Duration,
    pub waited: Duration,
}

impl Cpu {
    /// The difference to `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            used: self.used.saturating_sub(before.used),
            waited: self.waited.saturating_sub(before.waited),
        }
    }
}

/// The sum over the live threads of a process. `process` is an id or `self`.
#[must_use]
pub fn of_process(process: &str) -> Cpu {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let threads = threads.map(|thread| of_file(&thread.path().join("schedstat").to_string_lossy()));
    threads.fold(Cpu::default(), |sum, thread| Cpu {
        used: sum.used + thread.used,
        waited: sum.waited + thread.waited,
    })
}

/// The first thread of this process, which runs the client.
#[must_use]
pub fn of_first_thread() -> Cpu {
    of_file("/proc/self/schedstat")
}

fn of_file(path: &str) -> Cpu {
    // A thread may end between the listing and the reading.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut nanos = text
        .split(' ')
        .map(|nanos| Duration::from_nanos(nanos.parse().unwrap_or(0)));
    Cpu {
        used: nanos.next().unwrap_or_default(),
        waited: nanos.next().unwrap_or_default(),
    }
}
