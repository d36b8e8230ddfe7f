//! URLs: validates a base URL, to which paths are appended, and returns its path; percent-encoding.

use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `text` in UTF-8, percent-encoded except `A-Z a-z 0-9 - . _ ~`.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A segment of a path, decoded once; `None` if that is not UTF-8.
#[must_use]
pub fn percent_decode(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// Whether `url` is `http://` or `https://`, a host, optionally a port and optionally a path,
/// without user, query and fragment.
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

/// The path of a base URL without a slash at its end: empty, or it begins with a slash.
#[must_use]
pub fn path(base_url: &str) -> &str {
    let authority = base_url.find("://").map_or(0, |at| at + 3);
    let path = base_url[authority..].find('/');
    path.map_or("", |at| &base_url[authority + at..])
}

/// Whether `host` is a DNS name, an IPv4 address, or an IPv6 address in brackets.
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
    // As in the WHATWG URL standard, a host whose last label is a number is an IPv4 address.
    let ends_in_number = labels()
        .next_back()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253
        && labels().all(is_label)
        && (!ends_in_number || host.parse::<Ipv4Addr>().is_ok())
}
