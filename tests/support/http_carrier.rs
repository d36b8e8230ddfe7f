//! A stand-in for a carrier of kind `http` that a test controls: it keeps the messages that it
//! receives, behaves as the test says, and signs reports with an independent library, or lets the
//! test alter them. The service reaches it on a port of its own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpSocket;
use tokio::sync::watch;

use super::delay::{delay, in_time};
use super::listener::{Listener, Request, Response, response};
use super::response::TestResponse;
use super::service::Service;

/// What it does with a message.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Responds with 200 and an id.
    Accept,
    /// Responds with this status and this `Retry-After`, unless it is empty.
    Respond(u16, &'static str),
    /// Reads the message and closes the connection without a response.
    Close,
    /// Reads the message and never responds.
    Hang,
    /// Reports this status once, waits for the response of the callback, and accepts the message
    /// then.
    ReportFirst(&'static str),
    /// Reports this status, waits for the response of the callback, and responds with this status
    /// code then.
    ReportThenRespond(&'static str, u16),
    /// Accepts the message after [`HttpCarrier::release`].
    Hold,
    /// Does that after [`HttpCarrier::release`].
    HoldThen(Box<Behaviour>),
    /// Does that after this time.
    After(Duration, Box<Behaviour>),
}

/// A message that was handed over.
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    pub headers: hyper::HeaderMap,
    pub body: Value,
    /// The service's time in seconds since 1970.
    pub at: i64,
    /// What the carrier did with it.
    pub behaviour: Behaviour,
}

impl ReceivedMessage {
    pub fn reference(&self) -> &str {
        self.body["reference"].as_str().expect("a reference")
    }

    pub fn to(&self) -> &str {
        self.body["to"].as_str().expect("a recipient")
    }

    pub fn channel(&self) -> &str {
        self.body["channel"].as_str().expect("a channel")
    }

    /// The first six digits in a row of its text.
    pub fn code(&self) -> String {
        let text = self.body["text"].as_str().expect("a text");
        let mut words = text.split(|c: char| !c.is_ascii_digit());
        words
            .find(|word| word.len() == 6)
            .unwrap_or_else(|| panic!("no code in {text}"))
            .to_owned()
    }

    /// The first word of its text, which is the code in English.
    pub fn first_word(&self) -> String {
        let text = self.body["text"].as_str().expect("a text");
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    /// Path and query of the URL for its reports.
    pub fn callback_path(&self) -> &str {
        let url = self.body["callback_url"].as_str().expect("a callback URL");
        &url[origin(url).len()..]
    }
}

fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    &url[..url[host..].find('/').map_or(url.len(), |at| host + at)]
}

/// The carrier. Clones share one state.
#[derive(Clone)]
pub struct HttpCarrier {
    pub name: String,
    pub secret: String,
    /// Its time-out in `OTP_CARRIERS`.
    pub timeout_ms: u64,
    inner: Arc<Inner>,
}

struct Inner {
    behaviour: Mutex<Behaviour>,
    /// By recipient, in place of `behaviour`.
    behaviour_to: Mutex<HashMap<String, Behaviour>>,
    received: Mutex<Vec<ReceivedMessage>>,
    released: watch::Sender<bool>,
    count: watch::Sender<usize>,
    listener: Mutex<Option<Listener>>,
    port: u16,
    _reserved: TcpSocket,
}

impl HttpCarrier {
    /// A carrier that accepts messages.
    pub async fn start(name: &str) -> Self {
        // Bound as long as the carrier exists, and never listening: no other process gets the port
        // while it is closed.
        let reserved = TcpSocket::new_v4().expect("a socket");
        reserved.set_reuseaddr(true).expect("a shared port");
        reserved
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .expect("a free port");
        let inner = Inner {
            behaviour: Mutex::new(Behaviour::Accept),
            behaviour_to: Mutex::default(),
            received: Mutex::default(),
            released: watch::Sender::new(false),
            count: watch::Sender::new(0),
            listener: Mutex::default(),
            port: reserved.local_addr().expect("an address").port(),
            _reserved: reserved,
        };
        let secret = format!("whsec_{}", BASE64.encode(format!("{name:-<32}").as_bytes()));
        let carrier = Self {
            name: name.to_owned(),
            secret,
            timeout_ms: 400,
            inner: Arc::new(inner),
        };
        carrier.open().await;
        carrier
    }

    /// Two carriers that accept messages.
    pub async fn start_two(first: &str, second: &str) -> (Self, Self) {
        (Self::start(first).await, Self::start(second).await)
    }

    /// Its entry in `OTP_CARRIERS`.
    pub fn entry(&self) -> Value {
        json!({
            "kind": "http", "name": self.name, "base_url": format!("http://127.0.0.1:{}", self.inner.port),
            "timeout_ms": self.timeout_ms, "token": "carrier-token", "secret": self.secret,
        })
    }

    /// With this time-out.
    pub fn with_timeout_ms(self, timeout_ms: u64) -> Self {
        Self { timeout_ms, ..self }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.inner.behaviour) = behaviour;
    }

    /// Behaves in another way for messages to `to`.
    pub fn behave_to(&self, to: &str, behaviour: Behaviour) {
        lock(&self.inner.behaviour_to).insert(to.to_owned(), behaviour);
    }

    /// Accepts what [`Behaviour::Hold`] holds.
    pub fn release(&self) {
        self.inner.released.send_replace(true);
    }

    /// Refuses connections from now on.
    pub async fn close(&self) {
        let listener = lock(&self.inner.listener).take();
        if let Some(listener) = listener {
            listener.close().await;
        }
    }

    /// Accepts connections again.
    pub async fn open(&self) {
        self.close().await;
        let inner = Arc::downgrade(&self.inner);
        let (name, secret, timeout_ms) = (self.name.clone(), self.secret.clone(), self.timeout_ms);
        let listener = Listener::open(self.inner.port, move |request| {
            let carrier = inner.upgrade().map(|inner| Self {
                name: name.clone(),
                secret: secret.clone(),
                timeout_ms,
                inner,
            });
            async move { carrier?.receive(&request).await }
        });
        *lock(&self.inner.listener) = Some(listener.await);
    }

    /// All messages that it received, in order.
    pub fn received(&self) -> Vec<ReceivedMessage> {
        lock(&self.inner.received).clone()
    }

    /// The messages that it received but for the first `from`, in order.
    pub fn received_since(&self, from: usize) -> Vec<ReceivedMessage> {
        lock(&self.inner.received)[from..].to_vec()
    }

    /// Returns once it has received `count` messages.
    pub async fn wait_for_messages(&self, count: usize) {
        let mut received = self.inner.count.subscribe();
        let waited = in_time(received.wait_for(|received| *received >= count)).await;
        let is_met = waited.is_some_and(|waited| waited.is_ok());
        assert!(is_met, "{} of {count} came", *self.inner.count.borrow());
    }

    /// A report about `message`, as this carrier would send it at `now`.
    pub fn report(&self, message: &ReceivedMessage, status: &str, now: i64) -> SignedReport {
        let body = json!({
            "id": "theirs", "reference": message.reference(), "status": status, "timestamp": "2026-01-01T00:00:00Z",
        });
        SignedReport {
            path: message.callback_path().to_owned(),
            id: "evt_1".into(),
            timestamp: now.to_string(),
            signature: String::new(),
            body: body.to_string().into(),
        }
        .signed(&self.secret, now)
    }

    async fn receive(&self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).expect("a message is JSON");
        let callback_url = body["callback_url"].as_str().expect("a callback URL");
        let service = Service::at(origin(callback_url));
        let at = service.now().await;
        let to = body["to"].as_str().unwrap_or_default();
        let own = lock(&self.inner.behaviour_to).get(to).cloned();
        let behaviour = own.unwrap_or_else(|| lock(&self.inner.behaviour).clone());
        let message = ReceivedMessage {
            headers: request.headers.clone(),
            body,
            at,
            behaviour: behaviour.clone(),
        };
        lock(&self.inner.received).push(message.clone());
        self.inner.count.send_modify(|count| *count += 1);
        self.respond(&service, &message, behaviour).await
    }

    async fn wait_for_release(&self) {
        let mut released = self.inner.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }

    async fn respond(
        &self,
        service: &Service,
        message: &ReceivedMessage,
        behaviour: Behaviour,
    ) -> Response {
        match behaviour {
            Behaviour::Accept => accepted(),
            Behaviour::Respond(status, "") => response(status, &[], "{}"),
            Behaviour::Respond(status, retry_after) => {
                response(status, &[("retry-after", retry_after)], "{}")
            }
            Behaviour::Close => None,
            Behaviour::Hang => std::future::pending().await,
            Behaviour::ReportFirst(status) => {
                self.behave(Behaviour::Accept);
                self.report(message, status, message.at).send(service).await;
                accepted()
            }
            Behaviour::ReportThenRespond(report, status) => {
                self.report(message, report, message.at).send(service).await;
                response(status, &[], r#"{"id":"theirs"}"#)
            }
            Behaviour::Hold => {
                self.wait_for_release().await;
                accepted()
            }
            Behaviour::HoldThen(then) => {
                self.wait_for_release().await;
                Box::pin(self.respond(service, message, *then)).await
            }
            Behaviour::After(time, then) => {
                delay(time).await;
                Box::pin(self.respond(service, message, *then)).await
            }
        }
    }
}

fn accepted() -> Response {
    response(
        200,
        &[("content-type", "application/json")],
        r#"{"id":"theirs"}"#,
    )
}

/// A report that a test may alter before it is sent.
#[derive(Clone, Debug)]
pub struct SignedReport {
    pub path: String,
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: Vec<u8>,
}

impl SignedReport {
    /// Signed with `secret` at `timestamp`.
    pub fn signed(mut self, secret: &str, timestamp: i64) -> Self {
        let webhook = Webhook::new(secret).expect("a secret");
        self.signature = webhook
            .sign(&self.id, timestamp, &self.body)
            .expect("a signature");
        self.timestamp = timestamp.to_string();
        self
    }

    pub fn with_path(&self, path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            ..self.clone()
        }
    }

    pub fn with_id(&self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..self.clone()
        }
    }

    pub fn with_timestamp(&self, timestamp: &str) -> Self {
        Self {
            timestamp: timestamp.to_owned(),
            ..self.clone()
        }
    }

    pub fn with_signature(&self, signature: impl Into<String>) -> Self {
        Self {
            signature: signature.into(),
            ..self.clone()
        }
    }

    /// With this body, and the signature of the body before it.
    pub fn with_body(&self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self.clone()
        }
    }

    pub async fn send(&self, service: &Service) -> TestResponse {
        service
            .raw("POST", &self.path, &self.headers(), self.body.clone())
            .await
    }

    pub fn headers(&self) -> [(&'static str, &str); 4] {
        [
            ("content-type", "application/json"),
            ("webhook-id", &self.id),
            ("webhook-timestamp", &self.timestamp),
            ("webhook-signature", &self.signature),
        ]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
