//! Pasted text: what people copy from contacts, PDF files and messages, in plain characters. One
//! reader for all fields: numbers, codes, addresses, names and settings.
//!
//! Unicode's tables are copied, because `verify` reads codes with this file and must start fast: a
//! library for them would be many times as large. A test compares the copies with the library.
//!
//! Invariant: letters are never changed, and a line break inside the text stays.

/// Digits of a number in E.164, with the country code.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// The digit 0 of each script; the other nine follow it (Unicode: `Nd`).
const ZEROS: &[u32] = &[
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0,
    0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50,
    0x11da0, 0x11de0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1ccf0, 0x1d7ce,
    0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

/// First and last code point of each range of format characters (`Cf`) and variation selectors.
const FORMAT: &[(u32, u32)] = &[
    (0xad, 0xad),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x2064),
    (0x2066, 0x206f),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xfff9, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0001, 0xe0001),
    (0xe0020, 0xe007f),
    (0xe0100, 0xe01ef),
];

/// First and last code point of each range of dashes and minus signs (property `Dash`).
const DASHES: &[(u32, u32)] = &[
    (0x2d, 0x2d),
    (0x58a, 0x58a),
    (0x5be, 0x5be),
    (0x1400, 0x1400),
    (0x1806, 0x1806),
    (0x2010, 0x2015),
    (0x2053, 0x2053),
    (0x207b, 0x207b),
    (0x208b, 0x208b),
    (0x2212, 0x2212),
    (0x2e17, 0x2e17),
    (0x2e1a, 0x2e1a),
    (0x2e3a, 0x2e3b),
    (0x2e40, 0x2e40),
    (0x2e5d, 0x2e5d),
    (0x301c, 0x301c),
    (0x3030, 0x3030),
    (0x30a0, 0x30a0),
    (0xfe31, 0xfe32),
    (0xfe58, 0xfe58),
    (0xfe63, 0xfe63),
    (0xff0d, 0xff0d),
    (0x10d6e, 0x10d6e),
    (0x10ead, 0x10ead),
];

/// `text` without format characters and without white space at its ends. Inside, every space is
/// U+0020, every dash is `-`, and every decimal digit is ASCII.
#[must_use]
pub fn plain(text: &str) -> String {
    let visible = text.chars().filter(|character| !is_format(*character));
    let plain: String = visible.map(plain_character).collect();
    plain.trim().to_owned()
}

/// `text` without format characters and without white space at its ends, with U+0020 for every
/// space inside. Digits and dashes of a name stay as they are.
#[must_use]
pub fn plain_name(text: &str) -> String {
    let visible = text.chars().filter(|character| !is_format(*character));
    let spaced: String = visible
        .map(|character| if is_space(character) { ' ' } else { character })
        .collect();
    spaced.trim().to_owned()
}

/// The digits and the leading `+` of a number in E.164, with spaces, dashes, `.`, `(` and `)` among
/// them. `None` for any other spelling. Whether the number exists is not known here.
#[must_use]
pub fn e164(text: &str) -> Option<String> {
    let mut number = String::with_capacity(E164_DIGITS.end() + 1);
    for character in plain(text).chars() {
        match character {
            '0'..='9' if !number.is_empty() => number.push(character),
            '+' | '＋' if number.is_empty() => number.push('+'),
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return None,
        }
        if number.len() > E164_DIGITS.end() + 1 {
            return None;
        }
    }
    let digits = number.strip_prefix('+')?;
    (E164_DIGITS.contains(&digits.len()) && !digits.starts_with('0')).then_some(number)
}

/// Whether `character` is invisible and only changes how others are displayed: direction marks,
/// zero-width characters, byte order marks, variation selectors.
fn is_format(character: char) -> bool {
    is_in(FORMAT, character)
}

fn plain_character(character: char) -> char {
    if character.is_ascii_graphic() {
        character
    } else if is_space(character) {
        ' '
    } else if is_in(DASHES, character) {
        '-'
    } else {
        ascii_digit(character).unwrap_or(character)
    }
}

/// White space that is no line break.
fn is_space(character: char) -> bool {
    let is_line_break = matches!(
        character,
        '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'
    );
    character.is_whitespace() && !is_line_break
}

/// The ASCII digit with the value of the decimal digit `character`.
fn ascii_digit(character: char) -> Option<char> {
    let point = u32::from(character);
    let at = ZEROS
        .partition_point(|zero| *zero <= point)
        .checked_sub(1)?;
    char::from_digit(point - ZEROS[at], 10)
}

fn is_in(ranges: &[(u32, u32)], character: char) -> bool {
    let point = u32::from(character);
    let at = ranges.partition_point(|(first, _)| *first <= point);
    at > 0 && point <= ranges[at - 1].1
}

#[cfg(test)]
mod tests {
    use icu_properties::props::{Dash, GeneralCategory, VariationSelector, WhiteSpace};
    use icu_properties::{CodePointMapData, CodePointSetData};

    use super::*;

    fn characters() -> impl Iterator<Item = char> {
        (0..=u32::from(char::MAX)).filter_map(char::from_u32)
    }

    /// The code points for which `is_member` holds, as ranges.
    fn ranges(is_member: impl Fn(char) -> bool) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = vec![];
        for point in characters().filter(|c| is_member(*c)).map(u32::from) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == point => *last = point,
                _ => ranges.push((point, point)),
            }
        }
        ranges
    }

    #[test]
    fn e164_is_read_with_separators_only() {
        for text in [
            "+12025550143",
            " +1 (202) 555-0143\n",
            "\u{202a}+1\u{a0}202.555\u{2011}0143\u{202c}",
            "＋１２０２５５５０１４３",
            "(+1) 2025550143",
        ] {
            assert_eq!(e164(text).as_deref(), Some("+12025550143"), "{text:?}");
        }
        for text in [
            "",
            "+",
            "12025550143",
            "0012025550143",
            "+0612345678",
            "++12025550143",
            "+1202/5550143",
            "+1202555\n0143",
            "tel:+12025550143",
            "+12025550143x1",
            "+1234567890123456",
            "+123456",
        ] {
            assert_eq!(e164(text), None, "{text:?}");
        }
    }

    #[test]
    fn tables_are_those_of_unicode() {
        let category = CodePointMapData::<GeneralCategory>::new();
        let digits = ranges(|c| category.get(c) == GeneralCategory::DecimalNumber);
        let zeros: Vec<u32> = digits
            .iter()
            .flat_map(|(first, last)| (*first..=*last).step_by(10))
            .collect();
        assert_eq!(zeros, ZEROS, "{zeros:#x?}");
        let variation_selector = CodePointSetData::new::<VariationSelector>();
        let format = ranges(|c| {
            category.get(c) == GeneralCategory::Format || variation_selector.contains(c)
        });
        assert_eq!(format, FORMAT, "{format:#x?}");
        let dash = CodePointSetData::new::<Dash>();
        let dashes = ranges(|c| dash.contains(c));
        assert_eq!(dashes, DASHES, "{dashes:#x?}");
        let white_space = CodePointSetData::new::<WhiteSpace>();
        assert!(characters().all(|c| white_space.contains(c) == c.is_whitespace()));
    }

    #[test]
    fn name_keeps_its_dashes_and_loses_invisible_characters() {
        let typed = "\u{200e} Ada\u{a0}Love\u{200b}lace\u{2013}\u{661} ";
        assert_eq!(plain_name(typed), "Ada Lovelace\u{2013}\u{661}");
    }

    #[test]
    fn number_in_e_164_has_at_most_fifteen_digits() {
        let longest = format!("+{}", "1".repeat(15));
        assert_eq!(e164(&longest).as_deref(), Some(longest.as_str()));
        assert_eq!(e164("+33 6-12.34 (56) 78").as_deref(), Some("+33612345678"));
        assert_eq!(e164(&format!("{longest}1")), None);
        for text in [
            "",
            "+",
            "33612345678",
            "+0612345678",
            "+33a",
            "++33612345678",
        ] {
            assert_eq!(e164(text), None, "{text}");
        }
    }
}
