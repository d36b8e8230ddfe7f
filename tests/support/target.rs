//! The programs and the directories that cargo made for this build. They are found from the test
//! program that runs, in `target/PROFILE/deps`, because cargo names them to tests only and not to
//! the library that tests share.

use std::path::{Path, PathBuf};

/// A program of this package, such as `send-under-test`.
pub fn program(name: &str) -> PathBuf {
    let program = profile_directory().join(name);
    program.with_extension(std::env::consts::EXE_EXTENSION)
}

/// A path in the directory for temporary files of tests.
pub fn temporary(name: &str) -> PathBuf {
    let directory = profile_directory().with_file_name("tmp");
    std::fs::create_dir_all(&directory).expect("a directory");
    directory.join(name)
}

/// `target/PROFILE`.
fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this program");
    let profile = test.ancestors().find(|path| !is_in_profile(path));
    profile.expect("a directory of cargo").to_owned()
}

fn is_in_profile(path: &Path) -> bool {
    path.is_file() || path.ends_with("deps")
}
