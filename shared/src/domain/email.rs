//! E-mail addresses: parsed once, masked in logs. The only file that names the IDNA library.
//!
//! Invariant: the local part is a dot-atom of RFC 5322, the domain is lower-case ASCII with at
//! least two labels.

use std::fmt;

/// Longest address in octets: a path of RFC 5321 has 256, with its angle brackets.
const EMAIL_LENGTH_MAX: usize = 254;
/// Longest local part in octets (RFC 5321).
const LOCAL_PART_LENGTH_MAX: usize = 64;

/// One plain e-mail address. The domain is in lower case and in ASCII (IDNA), the local part as it
/// was typed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Parses `local@domain`, with white space around it. `None` for anything else: a display
    /// name, quotes, comments, an address literal, a list.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > EMAIL_LENGTH_MAX {
            return None;
        }
        let (local, domain) = text.rsplit_once('@')?;
        let is_dot_atom = local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
        if !is_dot_atom || local.len() > LOCAL_PART_LENGTH_MAX {
            return None;
        }
        let domain = idna::domain_to_ascii_strict(domain).ok()?;
        let is_host_name = domain.split('.').count() >= 2
            && !domain
                .split('.')
                .next_back()?
                .bytes()
                .all(|b| b.is_ascii_digit());
        let email = format!("{local}@{domain}");
        (is_host_name && email.len() <= EMAIL_LENGTH_MAX).then_some(Self(email))
    }

    /// Reads an address in ASCII, without the tables of international names: one that
    /// [`Self::parse`] accepts is the same here. `None` if it cannot be one.
    #[must_use]
    pub fn parse_ascii(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let is_domain = domain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let is_address = text.len() <= EMAIL_LENGTH_MAX
            && !domain.is_empty()
            && is_domain
            && !local.is_empty()
            && local.bytes().all(|b| is_atext(b) || b == b'.');
        is_address.then(|| Self(format!("{local}@{}", domain.to_ascii_lowercase())))
    }

    /// An address that was parsed before it was stored. It is trusted: nothing is validated again.
    #[must_use]
    pub fn from_stored(email: String) -> Self {
        Self(email)
    }

    /// The whole address.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EmailAddress {
    /// Masked for logs: `…@…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…@…")
    }
}

/// RFC 5322 `atext`, ASCII only.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::Address;

    #[test]
    fn the_domain_is_normalized_and_the_local_part_kept() {
        let read = |text: &str| EmailAddress::parse(text).map(|e| e.0);
        assert_eq!(
            read("Ann.Lee+x@Example.COM").as_deref(),
            Some("Ann.Lee+x@example.com")
        );
        assert_eq!(
            read("ann@bücher.example").as_deref(),
            Some("ann@xn--bcher-kva.example")
        );
        assert_eq!(
            read("\u{a0}carl@example.com \r\n").as_deref(),
            Some("carl@example.com")
        );
        let canonical =
            EmailAddress::parse("Ann@Example.com").map(|e| Address::Email(e).canonical());
        assert_eq!(canonical.as_deref(), Some("ann@example.com"));
    }

    #[test]
    fn anything_but_one_plain_address_is_rejected() {
        for text in [
            "",
            "@",
            "a@",
            "@b.example",
            "a@b",
            "a@@b.example",
            "a@b@c.example",
            "a b@c.example",
            "a@c.example b",
            "\u{200b}a@c.example",
            "a\u{a0}@c.example",
            "a@c.example\nd",
            "a@c.example,d@e.example",
            "Ann <a@c.example>",
            "\"a\"@c.example",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@c..example",
            ".a@c.example",
            "a..b@c.example",
            "a@c.example\r\nBcc: d@e.example",
            "a@-c.example",
            "ä@c.example",
            "a@c.example.",
        ] {
            assert_eq!(EmailAddress::parse(text), None, "{text:?}");
        }
        assert_eq!(
            EmailAddress::parse(&format!("{}@c.example", "a".repeat(65))),
            None
        );
        assert_eq!(
            EmailAddress::parse(&format!("a@{}.example", "c".repeat(300))),
            None
        );
    }

    #[test]
    fn printed_address_is_masked() {
        let email = EmailAddress::from_stored("ada@example.com".into());
        assert_eq!(format!("{email:?}"), "…@…");
    }

    #[test]
    fn address_in_ascii_is_read_alike() {
        let part = |letter: &str, count| letter.repeat(count);
        let domain = [part("b", 63), part("c", 63), part("d", 61)].join(".");
        let longest = format!("{}@{domain}", part("a", 64));
        assert_eq!(longest.len(), EMAIL_LENGTH_MAX);
        for text in ["Ann.Lee+x@Example.COM", " a@b-2.example ", &longest] {
            let parsed = EmailAddress::parse(text);
            assert!(parsed.is_some(), "{text}");
            assert_eq!(EmailAddress::parse_ascii(text), parsed);
        }
        for text in [
            "",
            "a",
            "a@",
            "@b.example",
            "a@b_c.example",
            "a@bücher.example",
            "a b@c.example",
            "ä@c.example",
            &format!("{longest}d"),
        ] {
            assert_eq!(EmailAddress::parse_ascii(text), None, "{text:?}");
        }
    }
}
