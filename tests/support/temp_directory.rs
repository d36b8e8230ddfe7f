//! A directory of one test.

use std::path::{Path, PathBuf};

use super::built_functions::random_name;
use super::target;

/// A path of its own under Cargo's temporary directory. Whatever is there is removed when this
/// value is dropped.
pub struct TempDirectory(PathBuf);

impl TempDirectory {
    /// The directory itself is not created.
    #[expect(clippy::new_without_default, reason = "each is another directory")]
    pub fn new() -> Self {
        Self(target::temporary(&random_name()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        let name = self.0.file_name().and_then(|name| name.to_str());
        name.expect("a name in UTF-8")
    }

    /// The path as an argument of a program.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        // It may not exist.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
