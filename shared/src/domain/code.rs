//! Code: what the person types. Alphabets, generation, reading what was typed.
//! Pure. A code must never be printed, formatted or made into a number; `reveal` is the one way to its characters.

use std::fmt;

use rand::{Rng, RngExt as _};

/// Shortest code that anybody can be asked for.
pub const CODE_LENGTH_MIN: u8 = 4;
/// Longest code.
pub const CODE_LENGTH_MAX: u8 = 10;

/// The characters that codes are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alphabet {
    /// `0` to `9`.
    Digits,
    /// Upper-case letters and digits without those that are mistaken for each other, and without vowels that make words.
    Alphanumeric,
}

impl Alphabet {
    /// Its characters, each once, in ASCII.
    #[must_use]
    pub fn characters(self) -> &'static [u8] {
        match self {
            Self::Digits => b"0123456789",
            Self::Alphanumeric => b"23456789BCDFGHJKMNPQRSTVWXZ",
        }
    }

    /// How many codes of `length` characters there are (N in the bound F/N).
    #[must_use]
    pub fn combinations(self, length: u8) -> f64 {
        (self.characters().len() as f64).powi(i32::from(length))
    }
}

/// A code, canonical: upper case, no separators.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// A fresh code: each character drawn uniformly (rejection sampling, no modulo) from `rng`.
    pub fn generate(alphabet: Alphabet, length: u8, rng: &mut impl Rng) -> Self {
        let characters = alphabet.characters();
        Self(
            (0..length)
                .map(|_| char::from(characters[rng.random_range(0..characters.len())]))
                .collect(),
        )
    }

    /// Reads what a person typed: spaces and hyphens are ignored, case does not matter.
    /// `None` for anything that cannot be a code of this alphabet (a foreign character, fewer than 4, more than 10).
    #[must_use]
    pub fn parse(typed: &str, alphabet: Alphabet) -> Option<Self> {
        let mut code = String::with_capacity(usize::from(CODE_LENGTH_MAX));
        for byte in typed.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            let byte = byte.to_ascii_uppercase();
            if !alphabet.characters().contains(&byte) || code.len() == usize::from(CODE_LENGTH_MAX)
            {
                return None;
            }
            code.push(char::from(byte));
        }
        (code.len() >= usize::from(CODE_LENGTH_MIN)).then_some(Self(code))
    }

    /// A code that rested sealed and is taken as it was made.
    #[must_use]
    pub fn unsealed(code: String) -> Self {
        Self(code)
    }

    /// The characters. Only for the text to the person, the seal and the keyed hash of an attempt.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::random::entropy;

    #[test]
    fn ten_thousand_codes_are_uniform_and_keep_their_leading_zeros() {
        for alphabet in [Alphabet::Digits, Alphabet::Alphanumeric] {
            let cells = alphabet.characters().len();
            for position in 0..6 {
                let mut counts = vec![0u32; cells];
                for _ in 0..10_000 {
                    let code = Code::generate(alphabet, 6, &mut entropy());
                    assert_eq!(code.reveal().len(), 6);
                    let index = alphabet
                        .characters()
                        .iter()
                        .position(|c| *c == code.reveal().as_bytes()[position]);
                    counts[index.expect("only characters of the alphabet")] += 1;
                }
                let expected = 10_000.0 / cells as f64;
                let chi_square: f64 = counts
                    .iter()
                    .map(|n| (f64::from(*n) - expected).powi(2) / expected)
                    .sum();
                // The mean is cells - 1; six standard deviations above it happens once in hundreds of millions of runs.
                let bound = (cells - 1) as f64 + 7.5 * (2.0 * (cells - 1) as f64).sqrt();
                assert!(
                    chi_square < bound,
                    "{alphabet:?} at {position}: {chi_square} over {bound}"
                );
            }
        }
    }

    #[test]
    fn spaces_hyphens_and_case_do_not_matter() {
        assert_eq!(
            Code::parse("12 34-56", Alphabet::Digits),
            Some(Code("123456".into()))
        );
        assert_eq!(
            Code::parse("bcd-234", Alphabet::Alphanumeric),
            Some(Code("BCD234".into()))
        );
        assert_eq!(
            Code::parse("000000", Alphabet::Digits).map(|c| c.reveal().len()),
            Some(6)
        );
    }

    #[test]
    fn what_cannot_be_a_code_is_not_read_as_one() {
        for typed in [
            "",
            "123",
            "12345678901",
            "12345a",
            "１２３４５６",
            "٣٤٥٦٧٨",
            "+12345",
            "123\u{a0}456",
            "12.345",
            "123456\n",
        ] {
            assert_eq!(Code::parse(typed, Alphabet::Digits), None, "{typed:?}");
        }
        assert_eq!(
            Code::parse("ABCDEF", Alphabet::Alphanumeric),
            None,
            "vowels are not in the alphabet"
        );
    }

    #[test]
    fn a_code_does_not_print_itself() {
        assert_eq!(format!("{:?}", Code("123456".into())), "Code(…)");
    }
}
