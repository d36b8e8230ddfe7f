//! Fields that several requests have.

use std::net::{IpAddr, SocketAddr};

use crate::domain::pasted_text;
use crate::domain::phone::is_country;
use crate::domain::subject_id::SubjectId;
use crate::domain::verification_params::Transaction;
use crate::message::has_visible_text;
use crate::platform::json::Fields;

/// Each of amount, currency and payee.
const TRANSACTION_TEXT_LENGTH_MAX: usize = 64;

/// `purpose`.
pub(super) fn purpose(fields: &mut Fields) -> Option<String> {
    let is_allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let purpose = |text: &str| {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(is_allowed);
        fits.then(|| text.to_owned())
    };
    fields.parsed_text(
        "purpose",
        purpose,
        "1 to 32 characters of a-z, 0-9, _ and -",
    )
}

/// `subject`.
pub(super) fn subject(fields: &mut Fields) -> Option<SubjectId> {
    fields.parsed_text("subject", |id| id.parse().ok(), SUBJECT_CHARACTERS)
}

/// What a subject id is.
pub(super) const SUBJECT_CHARACTERS: &str =
    "1 to 255 characters of A-Z, a-z, 0-9 and . _ ~ - : @ |, a letter or digit first";

/// `transaction`.
pub(super) fn transaction(fields: &mut Fields) -> Option<Transaction> {
    fields.object("transaction", |nested| {
        let [amount, currency, payee] = ["amount", "currency", "payee"].map(|name| {
            let text = nested.required_bounded_text(name, 1..=TRANSACTION_TEXT_LENGTH_MAX);
            if !text.is_empty() && !has_visible_text(&text) {
                nested.reject(name, "Must contain at least one visible character.");
            }
            text
        });
        Transaction {
            amount,
            currency,
            payee,
        }
    })
}

/// `country`, in upper case.
pub(super) fn country(fields: &mut Fields) -> Option<String> {
    let country = |text: &str| {
        let code = pasted_text::plain(text).to_ascii_uppercase();
        is_country(&code).then_some(code)
    };
    fields.parsed_text("country", country, "an ISO 3166 code such as FR")
}

/// `client_ip`, without its port.
pub(super) fn client_ip(fields: &mut Fields) -> Option<IpAddr> {
    ip(fields, "client_ip")
}

/// The address in the field `name`, without its port.
pub(super) fn ip(fields: &mut Fields, name: &str) -> Option<IpAddr> {
    fields.parsed_text(name, parse_ip, "one IPv4 or IPv6 address")
}

/// An address as proxies and servers write it: alone, in brackets, or with a port. A zone id names
/// an interface of another machine, so it is rejected.
fn parse_ip(text: &str) -> Option<IpAddr> {
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
            assert_eq!(parse_ip(text), address.parse().ok(), "{text:?}");
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
            assert_eq!(parse_ip(text), None, "{text:?}");
        }
    }
}
