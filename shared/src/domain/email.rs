//! E-mail addresses. The only file that names the IDNA library.

use std::fmt;

/// RFC 5321: a path of 256 octets with its brackets.
const EMAIL_LENGTH_MAX: usize = 254;
/// RFC 5321: the local part.
const LOCAL_PART_LENGTH_MAX: usize = 64;

/// One plain e-mail address, its domain lower case and in ASCII (IDNA).
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Reads `local@domain`. No display name, no quotes, no comments, no address literal, no list.
    /// `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > EMAIL_LENGTH_MAX {
            return None;
        }
        let (local, domain) = text.rsplit_once('@')?;
        let atoms_hold = !local.is_empty()
            && local
                .split('.')
                .all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
        if !atoms_hold || local.len() > LOCAL_PART_LENGTH_MAX {
            return None;
        }
        let domain = idna::domain_to_ascii_strict(domain).ok()?;
        let labels_hold = domain.split('.').count() >= 2
            && !domain
                .split('.')
                .next_back()?
                .bytes()
                .all(|b| b.is_ascii_digit());
        let email = format!("{local}@{domain}");
        (labels_hold && email.len() <= EMAIL_LENGTH_MAX).then_some(Self(email))
    }

    /// An address that rested sealed.
    #[must_use]
    pub fn unsealed(email: String) -> Self {
        Self(email)
    }

    /// The address.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EmailAddress {
    /// `…@…`: neither part may be logged.
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
    fn the_domain_is_lower_case_ascii_and_the_local_part_is_kept() {
        let read = |text: &str| EmailAddress::parse(text).map(|e| e.0);
        assert_eq!(
            read("Ann.Lee+x@Example.COM").as_deref(),
            Some("Ann.Lee+x@example.com")
        );
        assert_eq!(
            read("ann@bücher.example").as_deref(),
            Some("ann@xn--bcher-kva.example")
        );
        let canonical =
            EmailAddress::parse("Ann@Example.com").map(|e| Address::Email(e).canonical());
        assert_eq!(canonical.as_deref(), Some("ann@example.com"));
    }

    #[test]
    fn what_is_not_one_plain_address_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b.example",
            "a@b",
            "a@@b.example",
            "a@b@c.example",
            "a b@c.example",
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
}
