//! Who may use what needs no key: the people on this machine. Their browsers carry out the wishes of other sites as well:
//! they post for them to any address, and read for them at the site's own name, which it may point to this machine.
//! A browser says by which name it came and for whom; whoever does not say is no browser.

use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::gateway::refuse;

/// Names of this machine that no site can take.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// Port of an http address without one.
const HTTP_PORT: u16 = 80;

/// Lets through what the people on this machine ask of the server, which listens on `port`.
pub(crate) async fn let_through(State(port): State<u16>, request: Request, next: Next) -> Response {
    match problem(request.headers(), port) {
        Some(problem) => refuse(StatusCode::FORBIDDEN, problem),
        None => next.run(request).await,
    }
}

/// What speaks against the caller.
fn problem(headers: &HeaderMap, port: u16) -> Option<&'static str> {
    let Some(mut ports) = all(headers, &HOST, port_of) else {
        return Some("this is for the people on this machine: ask 127.0.0.1 or localhost");
    };
    // A forwarded port is another one to the browser: what came from there as well is the page.
    ports.push(port);
    let is_own =
        |origin: &str| port_of(origin.strip_prefix("http://")?).filter(|port| ports.contains(port));
    let of_other_site = all(headers, &ORIGIN, is_own).is_none();
    of_other_site.then_some(
        "this is for the people on this machine, and not for other sites in their browsers",
    )
}

/// What `read` makes of each header called `name`; `None` if it makes nothing of one.
fn all(
    headers: &HeaderMap,
    name: &HeaderName,
    read: impl Fn(&str) -> Option<u16>,
) -> Option<Vec<u16>> {
    headers
        .get_all(name)
        .iter()
        .map(|value| read(value.to_str().ok()?))
        .collect()
}

/// The port of `NAME` or `NAME:PORT`, if it is a name of this machine.
fn port_of(authority: &str) -> Option<u16> {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => (name, port.parse().ok()?),
        _ => (authority, HTTP_PORT),
    };
    NAMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
        .then_some(port)
}
