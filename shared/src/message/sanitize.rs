//! Sanitizing of the variables of a text. Brand, amount, currency and payee come from an app, which
//! may pass on what its users typed. Phones act on parts of a message: they open links, fill codes
//! in, and trust a last line `@host #code`.
//!
//! Invariant: a sanitized value adds no line, no link and no text direction to a message. A
//! sanitized name adds no second code either.
//! Invariant: sanitizing a sanitized value changes nothing.

/// Whether a message shows anything of `text`: after sanitizing, something is left.
#[must_use]
pub fn has_visible_text(text: &str) -> bool {
    !sanitize(text, text.len()).is_empty()
}

/// `text` on one line of at most `chars_max` characters, without control characters, text
/// directions, invisible characters, links, and `@` and `#` at the beginning of a word. Ordinary
/// text is returned unchanged.
pub(super) fn sanitize(text: &str, chars_max: usize) -> String {
    let mut sanitized = one_line(text, chars_max);
    // A removal can join the two halves of another link ("hthttp://tp://"), so it is repeated until
    // nothing changes. That ends, because each round shortens the text or removes a dot.
    loop {
        let next = without_inner_dots(&without_schemes(&without_marks(&sanitized)));
        if next == sanitized {
            return next;
        }
        sanitized = next;
    }
}

/// Like [`sanitize`], for a name: runs of four or more digits are also split into pairs, because
/// autofill takes the first such run for the code. They are not removed, because an account number
/// as the payee has to stay readable.
pub(super) fn sanitize_name(text: &str, chars_max: usize) -> String {
    without_digit_runs(&sanitize(text, chars_max))
}

/// `text` without invisible characters, with single spaces for white space of any kind and none at
/// its ends.
fn one_line(text: &str, chars_max: usize) -> String {
    let visible = text
        .chars()
        .filter(|character| character.is_whitespace() || !is_invisible(*character));
    let mut line = String::new();
    let mut space_due = false;
    for character in visible.take(chars_max.saturating_mul(4)) {
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
        .take(chars_max)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// Control characters, and invisible characters that change how a text is displayed: direction
/// marks and isolates, joiners, zero-width and filler characters, variation selectors, tags,
/// private use areas and noncharacters.
fn is_invisible(character: char) -> bool {
    let is_last_of_plane = u32::from(character) & 0xfffe == 0xfffe;
    character.is_control()
        || is_last_of_plane
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{10ffff}')
}

/// `text` without `@` and `#`, including their wide and small forms, that do not follow a letter or
/// digit: "C#" is kept, "@evil.example #999999" becomes "evil.example 999999".
fn without_marks(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for character in text.chars() {
        let is_mark = matches!(character, '@' | '#' | '＠' | '＃' | '﹫' | '﹟');
        if !is_mark || kept.ends_with(char::is_alphanumeric) {
            kept.push(character);
        }
    }
    // A mark between two spaces leaves both of them.
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `text` without URL schemes before `://`, the schemes that phones act on without slashes, and
/// `www.` at the beginning of a word.
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

/// The position at which a word of `text` begins with `prefix`, in either case.
fn find_word(text: &str, prefix: &str) -> Option<usize> {
    let is_word_start = |at: usize| !text[..at].ends_with(char::is_alphanumeric);
    text.char_indices().map(|(at, _)| at).find(|at| {
        is_word_start(*at)
            && text.as_bytes()[*at..]
                .get(..prefix.len())
                .is_some_and(|word| word.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

/// `text` with a space in place of each dot inside a word, so that phones do not turn
/// "evil.example" into a link. A dot between two digits is kept ("12.50", "Web 2.0", "1.234.567"),
/// except in an IP address.
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

/// Whether `word` has at least four groups of digits separated by dots, and they are not the
/// thousands of an amount.
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

/// `text` with every number of four or more digits split into pairs. Groups with one separator
/// between them are one number if any group has three or more digits, because phones read "123 456"
/// and "123-456" as codes; "Shop 24" and "12-24" are kept.
fn without_digit_runs(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut split = String::with_capacity(text.len() + 8);
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
                    split.push(' ');
                }
                split.push(*digit);
            }
        } else {
            split.extend(number);
        }
        at += length;
        if length == 0 {
            split.push(characters[at]);
            at += 1;
        }
    }
    split
}

/// The length of the number at the beginning of `characters`, including single separators between
/// its groups.
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
    fn ordinary_names_and_amounts_are_unchanged() {
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
            assert_eq!(sanitize_name(name, 64), name);
        }
        for amount in [
            "12.50",
            "1.234.567,00",
            "1 234,50",
            "-999999.99",
            "1.200.000.000",
            "10",
        ] {
            assert_eq!(sanitize(amount, 64), amount);
        }
    }

    #[test]
    fn values_stay_on_one_line_and_keep_their_direction() {
        assert_eq!(
            sanitize("Shop\n@evil.example #999999", 64),
            "Shop evil example 999999"
        );
        assert_eq!(
            sanitize("a\r\n\u{2028}b\u{2029}c\u{85}d\u{b}e\u{0}f\u{1b}g", 64),
            "a b c d efg"
        );
        assert_eq!(
            sanitize(
                "\u{202e}evil\u{202c}\u{200f}\u{2066}x\u{2069}\u{200b}\u{feff}\u{ad}\u{61c}y",
                64
            ),
            "evilxy"
        );
        assert_eq!(sanitize("  a \u{a0}\u{3000} b  ", 64), "a b");
        assert_eq!(sanitize("\u{e0041}\u{e000}\u{fe0f}\u{2063}", 64), "");
        assert_eq!(
            sanitize(
                "a\u{fffe}\u{ffff}b\u{fdd0}\u{fdef}c\u{1fffe}\u{dffff}\u{10ffff}d",
                64
            ),
            "abcd"
        );
    }

    #[test]
    fn marks_are_kept_only_after_a_letter_or_digit() {
        for (text, expected) in [
            ("@evil", "evil"),
            ("a @ b # c", "a b c"),
            ("##@#x", "x"),
            ("(@x)", "(x)"),
            ("＠x ＃9", "x 9"),
            ("F#", "F#"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(sanitize(text, 64), expected);
        }
    }

    #[test]
    fn links_are_removed() {
        for (text, expected) in [
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
            assert_eq!(sanitize(text, 64), expected, "{text}");
        }
    }

    #[test]
    fn names_contain_nothing_that_autofill_reads_as_a_code() {
        for (name, expected) in [
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
            assert_eq!(sanitize_name(name, 64), expected, "{name}");
        }
    }

    #[test]
    fn sanitizing_hostile_text_is_bounded_and_idempotent() {
        let pieces = [
            "@", "#", ".", "www.", "://", "http", " ", "\n", "\u{202e}", "evil", "9", "1234", "é",
            "tel:", "\u{200b}", "{code}", "。", "-",
        ];
        // A linear congruential generator: the same texts at each run.
        let mut state = 1u32;
        for _ in 0..4_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push_str(pieces[(state >> 16) as usize % pieces.len()]);
            }
            let once = sanitize(&text, 40);
            assert_eq!(sanitize(&once, 40), once, "{text:?}");
            assert!(
                once.chars().count() <= 40
                    && !once.contains("://")
                    && !once.contains('\n')
                    && !once.starts_with(['@', '#'])
            );
            let name = sanitize_name(&text, 40);
            assert!(
                !name
                    .split(|c: char| !c.is_numeric())
                    .any(|run| run.len() > 3),
                "{name:?}"
            );
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(sanitize(&"é".repeat(100_000), 32), "é".repeat(32));
        assert_eq!(sanitize("abc def", 4), "abc");
    }
}
