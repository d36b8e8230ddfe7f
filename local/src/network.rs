//! The simulated phone network: carriers of kind `http` with faults to choose from, SNS, and the phones at the far end.
//! Its carriers are strangers to the functions: they speak the documented wire, sign with an independent library, and
//! honour `Idempotency-Key` as a good carrier does.

use std::collections::BTreeMap;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use otp::crypto::keyring::Keyring;
use otp::domain::delivery::Delivery;
use otp::platform::clock::Clock;
use otp::platform::random::random_bytes;
use otp::store::Store;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::phones::{PhoneMessage, Phones};
use crate::ports::{bound, bound_again};
use crate::queue::LocalQueue;

/// The simulated carriers, in order of preference.
pub(crate) const CARRIERS: [&str; 2] = ["sim-a", "sim-b"];
/// What stands in for SNS; it has phones, and no reports.
const SNS: &str = "sns";

/// How a simulated carrier behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Ok,
    Reject,
    Throttle,
    Error,
    Down,
    Hang,
    Lose,
}

/// What `POST /local/carriers/{name}` takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behaviour {
    mode: Mode,
    #[serde(default)]
    retry_after: Option<u32>,
    #[serde(default)]
    delay_ms: Option<u32>,
    /// The status that it reports by itself.
    #[serde(default)]
    report: Option<String>,
}

/// The network. Clones share it.
#[derive(Clone)]
pub(crate) struct Network(Arc<Inner>);

struct Inner {
    carriers: BTreeMap<&'static str, SimulatedCarrier>,
    phones: Mutex<Phones>,
    client: Client<HttpConnector, Full<Bytes>>,
    queue: LocalQueue,
    clock: Clock,
    /// Apps that have keys.
    apps: Vec<String>,
    /// To show whose message it is, and which code it holds; the carriers themselves know neither.
    seal: Arc<Keyring>,
    store: Store,
}

struct SimulatedCarrier {
    behaviour: Mutex<Behaviour>,
    /// References that it has taken, with its own ids.
    taken: Mutex<BTreeMap<String, String>>,
    token: String,
    secret: String,
    port: u16,
    door: tokio::sync::Mutex<Door>,
}

/// A closed door holds its port, so that nobody else gets it, and refuses connections.
enum Door {
    Open(JoinSet<()>),
    Closed(TcpSocket),
}

/// A message as kind `http` hands it over.
#[derive(Deserialize)]
struct Handed {
    to: String,
    from: Option<String>,
    channel: String,
    text: String,
    reference: String,
    callback_url: String,
}

impl Network {
    /// With its carriers listening.
    pub(crate) async fn start(
        queue: LocalQueue,
        clock: Clock,
        apps: Vec<String>,
        (seal, store): (Arc<Keyring>, Store),
        keys: Vec<CarrierKeys>,
    ) -> Result<Self, String> {
        let mut carriers = BTreeMap::new();
        for (name, keys) in CARRIERS.into_iter().chain([SNS]).zip(keys) {
            let carrier = SimulatedCarrier {
                behaviour: Mutex::new(Behaviour {
                    mode: Mode::Ok,
                    retry_after: None,
                    delay_ms: None,
                    report: None,
                }),
                taken: Mutex::default(),
                token: keys.token,
                secret: keys.secret,
                port: keys.port,
                door: tokio::sync::Mutex::new(Door::Closed(keys.socket)),
            };
            carriers.insert(name, carrier);
        }
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let network = Self(Arc::new(Inner {
            carriers,
            phones: Mutex::default(),
            client,
            queue,
            clock,
            apps,
            seal,
            store,
        }));
        for name in CARRIERS {
            network.listen(name, true).await?;
        }
        Ok(network)
    }

    /// Messages in order of arrival, on the phone of `to` or on all.
    pub(crate) fn messages(&self, to: Option<&str>) -> Vec<PhoneMessage> {
        lock(&self.0.phones).on(to)
    }

    /// Makes a carrier behave; `None` if there is none of that name.
    pub(crate) async fn behave(
        &self,
        name: &str,
        behaviour: Behaviour,
    ) -> Option<Result<(), String>> {
        let (name, carrier) = self.0.carriers.get_key_value(name)?;
        let is_up = behaviour.mode != Mode::Down;
        *lock(&carrier.behaviour) = behaviour;
        Some(if *name == SNS {
            Ok(())
        } else {
            self.listen(name, is_up).await
        })
    }

    /// The carrier of a message reports through the real callback, which answers with a status.
    pub(crate) async fn report(&self, id: &str, status: &str) -> Option<Result<u16, String>> {
        let message = lock(&self.0.phones).find(id)?;
        Some(
            self.post_report(
                &message.carrier,
                &message.id,
                &message.reference,
                &message.callback_url,
                status,
            )
            .await,
        )
    }

    /// SNS Publish: the stand-in's half of the wire. `Err` is the code of an AWS error and its status.
    pub(crate) async fn publish(
        &self,
        to: String,
        from: Option<String>,
        text: String,
    ) -> Result<String, (StatusCode, &'static str)> {
        let behaviour = self
            .0
            .carriers
            .get(SNS)
            .map(|carrier| lock(&carrier.behaviour).clone());
        let mode = behaviour.map_or(Mode::Ok, |behaviour| behaviour.mode);
        let id = new_id();
        match mode {
            Mode::Ok | Mode::Hang => {
                let handed = Handed {
                    to,
                    from,
                    channel: "sms".into(),
                    text,
                    reference: String::new(),
                    callback_url: String::new(),
                };
                self.ring(SNS, &id, handed).await;
                if mode == Mode::Hang {
                    std::future::pending().await
                } else {
                    Ok(id)
                }
            }
            Mode::Lose => Ok(id),
            Mode::Reject => Err((StatusCode::BAD_REQUEST, "InvalidParameter")),
            Mode::Throttle => Err((StatusCode::TOO_MANY_REQUESTS, "Throttling")),
            Mode::Error | Mode::Down => Err((StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
        }
    }

    /// Opens or closes a carrier's door, open connections included.
    async fn listen(&self, name: &'static str, is_up: bool) -> Result<(), String> {
        let Some(carrier) = self.0.carriers.get(name) else {
            return Ok(());
        };
        let mut door = carrier.door.lock().await;
        let socket = match &mut *door {
            Door::Open(tasks) if !is_up => {
                // Ending the tasks closes the listener and every connection.
                tasks.shutdown().await;
                *door = Door::Closed(bound_again(carrier.port).await?);
                return Ok(());
            }
            Door::Closed(socket) if is_up => std::mem::replace(
                socket,
                TcpSocket::new_v4().map_err(|error| error.to_string())?,
            ),
            Door::Open(_) | Door::Closed(_) => return Ok(()),
        };
        let listener = socket.listen(1024).map_err(|error| error.to_string())?;
        let router = Router::new()
            .route("/messages", axum::routing::post(take))
            .with_state((self.clone(), name));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                connections.spawn(async move {
                    // A broken connection is the caller's to notice.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        *door = Door::Open(tasks);
        Ok(())
    }

    /// The phone gets it.
    async fn ring(&self, carrier: &str, id: &str, handed: Handed) {
        let now = self.0.clock.now();
        let (verification_id, code) = self.whose(&handed).await.unzip();
        let visible: String = handed
            .text
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let message = PhoneMessage {
            id: id.to_owned(),
            to: handed.to,
            from: handed.from,
            channel: handed.channel,
            code: code
                .flatten()
                .filter(|code| visible.contains(code.as_str())),
            text: handed.text,
            carrier: carrier.to_owned(),
            verification_id,
            at: now.to_string(),
            reference: handed.reference,
            callback_url: handed.callback_url,
        };
        lock(&self.0.phones).ring(message);
    }

    /// The verification that a message belongs to, and its code. One whose place was taken while the message was on its way is
    /// still told, without a code, for that rests no more.
    async fn whose(&self, handed: &Handed) -> Option<(String, Option<String>)> {
        let (seal, now) = (&self.0.seal, self.0.clock.now());
        let named = seal.open_reference(&handed.reference);
        // SNS takes no reference of ours: whoever has a verification of this number may have sent it.
        let keys = match named {
            Some((key, _)) => vec![key],
            None => self
                .0
                .apps
                .iter()
                .map(|app| seal.recipient_key(app, &handed.to.to_lowercase()))
                .collect(),
        };
        for key in keys {
            let Ok(stored) = self.0.store.load(key, "", now).await else {
                continue;
            };
            let recipient = stored.recipient;
            let has_it = |deliveries: &[Delivery]| {
                named.is_none_or(|(_, tag)| deliveries.iter().any(|delivery| delivery.tag == tag))
            };
            let id = |nonce| seal.verification_id(&recipient.app, key, nonce).to_string();
            let Some(verification) = recipient.current.as_ref().filter(|v| has_it(&v.deliveries))
            else {
                let mut past = recipient.past.iter();
                let past = past.find(|past| named.is_some() && has_it(&past.deliveries));
                let Some(past) = past else { continue };
                return Some((id(past.params.nonce), None));
            };
            let code = seal
                .open_code(key, verification)
                .map(|code| code.reveal().to_owned());
            let is_in_text = |code: &String| handed.text.contains(code.as_str());
            if named.is_some() || code.as_ref().is_some_and(is_in_text) {
                return Some((id(verification.params.nonce), code));
            }
        }
        None
    }

    async fn post_report(
        &self,
        carrier: &str,
        id: &str,
        reference: &str,
        callback_url: &str,
        status: &str,
    ) -> Result<u16, String> {
        let keys = self
            .0
            .carriers
            .get(carrier)
            .filter(|_| !callback_url.is_empty())
            .ok_or("this carrier does not report over HTTP")?;
        let now = self.0.clock.now();
        let body = json!({"id": id, "reference": reference, "status": status, "timestamp": now.to_string()}).to_string();
        let event = format!("evt_{}", new_id());
        let webhook =
            standardwebhooks::Webhook::new(&keys.secret).map_err(|error| error.to_string())?;
        let signature = webhook
            .sign(&event, now.0, body.as_bytes())
            .map_err(|error| error.to_string())?;
        let request = hyper::Request::post(callback_url)
            .header("content-type", "application/json")
            .header("webhook-id", event)
            .header("webhook-timestamp", now.0.to_string())
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let answer = self
            .0
            .client
            .request(request)
            .await
            .map_err(|error| error.to_string())?;
        Ok(answer.status().as_u16())
    }
}

/// What a simulated carrier and the functions know of each other, and its port, held from the start.
pub(crate) struct CarrierKeys {
    port: u16,
    socket: TcpSocket,
    pub(crate) token: String,
    pub(crate) secret: String,
}

impl CarrierKeys {
    /// Fresh ones, on a free port of this machine.
    pub(crate) fn fresh() -> Result<Self, String> {
        let socket = bound(0)?;
        let port = socket
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        Ok(Self {
            port,
            socket,
            token: new_id(),
            secret: format!("whsec_{}", BASE64.encode(&random_bytes::<32>())),
        })
    }
}

/// `POST /messages` of a simulated carrier.
async fn take(
    State((network, name)): State<(Network, &'static str)>,
    headers: HeaderMap,
    Json(handed): Json<Handed>,
) -> Response {
    let Some(carrier) = network.0.carriers.get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let expected = format!("Bearer {}", carrier.token);
    if headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        != Some(expected.as_str())
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let behaviour = lock(&carrier.behaviour).clone();
    if let Some(delay) = behaviour.delay_ms {
        tokio::time::sleep(Duration::from_millis(delay.into())).await;
    }
    match behaviour.mode {
        Mode::Reject => (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": "no such number"})),
        )
            .into_response(),
        Mode::Throttle => {
            let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
            if let Some(seconds) = behaviour.retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
        Mode::Error | Mode::Down => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mode::Ok | Mode::Hang | Mode::Lose => {
            accept(&network, name, carrier, behaviour, handed).await
        }
    }
}

async fn accept(
    network: &Network,
    name: &'static str,
    carrier: &SimulatedCarrier,
    behaviour: Behaviour,
    handed: Handed,
) -> Response {
    let id = new_id();
    let earlier = lock(&carrier.taken).insert(handed.reference.clone(), id.clone());
    if let Some(earlier) = earlier {
        lock(&carrier.taken).insert(handed.reference, earlier.clone());
        return Json(json!({"id": earlier})).into_response();
    }
    let (reference, callback_url) = (handed.reference.clone(), handed.callback_url.clone());
    if behaviour.mode != Mode::Lose {
        // What the carrier took rings, also when the worker has died meanwhile.
        let (network, id) = (network.clone(), id.clone());
        let _ = tokio::spawn(async move { network.ring(name, &id, handed).await }).await;
    }
    if let Some(status) = behaviour.report.filter(|status| status != "none") {
        let (network, busy, id) = (network.clone(), network.0.queue.busy(), id.clone());
        tokio::spawn(async move {
            if let Err(error) = network
                .post_report(name, &id, &reference, &callback_url, &status)
                .await
            {
                tracing::warn!(error.cause = error, "a simulated report did not arrive");
            }
            drop(busy);
        });
    }
    if behaviour.mode == Mode::Hang {
        return std::future::pending().await;
    }
    Json(json!({"id": id})).into_response()
}

/// What a simulated carrier can report.
pub(crate) fn is_report(status: &str) -> bool {
    matches!(
        status,
        "queued" | "sent" | "delivered" | "undelivered" | "rejected" | "expired"
    )
}

impl Behaviour {
    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let report = self.report.as_deref().unwrap_or("none");
        (report != "none" && !is_report(report)).then_some(
            "report must be none, queued, sent, delivered, undelivered, rejected or expired",
        )
    }
}

/// The carriers as `OTP_CARRIERS` names them.
pub(crate) fn carriers(keys: &[CarrierKeys]) -> Value {
    let entry = |(name, keys): (&str, &CarrierKeys)| {
        json!({"kind": "http", "name": name, "base_url": format!("http://127.0.0.1:{}", keys.port), "timeout_ms": 2000,
            "token": keys.token, "secret": keys.secret})
    };
    CARRIERS.into_iter().zip(keys).map(entry).collect()
}

fn new_id() -> String {
    data_encoding::HEXLOWER.encode(&random_bytes::<16>())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
