//! Code: the passcode that is sent to a person and typed back. Alphabets, generation, parsing.
//!
//! Invariant: a code is never printed or formatted, and is never a number; `reveal` is the only
//! access to its characters.

use std::fmt;

use rand::{Rng, RngExt as _};

use crate::domain::pasted_text;

/// Shortest code that a policy or a request may ask for.
pub const CODE_LENGTH_MIN: u8 = 4;
/// Longest code.
pub const CODE_LENGTH_MAX: u8 = 10;

/// The characters of which codes consist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alphabet {
    /// `0` to `9`.
    Digits,
    /// Upper-case letters and digits, without those that are easily confused and without vowels,
    /// which could form words.
    Alphanumeric,
}

impl Alphabet {
    /// The characters, each once, in ASCII.
    #[must_use]
    pub fn characters(self) -> &'static [u8] {
        match self {
            Self::Digits => b"0123456789",
            Self::Alphanumeric => b"23456789BCDFGHJKMNPQRSTVWXZ",
        }
    }

    /// The number of possible codes of `length` characters: N in the bound F/N.
    #[must_use]
    pub fn combinations(self, length: u8) -> f64 {
        (self.characters().len() as f64).powi(i32::from(length))
    }
}

/// A code in canonical form: upper case, no separators.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// A new code. Each character is drawn uniformly (rejection sampling, no modulo bias) from
    /// `rng`.
    pub fn generate(alphabet: Alphabet, length: u8, rng: &mut impl Rng) -> Self {
        let characters = alphabet.characters();
        Self(
            (0..length)
                .map(|_| char::from(characters[rng.random_range(0..characters.len())]))
                .collect(),
        )
    }

    /// Parses what a person typed or pasted: spaces and dashes are ignored, letters are
    /// case-insensitive, digits may be those of any script. `None` for anything that cannot be a
    /// code of `alphabet`: another character, fewer than 4 or more than 10.
    #[must_use]
    pub fn parse(typed: &str, alphabet: Alphabet) -> Option<Self> {
        let mut code = String::with_capacity(usize::from(CODE_LENGTH_MAX));
        let typed = pasted_text::plain(typed);
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

    /// A code that was generated or parsed before it was stored. It is trusted: nothing is
    /// validated again.
    #[must_use]
    pub fn from_stored(code: String) -> Self {
        Self(code)
    }

    /// The characters. Only for the message text, the sealed code and the keyed hash of an attempt.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    /// Masked: `Code(…)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::random::{entropy, random_bytes};

    const CODE_LENGTH: u8 = 10;
    /// A million characters of each alphabet.
    const CODES: usize = 100_000;
    /// By how much chi-square may exceed its mean. Characters of a uniform generator exceed it once
    /// in 10^13 runs, a million characters drawn by `u8 % n` practically always.
    const EXCESS_MAX: f64 = 100.0;

    /// How often each byte value occurs.
    type Counts = [u32; 256];

    /// Chi-square of the counts of `alphabet` against equal probabilities, less its mean for a
    /// uniform generator.
    fn chi_square_excess(counts: &Counts, alphabet: &[u8]) -> f64 {
        let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        let expected = total / alphabet.len() as f64;
        let deviation = |byte: &u8| (f64::from(counts[usize::from(*byte)]) - expected).powi(2);
        let chi_square: f64 = alphabet.iter().map(|byte| deviation(byte) / expected).sum();
        chi_square - (alphabet.len() - 1) as f64
    }

    /// Draws [`CODES`] codes and fails unless their characters are uniform, at each position and
    /// together.
    fn assert_uniform(alphabet: Alphabet) {
        let mut by_position = [[0; 256]; CODE_LENGTH as usize];
        for _ in 0..CODES {
            let code = Code::generate(alphabet, CODE_LENGTH, &mut entropy());
            assert_eq!(code.reveal().len(), usize::from(CODE_LENGTH));
            for (counts, byte) in by_position.iter_mut().zip(code.reveal().bytes()) {
                counts[usize::from(byte)] += 1;
            }
        }
        let mut together: Counts = [0; 256];
        for counts in &by_position {
            for (sum, count) in together.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        let characters = alphabet.characters();
        let is_foreign = |byte: &u8| together[usize::from(*byte)] > 0 && !characters.contains(byte);
        assert_eq!((0..=u8::MAX).find(is_foreign), None);
        for counts in by_position.iter().chain([&together]) {
            let excess = chi_square_excess(counts, characters);
            assert!(excess < EXCESS_MAX, "{alphabet:?}: {excess}");
        }
    }

    #[test]
    fn codes_of_digits_are_uniform_with_leading_zeros() {
        assert_uniform(Alphabet::Digits);
    }

    #[test]
    fn alphanumeric_codes_are_uniform() {
        assert_uniform(Alphabet::Alphanumeric);
    }

    #[test]
    fn the_uniformity_test_detects_modulo_bias() {
        for alphabet in [Alphabet::Digits, Alphabet::Alphanumeric] {
            let characters = alphabet.characters();
            let mut counts: Counts = [0; 256];
            for _ in 0..CODES * usize::from(CODE_LENGTH) / 1000 {
                for byte in random_bytes::<1000>() {
                    counts[usize::from(characters[usize::from(byte) % characters.len()])] += 1;
                }
            }
            let excess = chi_square_excess(&counts, characters);
            assert!(excess > EXCESS_MAX, "{alphabet:?}: {excess}");
        }
    }

    #[test]
    fn spaces_hyphens_and_case_are_ignored() {
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
    fn pasted_codes_are_read_as_typed() {
        for typed in [
            "１２３４５６",
            "١٢٣٤٥٦",
            "۱۲۳۴۵۶",
            "१२३४५६",
            "123\u{a0}456",
            "123\t456",
            "123–456",
            "123\u{2011}456",
            "\u{202a}123456\u{202c}",
            "\u{feff}123\u{200b}456\u{fe0f}",
            "123456\r\n",
            "\u{2003}123456\u{2028}",
        ] {
            let code = Code::parse(typed, Alphabet::Digits);
            assert_eq!(code, Some(Code("123456".into())), "{typed:?}");
        }
        assert_eq!(
            Code::parse("bcd—２３４\n", Alphabet::Alphanumeric),
            Some(Code("BCD234".into()))
        );
    }

    #[test]
    fn anything_but_a_code_is_rejected() {
        for typed in [
            "",
            "123",
            "12345678901",
            "12345a",
            "+12345",
            "12.345",
            "12/345",
            "(123456)",
            "123\n456",
            "123\u{2028}456",
            "１２３４５Ａ",
            "²³⁴⁵⁶⁷",
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
    fn debug_hides_the_code() {
        assert_eq!(format!("{:?}", Code("123456".into())), "Code(…)");
    }
}
