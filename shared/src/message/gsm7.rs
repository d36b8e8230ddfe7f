//! GSM-7: the alphabet that an SMS needs, and the number of parts that are billed for it.
//!
//! Invariant: counts follow 3GPP TS 23.038 exactly. One character outside its alphabet more than
//! halves the length of a part.

/// The alphabet of an SMS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Seven bits a character: 160 in one part.
    Gsm7,
    /// Sixteen bits a character: 70 in one part.
    Ucs2,
}

/// The default alphabet without the escape code. Each character takes one septet.
const DEFAULT: &str = "\
    @£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ\x20\
    !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table. Each character takes two septets, the first of which is the escape code.
/// National tables are not used: no supported carrier has them.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// Septets of a message of one part.
const SINGLE_SEPTETS_MAX: u32 = 160;
/// Septets of each part of a longer message. Its first six bytes number the part.
const PART_SEPTETS_MAX: u32 = 153;
/// UTF-16 units of a message of one part.
const SINGLE_UNITS_MAX: u32 = 70;
/// UTF-16 units of each part of a longer message.
const PART_UNITS_MAX: u32 = 67;

/// How a text is sent as an SMS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Segments {
    /// GSM-7 if all characters are in its alphabet.
    pub(super) encoding: Encoding,
    /// Length in septets or UTF-16 units, by `encoding`.
    pub(super) units: u32,
    /// Parts that are billed, at least 1.
    pub(super) parts: u8,
}

/// Counts the segments of `text`. An escape pair or a surrogate pair is never split: it moves to
/// the next part as a whole, so that a part may be one unit short.
pub(super) fn segments(text: &str) -> Segments {
    let (encoding, single_max, part_max) = if text.chars().all(is_gsm7) {
        (Encoding::Gsm7, SINGLE_SEPTETS_MAX, PART_SEPTETS_MAX)
    } else {
        (Encoding::Ucs2, SINGLE_UNITS_MAX, PART_UNITS_MAX)
    };
    let (mut units, mut parts, mut filled) = (0u32, 1u8, 0u32);
    for character in text.chars() {
        let width = match encoding {
            Encoding::Gsm7 => septets(character).unwrap_or(1),
            Encoding::Ucs2 if character.len_utf16() == 2 => 2,
            Encoding::Ucs2 => 1,
        };
        units = units.saturating_add(width);
        if filled + width > part_max {
            parts = parts.saturating_add(1);
            filled = 0;
        }
        filled += width;
    }
    Segments {
        encoding,
        units,
        parts: if units <= single_max { 1 } else { parts },
    }
}

/// Whether `character` is in the GSM-7 alphabet or its extension table.
pub(super) fn is_gsm7(character: char) -> bool {
    septets(character).is_some()
}

/// The septets that `character` takes in GSM-7.
fn septets(character: char) -> Option<u32> {
    if character.is_ascii_alphanumeric() || DEFAULT.contains(character) {
        Some(1)
    } else if EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_alphabet_is_complete_except_for_the_escape() {
        assert_eq!(DEFAULT.chars().count(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
        assert!(DEFAULT.chars().chain(EXTENSION.chars()).all(is_gsm7));
        for trap in ['ç', '`', '\t', '’', '“', '”', '–', '…', '\u{a0}', '\u{1b}'] {
            assert!(!is_gsm7(trap), "{trap:?}");
        }
    }

    #[test]
    fn segments_are_counted_as_the_standard_does() {
        use Encoding::{Gsm7, Ucs2};
        let a = |n| "a".repeat(n);
        let ya = |n| "я".repeat(n);
        let table = [
            (a(160), Gsm7, 160, 1),
            (a(161), Gsm7, 161, 2),
            (a(306), Gsm7, 306, 2),
            (a(307), Gsm7, 307, 3),
            (a(158) + "€", Gsm7, 160, 1),
            (a(159) + "€", Gsm7, 161, 2),
            (a(152) + "€" + &a(151), Gsm7, 305, 2),
            (a(152) + "€" + &a(152), Gsm7, 306, 3),
            ("ç".into(), Ucs2, 1, 1),
            ("`".into(), Ucs2, 1, 1),
            ("It’s 4217".into(), Ucs2, 9, 1),
            (ya(70), Ucs2, 70, 1),
            (ya(71), Ucs2, 71, 2),
            (ya(134), Ucs2, 134, 2),
            (ya(135), Ucs2, 135, 3),
            ("😀".repeat(35), Ucs2, 70, 1),
            ("😀".repeat(36), Ucs2, 72, 2),
            (ya(66) + "😀" + &ya(65), Ucs2, 133, 2),
            (ya(66) + "😀" + &ya(66), Ucs2, 134, 3),
            ("\u{c}^{}\\[~]|€".into(), Gsm7, 20, 1),
            (
                "Your code is 4217\n@otp.example.com #4217".into(),
                Gsm7,
                40,
                1,
            ),
            (String::new(), Gsm7, 0, 1),
        ];
        for (text, encoding, units, parts) in table {
            let expected = Segments {
                encoding,
                units,
                parts,
            };
            assert_eq!(segments(&text), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_are_counted_without_overflow() {
        assert_eq!(
            segments(&"я".repeat(100_000)),
            Segments {
                encoding: Encoding::Ucs2,
                units: 100_000,
                parts: u8::MAX,
            }
        );
    }
}
