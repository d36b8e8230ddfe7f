//! Base URLs: what may stand in a setting that paths are appended to.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether paths can be put behind `url` and a host be called there: `http://` or `https://`, a host, perhaps a port and a path.
/// No user, no query, no fragment.
#[must_use]
pub fn is_base_url(url: &str) -> bool {
    let Some(rest) = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
    else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let is_path = !url.contains(['?', '#'])
        && url.bytes().all(|b| b.is_ascii_graphic())
        && url.parse::<http::Uri>().is_ok();
    is_host(host) && is_port && is_path
}

/// A name, or an address of either version.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let labels = || host.strip_suffix('.').unwrap_or(host).split('.');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let is_number = labels()
        .next_back()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253 && labels().all(is_label) && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}
