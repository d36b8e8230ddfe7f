//! Text reference (`OTP_TEXT_REFERENCE`): two letters by which a person who receives several codes
//! in a row finds the one that a page asks for. It is no secret and proves nothing.

use std::fmt;

use rand::{Rng, RngExt as _};

/// Consonants, so that no word appears; without L, which is read as a digit.
const LETTERS: &[u8] = b"BCDFGHJKMNPQRSTVWXZ";

/// Two consonants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextReference([u8; 2]);

impl TextReference {
    /// A random reference that differs from `previous`, that of the recipient's previous code.
    pub fn generate(previous: Option<Self>, rng: &mut impl Rng) -> Self {
        loop {
            let letters = [(); 2].map(|()| LETTERS[rng.random_range(0..LETTERS.len())]);
            if Some(Self(letters)) != previous {
                return Self(letters);
            }
        }
    }

    /// A reference as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let letters: [u8; 2] = bytes.try_into().ok()?;
        let is_valid = letters.iter().all(|letter| LETTERS.contains(letter));
        is_valid.then_some(Self(letters))
    }

    /// Its letters in ASCII.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 2] {
        self.0
    }
}

impl fmt::Display for TextReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

impl fmt::Debug for TextReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextReference({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::random::entropy;

    #[test]
    fn references_in_a_row_differ() {
        let mut previous = None;
        for _ in 0..2000 {
            let next = TextReference::generate(previous, &mut entropy());
            assert_ne!(previous, Some(next));
            let stored = TextReference::from_bytes(&next.to_bytes());
            assert_eq!(stored, Some(next));
            previous = Some(next);
        }
        assert_eq!(TextReference::from_bytes(b"AE"), None);
        assert_eq!(TextReference::from_bytes(b""), None);
    }

    #[test]
    fn reference_is_printed_as_its_letters() {
        let reference = TextReference::from_bytes(b"KX").expect("two consonants");
        assert_eq!(reference.to_string(), "KX");
        assert_eq!(format!("{reference:?}"), "TextReference(KX)");
    }
}
