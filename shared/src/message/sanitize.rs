//! Plain: what a variable of a text may contain. Brand, amount, currency and payee come from callers, and callers pass on what
//! strangers typed. Pure; may use nothing. No variable may add a line, a link, a direction mark or a second code to a message,
//! because phones act on those: they open links, fill codes in, and believe a last line `@host #code`.

/// `text` on one line, without control characters, direction marks, invisible characters, `@` and `#` that open a word, and
/// links; at most `max_chars` characters. Plain text comes out as it went in.
pub(super) fn plain(text: &str, max_chars: usize) -> String {
    let mut plain = one_line(text, max_chars);
    // Taking one thing away can join two halves of another ("hthttp://tp://"), so it goes on until nothing is left to take.
    // Each round makes the text shorter or has one dot fewer, so it ends.
    loop {
        let next = without_inner_dots(&without_schemes(&without_marks(&plain)));
        if next == plain {
            return next;
        }
        plain = next;
    }
}

/// The same for a name: runs of four and more digits are broken up as well, since autofill takes the first such run for the code.
/// They are not taken away: an account number as the payee has to stay readable.
pub(super) fn plain_name(text: &str, max_chars: usize) -> String {
    without_digit_runs(&plain(text, max_chars))
}

/// Visible characters only, white space of any kind as single spaces, none around it.
fn one_line(text: &str, max_chars: usize) -> String {
    let visible = text
        .chars()
        .filter(|character| character.is_whitespace() || !is_unprintable(*character));
    let mut line = String::new();
    let mut space_due = false;
    for character in visible.take(max_chars.saturating_mul(4)) {
        if character.is_whitespace() {
            space_due = !line.is_empty();
            continue;
        }
        if std::mem::take(&mut space_due) {
            line.push(' ');
        }
        line.push(character);
    }
    line.chars()
        .take(max_chars)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// Control characters, and characters that are not seen but change how a text is read: direction marks and isolates, joiners,
/// zero-width and filler characters, variation selectors, tags, the private use areas, and what is no character at all.
fn is_unprintable(character: char) -> bool {
    let ends_a_plane = u32::from(character) & 0xfffe == 0xfffe;
    character.is_control()
        || ends_a_plane
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

/// Without `@` and `#`, wide and small ones too, that do not follow a letter or digit. "C#" survives, "@evil.example #999999" does not.
fn without_marks(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for character in text.chars() {
        let is_mark = matches!(character, '@' | '#' | '＠' | '＃' | '﹫' | '﹟');
        if !is_mark || kept.ends_with(char::is_alphanumeric) {
            kept.push(character);
        }
    }
    // What stood between two spaces leaves two of them.
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without `https://` and the like, the schemes that phones act on without slashes, and a leading `www.`.
fn without_schemes(text: &str) -> String {
    let mut kept = text.to_owned();
    while let Some(at) = kept.find("://") {
        let is_scheme = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.')
        };
        let start = kept[..at].trim_end_matches(is_scheme).len();
        kept.replace_range(start..at + 3, "");
    }
    for prefix in [
        "www.",
        "http:",
        "https:",
        "mailto:",
        "tel:",
        "sms:",
        "geo:",
        "javascript:",
        "intent:",
    ] {
        while let Some(at) = find_word(&kept, prefix) {
            kept.replace_range(at..at + prefix.len(), "");
        }
    }
    kept
}

/// Where `prefix` opens a word of `text`, in either case.
fn find_word(text: &str, prefix: &str) -> Option<usize> {
    let opens = |at: usize| !text[..at].ends_with(char::is_alphanumeric);
    text.char_indices().map(|(at, _)| at).find(|at| {
        opens(*at)
            && text.as_bytes()[*at..]
                .get(..prefix.len())
                .is_some_and(|word| word.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

/// With a space in the place of each dot inside a word, so that phones do not make a link of "evil.example". A dot between two
/// digits stays ("12.50", "Web 2.0", "1.234.567"), except in what they take for an IP address.
fn without_inner_dots(text: &str) -> String {
    let is_dot = |character: char| matches!(character, '.' | '․' | '。' | '．' | '｡');
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive(' ') {
        let is_address = is_ip_address(word);
        let mut characters = word.chars().peekable();
        let mut before = None;
        while let Some(character) = characters.next() {
            let after = characters
                .peek()
                .copied()
                .filter(|after| after.is_alphanumeric());
            let is_inner = is_dot(character) && before.is_some() && after.is_some();
            let is_decimal = before.is_some_and(|digit: char| digit.is_ascii_digit())
                && after.is_some_and(|digit| digit.is_ascii_digit());
            let is_kept = !is_inner || (is_decimal && !is_address && character == '.');
            kept.push(if is_kept { character } else { ' ' });
            before = Some(character);
        }
    }
    kept
}

/// Whether `word` has four groups of digits set apart by dots, and they are not the thousands of an amount.
fn is_ip_address(word: &str) -> bool {
    let number = word.trim_matches(|character: char| !character.is_ascii_digit());
    let groups: Vec<&str> = number.split('.').collect();
    groups.len() >= 4
        && !groups[1..].iter().all(|group| {
            group
                .split(',')
                .next()
                .is_some_and(|thousands| thousands.len() == 3)
        })
}

/// With every number of four and more digits in pairs. Groups set apart by one space or hyphen are one number if any of them has
/// three digits or more, because phones read "123 456" and "123-456" as codes too; "Shop 24" and "12-24" stay.
fn without_digit_runs(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut broken = String::with_capacity(text.len() + 8);
    let mut at = 0;
    while at < characters.len() {
        let length = number_length(&characters[at..]);
        let number = &characters[at..at + length];
        let digits: Vec<char> = number
            .iter()
            .copied()
            .filter(|character| character.is_numeric())
            .collect();
        let longest = number
            .split(|character| !character.is_numeric())
            .map(<[char]>::len)
            .max()
            .unwrap_or(0);
        if digits.len() >= 4 && longest >= 3 {
            for (index, digit) in digits.iter().enumerate() {
                if index > 0 && index % 2 == 0 {
                    broken.push(' ');
                }
                broken.push(*digit);
            }
        } else {
            broken.extend(number);
        }
        at += length;
        if length == 0 {
            broken.push(characters[at]);
            at += 1;
        }
    }
    broken
}

/// Length of the number that `characters` begin with, single separators between its groups included.
fn number_length(characters: &[char]) -> usize {
    let is_digit = |at: usize| {
        characters
            .get(at)
            .is_some_and(|character| character.is_numeric())
    };
    let is_separator = |at: usize| {
        characters
            .get(at)
            .is_some_and(|character| matches!(character, ' ' | '-' | '.' | '‐' | '‑' | '–'))
    };
    let mut length = 0;
    while is_digit(length)
        || (length > 0 && is_digit(length - 1) && is_separator(length) && is_digit(length + 1))
    {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_and_amounts_come_out_as_they_went_in() {
        for name in [
            "Shop 24",
            "Example",
            "Web 2.0",
            "C#",
            "M&S",
            "Café Łódź",
            "Müller GmbH & Co. KG",
            "St. Gallen",
            "日本銀行",
            "Ünal's",
            "A-1",
        ] {
            assert_eq!(plain_name(name, 64), name);
        }
        for amount in [
            "12.50",
            "1.234.567,00",
            "1 234,50",
            "-999999.99",
            "1.200.000.000",
            "10",
        ] {
            assert_eq!(plain(amount, 64), amount);
        }
    }

    #[test]
    fn a_variable_stays_on_its_line_and_in_its_direction() {
        assert_eq!(
            plain("Shop\n@evil.example #999999", 64),
            "Shop evil example 999999"
        );
        assert_eq!(
            plain("a\r\n\u{2028}b\u{2029}c\u{85}d\u{b}e\u{0}f\u{1b}g", 64),
            "a b c d efg"
        );
        assert_eq!(
            plain(
                "\u{202e}evil\u{202c}\u{200f}\u{2066}x\u{2069}\u{200b}\u{feff}\u{ad}\u{61c}y",
                64
            ),
            "evilxy"
        );
        assert_eq!(plain("  a \u{a0}\u{3000} b  ", 64), "a b");
        assert_eq!(plain("\u{e0041}\u{e000}\u{fe0f}\u{2063}", 64), "");
        assert_eq!(
            plain(
                "a\u{fffe}\u{ffff}b\u{fdd0}\u{fdef}c\u{1fffe}\u{dffff}\u{10ffff}d",
                64
            ),
            "abcd"
        );
    }

    #[test]
    fn marks_survive_only_behind_a_letter_or_digit() {
        for (text, left) in [
            ("@evil", "evil"),
            ("a @ b # c", "a b c"),
            ("##@#x", "x"),
            ("(@x)", "(x)"),
            ("＠x ＃9", "x 9"),
            ("F#", "F#"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(plain(text, 64), left);
        }
    }

    #[test]
    fn nothing_is_left_that_a_phone_makes_a_link_of() {
        for (text, left) in [
            ("https://evil.example/x", "evil example/x"),
            ("HTTP://EVIL.EXAMPLE", "EVIL EXAMPLE"),
            ("hthttp://tp://evil.com", "evil com"),
            ("http:/@/evil.com", "evil com"),
            ("ht\u{200b}tp://evil.com", "evil com"),
            ("www.evil.com", "evil com"),
            ("wwwwww..evil.com", "wwwwww. evil com"),
            ("evil。com", "evil com"),
            ("evil.рф", "evil рф"),
            ("me@evil.example", "me@evil example"),
            ("a.@b.#c", "a b c"),
            ("10.0.0.1", "10 0 0 1"),
            ("mailto:x tel:1 javascript:y", "x 1 y"),
            ("Booking.com", "Booking com"),
        ] {
            assert_eq!(plain(text, 64), left, "{text}");
        }
    }

    #[test]
    fn a_name_holds_nothing_that_autofill_takes_for_a_code() {
        for (name, left) in [
            ("Shop 123456", "Shop 12 34 56"),
            ("Studio1984", "Studio19 84"),
            ("123-456", "12 34 56"),
            ("123 456", "12 34 56"),
            ("FR76 3000 6000 01", "FR76 30 00 60 00 01"),
            ("１２３４５６", "１２ ３４ ５６"),
            ("٣٤٥٦", "٣٤ ٥٦"),
            ("G-999999", "G-99 99 99"),
            ("Shop 24 7", "Shop 24 7"),
        ] {
            assert_eq!(plain_name(name, 64), left, "{name}");
        }
    }

    #[test]
    fn hostile_text_of_any_make_is_bounded_and_settles() {
        let pieces = [
            "@", "#", ".", "www.", "://", "http", " ", "\n", "\u{202e}", "evil", "9", "1234", "é",
            "tel:", "\u{200b}", "{code}", "。", "-",
        ];
        // A generator of its own: the same texts each time, and no crate.
        let mut state = 1u32;
        for _ in 0..4_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push_str(pieces[(state >> 16) as usize % pieces.len()]);
            }
            let once = plain(&text, 40);
            assert_eq!(plain(&once, 40), once, "{text:?}");
            assert!(
                once.chars().count() <= 40
                    && !once.contains("://")
                    && !once.contains('\n')
                    && !once.starts_with(['@', '#'])
            );
            let name = plain_name(&text, 40);
            assert!(
                !name
                    .split(|c: char| !c.is_numeric())
                    .any(|run| run.len() > 3),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(plain(&"é".repeat(100_000), 32), "é".repeat(32));
        assert_eq!(plain("abc def", 4), "abc");
    }
}
