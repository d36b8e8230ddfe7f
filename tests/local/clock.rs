//! The clock of the local server, which tests move.

use crate::support::{Service, assert_status, phone, unix_seconds};

#[tokio::test]
async fn clock_accepts_whole_numbers_in_any_notation() {
    let service = Service::start().await;
    for (number, status) in [
        ("0.0", 200),
        ("-0", 200),
        ("6e1", 200),
        ("1.5", 400),
        ("-1.0", 400),
        ("4294967296.0", 400),
        ("1e400", 400),
        ("1e300", 400),
    ] {
        let response = service
            .raw(
                "POST",
                "/local/clock",
                &[],
                format!("{{\"advance_seconds\":{number}}}"),
            )
            .await;
        assert_eq!(response.status, status, "{number}: {response:?}");
    }
}

#[tokio::test]
async fn clock_rejects_times_that_cannot_be_written() {
    let service = Service::start().await;
    let longest = r#"{"advance_seconds":4294967295}"#;
    let mut advanced = service.raw("POST", "/local/clock", &[], longest).await;
    while advanced.status == 200 {
        advanced = service.raw("POST", "/local/clock", &[], longest).await;
    }
    assert_status(&advanced, 400);
    let sent = service.send(&phone(1)).await;
    assert!(
        unix_seconds(&sent.body["expires_at"]) > unix_seconds(&sent.body["created_at"]),
        "{sent:?}"
    );
    assert!(
        sent.body["created_at"]
            .as_str()
            .is_some_and(|time| time > "9000"),
        "{sent:?}"
    );
}
