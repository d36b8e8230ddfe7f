//! The built functions: for the tests about processes, and for the whole suite if
//! `OTP_TEST_FUNCTIONS` names their directory. They contain nothing for tests; `clock.c` moves
//! their clock from outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use local::{BuiltFunctions, MovedClock};
use otp::platform::environment::variable;

use super::target;

/// Processes of each function: few enough to start quickly, enough for races.
const PROCESSES: usize = 4;

/// The functions that the whole suite runs against; `None` for handlers in this process.
pub fn for_suite() -> Option<BuiltFunctions> {
    Some(built(PathBuf::from(variable("OTP_TEST_FUNCTIONS")?)))
}

/// The functions that the tests about processes run against: those of the suite, or those that this
/// test run built.
pub fn functions() -> BuiltFunctions {
    for_suite().unwrap_or_else(|| built(this_build().to_owned()))
}

/// The URL of another DynamoDB for the whole suite.
pub fn dynamodb_for_suite() -> Option<String> {
    variable("OTP_TEST_DYNAMODB")
}

fn built(directory: PathBuf) -> BuiltFunctions {
    // A file for each service, because each has its own clock.
    let offset_file = target::temporary(&format!("clock-{}", random_name()));
    BuiltFunctions {
        directory,
        processes: PROCESSES,
        moved_clock: Some(MovedClock {
            library: clock_library().to_owned(),
            offset_file,
        }),
    }
}

/// A directory with the functions under the names of their packages.
fn this_build() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = target::temporary(&format!("functions-{}", random_name()));
        std::fs::create_dir_all(&directory).expect("a directory");
        for name in [
            "send",
            "verify",
            "factors",
            "delivery-callback",
            "carrier-worker",
        ] {
            let program = target::program(&format!("{name}-under-test"));
            std::os::unix::fs::symlink(program, directory.join(name)).expect("a link");
        }
        directory
    })
}

fn clock_library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = target::temporary(&format!("clock-{}.so", random_name()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/clock.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .status();
        assert!(
            compiled.expect("a C compiler").success(),
            "clock.c compiles"
        );
        library
    })
}

/// A name that no other test has.
pub fn random_name() -> String {
    data_encoding::HEXLOWER.encode(&otp::platform::random::random_bytes::<8>())
}
