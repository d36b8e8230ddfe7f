//! The functions as built, for the tests that are about processes, and for the whole suite where `OTP_TEST_FUNCTIONS`
//! names their directory. Nothing in them knows of tests: their clock is moved from outside, by `clock.c`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use local::{BuiltFunctions, MovedClock};
use otp::platform::environment::variable;

/// Processes per function: few enough to start, enough to race.
const PROCESSES: usize = 4;

/// What the whole suite runs against, if not handlers in this process.
pub fn of_suite() -> Option<BuiltFunctions> {
    Some(built(PathBuf::from(variable("OTP_TEST_FUNCTIONS")?)))
}

/// What the tests of processes run against: the same, or the functions as this test run built them.
pub fn functions() -> BuiltFunctions {
    of_suite().unwrap_or_else(|| built(of_this_build().to_owned()))
}

/// Another DynamoDB for the whole suite.
pub fn dynamodb_of_suite() -> Option<String> {
    variable("OTP_TEST_DYNAMODB")
}

fn built(directory: PathBuf) -> BuiltFunctions {
    // One file a service: its clock is its own.
    let offset_file = in_target(&format!("clock-{}", fresh_name()));
    BuiltFunctions {
        directory,
        processes: PROCESSES,
        moved_clock: Some(MovedClock {
            library: clock_library().to_owned(),
            offset_file,
        }),
    }
}

/// Under the names that they are deployed by.
fn of_this_build() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = in_target(&format!("functions-{}", fresh_name()));
        std::fs::create_dir_all(&directory).expect("a directory");
        for (name, program) in [
            ("send", env!("CARGO_BIN_EXE_send-under-test")),
            ("verify", env!("CARGO_BIN_EXE_verify-under-test")),
            (
                "delivery-callback",
                env!("CARGO_BIN_EXE_delivery-callback-under-test"),
            ),
            (
                "carrier-worker",
                env!("CARGO_BIN_EXE_carrier-worker-under-test"),
            ),
        ] {
            std::os::unix::fs::symlink(program, directory.join(name)).expect("a link");
        }
        directory
    })
}

fn clock_library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = in_target(&format!("clock-{}.so", fresh_name()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clock.c");
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

fn in_target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A name that nobody else has.
pub fn fresh_name() -> String {
    data_encoding::HEXLOWER.encode(&otp::platform::random::random_bytes::<8>())
}
