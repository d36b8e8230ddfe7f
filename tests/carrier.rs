//! A carrier of kind `http` that belongs to a test: it keeps what it is handed, behaves as told, and signs reports with
//! the independent library, or lets the test spoil them. To the service it is a stranger on another port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpSocket;
use tokio::sync::watch;

use crate::harness::{Answer, Service};
use crate::listener::{Listener, Request, Response, response};

/// What it does with a message.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// 200 and an id.
    Accept,
    /// This status, with this `Retry-After` unless it is empty.
    Answer(u16, &'static str),
    /// Reads it and closes the connection without an answer.
    Close,
    /// Reads it and never answers.
    Hang,
    /// Reports this status once, waits for what the callback says, and then accepts.
    ReportFirst(&'static str),
    /// Accepts once [`Carrier::release`] is called.
    Hold,
}

/// A message as it was handed over.
#[derive(Clone, Debug)]
pub struct Handed {
    pub headers: hyper::HeaderMap,
    pub body: Value,
    /// The service's time, in seconds since 1970.
    pub at: i64,
    /// What became of it.
    pub behaviour: Behaviour,
}

impl Handed {
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

    /// The first word of its text, which in English is the code.
    pub fn first_word(&self) -> String {
        let text = self.body["text"].as_str().expect("a text");
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    /// The callback's URL without its origin.
    pub fn callback_path(&self) -> &str {
        let url = self.body["callback_url"].as_str().expect("a callback URL");
        &url[origin(url).len()..]
    }
}

fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    &url[..url[host..].find('/').map_or(url.len(), |at| host + at)]
}

/// The carrier. Clones are the same one.
#[derive(Clone)]
pub struct Carrier {
    pub name: String,
    pub secret: String,
    inner: Arc<Inner>,
}

struct Inner {
    behaviour: Mutex<Behaviour>,
    handed: Mutex<Vec<Handed>>,
    released: watch::Sender<bool>,
    count: watch::Sender<usize>,
    listener: Mutex<Option<Listener>>,
    port: u16,
    _reserved: TcpSocket,
}

impl Carrier {
    /// One that accepts.
    pub async fn start(name: &str) -> Self {
        // Bound for as long as the carrier lives, and never listening: the port stays its own while it is closed.
        let reserved = TcpSocket::new_v4().expect("a socket");
        reserved.set_reuseaddr(true).expect("a shared port");
        reserved
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .expect("a free port");
        let inner = Inner {
            behaviour: Mutex::new(Behaviour::Accept),
            handed: Mutex::default(),
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
            inner: Arc::new(inner),
        };
        carrier.open().await;
        carrier
    }

    /// Its entry in `OTP_CARRIERS`.
    pub fn entry(&self) -> Value {
        json!({"kind": "http", "name": self.name, "base_url": format!("http://127.0.0.1:{}", self.inner.port), "timeout_ms": 400,
            "token": "carrier-token", "secret": self.secret})
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.inner.behaviour) = behaviour;
    }

    /// Lets go of what [`Behaviour::Hold`] holds.
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

    /// Takes connections again.
    pub async fn open(&self) {
        self.close().await;
        let inner = Arc::downgrade(&self.inner);
        let (name, secret) = (self.name.clone(), self.secret.clone());
        let listener = Listener::open(self.inner.port, move |request| {
            let carrier = inner.upgrade().map(|inner| Self {
                name: name.clone(),
                secret: secret.clone(),
                inner,
            });
            async move { carrier?.take(&request).await }
        });
        *lock(&self.inner.listener) = Some(listener.await);
    }

    /// What it was handed from the `from`th on, in order.
    pub fn handed_since(&self, from: usize) -> Vec<Handed> {
        lock(&self.inner.handed)[from..].to_vec()
    }

    /// Returns once it was handed a message.
    pub async fn has_one(&self) {
        self.has(1).await;
    }

    /// Returns once it was handed so many messages.
    pub async fn has(&self, least: usize) {
        let _ = self
            .inner
            .count
            .subscribe()
            .wait_for(|count| *count >= least)
            .await;
    }

    /// All that it was handed, in order.
    pub fn handed(&self) -> Vec<Handed> {
        lock(&self.inner.handed).clone()
    }

    /// A report about `handed`, as this carrier would send it at `now`.
    pub fn report(&self, handed: &Handed, status: &str, now: i64) -> Report {
        let body = json!({"id": "theirs", "reference": handed.reference(), "status": status, "timestamp": "2026-01-01T00:00:00Z"}).to_string();
        Report {
            path: handed.callback_path().to_owned(),
            id: "evt_1".into(),
            timestamp: now.to_string(),
            signature: String::new(),
            body: body.into(),
        }
        .signed(&self.secret, now)
    }

    async fn take(&self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).expect("a message is JSON");
        let service = Service::at(origin(
            body["callback_url"].as_str().expect("a callback URL"),
        ));
        let at = service.now().await;
        let behaviour = lock(&self.inner.behaviour).clone();
        let handed = Handed {
            headers: request.headers.clone(),
            body,
            at,
            behaviour: behaviour.clone(),
        };
        lock(&self.inner.handed).push(handed.clone());
        self.inner.count.send_modify(|count| *count += 1);
        match behaviour {
            Behaviour::Accept => accepted(),
            Behaviour::Answer(status, "") => response(status, &[], "{}"),
            Behaviour::Answer(status, retry_after) => {
                response(status, &[("retry-after", retry_after)], "{}")
            }
            Behaviour::Close => None,
            Behaviour::Hang => std::future::pending().await,
            Behaviour::ReportFirst(status) => {
                self.behave(Behaviour::Accept);
                self.report(&handed, status, at).send(&service).await;
                accepted()
            }
            Behaviour::Hold => {
                let _ = self
                    .inner
                    .released
                    .subscribe()
                    .wait_for(|released| *released)
                    .await;
                accepted()
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

/// A report that a test may spoil before it is sent.
#[derive(Clone, Debug)]
pub struct Report {
    pub path: String,
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: Vec<u8>,
}

impl Report {
    /// Signed with `secret` as of `timestamp`.
    pub fn signed(mut self, secret: &str, timestamp: i64) -> Self {
        let webhook = Webhook::new(secret).expect("a secret");
        self.signature = webhook
            .sign(&self.id, timestamp, &self.body)
            .expect("a signature");
        self.timestamp = timestamp.to_string();
        self
    }

    pub async fn send(&self, service: &Service) -> Answer {
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

/// A service with these carriers, in this order, and these variables.
pub async fn service_with(carriers: &[&Carrier], variables: &[(&str, &str)]) -> Service {
    let entries: Value = carriers.iter().map(|carrier| carrier.entry()).collect();
    let entries = entries.to_string();
    let mut all = vec![("OTP_CARRIERS", entries.as_str())];
    all.extend(variables);
    Service::start_with(&all).await
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
