//! A port of this machine that answers HTTP as a test says, or closes the connection without a
//! response. Carriers and fault proxies are built on it.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

/// A request, read to its end.
#[derive(Clone)]
pub struct Request {
    pub method: hyper::Method,
    pub path: String,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
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
}

impl Listener {
    /// On a free port, or on `port` again.
    pub async fn open<F, A>(port: u16, handler: F) -> Self
    where
        F: Fn(Request) -> A + Clone + Send + 'static,
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
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handler = handler.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| respond(handler.clone(), request));
                    // The client notices a broken connection.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, tasks }
    }

    /// Returns once the port refuses connections.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn respond<F, A>(
    handler: F,
    request: hyper::Request<Incoming>,
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
