//! The address of a recipient as it is stored: sealed, with what is known of the number.

use crate::crypto::keyring::Keyring;
use crate::crypto::sealing::SealedFor;
use crate::domain::address::Address;
use crate::domain::email::EmailAddress;
use crate::domain::ids::RecordKey;
use crate::domain::phone::{Line, PhoneNumber};

/// Takes the place of the country in the sealed address of an e-mail recipient.
const EMAIL_MARK: &str = "@@";
/// Between country and number of a fixed line.
const FIXED_LINE_MARK: char = 'f';
/// Between a number and the one for calls.
const CALLED_MARK: char = 'c';

/// Seals an address with its country and line type, which are not looked up again, and the number
/// for calls.
pub(super) fn seal_address(keyring: &Keyring, key: RecordKey, address: &Address) -> Vec<u8> {
    let text = match address {
        Address::Phone(number) => {
            let mut text = number.country().to_owned();
            if number.line() == Line::Fixed {
                text.push(FIXED_LINE_MARK);
            }
            text.push_str(number.reveal());
            if let Some(called) = number.reveal_called() {
                text.push(CALLED_MARK);
                text.push_str(called);
            }
            text
        }
        Address::Email(email) => format!("{EMAIL_MARK}{}", email.reveal()),
    };
    keyring.seal(SealedFor::Address(key), &text)
}

/// Opens a sealed address; `None` if its key was removed.
pub(super) fn open_address(keyring: &Keyring, key: RecordKey, sealed: &[u8]) -> Option<Address> {
    let text = keyring.open(SealedFor::Address(key), sealed)?;
    let (country, rest) = text.split_at_checked(2)?;
    Some(match country {
        EMAIL_MARK => Address::Email(EmailAddress::from_stored(rest.to_owned())),
        country => {
            let (line, numbers) = match rest.strip_prefix(FIXED_LINE_MARK) {
                Some(numbers) => (Line::Fixed, numbers),
                None => (Line::Mobile, rest),
            };
            let (e164, called) = match numbers.split_once(CALLED_MARK) {
                Some((e164, called)) => (e164, Some(called.to_owned())),
                None => (numbers, None),
            };
            Address::Phone(PhoneNumber::from_stored(e164, country, line).with_called(called))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{KEY, keyring};

    #[test]
    fn address_is_opened_as_it_was_sealed() {
        let k1 = keyring(&["k1"]);
        let number = |line| PhoneNumber::from_stored("+33612345678", "FR", line);
        let called = number(Line::Fixed).with_called(Some("+33112345678".into()));
        for address in [
            Address::Phone(number(Line::Mobile)),
            Address::Phone(number(Line::Fixed)),
            Address::Phone(called),
            Address::Email(EmailAddress::from_stored("cf@example.com".into())),
        ] {
            let sealed = seal_address(&k1, KEY, &address);
            let opened = open_address(&k1, KEY, &sealed).expect("an address");
            assert_eq!(opened, address);
            let (Address::Phone(number), Address::Phone(expected)) = (&opened, &address) else {
                continue;
            };
            assert_eq!(number.line(), expected.line());
            assert_eq!(number.reveal_called(), expected.reveal_called());
            assert_eq!(open_address(&keyring(&["k2"]), KEY, &sealed), None);
        }
    }
}
