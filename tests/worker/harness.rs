//! Workers that a test runs itself, each like a Lambda instance of its own.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use data_encoding::BASE64;
use otp::platform::clock::Clock;
use otp::platform::deadline::Deadline;
use otp::platform::metrics::Metrics;
use serde_json::{Value, json};

use crate::support::{DEFAULT_KEY, Fault, HttpCarrier, ProxiedService, assert_status, with};

pub type Worker = carrier_worker::State;

/// The failures of a batch without any.
pub const NO_FAILURES: [&str; 0] = [];

/// A service whose dispatches never reach the queue: a test takes them and gives them to workers of
/// its own. One carrier, `only`, receives the messages.
pub struct WorkerHarness {
    pub proxied: ProxiedService,
    pub carrier: HttpCarrier,
    pub variables: Vec<(String, String)>,
    pub clock: Clock,
}

impl WorkerHarness {
    pub async fn start() -> Self {
        Self::start_with(json!({}), &[]).await
    }

    /// With these fields in the entry of its carrier, and these variables.
    pub async fn start_with(entry: Value, more: &[(&str, &str)]) -> Self {
        let carrier = HttpCarrier::start("only").await;
        let key = BASE64.encode(&[7; 32]);
        let hash =
            data_encoding::HEXLOWER.encode(&otp::crypto::hashes::sha256(DEFAULT_KEY.as_bytes()));
        let secrets =
            json!({"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key, "api_keys": [{"app": "default", "sha256": hash}]}).to_string();
        let carriers = json!([with(carrier.entry(), &entry)]).to_string();
        let variables = [
            ("OTP_SECRETS", secrets.as_str()),
            ("OTP_CARRIERS", &carriers),
            ("OTP_COOLDOWN_SECONDS", "0"),
        ];
        let proxied = ProxiedService::start(&[&variables, more].concat()).await;
        proxied.queue.break_all(Fault::FakeSuccess);
        let variables = [
            ("OTP_SECRETS", secrets.as_str()),
            ("OTP_CARRIERS", &carriers),
            ("OTP_TABLE", &proxied.service.table),
            (
                "OTP_QUEUE_URL",
                &format!("{}/queue", proxied.service.sqs_url),
            ),
            ("OTP_PUBLIC_URL", &proxied.service.base),
            ("AWS_REGION", "local"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_ENDPOINT_URL_SQS", &proxied.service.sqs_url),
        ];
        let variables = variables
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            proxied,
            carrier,
            variables,
            clock: Clock::default(),
        }
    }

    pub fn worker(&self) -> Worker {
        self.worker_at(&self.proxied.service.dynamodb_url)
    }

    /// A worker whose table is at `url`.
    pub fn worker_at(&self, url: &str) -> Worker {
        let own = [("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url.to_owned())];
        let variables: HashMap<_, _> = self.variables.iter().cloned().chain(own).collect();
        let lookup = Arc::new(move |name: &str| variables.get(name).cloned());
        let worker = Worker::new(lookup, self.clock.clone(), Metrics::to_sink(|_| {}));
        worker.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A worker whose calls to the table pass the fault proxy.
    pub fn proxied_worker(&self) -> Worker {
        self.worker_at(&self.proxied.table.url().expect("an open proxy"))
    }

    /// Moves the clock of the workers, and no other.
    pub fn advance(&self, seconds: i64) {
        let now = self.clock.now_millis();
        self.clock.advance_to_millis(now + seconds * 1000);
    }

    /// The status of the latest delivery.
    pub async fn delivery_status(&self, id: &str) -> Value {
        self.proxied.service.show(id).await.body["delivery"]["status"].clone()
    }

    /// Opens a verification; returns its id and the body of its dispatch.
    pub async fn open_dispatch(&self, to: &str) -> (String, String) {
        self.open_dispatch_with(json!({"to": to})).await
    }

    /// Opens a verification with any body.
    pub async fn open_dispatch_with(&self, body: Value) -> (String, String) {
        let response = self.proxied.service.send_body(body).await;
        assert_status(&response, 201);
        let calls = self.proxied.queue.take_calls();
        (
            response.id(),
            calls[0].body["MessageBody"]
                .as_str()
                .expect("a dispatch")
                .to_owned(),
        )
    }
}

/// The body of a dispatch.
pub fn dispatch(id: &str, sequence: u16) -> String {
    json!({"v": 1, "app": "default", "id": id, "step": sequence}).to_string()
}

/// Gives a batch of dispatches to `worker`; returns the identifiers of those that failed: `m0` is
/// the first one.
pub async fn handle(worker: &Worker, bodies: &[&str]) -> Vec<String> {
    handle_within(worker, bodies, Deadline::default()).await
}

/// As [`handle`], with this deadline.
pub async fn handle_within(worker: &Worker, bodies: &[&str], deadline: Deadline) -> Vec<String> {
    let mut event = SqsEvent::default();
    let message = |(n, body): (usize, &&str)| {
        let mut message = SqsMessage::default();
        message.message_id = Some(format!("m{n}"));
        message.body = Some((*body).to_owned());
        message
    };
    event.records = bodies.iter().enumerate().map(message).collect();
    let response = carrier_worker::handle(worker, event, deadline).await;
    let failures = response.batch_item_failures.into_iter();
    failures.map(|failure| failure.item_identifier).collect()
}
