//! Causes: what the log is told when the table or the queue answers something that cannot be read. It says what went wrong, and
//! nothing of the answer.

use otp::crypto::keyring::Keyring;
use otp::domain::ids::{AttemptHash, AttemptNonce, VerificationId, VerificationNonce};
use otp::domain::time::Timestamp;
use otp::domain::verification::Attempt;
use otp::platform::aws::{Aws, AwsSettings, Service};
use otp::platform::logging;
use otp::platform::queue::{Dispatch, Queue};
use otp::store::Store;

use crate::listener::{Listener, response};

const CANARY: &str = "canary-of-an-item";
/// A line of the log that a person still reads.
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

/// What the log is told of each call, when all of them are answered with `status` and `body`.
async fn causes(status: u16, body: String) -> Vec<String> {
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-canary", CANARY),
        ("x-amzn-requestid", "request-1"),
    ];
    let listener = Listener::open(0, move |_| {
        let answer = response(status, &headers, body.clone());
        async move { answer }
    });
    let listener = listener.await;
    let aws = aws(&listener.url());
    let seal = std::sync::Arc::new(Keyring::new(
        "k1".into(),
        &[("k1".to_owned(), [7; 32])].into(),
        &[7; 32],
    ));
    let store = Store::new(&aws.config(Service::DynamoDb), "otp".into(), seal.clone());
    let (key, now) = (
        seal.recipient_key("default", "+33612345678"),
        Timestamp(1_795_291_200),
    );
    let attempt = Attempt {
        nonce: AttemptNonce::Random([1; 8]),
        hash: AttemptHash([2; 16]),
        at: now,
        invocation: [3; 4],
    };
    let queue = Queue::new(
        &aws.config(Service::Sqs),
        format!("{}/queue", listener.url()),
    );
    let told = [
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
    told.into_iter().flatten().collect()
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_in_the_log() {
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
        (400, format!("{CANARY} is no JSON"), 3),
        (
            400,
            format!(
                r#"{{"__type":"com.amazon.coral.validate#ValidationException","Item":"{CANARY}"}}"#
            ),
            3,
        ),
        (302, CANARY.to_owned(), 3),
    ] {
        let told = causes(status, body.clone()).await;
        assert!(told.len() >= least, "{status} {body:.60}: {told:?}");
        for cause in &told {
            assert!(!cause.contains("canary"), "{status} {body:.60}: {cause}");
            assert!(
                !cause.is_empty() && cause.chars().count() <= CAUSE_CHARS_MAX,
                "{status} {body:.60}: {cause}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_table_says_of_itself_is_in_the_log_within_bounds() {
    let denied = "User: arn:aws:sts::123456789012:assumed-role/send is not authorized to perform this on the table";
    let body = |message: &str| {
        format!(
            r#"{{"__type":"com.amazon.coral.service#AccessDeniedException","message":"{message}"}}"#
        )
    };
    let told = causes(400, body(denied)).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told.iter().all(
            |cause| cause.contains("AccessDeniedException") && cause.contains("not authorized")
        ),
        "{told:?}"
    );
    for cause in causes(400, body(&"long ".repeat(2000))).await {
        assert!(cause.chars().count() <= CAUSE_CHARS_MAX, "{cause}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_told_as_such() {
    let nobody = Listener::open(0, |_| async { None }).await;
    let url = nobody.url();
    nobody.close().await;
    let seal = std::sync::Arc::new(Keyring::new(
        "k1".into(),
        &[("k1".to_owned(), [7; 32])].into(),
        &[7; 32],
    ));
    let store = Store::new(
        &aws(&url).config(Service::DynamoDb),
        "otp".into(),
        seal.clone(),
    );
    let told = store
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
        told.contains("Connection refused") && told.chars().count() <= CAUSE_CHARS_MAX,
        "{told}"
    );
}
