//! The directory of `--data`: one server at a time has it, and its files are whole at every moment.

use super::{Directory, Process, ended, stderr};

#[tokio::test]
async fn a_second_server_does_not_start_on_the_data_of_one_that_runs() {
    let directory = Directory::new();
    let arguments = ["--data", directory.path()];
    let first = Process::start(&arguments, &[]).await;
    let output = ended(&["--port", "0", "--data", directory.path()], &[]).await;
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
            .any(|line| line.starts_with("--data: ") && line.contains(directory.path())),
        "{lines}"
    );
    assert_eq!(
        first.service.raw("GET", "/healthz", &[], "").await.status,
        200,
        "the one that runs is not disturbed"
    );

    let elsewhere = Directory::new();
    assert_eq!(
        Process::start(&["--data", elsewhere.path()], &[])
            .await
            .end("TERM")
            .await,
        Some(0),
        "another directory is free"
    );
}

#[tokio::test]
async fn data_is_free_again_however_its_server_ended() {
    let directory = Directory::new();
    for (signal, code) in [("KILL", None), ("TERM", Some(0)), ("INT", Some(0))] {
        let process = Process::start(&["--data", directory.path()], &[]).await;
        assert_eq!(process.end(signal).await, code, "SIG{signal}");
    }
    let output = ended(
        &["--port", "0", "--data", directory.path()],
        &[("OTP_CODE_LENGTH", "3")],
    )
    .await;
    assert_eq!(output.status.code(), Some(1), "a start that failed");
    assert_eq!(
        Process::start(&["--data", directory.path()], &[])
            .await
            .end("TERM")
            .await,
        Some(0)
    );
}

/// A process can be killed between any two of its writes: whoever still has the file as it was must see it so.
#[tokio::test]
async fn the_clock_that_is_kept_is_replaced_and_never_cut_short() {
    let directory = Directory::new();
    let process = Process::start(&["--data", directory.path()], &[]).await;
    process.service.advance(600).await;
    let (file, before) = (directory.0.join("clock"), directory.0.join("clock-before"));
    std::fs::hard_link(&file, &before).expect("a second name of the file");
    process.service.advance(600).await;
    let millis = |file| {
        std::fs::read_to_string(file)
            .expect("a text")
            .parse::<i64>()
            .expect("a number")
    };
    assert!(
        (600_000..1_200_000).contains(&millis(&before)),
        "{}",
        millis(&before)
    );
    assert!(
        (1_200_000..1_800_000).contains(&millis(&file)),
        "{}",
        millis(&file)
    );
    assert_eq!(process.end("KILL").await, None);
    let after = Process::start(&["--data", directory.path()], &[]).await;
    after.service.settle().await;
    assert!(
        millis(&file) >= 1_200_000,
        "a restart does not turn back time"
    );
}

/// Time that is turned back in silence would give expired codes their lives back.
#[tokio::test]
async fn a_clock_that_cannot_be_read_does_not_start() {
    for text in ["", "soon", "9223372036854775807"] {
        let directory = Directory::new();
        std::fs::create_dir_all(&directory.0).expect("a directory");
        std::fs::write(directory.0.join("clock"), text).expect("a file");
        let output = ended(&["--port", "0", "--data", directory.path()], &[]).await;
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
async fn a_table_that_is_none_is_named() {
    let directory = Directory::new();
    std::fs::create_dir_all(&directory.0).expect("a directory");
    std::fs::write(directory.0.join("table.db"), "nonsense").expect("a file");
    let output = ended(&["--port", "0", "--data", directory.path()], &[]).await;
    assert_eq!(
        (output.status.code(), output.stdout.is_empty()),
        (Some(1), true),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).starts_with(&format!("--data: {}/table.db ", directory.path())),
        "{}",
        stderr(&output)
    );
}
