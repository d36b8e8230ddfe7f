//! The directory of `--data`: one server at a time has it, and what is written there beside the engine's file is whole at
//! every moment, also when the process is killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::Path;

/// Name of the file that the server which has the directory holds locked.
const LOCK: &str = "lock";

/// The directory, held. The operating system frees it when the process dies.
pub(crate) struct Held(File);

impl Held {
    /// Makes the directory if it is missing, and holds it.
    pub(crate) fn take(directory: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("--data: {} cannot be made: {error}", directory.display()))?;
        let problem = |error| format!("--data: {} cannot be used: {error}", directory.display());
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join(LOCK))
            .map_err(problem)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(format!(
                "--data: {} is in use by another local server",
                directory.display()
            )),
            Err(TryLockError::Error(error)) => Err(problem(error)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing alone would not do: a process that is being started has a copy of every open file for a moment.
        let _ = self.0.unlock();
    }
}

/// Whole or not at all, and for nobody else's eyes.
pub(crate) fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = file.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&unfinished)?.write_all(text.as_bytes())?;
    std::fs::rename(unfinished, file)
}
