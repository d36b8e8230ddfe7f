//! A simulated carrier of kind `http`, with faults to choose from. It implements the documented
//! wire format, and honours `Idempotency-Key` as a good carrier does: one message per reference.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, routing::post};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use super::behaviour::{Behaviour, Mode};
use super::identity::{Credentials, Identity};
use super::network::{AcceptedMessage, PhoneNetwork, new_id};
use super::phones::Callback;
use super::reserved_port::reserve_again;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// `timeout_ms` of the carrier in `OTP_CARRIERS`.
const TIMEOUT_MILLIS: u32 = 2000;

/// The carrier.
pub(crate) struct HttpCarrier {
    pub(super) name: &'static str,
    behaviour: Mutex<Behaviour>,
    /// Our references of the messages that it has accepted, and its own ids.
    accepted: Mutex<BTreeMap<String, String>>,
    pub(super) identity: Identity,
    connections: tokio::sync::Mutex<Connections>,
}

enum Connections {
    /// The tasks of the listener and of all connections.
    Accepted(JoinSet<()>),
    /// The socket keeps the port reserved; connections are refused.
    Refused(TcpSocket),
}

/// The body of `POST /messages`.
#[derive(Deserialize)]
struct MessageRequest {
    to: String,
    from: Option<String>,
    channel: String,
    text: String,
    reference: String,
    callback_url: String,
    /// Of a notification.
    title: Option<String>,
}

impl HttpCarrier {
    /// On the port of `socket`. Connections are refused until [`HttpCarrier::open`].
    pub(super) fn new(
        name: &'static str,
        socket: TcpSocket,
        credentials: Credentials,
    ) -> io::Result<Self> {
        let port = socket.local_addr()?.port();
        Ok(Self {
            name,
            behaviour: Mutex::default(),
            accepted: Mutex::default(),
            identity: Identity { port, credentials },
            connections: tokio::sync::Mutex::new(Connections::Refused(socket)),
        })
    }

    /// The carrier as an entry of `OTP_CARRIERS`.
    pub(super) fn settings(&self) -> Value {
        let credentials = &self.identity.credentials;
        json!({
            "kind": "http", "name": self.name, "base_url": self.base_url(),
            "timeout_ms": TIMEOUT_MILLIS, "token": credentials.token, "secret": credentials.secret,
        })
    }

    /// Where it listens.
    pub(super) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.identity.port)
    }

    /// Changes the behaviour. Mode `down` also closes open connections.
    pub(super) async fn set_behaviour(
        self: &Arc<Self>,
        behaviour: Behaviour,
        network: &Arc<PhoneNetwork>,
    ) -> io::Result<()> {
        let is_down = behaviour.mode == Mode::Down;
        *lock(&self.behaviour) = behaviour;
        if is_down {
            self.close().await
        } else {
            self.open(network).await
        }
    }

    /// How it behaves.
    pub(super) fn behaviour(&self) -> Behaviour {
        lock(&self.behaviour).clone()
    }

    /// Behaves as at the start, and forgets what it has accepted.
    pub(super) async fn reset(self: &Arc<Self>, network: &Arc<PhoneNetwork>) -> io::Result<()> {
        lock(&self.accepted).clear();
        self.set_behaviour(Behaviour::default(), network).await
    }

    /// Accepts connections.
    pub(super) async fn open(self: &Arc<Self>, network: &Arc<PhoneNetwork>) -> io::Result<()> {
        let mut connections = self.connections.lock().await;
        let Connections::Refused(socket) = &mut *connections else {
            return Ok(());
        };
        let socket = std::mem::replace(socket, TcpSocket::new_v4()?);
        let listener = socket.listen(BACKLOG)?;
        let router = Router::new()
            .route("/messages", post(accept_request))
            .with_state((self.clone(), network.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router));
        *connections = Connections::Accepted(tasks);
        Ok(())
    }

    /// Refuses connections, and closes open ones.
    async fn close(&self) -> io::Result<()> {
        let mut connections = self.connections.lock().await;
        if let Connections::Accepted(tasks) = &mut *connections {
            // The end of the tasks closes the listener and every connection.
            tasks.shutdown().await;
            *connections = Connections::Refused(reserve_again(self.identity.port).await?);
        }
        Ok(())
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let expected = format!("Bearer {}", self.identity.credentials.token);
        let authorization = headers.get(header::AUTHORIZATION);
        authorization.is_some_and(|value| value.as_bytes() == expected.as_bytes())
    }

    /// Accepts a message in mode `ok`, `hang` or `lose`.
    async fn accept(
        self: Arc<Self>,
        network: Arc<PhoneNetwork>,
        behaviour: Behaviour,
        request: MessageRequest,
    ) -> Response {
        let id = new_id();
        {
            let mut accepted = lock(&self.accepted);
            if let Some(earlier) = accepted.get(&request.reference) {
                return Json(json!({"id": earlier})).into_response();
            }
            accepted.insert(request.reference.clone(), id.clone());
        }
        let callback = Callback {
            url: request.callback_url,
            reference: request.reference,
        };
        let message = AcceptedMessage {
            id: id.clone(),
            to: request.to,
            from: request.title.or(request.from),
            channel: request.channel,
            text: request.text,
            callback: Some(callback.clone()),
        };
        if behaviour.mode != Mode::Lose {
            // In a task of its own: an accepted message is delivered even if the worker closes the
            // connection.
            let (network, carrier) = (network.clone(), self.name);
            let delivered = tokio::spawn(async move { network.deliver(carrier, message).await });
            let _ = delivered.await;
        }
        if let Some(status) = behaviour.report_status() {
            self.report_later(network, id.clone(), callback, status.to_owned());
        }
        if behaviour.mode == Mode::Hang {
            return std::future::pending().await;
        }
        Json(json!({"id": id})).into_response()
    }

    /// Reports `status` by itself, in the background.
    fn report_later(
        self: Arc<Self>,
        network: Arc<PhoneNetwork>,
        id: String,
        callback: Callback,
        status: String,
    ) {
        let work = network.queue.begin_work();
        tokio::spawn(async move {
            let secret = &self.identity.credentials.secret;
            let reported = network.report(secret, &id, &callback, &status);
            if let Err(error) = reported.await {
                tracing::warn!(
                    carrier = self.name,
                    error.cause = error.to_string(),
                    "a simulated carrier failed to report"
                );
            }
            drop(work);
        });
    }
}

/// Serves connections until the task ends.
async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            // The client sees a broken connection by itself.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// `POST /messages`.
async fn accept_request(
    State((carrier, network)): State<(Arc<HttpCarrier>, Arc<PhoneNetwork>)>,
    headers: HeaderMap,
    Json(request): Json<MessageRequest>,
) -> Response {
    if !carrier.is_authorized(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let behaviour = lock(&carrier.behaviour).clone();
    if let Some(delay) = behaviour.delay_ms {
        tokio::time::sleep(Duration::from_millis(delay.into())).await;
    }
    match behaviour.mode {
        Mode::Reject => {
            let body = Json(json!({"error": "no such number"}));
            (StatusCode::BAD_REQUEST, body).into_response()
        }
        Mode::Throttle => {
            let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
            if let Some(seconds) = behaviour.retry_after {
                let headers = response.headers_mut();
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Mode::Error | Mode::Down => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mode::Ok | Mode::Hang | Mode::Lose => carrier.accept(network, behaviour, request).await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
