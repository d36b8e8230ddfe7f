//! A port of this machine that answers HTTP as a test says, or closes the connection without a
//! response. Carriers and fault proxies are built on it.

use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// A request, read to its end.
#[derive(Clone)]
pub struct Request {
    pub method: hyper::Method,
    pub path: String,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
    /// Whether its connection is reset instead of closed.
    is_reset: Arc<AtomicBool>,
}

impl Request {
    /// Resets the connection once the handler has returned no response.
    pub fn reset_connection(&self) {
        self.is_reset.store(true, Ordering::Relaxed);
    }
}

/// The response; `None` closes the connection instead.
pub type Response = Option<hyper::Response<Full<Bytes>>>;

fn listening(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(1024)
}

/// Dropping it closes the port and its connections.
pub struct Listener {
    pub port: u16,
    tasks: JoinSet<()>,
    /// Notified to close all connections.
    closing: Arc<Notify>,
}

impl Listener {
    /// On a free port, or on `port` again.
    pub async fn open<F, A>(port: u16, handler: F) -> Self
    where
        F: Fn(Request) -> A + Clone + Send + Unpin + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        // A process that is being started holds a copy of every socket for a moment, even of a
        // closed one.
        let started = tokio::time::Instant::now();
        let listener = loop {
            match listening(port) {
                Ok(listener) => break listener,
                Err(error) => assert!(
                    started.elapsed() < Duration::from_secs(1),
                    "port {port}: {error}"
                ),
            }
            tokio::task::yield_now().await;
        };
        let port = listener.local_addr().expect("an address").port();
        let (mut tasks, closing) = (JoinSet::new(), Arc::new(Notify::new()));
        let close = closing.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            connections.spawn(serve_connection(stream, handler.clone()));
                        }
                        Err(_) => break,
                    },
                    () = close.notified() => connections.abort_all(),
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            port,
            tasks,
            closing,
        }
    }

    /// Closes all connections, idle or not, and accepts new ones.
    pub fn close_connections(&self) {
        self.closing.notify_one();
    }

    /// Returns once the port refuses connections.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn serve_connection<F, A>(stream: TcpStream, handler: F)
where
    F: Fn(Request) -> A + Clone + Unpin,
    A: Future<Output = Response>,
{
    let is_reset = Arc::new(AtomicBool::new(false));
    let reset = is_reset.clone();
    let service =
        service_fn(move |request| Box::pin(respond(handler.clone(), request, reset.clone())));
    let stream = TokioIo::new(stream);
    let mut connection =
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
    // The client notices a broken connection.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    if is_reset.load(Ordering::Relaxed) {
        let _ = stream.set_zero_linger();
    } else {
        let _ = stream.shutdown().await;
    }
}

async fn respond<F, A>(
    handler: F,
    request: hyper::Request<Incoming>,
    is_reset: Arc<AtomicBool>,
) -> Result<hyper::Response<Full<Bytes>>, String>
where
    F: Fn(Request) -> A,
    A: Future<Output = Response>,
{
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    let path = parts
        .uri
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    handler(Request {
        method: parts.method,
        path,
        headers: parts.headers,
        body,
        is_reset,
    })
    .await
    .ok_or_else(|| "closed as the test says".to_owned())
}

/// A response with this status, these headers and this body.
pub fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
    let headers = headers.iter().fold(
        hyper::Response::builder().status(status),
        |response, (name, value)| response.header(*name, *value),
    );
    Some(headers.body(Full::new(body.into())).expect("a response"))
}

/// A port that accepts connections and never writes to them: a host that is stuck before TLS.
pub struct SilentListener {
    pub port: u16,
    _tasks: JoinSet<()>,
    accepted: watch::Sender<usize>,
}

impl SilentListener {
    pub fn open() -> Self {
        let listener = listening(0).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let accepted = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        let counted = accepted.clone();
        tasks.spawn(async move {
            let mut streams = vec![];
            while let Ok((stream, _)) = listener.accept().await {
                streams.push(stream);
                counted.send_modify(|count| *count += 1);
            }
        });
        Self {
            port,
            _tasks: tasks,
            accepted,
        }
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        *self.accepted.borrow()
    }
}
