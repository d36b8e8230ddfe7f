//! Phone numbers, addresses and codes as people type them. Invariants: no panic; a number that is
//! accepted is digits after a plus, and the same number when it is read again.

use otp::domain::code::{Alphabet, Code};
use otp::domain::email::EmailAddress;
use otp::domain::phone::PhoneNumber;

/// Reads one input.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for country in [None, Some("US"), Some("AR"), Some("DE")] {
        let Ok(phone) = PhoneNumber::parse(text, country) else {
            continue;
        };
        let number = phone.reveal().to_owned();
        let digits = number.strip_prefix('+').expect("a plus");
        // The numbering plan of Germany has numbers that are longer than E.164 allows.
        assert!(digits.len() <= 17, "{text:?}: {number}");
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
        let again = PhoneNumber::parse(&number, None).expect("a number");
        assert_eq!(again.reveal(), number);
    }
    if let Some(email) = EmailAddress::parse(text) {
        assert!(!format!("{email:?}").contains('\n'));
    }
    for alphabet in [Alphabet::Digits, Alphabet::Alphanumeric] {
        if let Some(code) = Code::parse(text, alphabet) {
            let code = code.reveal();
            assert!((4..=10).contains(&code.len()));
            assert!(
                code.bytes()
                    .all(|byte| alphabet.characters().contains(&byte))
            );
        }
    }
}
