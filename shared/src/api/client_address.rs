//! The address of an end user, in any notation of proxies and servers.

use std::net::{IpAddr, SocketAddr};

use crate::domain::pasted_text;

/// An address as proxies and servers write it: alone, in brackets, or with a port. A zone id names
/// an interface of another machine, so it is rejected.
#[must_use]
pub fn parse(text: &str) -> Option<IpAddr> {
    let text = pasted_text::plain(text);
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse().ok().map(IpAddr::V6),
        None if text.contains('%') => None,
        None => {
            let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
            text.parse().ok().or_else(with_port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_addresses_are_read_in_every_notation() {
        for (text, address) in [
            ("203.0.113.7", "203.0.113.7"),
            (" 203.0.113.7\n", "203.0.113.7"),
            ("203.0.113.7:5678", "203.0.113.7"),
            ("\u{200b}203.0.113.7", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:DB8::1]:443", "2001:db8::1"),
            ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        ] {
            assert_eq!(parse(text), address.parse().ok(), "{text:?}");
        }
    }

    #[test]
    fn anything_but_one_client_address_is_rejected() {
        for text in [
            "",
            "203.0.113.7, 198.51.100.1",
            "203.0.113.7 198.51.100.1",
            "fe80::1%eth0",
            "fe80::1%1",
            "[fe80::1%1]:443",
            "[203.0.113.7]",
            "203.0.113.7:",
            "203.0.113.7:65536",
            "203.0.113.7:http",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "203.0.113.0/24",
            "203.0.113",
            "example.com",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
