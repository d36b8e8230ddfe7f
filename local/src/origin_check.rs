//! Protects the local endpoints, which need no key, against cross-site requests (CSRF) and DNS
//! rebinding. A browser on this machine says in `Host` by which name it called the server, and in
//! `Origin` for which site. Only names of this machine are allowed in either. A request without
//! these headers is not from a browser and is allowed.

use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::reject::reject;

/// Names of this machine, which no other site can have.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// The port of an http address without one.
const HTTP_PORT: u16 = 80;

/// Rejects requests of other sites. The server listens on `port`.
pub(crate) async fn check_origin(
    State(port): State<u16>,
    request: Request,
    next: Next,
) -> Response {
    match problem(request.headers(), port) {
        Some(problem) => reject(StatusCode::FORBIDDEN, problem),
        None => next.run(request).await,
    }
}

/// Why the request is rejected.
fn problem(headers: &HeaderMap, port: u16) -> Option<&'static str> {
    let Some(mut ports) = parse_all(headers, &HOST, local_port) else {
        return Some(
            "this endpoint is for this machine only; allowed in Host: 127.0.0.1, localhost, [::1]",
        );
    };
    // If another port is forwarded to the server's, the page has that one as its origin.
    ports.push(port);
    let own_port = |origin: &str| {
        let port = local_port(origin.strip_prefix("http://")?)?;
        ports.contains(&port).then_some(port)
    };
    if parse_all(headers, &ORIGIN, own_port).is_none() {
        return Some(
            "this endpoint is for this machine only; other sites in a browser may not call it",
        );
    }
    None
}

/// Each header called `name`, parsed; `None` if one cannot be parsed.
fn parse_all(
    headers: &HeaderMap,
    name: &HeaderName,
    parse: impl Fn(&str) -> Option<u16>,
) -> Option<Vec<u16>> {
    let values = headers.get_all(name).iter();
    values.map(|value| parse(value.to_str().ok()?)).collect()
}

/// The port of `NAME` or `NAME:PORT`; `None` if the name is not one of this machine.
fn local_port(authority: &str) -> Option<u16> {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => (name, port.parse().ok()?),
        _ => (authority, HTTP_PORT),
    };
    NAMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
        .then_some(port)
}
