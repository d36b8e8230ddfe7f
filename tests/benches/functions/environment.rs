//! What a function needs around it: a local server with its table, a queue that keeps its messages,
//! a carrier that accepts all messages; and the events for the function, made from the samples in
//! `events/` with real ids and keys.

use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::{BASE64, HEXLOWER};
use local::Wires;
use otp::crypto::hashes::sha256;
use otp::platform::clock::Clock;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::runtime::Runtime;

use benches::listener::{Listener, response};
use benches::local_server::LocalServer;

/// The carrier signs reports with it.
const CARRIER_SECRET: &str = "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g=";
/// The app's API key.
const API_KEY: &str = "otp_bench_EXAMPLEEXAMPLEEXAMPLE";

/// The kinds of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Any request through API Gateway.
    Any,
    /// A wrong code for a verification without attempts.
    Check,
    /// The first send to a recipient.
    Send,
    /// A batch of one dispatch.
    Dispatch,
    /// The first report about a message: it is delivered.
    Report,
}

type Bodies = Arc<Mutex<Vec<Value>>>;

const INVOKE_PATH: &str = "/2015-03-31/functions/carrier-worker/invocations";

/// One environment for each function.
pub struct Environment {
    local: LocalServer,
    secrets: String,
    carriers: String,
    next: usize,
    /// Bodies of the messages in the queue.
    queued: Bodies,
    /// Messages that the carrier accepted.
    carried: Bodies,
    queue: Listener,
    _carrier: Listener,
}

impl Environment {
    /// Starts it, with its stub servers on the thread of `caller`.
    pub fn start(caller: &Runtime) -> Self {
        let (queued, carried) = (Bodies::default(), Bodies::default());
        let queue = caller.block_on(recording(&queued, r#"{"MessageId":"kept"}"#));
        let carrier = caller.block_on(recording(&carried, r#"{"id":"theirs"}"#));
        let key = BASE64.encode(&[7; 32]);
        let hash = HEXLOWER.encode(&sha256(API_KEY.as_bytes()));
        let secrets = json!({
            "seal": {"current": "k1", "keys": {"k1": key}},
            "lookup": key,
            "api_keys": [{"app": "default", "sha256": hash}],
        });
        let carriers = json!([{
            "kind": "http",
            "name": "http",
            "base_url": carrier.url(),
            "token": "carrier-token",
            "secret": CARRIER_SECRET,
        }]);
        let (secrets, carriers) = (secrets.to_string(), carriers.to_string());
        let wires = Wires {
            sqs: Some(queue.url()),
            ..Wires::default()
        };
        let keys = format!("default={API_KEY}");
        let local = LocalServer::start_with(
            &[
                ("OTP_SECRETS", &secrets),
                ("OTP_CARRIERS", &carriers),
                ("OTP_LOCAL_API_KEYS", &keys),
            ],
            wires,
        );
        Self {
            local,
            secrets,
            carriers,
            next: 0,
            queued,
            carried,
            queue,
            _carrier: carrier,
        }
    }

    /// The environment variables that Lambda and the template set for a function.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let queue_url = format!("{}/queue", self.queue.url());
        let worker_url = self.queue.url() + INVOKE_PATH;
        let fixed = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("_HANDLER", "bootstrap"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            ),
            ("AWS_SESSION_TOKEN", "a-session-token"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.local.server.dynamodb_url),
            ("AWS_ENDPOINT_URL_SQS", &self.queue.url()),
            ("OTP_TABLE", "otp"),
            ("OTP_QUEUE_URL", &queue_url),
            ("OTP_WORKER_URL", &worker_url),
            ("OTP_PUBLIC_URL", &self.base_url()),
            ("OTP_SECRETS", &self.secrets),
            ("OTP_CARRIERS", &self.carriers),
        ];
        fixed
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }

    /// The URLs of the table and the queue, with which some variables begin.
    pub fn services(&self) -> [String; 2] {
        let table = self.local.server.dynamodb_url.clone();
        [table, self.queue.url()]
    }

    /// `count` events, each for another recipient.
    pub async fn events(&mut self, event: Event, count: usize) -> Vec<Value> {
        let mut events = vec![];
        for _ in 0..count {
            self.next += 1;
            let to = self.local.phone();
            events.push(match event {
                Event::Any => sample(include_str!("../../../events/health.json")),
                Event::Send => send(&to, self.next),
                Event::Check => check(&self.sent(&to).await),
                Event::Dispatch | Event::Report => {
                    self.sent(&to).await;
                    dispatch(&lock(&self.queued).pop().expect("a dispatch"))
                }
            });
        }
        if event == Event::Report {
            self.reports(&events).await
        } else {
            events
        }
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.local.server.address)
    }

    async fn sent(&self, to: &str) -> String {
        let response = self
            .local
            .call(
                "POST",
                "/v1/verifications",
                Some(json!({"to": to, "purpose": "login"})),
            )
            .await;
        assert_eq!(response.status, 201, "{}", response.body);
        response.body["id"].as_str().expect("an id").to_owned()
    }

    /// Lets the server's own worker process the dispatches. Returns a report for each message.
    async fn reports(&self, dispatches: &[Value]) -> Vec<Value> {
        for dispatch in dispatches {
            self.local.enqueue(&dispatch["Records"][0]["body"]).await;
        }
        self.local.advance(0).await;
        let now = Clock::default().now().0;
        let carried = std::mem::take(&mut *lock(&self.carried));
        carried
            .iter()
            .map(|message| report(message, &self.base_url(), now))
            .collect()
    }
}

/// A stub server that keeps the bodies of queue messages and of all other requests, and accepts
/// invocations.
async fn recording(bodies: &Bodies, reply: &'static str) -> Listener {
    let bodies = bodies.clone();
    Listener::open(0, move |request| {
        if request.path.ends_with(INVOKE_PATH) {
            return std::future::ready(response(202, &[], ""));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        // The request that opens a connection has no body.
        if !body.is_null() {
            lock(&bodies).push(if body["MessageBody"].is_string() {
                body["MessageBody"].clone()
            } else {
                body
            });
        }
        std::future::ready(response(
            200,
            &[("content-type", "application/json")],
            reply,
        ))
    })
    .await
}

fn sample(text: &str) -> Value {
    let mut event: Value = serde_json::from_str(text).expect("a sample");
    if let Some(authorization) = event["headers"].get_mut("authorization") {
        *authorization = json!(format!("Bearer {API_KEY}"));
    }
    event
}

fn with_path(mut event: Value, path: &str) -> Value {
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event
}

fn send(to: &str, n: usize) -> Value {
    let mut event = sample(include_str!("../../../events/send.json"));
    let mut body: Value =
        serde_json::from_str(event["body"].as_str().expect("a body")).expect("JSON");
    body["to"] = json!(to);
    body["client_ip"] = json!(format!("198.18.{}.{}", n / 250, n % 250));
    event["body"] = json!(body.to_string());
    event["headers"]["idempotency-key"] = json!(format!("bench-{n}"));
    event
}

fn check(id: &str) -> Value {
    let mut event = with_path(
        sample(include_str!("../../../events/check-wrong.json")),
        &format!("/v1/verifications/{id}/check"),
    );
    event["pathParameters"]["id"] = json!(id);
    event
}

fn dispatch(body: &Value) -> Value {
    let mut event = sample(include_str!("../../../events/dispatch.json"));
    event["Records"]
        .as_array_mut()
        .expect("records")
        .truncate(1);
    event["Records"][0]["body"] = body.clone();
    event
}

fn report(message: &Value, base_url: &str, now: i64) -> Value {
    let path = message["callback_url"]
        .as_str()
        .and_then(|url| url.strip_prefix(base_url))
        .expect("a callback URL");
    let mut event = with_path(
        sample(include_str!("../../../events/report-http.json")),
        path,
    );
    let body = json!({
        "id": "theirs",
        "reference": message["reference"],
        "status": "delivered",
        "timestamp": "2026-01-01T00:00:00Z",
    })
    .to_string();
    let webhook = Webhook::new(CARRIER_SECRET).expect("a secret");
    event["headers"]["webhook-signature"] = json!(
        webhook
            .sign("evt_1", now, body.as_bytes())
            .expect("a signature")
    );
    event["headers"]["webhook-id"] = json!("evt_1");
    event["headers"]["webhook-timestamp"] = json!(now.to_string());
    event["pathParameters"]["token"] = json!(path.rsplit('/').next());
    event["body"] = json!(body);
    event
}

fn lock(bodies: &Mutex<Vec<Value>>) -> std::sync::MutexGuard<'_, Vec<Value>> {
    bodies.lock().unwrap_or_else(PoisonError::into_inner)
}
