//! The directory of `--data`.
//!
//! Invariant: one server at a time uses it.
//! Invariant: a file that is written here is complete at every moment, also when the process is
//! killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Name of the file that the server locks while it uses the directory.
const LOCK_FILE: &str = "lock";

/// The directory. Clones are of the same one.
#[derive(Clone)]
pub(crate) struct DataDir(PathBuf);

/// Keeps other servers out of the directory until it is dropped. The operating system releases the
/// lock of a killed process.
pub(crate) struct DataDirLock(File);

/// Why the directory, or a file in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("--data: the directory {} cannot be created: {source}", path.display())]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("--data: {} cannot be used: {source}", path.display())]
    Lock {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("--data: {} is in use by another local server", path.display())]
    InUse { path: PathBuf },
    #[error("--data: {file} cannot be read: {source}")]
    Read {
        file: &'static str,
        source: std::io::Error,
    },
    #[error("--data: {file} cannot be written: {source}")]
    Write {
        file: &'static str,
        source: std::io::Error,
    },
    #[error("--data: {file} is invalid: {problem}")]
    Invalid { file: &'static str, problem: String },
}

impl DataDir {
    /// Creates the directory if it is missing, and locks it.
    pub(crate) fn lock(path: PathBuf) -> Result<(Self, DataDirLock), DataDirError> {
        if let Err(source) = std::fs::create_dir_all(&path) {
            return Err(DataDirError::Create { path, source });
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE));
        let locked = file.map_err(TryLockError::Error).and_then(|file| {
            file.try_lock()?;
            Ok(file)
        });
        match locked {
            Ok(file) => Ok((Self(path), DataDirLock(file))),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path }),
            Err(TryLockError::Error(source)) => Err(DataDirError::Lock { path, source }),
        }
    }

    /// The directory at `path`, to read what a running server has stored there.
    pub(crate) fn of_a_running_server(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The path of the file called `name`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of `file`; `None` if there is no such file.
    pub(crate) fn read(&self, file: &'static str) -> Result<Option<String>, DataDirError> {
        match std::fs::read_to_string(self.file(file)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Read { file, source }),
        }
    }

    /// Replaces `file` atomically. Only the user who runs the server can read it.
    pub(crate) fn write(&self, file: &'static str, text: &str) -> Result<(), DataDirError> {
        replace(&self.file(file), text).map_err(|source| DataDirError::Write { file, source })
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is being started has a copy of it
        // for a moment.
        let _ = self.0.unlock();
    }
}

fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = file.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&unfinished)?.write_all(text.as_bytes())?;
    std::fs::rename(unfinished, file)
}
