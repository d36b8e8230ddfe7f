//! The samples in `events/`: each has the form of its trigger and reaches its function.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lambda_events::sns::SnsEvent;
use aws_lambda_events::sqs::SqsEvent;
use data_encoding::BASE64;
use lambda_http::{Body, Request, RequestExt as _, Response};
use otp::config::{ConfigError, OwnedVariables};
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use otp::platform::metrics::Metrics;
use serde_json::{Value, json};

use crate::support::Service;

/// The API key in the samples.
pub const SAMPLE_KEY: &str = "otp_test_EXAMPLEEXAMPLEEXAMPLE";

/// Samples of other triggers than HTTP.
const TRIGGERS: [&str; 3] = ["dispatch.json", "reseal.json", "sns-report.json"];

/// File name and content of each sample.
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

/// The content of one sample.
pub fn sample(name: &str) -> String {
    samples()
        .into_iter()
        .find(|(known, _)| known == name)
        .unwrap_or_else(|| panic!("no {name}"))
        .1
}

/// The function that serves a path.
pub fn function_of(path: &str) -> &'static str {
    if path.starts_with("/v1/callbacks/") {
        "delivery-callback"
    } else if path == "/v1/verifications"
        || path.ends_with("/resend")
        || path.starts_with("/v1/recipients/")
    {
        "send"
    } else if path.starts_with("/v1/subjects/") {
        "factors"
    } else {
        "verify"
    }
}

/// The status of the response to an HTTP sample. Most samples name a verification or a message that
/// does not exist.
pub fn expected_status(name: &str) -> u16 {
    match name {
        "send.json" | "enrol.json" => 201,
        "forget.json" | "lookup.json" | "unlock.json" | "health.json" => 200,
        _ => 404,
    }
}

/// The variables of a function, with the table and the queue of `service`, and the API key of the
/// samples.
fn variables(service: &Service) -> OwnedVariables {
    let key = BASE64.encode(&[7; 32]);
    let hash = data_encoding::HEXLOWER.encode(&otp::crypto::hashes::sha256(SAMPLE_KEY.as_bytes()));
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
    let variables = HashMap::from(variables);
    Arc::new(move |name| variables.get(name).cloned())
}

/// A function with the variables of [`variables`].
fn state<S>(
    service: &Service,
    new: impl Fn(OwnedVariables, Clock, Metrics) -> Result<S, ConfigError>,
) -> S {
    let state = new(variables(service), Clock::default(), no_metrics());
    state.unwrap_or_else(|error| panic!("{error}"))
}

fn no_metrics() -> Metrics {
    Metrics::to_sink(|_| {})
}

async fn handle(service: &Service, request: &Request) -> Response<Body> {
    let path = request.raw_http_path().to_owned();
    match function_of(&path) {
        "delivery-callback" => {
            let state = state(service, delivery_callback::State::new);
            delivery_callback::handle(&state, request).await
        }
        "send" => send::handle(&state(service, send::State::new), request).await,
        "factors" => factors::handle(&state(service, factors::State::new), request).await,
        _ => verify::handle(&state(service, verify::State::new), request).await,
    }
}

#[test]
fn every_trigger_has_a_sample() {
    let names: Vec<String> = samples().into_iter().map(|(name, _)| name).collect();
    for trigger in [
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
        "enrol",
        "check-factor",
        "reseal",
        "dispatch",
        "sns-report",
    ] {
        assert!(
            names.contains(&format!("{trigger}.json")),
            "{trigger} in {names:?}"
        );
    }
}

#[test]
fn http_samples_are_http_api_events() {
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
                "{name}: the length of the body"
            );
        }
    }
}

#[tokio::test]
async fn http_samples_reach_their_handlers() {
    let service = Service::start().await;
    for (name, text) in http_samples() {
        let request =
            lambda_http::request::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let response = handle(&service, &request).await;
        let status = expected_status(&name);
        let body: Value = serde_json::from_slice(response.body().as_ref()).unwrap_or_default();
        assert_eq!(response.status().as_u16(), status, "{name}: {body}");
        let is_no_path = body["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("nothing at this path"));
        assert!(
            !is_no_path || request.raw_http_path().starts_with("/v1/callbacks/"),
            "{name}: the function has no such path"
        );
        let id = serde_json::from_str::<Value>(&text).expect("JSON")["requestContext"]["requestId"]
            .clone();
        let request_id = response
            .headers()
            .get("request-id")
            .and_then(|value| value.to_str().ok());
        assert_eq!(
            request_id,
            id.as_str(),
            "{name}: the request id of the gateway"
        );
    }
}

#[tokio::test]
async fn dispatch_sample_is_a_batch_for_the_worker() {
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
    let worker = state(&service, carrier_worker::State::new);
    let response = carrier_worker::handle(&worker, event, Deadline::default()).await;
    assert!(
        response.batch_item_failures.is_empty(),
        "dispatches of unknown verifications are acknowledged: {response:?}"
    );
}

#[test]
fn topic_sample_is_an_sns_event() {
    let event: SnsEvent = serde_json::from_str(&sample("sns-report.json")).expect("an SNS event");
    let report: Value =
        serde_json::from_str(&event.records[0].sns.message).expect("a report in JSON");
    assert_eq!(report["eventType"], "TEXT_DELIVERED");
}

#[tokio::test]
async fn reseal_sample_reads_a_part_of_the_table() {
    let service = Service::start().await;
    let state = state(&service, factors::State::new);
    let event: Value = serde_json::from_str(&sample("reseal.json")).expect("JSON");
    let event = lambda_http::LambdaEvent::new(event, lambda_http::Context::default());
    let part = factors::invoke(&state, event).await.expect("a part");
    assert_eq!(part, json!({"scanned": 0, "resealed": 0, "after": null}));
    let wrong = json!({"reseal": {"after": "?"}});
    let event = lambda_http::LambdaEvent::new(wrong, lambda_http::Context::default());
    assert!(factors::invoke(&state, event).await.is_err());
}
