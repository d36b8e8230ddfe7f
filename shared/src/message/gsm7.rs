//! GSM-7: which alphabet a text message travels in, how many parts it is billed as, and how to write it without foreign letters.
//! Pure; may use nothing. Counting must follow 3GPP TS 23.038 to the letter: one character outside its alphabet more than halves a part.

use super::transliterate::romanised;

/// The alphabet of a text message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Seven bits a character: 160 in one part.
    Gsm7,
    /// Sixteen bits a character: 70 in one part.
    Ucs2,
}

/// Characters of the default alphabet, one septet each. The escape itself is no character.
const DEFAULT: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Characters of the extension table: escape and one more septet. The national tables are left out, no carrier of ours speaks them.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// Septets of a message alone, and of each part of a longer one, whose first six bytes then say which part it is.
const SEPTETS: (u32, u32) = (160, 153);
/// The same in UTF-16 units.
const UNITS: (u32, u32) = (70, 67);

/// How `text` travels: its alphabet, its length in septets or UTF-16 units, and the parts it is cut into. An escape pair or a
/// surrogate pair is never cut: it moves to the next part whole, so a part may stay one unit short.
#[must_use]
pub fn segments(text: &str) -> (Encoding, u32, u8) {
    let encoding = if text.chars().all(is_gsm7) {
        Encoding::Gsm7
    } else {
        Encoding::Ucs2
    };
    let (alone, part) = match encoding {
        Encoding::Gsm7 => SEPTETS,
        Encoding::Ucs2 => UNITS,
    };
    let (mut units, mut parts, mut filled) = (0u32, 1u8, 0u32);
    for character in text.chars() {
        let width = match encoding {
            Encoding::Gsm7 => septets(character).unwrap_or(1),
            Encoding::Ucs2 => {
                if character.len_utf16() == 2 {
                    2
                } else {
                    1
                }
            }
        };
        units = units.saturating_add(width);
        if filled + width > part {
            parts = parts.saturating_add(1);
            filled = 0;
        }
        filled += width;
    }
    (encoding, units, if units <= alone { 1 } else { parts })
}

/// Whether a text message can carry `character` in the GSM-7 alphabet.
pub(super) fn is_gsm7(character: char) -> bool {
    septets(character).is_some()
}

/// `text` in GSM-7: letters that the alphabet lacks become the nearest ones that it has, and what has none is left out.
/// A `?` in its place would tell the reader nothing, and look broken.
pub(super) fn transliterate(text: &str) -> String {
    if text.chars().all(is_gsm7) {
        return text.to_owned();
    }
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match romanised(character) {
            Some(letters) => written.push_str(letters),
            None if is_gsm7(character) => written.push(character),
            None => {}
        }
    }
    written
}

/// Whether `text` can be read when it is transliterated: none of its letters is left out.
pub(super) fn is_transliterable(text: &str) -> bool {
    text.chars()
        .filter(|character| character.is_alphanumeric())
        .all(|letter| is_gsm7(letter) || romanised(letter).is_some())
}

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
    fn the_default_alphabet_has_every_septet_but_the_escape() {
        assert_eq!(DEFAULT.chars().count(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
        assert!(DEFAULT.chars().chain(EXTENSION.chars()).all(is_gsm7));
        for trap in ['ç', '`', '\t', '’', '“', '”', '–', '…', '\u{a0}', '\u{1b}'] {
            assert!(!is_gsm7(trap), "{trap:?}");
        }
    }

    #[test]
    fn segments_follow_the_table() {
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
            assert_eq!(segments(&text), (encoding, units, parts), "{text}");
        }
    }

    #[test]
    fn a_text_of_any_length_is_counted_without_overflow() {
        assert_eq!(
            segments(&"я".repeat(100_000)),
            (Encoding::Ucs2, 100_000, u8::MAX)
        );
    }

    #[test]
    fn transliteration_leaves_only_gsm7() {
        for (text, written) in [
            ("Ő és ű: árvíztűrő", "O és u: arvizturo"),
            ("français façade", "francais facade"),
            ("Код подтверждения: Щука", "Kod podtverzhdeniya: Shchuka"),
            ("Κωδικός Ψυχή", "Kodikos Psychi"),
            ("It’s “fine” – really…", "It's \"fine\" - really..."),
            ("Mã của bạn: Đường", "Ma cua ban: Duong"),
            ("日本 Café ✓", " Café "),
            ("ΔΣ é ñ €", "ΔΣ é ñ €"),
        ] {
            assert_eq!(transliterate(text), written);
            assert!(written.chars().all(is_gsm7));
        }
        assert!(
            is_transliterable("Щука é ő")
                && !is_transliterable("قهوة")
                && !is_transliterable("日本")
        );
    }
}
