//! The directory of `--data`: what is written there beside the engine's file is whole at every moment, also when the process
//! is killed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

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
