//! The causes of errors in the log when the table or the queue responds with something unreadable:
//! what went wrong, and no part of the response.

use std::sync::Arc;

use otp::crypto::keyring::Keyring;
use otp::domain::attempt_log::Attempt;
use otp::domain::ids::{AttemptHash, AttemptNonce, VerificationId, VerificationNonce};
use otp::domain::time::Timestamp;
use otp::platform::aws::{Aws, AwsSettings, Service};
use otp::platform::logging;
use otp::platform::queue::{Dispatch, Queue};
use otp::store::Store;

use crate::support::listener::{Listener, response};

const CANARY: &str = "canary-of-an-item";
/// The longest cause that a person can still read.
const CAUSE_CHARS_MAX: usize = 600;

fn aws(url: &str) -> Aws {
    Aws::new(AwsSettings {
        region: "local".into(),
        access_key_id: "local".into(),
        secret_access_key: "local".into(),
        session_token: None,
        endpoint_urls: [(); 3].map(|()| Some(url.to_owned())),
    })
}

fn keyring() -> Arc<Keyring> {
    let keys = [("k1".to_owned(), [7; 32])].into();
    Arc::new(Keyring::new("k1".into(), &keys, &[7; 32]))
}

/// The logged causes of several calls when all get `status` and `body`.
async fn causes(status: u16, body: String) -> Vec<String> {
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-canary", CANARY),
        ("x-amzn-requestid", "request-1"),
    ];
    let listener = Listener::open(0, move |_| {
        let unreadable = response(status, &headers, body.clone());
        async move { unreadable }
    });
    let listener = listener.await;
    let aws = aws(&listener.url());
    let seal = keyring();
    let store = Store::new(aws.client(Service::DynamoDb), "otp".into(), seal.clone());
    let (key, now) = (
        seal.recipient_key("default", "+33612345678"),
        Timestamp(1_795_291_200),
    );
    let attempt = Attempt {
        nonce: AttemptNonce::Random([1; 8]),
        hash: AttemptHash([2; 16]),
        decision: None,
        at: now,
        invocation: [3; 4],
    };
    let queue = Queue::new(&aws, format!("{}/queue", listener.url()));
    let logged = [
        store
            .load(key, "default", now)
            .await
            .err()
            .map(|error| logging::causes(&error)),
        store
            .append_attempt(key, VerificationNonce([4; 4]), &attempt, now)
            .await
            .err()
            .map(|error| logging::causes(&error)),
        queue
            .enqueue(
                &Dispatch {
                    app: "default".into(),
                    id: VerificationId([5; 16]),
                    step: 1,
                },
                0,
            )
            .await
            .err()
            .map(|error| logging::causes(&error)),
    ];
    logged.into_iter().flatten().collect()
}

#[tokio::test]
async fn unreadable_response_is_not_logged() {
    let item = format!(
        r#"{{"Item":{{"pk":{{"B":"AAAA"}},"to":{{"S":"{CANARY}"}},"note":{{"S":"{}"#,
        CANARY.repeat(1000)
    );
    for (status, body, least) in [
        (200, item.clone(), 2),
        (200, format!("{CANARY}{item}"), 2),
        (
            200,
            format!(
                r#"{{"Item":{{"to":{{"{CANARY}":"{CANARY}"}}}},"Attributes":{{"to":{{"N":{{}},"S":"{CANARY}"}}}}}}"#
            ),
            0,
        ),
        (200, format!("<html>{CANARY}</html>"), 2),
        (400, item, 3),
        (400, format!("{CANARY} is not JSON"), 3),
        (
            400,
            format!(
                r#"{{"__type":"com.amazon.coral.validate#ValidationException","Item":"{CANARY}"}}"#
            ),
            3,
        ),
        (302, CANARY.to_owned(), 3),
    ] {
        let logged = causes(status, body.clone()).await;
        assert!(logged.len() >= least, "{status} {body:.60}: {logged:?}");
        for cause in &logged {
            assert!(!cause.contains("canary"), "{status} {body:.60}: {cause}");
            assert!(
                !cause.is_empty() && cause.chars().count() <= CAUSE_CHARS_MAX,
                "{status} {body:.60}: {cause}"
            );
        }
    }
}

#[tokio::test]
async fn error_message_of_the_table_is_logged_within_bounds() {
    let denied = "User: arn:aws:sts::123456789012:assumed-role/send is not authorized to perform this on the table";
    let body = |message: &str| {
        format!(
            r#"{{"__type":"com.amazon.coral.service#AccessDeniedException","message":"{message}"}}"#
        )
    };
    let logged = causes(400, body(denied)).await;
    assert_eq!(logged.len(), 3, "{logged:?}");
    assert!(
        logged.iter().all(
            |cause| cause.contains("AccessDeniedException") && cause.contains("not authorized")
        ),
        "{logged:?}"
    );
    for cause in causes(400, body(&"long ".repeat(2000))).await {
        assert!(cause.chars().count() <= CAUSE_CHARS_MAX, "{cause}");
    }
}

#[tokio::test]
async fn refused_connection_is_logged() {
    let closed = Listener::open(0, |_| async { None }).await;
    let url = closed.url();
    closed.close().await;
    let seal = keyring();
    let store = Store::new(
        aws(&url).client(Service::DynamoDb),
        "otp".into(),
        seal.clone(),
    );
    let logged = store
        .load(
            seal.recipient_key("default", "+33612345678"),
            "default",
            Timestamp(0),
        )
        .await
        .err()
        .map(|error| logging::causes(&error))
        .unwrap_or_default();
    assert!(
        logged.contains("Connection refused") && logged.chars().count() <= CAUSE_CHARS_MAX,
        "{logged}"
    );
}
