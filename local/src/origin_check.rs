//! Protects the local endpoints, which need no key, against cross-site requests (CSRF) and DNS
//! rebinding. A browser on this machine says in `Host` by which name it called the server, and in
//! `Origin` for which site. Only names of this machine, and those of `--host` and `--allow-host`,
//! are allowed in either. A request without these headers is not from a browser and is allowed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::listen::Listen;
use crate::reject::reject;

/// Names of this machine, which no other site can have.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// The port of an http address without one.
const HTTP_PORT: u16 = 80;

/// The names and the port of the server.
#[derive(Clone)]
pub(crate) struct OriginCheck {
    names: Arc<[String]>,
    port: u16,
}

impl OriginCheck {
    /// For a server that listens on `port`.
    pub(crate) fn new(listen: &Listen, port: u16) -> Self {
        let host = listen.host.map(|host| match host {
            IpAddr::V4(host) => host.to_string(),
            IpAddr::V6(host) => format!("[{host}]"),
        });
        let names = NAMES.map(str::to_owned).into_iter().chain(host);
        Self {
            names: names.chain(listen.allowed_hosts.iter().cloned()).collect(),
            port,
        }
    }

    /// Why the request is rejected.
    fn problem(&self, headers: &HeaderMap) -> Option<String> {
        let Some(mut ports) = parse_all(headers, &HOST, |host| self.port_of(host)) else {
            return Some(format!(
                "this endpoint is for this machine only; allowed in Host: {}; \
                 --allow-host NAME allows another name",
                self.names.join(", ")
            ));
        };
        // If another port is forwarded to the server's, the page has that one as its origin.
        ports.push(self.port);
        let own_port = |origin: &str| {
            let port = self.port_of(origin.strip_prefix("http://")?)?;
            ports.contains(&port).then_some(port)
        };
        if parse_all(headers, &ORIGIN, own_port).is_none() {
            let problem =
                "this endpoint is for this machine only; other sites in a browser may not call it";
            return Some(problem.to_owned());
        }
        None
    }

    /// The port of `NAME` or `NAME:PORT`; `None` if the name is not allowed.
    fn port_of(&self, authority: &str) -> Option<u16> {
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if !authority.ends_with(']') => (name, port.parse().ok()?),
            _ => (authority, HTTP_PORT),
        };
        let mut names = self.names.iter();
        names
            .any(|known| known.eq_ignore_ascii_case(name))
            .then_some(port)
    }
}

/// Rejects requests of other sites.
pub(crate) async fn check_origin(
    State(check): State<OriginCheck>,
    request: Request,
    next: Next,
) -> Response {
    match check.problem(request.headers()) {
        Some(problem) => reject(StatusCode::FORBIDDEN, &problem),
        None => next.run(request).await,
    }
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
