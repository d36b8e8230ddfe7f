//! What stands around a function: a local server with its table, a queue that keeps what it is
//! sent, a carrier that takes everything; and the events that start the function, made from the
//! samples in events/ with real ids and keys.

use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::{BASE64, HEXLOWER};
use local::Wires;
use otp::crypto::hashes::sha256;
use otp::platform::clock::Clock;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::runtime::Runtime;

use benches::home::Home;
use benches::listener::{Listener, response};

/// Carriers sign with it.
const CARRIER_SECRET: &str = "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g=";
/// Callers of the API have it.
const API_KEY: &str = "otp_bench_EXAMPLEEXAMPLEEXAMPLE";

/// Which event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Any call of the gateway.
    Any,
    /// A wrong code for a verification that nobody has tried yet.
    Check,
    /// A stranger's first send.
    Send,
    /// A batch of one dispatch.
    Dispatch,
    /// The first report of a message: it is delivered.
    Report,
}

type Kept = Arc<Mutex<Vec<Value>>>;

/// One of it for each function.
pub struct World {
    home: Home,
    secrets: String,
    carriers: String,
    next: usize,
    /// Bodies of messages that the queue was sent.
    queued: Kept,
    /// Messages that the carrier was handed.
    carried: Kept,
    queue: Listener,
    _carrier: Listener,
}

impl World {
    /// With its ports on the one thread of `caller`.
    pub fn open(caller: &Runtime) -> Self {
        let (queued, carried) = (Kept::default(), Kept::default());
        let queue = caller.block_on(keeping(&queued, r#"{"MessageId":"kept"}"#));
        let carrier = caller.block_on(keeping(&carried, r#"{"id":"theirs"}"#));
        let key = BASE64.encode(&[7; 32]);
        let hash = HEXLOWER.encode(&sha256(API_KEY.as_bytes()));
        let secrets = json!({"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key, "api_keys": [{"app": "default", "sha256": hash}]});
        let carriers = json!([{"kind": "http", "name": "http", "base_url": carrier.url(), "token": "carrier-token", "secret": CARRIER_SECRET}]);
        let (secrets, carriers) = (secrets.to_string(), carriers.to_string());
        let wires = Wires {
            sqs: Some(queue.url()),
            ..Wires::default()
        };
        let keys = format!("default={API_KEY}");
        let home = Home::start_behind(
            &[
                ("OTP_SECRETS", &secrets),
                ("OTP_CARRIERS", &carriers),
                ("OTP_LOCAL_API_KEYS", &keys),
            ],
            wires,
        );
        Self {
            home,
            secrets,
            carriers,
            next: 0,
            queued,
            carried,
            queue,
            _carrier: carrier,
        }
    }

    /// The variables of a function: what Lambda sets, and what the template does.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let queue_url = format!("{}/queue", self.queue.url());
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
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.home.server.dynamodb_url),
            ("AWS_ENDPOINT_URL_SQS", &self.queue.url()),
            ("OTP_TABLE", "otp"),
            ("OTP_QUEUE_URL", &queue_url),
            ("OTP_PUBLIC_URL", &self.base()),
            ("OTP_SECRETS", &self.secrets),
            ("OTP_CARRIERS", &self.carriers),
        ];
        fixed
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }

    /// So many events, each for a recipient of its own.
    pub async fn events(&mut self, event: Event, count: usize) -> Vec<Value> {
        let mut events = vec![];
        for _ in 0..count {
            self.next += 1;
            let to = self.home.phone();
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

    fn base(&self) -> String {
        format!("http://{}", self.home.server.address)
    }

    async fn sent(&self, to: &str) -> String {
        let answer = self
            .home
            .call(
                "POST",
                "/v1/verifications",
                Some(json!({"to": to, "purpose": "login"})),
            )
            .await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    /// Lets the server's own worker do the dispatches, and the carrier report what it was handed.
    async fn reports(&self, dispatches: &[Value]) -> Vec<Value> {
        for dispatch in dispatches {
            self.home.enqueue(&dispatch["Records"][0]["body"]).await;
        }
        self.home.advance(0).await;
        let now = Clock::default().now().0;
        let carried = std::mem::take(&mut *lock(&self.carried));
        carried
            .iter()
            .map(|message| report(message, &self.base(), now))
            .collect()
    }
}

/// A port that keeps what it is sent: bodies of queue messages, or the whole of anything else.
async fn keeping(kept: &Kept, answer: &'static str) -> Listener {
    let kept = kept.clone();
    Listener::open(0, move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        lock(&kept).push(if body["MessageBody"].is_string() {
            body["MessageBody"].clone()
        } else {
            body
        });
        std::future::ready(response(
            200,
            &[("content-type", "application/json")],
            answer,
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

fn at(mut event: Value, path: &str) -> Value {
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
    let mut event = at(
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

fn report(message: &Value, base: &str, now: i64) -> Value {
    let path = message["callback_url"]
        .as_str()
        .and_then(|url| url.strip_prefix(base))
        .expect("a callback URL");
    let mut event = at(
        sample(include_str!("../../../events/report-http.json")),
        path,
    );
    let body = json!({"id": "theirs", "reference": message["reference"], "status": "delivered", "timestamp": "2026-01-01T00:00:00Z"}).to_string();
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

fn lock(kept: &Mutex<Vec<Value>>) -> std::sync::MutexGuard<'_, Vec<Value>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
