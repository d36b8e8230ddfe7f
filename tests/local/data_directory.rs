//! The directory of `--data`: one server at a time uses it, and its files are never half written.

use crate::support::local_process::{run_to_end, stderr};
use crate::support::{LocalProcess, TempDirectory, assert_status};

#[tokio::test]
async fn second_server_on_the_same_data_does_not_start() {
    let directory = TempDirectory::new();
    let arguments = ["--data", directory.as_str()];
    let first = LocalProcess::start_with_arguments(&arguments, &[]).await;
    let output = run_to_end(&["--port", "0", "--data", directory.as_str()], &[]).await;
    assert_eq!(
        (output.status.code(), output.stdout.is_empty()),
        (Some(1), true),
        "{}",
        stderr(&output)
    );
    let lines = stderr(&output);
    assert!(
        lines
            .lines()
            .any(|line| line.starts_with("--data: ") && line.contains(directory.as_str())),
        "{lines}"
    );
    // The first server continues to run.
    assert_status(&first.service.raw("GET", "/healthz", &[], "").await, 200);

    let elsewhere = TempDirectory::new();
    assert_eq!(
        LocalProcess::start_with_arguments(&["--data", elsewhere.as_str()], &[])
            .await
            .end("TERM")
            .await,
        Some(0),
        "another directory is not locked"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn secrets_can_be_read_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDirectory::new();
    let arguments = ["--data", directory.as_str()];
    let process = LocalProcess::start_with_arguments(&arguments, &[]).await;
    for name in ["secrets.json", "simulated_carriers.json"] {
        let file = directory.path().join(name);
        let mode = std::fs::metadata(file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(process.end("TERM").await, Some(0));
}

#[tokio::test]
async fn data_is_unlocked_however_its_server_ended() {
    let directory = TempDirectory::new();
    for (signal, code) in [("KILL", None), ("TERM", Some(0)), ("INT", Some(0))] {
        let process =
            LocalProcess::start_with_arguments(&["--data", directory.as_str()], &[]).await;
        assert_eq!(process.end(signal).await, code, "SIG{signal}");
    }
    let output = run_to_end(
        &["--port", "0", "--data", directory.as_str()],
        &[("OTP_CODE_LENGTH", "3")],
    )
    .await;
    assert_eq!(output.status.code(), Some(1), "a failed start");
    assert_eq!(
        LocalProcess::start_with_arguments(&["--data", directory.as_str()], &[])
            .await
            .end("TERM")
            .await,
        Some(0)
    );
}

/// A process can be killed between any two writes, so the file must never be written in place:
/// another link to the old file still has the old content.
#[tokio::test]
async fn clock_file_is_replaced_never_truncated() {
    let directory = TempDirectory::new();
    let process = LocalProcess::start_with_arguments(&["--data", directory.as_str()], &[]).await;
    process.service.advance(600).await;
    let (file, before) = (
        directory.path().join("clock"),
        directory.path().join("clock-before"),
    );
    std::fs::hard_link(&file, &before).expect("a second name of the file");
    process.service.advance(600).await;
    let millis = |file| {
        std::fs::read_to_string(file)
            .expect("a text")
            .parse::<i64>()
            .expect("a number")
    };
    // The clock advances from real time, which passes in between: a few milliseconds are missing.
    assert!(
        (599_000..1_199_000).contains(&millis(&before)),
        "{}",
        millis(&before)
    );
    assert!(
        (1_199_000..1_799_000).contains(&millis(&file)),
        "{}",
        millis(&file)
    );
    assert_eq!(process.end("KILL").await, None);
    let after = LocalProcess::start_with_arguments(&["--data", directory.as_str()], &[]).await;
    after.service.settle().await;
    assert!(
        millis(&file) >= 1_199_000,
        "a restart does not set the clock back"
    );
}

/// A clock that is silently set back would make expired codes valid again.
#[tokio::test]
async fn unreadable_clock_file_does_not_start() {
    for text in ["", "soon", "9223372036854775807"] {
        let directory = TempDirectory::new();
        std::fs::create_dir_all(directory.path()).expect("a directory");
        std::fs::write(directory.path().join("clock"), text).expect("a file");
        let output = run_to_end(&["--port", "0", "--data", directory.as_str()], &[]).await;
        assert_eq!(
            (output.status.code(), output.stdout.is_empty()),
            (Some(1), true),
            "{text:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output)
                .lines()
                .any(|line| line.starts_with("--data: clock ")),
            "{text:?}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn invalid_table_file_is_reported() {
    let directory = TempDirectory::new();
    std::fs::create_dir_all(directory.path()).expect("a directory");
    std::fs::write(directory.path().join("table.db"), "nonsense").expect("a file");
    let output = run_to_end(&["--port", "0", "--data", directory.as_str()], &[]).await;
    assert_eq!(
        (output.status.code(), output.stdout.is_empty()),
        (Some(1), true),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).starts_with(&format!("--data: {}/table.db ", directory.as_str())),
        "{}",
        stderr(&output)
    );
}
