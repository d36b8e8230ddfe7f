//! events/: each sample is an event as its trigger sends it, parses as its type, and reaches the function that it is for.

use std::path::PathBuf;

use aws_lambda_events::sns::SnsEvent;
use aws_lambda_events::sqs::SqsEvent;
use data_encoding::BASE64;
use lambda_http::{Body, Request, RequestExt as _, Response};
use otp::config::{CallbackConfig, ConfigError, SendConfig, Variables, VerifyConfig, WorkerConfig};
use otp::platform::clock::Clock;
use otp::platform::metrics::Metrics;
use serde_json::{Value, json};

use crate::harness::Service;

/// Samples that are not HTTP.
const TRIGGERS: [&str; 2] = ["dispatch.json", "sns-report.json"];

pub fn samples() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events");
    let entries = std::fs::read_dir(directory)
        .expect("events/")
        .map(|entry| entry.expect("an entry").path());
    let mut samples: Vec<_> = entries
        .map(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a name")
                .to_owned();
            (name, std::fs::read_to_string(path).expect("a text"))
        })
        .collect();
    samples.sort();
    samples
}

fn http_samples() -> impl Iterator<Item = (String, String)> {
    samples()
        .into_iter()
        .filter(|(name, _)| !TRIGGERS.contains(&name.as_str()))
}

pub fn sample(name: &str) -> String {
    samples()
        .into_iter()
        .find(|(known, _)| known == name)
        .unwrap_or_else(|| panic!("no {name}"))
        .1
}

/// A function's configuration, with the table and the queue of `service`. The key is the one that the samples carry.
fn config<C>(service: &Service, read: impl Fn(Variables<'_>) -> Result<C, ConfigError>) -> C {
    let key = BASE64.encode(&[7; 32]);
    let hash = data_encoding::HEXLOWER.encode(&otp::crypto::hashes::sha256(
        b"otp_test_EXAMPLEEXAMPLEEXAMPLE",
    ));
    let secrets = json!({"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key, "api_keys": [{"app": "default", "sha256": hash}]});
    let carriers = json!([{"kind": "http", "base_url": "http://127.0.0.1:9", "token": "t", "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}]);
    let variables = [
        ("OTP_SECRETS", secrets.to_string()),
        ("OTP_CARRIERS", carriers.to_string()),
        ("OTP_TABLE", service.table.clone()),
        ("OTP_QUEUE_URL", format!("{}/queue", service.sqs_url)),
        ("OTP_PUBLIC_URL", service.base.clone()),
        ("AWS_REGION", "local".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", service.dynamodb_url.clone()),
        ("AWS_ENDPOINT_URL_SQS", service.sqs_url.clone()),
    ];
    let lookup = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
    };
    read(&lookup).unwrap_or_else(|error| panic!("{error}"))
}

/// Metrics that nobody reads.
fn unread() -> Metrics {
    Metrics::to_sink(|_| {})
}

async fn handled(service: &Service, request: &Request) -> Response<Body> {
    let path = request.raw_http_path().to_owned();
    let clock = Clock::default();
    match path.as_str() {
        path if path.starts_with("/v1/callbacks/") => {
            delivery_callback::handle(
                &delivery_callback::State::new(
                    config(service, CallbackConfig::read),
                    clock,
                    unread(),
                ),
                request,
            )
            .await
        }
        path if path == "/v1/verifications"
            || path.ends_with("/resend")
            || path.starts_with("/v1/recipients/") =>
        {
            send::handle(
                &send::State::new(config(service, SendConfig::read), clock, unread()),
                request,
            )
            .await
        }
        _ => {
            verify::handle(
                &verify::State::new(config(service, VerifyConfig::read), clock, unread()),
                request,
            )
            .await
        }
    }
}

#[test]
fn every_trigger_has_a_sample() {
    let names: Vec<String> = samples().into_iter().map(|(name, _)| name).collect();
    for wanted in [
        "send",
        "resend",
        "check",
        "check-wrong",
        "get",
        "cancel",
        "unlock",
        "forget",
        "report-http",
        "health",
        "dispatch",
        "sns-report",
    ] {
        assert!(
            names.contains(&format!("{wanted}.json")),
            "{wanted} in {names:?}"
        );
    }
}

#[test]
fn every_http_sample_is_an_event_of_the_http_api() {
    for (name, text) in http_samples() {
        let request =
            lambda_http::request::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let event: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(event["version"], "2.0", "{name}");
        assert_eq!(
            request.raw_http_path(),
            event["rawPath"].as_str().expect("a path"),
            "{name}"
        );
        assert_eq!(
            request.method().as_str(),
            event["requestContext"]["http"]["method"],
            "{name}"
        );
        let body: &[u8] = request.body().as_ref();
        if !body.is_empty() {
            serde_json::from_slice::<Value>(body).unwrap_or_else(|error| panic!("{name}: {error}"));
            let length = request
                .headers()
                .get("content-length")
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned);
            assert_eq!(
                length,
                Some(body.len().to_string()),
                "{name}: as a client would have counted"
            );
        }
    }
}

#[tokio::test]
async fn every_http_sample_reaches_its_handler() {
    let service = Service::start().await;
    // The samples name a verification and a message that nobody made: what counts is that the right function answers.
    let expected = [
        ("send.json", 201),
        ("forget.json", 200),
        ("unlock.json", 200),
        ("health.json", 200),
    ];
    for (name, text) in http_samples() {
        let request =
            lambda_http::request::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let response = handled(&service, &request).await;
        let status = expected
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(404, |(_, status)| *status);
        let body: Value = serde_json::from_slice(response.body().as_ref()).unwrap_or_default();
        assert_eq!(response.status().as_u16(), status, "{name}: {body}");
        let is_no_path = body["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("nothing at this path"));
        assert!(
            !is_no_path || request.raw_http_path().starts_with("/v1/callbacks/"),
            "{name}: a path that its function does not know"
        );
        let id = serde_json::from_str::<Value>(&text).expect("JSON")["requestContext"]["requestId"]
            .clone();
        let told = response
            .headers()
            .get("request-id")
            .and_then(|value| value.to_str().ok());
        assert_eq!(
            told,
            id.as_str(),
            "{name}: the gateway's name for the request"
        );
    }
}

#[tokio::test]
async fn the_dispatch_sample_is_a_batch_that_the_worker_reads() {
    let service = Service::start().await;
    let event: SqsEvent = serde_json::from_str(&sample("dispatch.json")).expect("an SQS event");
    assert!(!event.records.is_empty());
    for record in &event.records {
        assert!(
            otp::platform::queue::Dispatch::parse(record.body.as_deref().unwrap_or_default())
                .is_some(),
            "{record:?}"
        );
    }
    let worker = carrier_worker::State::new(
        config(&service, WorkerConfig::read),
        Clock::default(),
        unread(),
    );
    let response = carrier_worker::handle(&worker, event).await;
    assert!(
        response.batch_item_failures.is_empty(),
        "dispatches of verifications that are gone are done with: {response:?}"
    );
}

#[test]
fn the_topic_sample_is_an_sns_event_about_one_message() {
    let event: SnsEvent = serde_json::from_str(&sample("sns-report.json")).expect("an SNS event");
    let report: Value =
        serde_json::from_str(&event.records[0].sns.message).expect("a report in JSON");
    assert_eq!(report["eventType"], "TEXT_DELIVERED");
}
