//! Locales: the templates of `shared/locales`, one file for each language, compiled into the
//! program.
//!
//! A file has lines `key = value`; a line that begins with `#` is a comment. Keys: `name` (English
//! name of the language), `dir` (`ltr`, `rtl`), `sms`, `sms_short` (without the advice not to share
//! the code), `sms_transaction`, `voice`, `voice_transaction`, `subject`, `email`,
//! `email_transaction` (paragraphs separated by ` | `), `reference` and `sent_at` (sentences with
//! `{reference}` and `{time}`). The optional keys `sms_gsm7`,
//! `sms_short_gsm7` and `sms_transaction_gsm7` are for languages whose native spelling needs
//! letters outside GSM-7 and is commonly read without them. Placeholders: `{brand}` `{code}`
//! `{minutes}` `{amount}` `{currency}` `{payee}`, and `{digits}`, the code spelled with pauses.
//!
//! A text has `{minutes}` where the word after it never changes, as an abbreviation or in languages
//! without plurals. Otherwise it has `{duration}`: number and word in the form that CLDR's plural
//! rules select, from the keys `duration_one`, `duration_few` and so on, one for each category that
//! the language has for 1 to 30 minutes.
//!
//! Invariant: every file has all required keys, and every text has the placeholders of its key.

use std::fmt;

use super::plurals::plural_category;

/// A language for which there are templates: an index into `LOCALES`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Locale(u8);

/// Tag and file of each locale. English comes first: it is the default.
const LOCALES: [(&str, &str); 65] = [
    ("en", include_str!("../../locales/en.txt")),
    ("am", include_str!("../../locales/am.txt")),
    ("ar", include_str!("../../locales/ar.txt")),
    ("az", include_str!("../../locales/az.txt")),
    ("bg", include_str!("../../locales/bg.txt")),
    ("bn", include_str!("../../locales/bn.txt")),
    ("bs", include_str!("../../locales/bs.txt")),
    ("ca", include_str!("../../locales/ca.txt")),
    ("cs", include_str!("../../locales/cs.txt")),
    ("da", include_str!("../../locales/da.txt")),
    ("de", include_str!("../../locales/de.txt")),
    ("el", include_str!("../../locales/el.txt")),
    ("es", include_str!("../../locales/es.txt")),
    ("et", include_str!("../../locales/et.txt")),
    ("eu", include_str!("../../locales/eu.txt")),
    ("fa", include_str!("../../locales/fa.txt")),
    ("fi", include_str!("../../locales/fi.txt")),
    ("fil", include_str!("../../locales/fil.txt")),
    ("fr", include_str!("../../locales/fr.txt")),
    ("ga", include_str!("../../locales/ga.txt")),
    ("gu", include_str!("../../locales/gu.txt")),
    ("he", include_str!("../../locales/he.txt")),
    ("hi", include_str!("../../locales/hi.txt")),
    ("hr", include_str!("../../locales/hr.txt")),
    ("hu", include_str!("../../locales/hu.txt")),
    ("hy", include_str!("../../locales/hy.txt")),
    ("id", include_str!("../../locales/id.txt")),
    ("is", include_str!("../../locales/is.txt")),
    ("it", include_str!("../../locales/it.txt")),
    ("ja", include_str!("../../locales/ja.txt")),
    ("ka", include_str!("../../locales/ka.txt")),
    ("kk", include_str!("../../locales/kk.txt")),
    ("km", include_str!("../../locales/km.txt")),
    ("kn", include_str!("../../locales/kn.txt")),
    ("ko", include_str!("../../locales/ko.txt")),
    ("lt", include_str!("../../locales/lt.txt")),
    ("lv", include_str!("../../locales/lv.txt")),
    ("mk", include_str!("../../locales/mk.txt")),
    ("ml", include_str!("../../locales/ml.txt")),
    ("mr", include_str!("../../locales/mr.txt")),
    ("ms", include_str!("../../locales/ms.txt")),
    ("mt", include_str!("../../locales/mt.txt")),
    ("nb", include_str!("../../locales/nb.txt")),
    ("nl", include_str!("../../locales/nl.txt")),
    ("pa", include_str!("../../locales/pa.txt")),
    ("pl", include_str!("../../locales/pl.txt")),
    ("pt", include_str!("../../locales/pt.txt")),
    ("pt-BR", include_str!("../../locales/pt-BR.txt")),
    ("ro", include_str!("../../locales/ro.txt")),
    ("ru", include_str!("../../locales/ru.txt")),
    ("sk", include_str!("../../locales/sk.txt")),
    ("sl", include_str!("../../locales/sl.txt")),
    ("sq", include_str!("../../locales/sq.txt")),
    ("sr", include_str!("../../locales/sr.txt")),
    ("sv", include_str!("../../locales/sv.txt")),
    ("sw", include_str!("../../locales/sw.txt")),
    ("ta", include_str!("../../locales/ta.txt")),
    ("te", include_str!("../../locales/te.txt")),
    ("th", include_str!("../../locales/th.txt")),
    ("tr", include_str!("../../locales/tr.txt")),
    ("uk", include_str!("../../locales/uk.txt")),
    ("ur", include_str!("../../locales/ur.txt")),
    ("vi", include_str!("../../locales/vi.txt")),
    ("zh", include_str!("../../locales/zh.txt")),
    ("zh-Hant", include_str!("../../locales/zh-Hant.txt")),
];

impl Locale {
    /// The default.
    pub(super) const ENGLISH: Self = Self(0);

    /// The locale whose [`Locale::tag`] is `tag`, in the same case.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::all().find(|locale| locale.tag() == tag)
    }

    /// All locales, English first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(LOCALES.len())
    }

    /// The BCP 47 tag in canonical case.
    #[must_use]
    pub fn tag(self) -> &'static str {
        self.entry().0
    }

    /// The value of `key`, if the file has it. The file is searched at each call: two kilobytes are
    /// searched in less time than all files are parsed at the start.
    pub(super) fn find(self, key: &str) -> Option<&'static str> {
        self.entry()
            .1
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
    }

    /// The value of a required key.
    pub(super) fn text(self, key: &str) -> &'static str {
        self.find(key)
            .or_else(|| Self::ENGLISH.find(key))
            .unwrap_or_default()
    }

    /// The template of "`minutes` minutes", if the texts have `{duration}`.
    pub(super) fn duration(self, minutes: i64) -> Option<&'static str> {
        let category = plural_category(self.tag(), minutes);
        self.find(&format!("duration_{category}"))
    }

    /// Whether the language is written from right to left.
    pub(super) fn is_right_to_left(self) -> bool {
        self.text("dir") == "rtl"
    }

    fn entry(self) -> &'static (&'static str, &'static str) {
        LOCALES.get(usize::from(self.0)).unwrap_or(&LOCALES[0])
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locale({})", self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 12] = [
        "name",
        "dir",
        "sms",
        "sms_short",
        "sms_transaction",
        "voice",
        "voice_transaction",
        "subject",
        "email",
        "email_transaction",
        "reference",
        "sent_at",
    ];
    const OPTIONAL: [&str; 3] = ["sms_gsm7", "sms_short_gsm7", "sms_transaction_gsm7"];

    /// The placeholders of `key`: its value must have all of them and, but for the minutes, no
    /// others.
    fn placeholders(key: &str) -> &'static [&'static str] {
        match key.trim_end_matches("_gsm7") {
            "name" | "dir" => &[],
            "subject" => &["brand"],
            "reference" => &["reference"],
            "sent_at" => &["time"],
            "voice" => &["brand", "digits"],
            "voice_transaction" => &["brand", "digits", "amount", "currency", "payee"],
            "sms_transaction" | "email_transaction" => {
                &["brand", "code", "amount", "currency", "payee"]
            }
            _ => &["brand", "code"],
        }
    }

    /// The placeholders in `value`, with repetitions.
    fn names(value: &str) -> Vec<&str> {
        value
            .split('{')
            .skip(1)
            .map(|rest| rest.split_once('}').map_or("", |(name, _)| name))
            .collect()
    }

    /// A text before and after its minutes.
    fn split_at_time(text: &str) -> Option<(&str, &str)> {
        let parts = text.split_once("{minutes}");
        parts.or_else(|| text.split_once("{duration}"))
    }

    /// The sentence of an `email` that advises not to share the code: it follows the sentence with
    /// the minutes.
    fn warning(email: &str) -> Option<&str> {
        // The ends of sentences and paragraphs in all scripts. Thai marks only the paragraph, which
        // is followed by the brand.
        const ENDS: [char; 9] = ['.', ':', '|', '{', '。', '।', '።', '։', '۔'];
        let (_, rest) = split_at_time(email)?;
        let (_, rest) = rest.split_once(ENDS)?;
        let (warning, _) = rest.trim_start_matches([' ', '|']).split_once(ENDS)?;
        Some(warning.trim()).filter(|warning| warning.contains(char::is_alphabetic))
    }

    #[test]
    fn every_file_has_exactly_the_known_keys() {
        for locale in Locale::all() {
            let lines = locale
                .entry()
                .1
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'));
            let mut seen: Vec<&str> = Vec::new();
            for line in lines {
                let (key, value) = line
                    .split_once(" = ")
                    .unwrap_or_else(|| panic!("{locale:?}: {line}"));
                let is_known = KEYS.contains(&key) || OPTIONAL.contains(&key);
                assert!(
                    is_known || key.starts_with("duration_"),
                    "{locale:?}: {key}"
                );
                assert!(
                    !seen.contains(&key) && value.trim() == value && !value.is_empty(),
                    "{locale:?}: {key}"
                );
                seen.push(key);
            }
            for key in &KEYS {
                assert!(seen.contains(key), "{locale:?} has no {key}");
            }
            assert!(matches!(locale.text("dir"), "ltr" | "rtl"), "{locale:?}");
        }
    }

    #[test]
    fn every_text_has_the_placeholders_of_its_key() {
        for locale in Locale::all() {
            for key in KEYS.iter().chain(&OPTIONAL) {
                let Some(value) = locale.find(key) else {
                    continue;
                };
                let (placeholders, names) = (placeholders(key), names(value));
                for name in placeholders {
                    assert!(names.contains(name), "{locale:?} {key}: no {{{name}}}");
                }
                let is_time = |name: &&&str| matches!(**name, "minutes" | "duration");
                let is_known = |name: &&str| placeholders.contains(name) || is_time(&name);
                assert!(names.iter().all(is_known), "{locale:?} {key}: {names:?}");
                let times = names.iter().filter(is_time).count();
                let expected = usize::from(!matches!(
                    *key,
                    "name" | "dir" | "subject" | "reference" | "sent_at"
                ));
                assert_eq!(times, expected, "{locale:?} {key}");
                assert_eq!(
                    value.matches('{').count(),
                    value.matches('}').count(),
                    "{locale:?} {key}"
                );
                let spoken = names.iter().filter(|name| **name == "digits").count();
                assert_eq!(
                    spoken,
                    if key.starts_with("voice") { 2 } else { 0 },
                    "{locale:?} {key}"
                );
            }
        }
    }

    /// What may follow `{minutes}` in a language that has plural forms: an abbreviation, a word
    /// that never changes (Vietnamese), or the end of a sentence that announced minutes.
    const UNITS: [&str; 16] = [
        " min",
        " Min.",
        " мин",
        " хв",
        " mín.",
        " nóim.",
        " dəq",
        " deq.",
        " dk",
        " phút",
        " phut",
        " నిమి.",
        " நிமி.",
        " ನಿಮಿ.",
        "'",
        ".",
    ];

    #[test]
    fn minutes_have_every_plural_form_of_their_language() {
        for locale in Locale::all() {
            let numbers = || 1..=30;
            let mut expected: Vec<_> = numbers()
                .map(|minutes| format!("duration_{}", plural_category(locale.tag(), minutes)))
                .collect();
            expected.sort();
            expected.dedup();
            let lines = locale.entry().1.lines();
            let mut found: Vec<_> = lines
                .filter_map(|line| line.split_once(" = "))
                .map(|(key, _)| key.to_owned())
                .filter(|key| key.starts_with("duration_"))
                .collect();
            found.sort();
            // Languages without plurals, and texts that avoid them, need no forms.
            let needs_none = expected.len() == 1 || matches!(locale.tag(), "hr" | "ro" | "vi");
            assert!(
                found == expected || (needs_none && found.is_empty()),
                "{locale:?}: {found:?}"
            );
            for minutes in numbers().filter(|_| !found.is_empty()) {
                let form = locale.duration(minutes).unwrap_or_default();
                let category = plural_category(locale.tag(), minutes);
                let is_only = numbers()
                    .filter(|other| plural_category(locale.tag(), *other) == category)
                    .count()
                    == 1;
                let says_number = form.matches("{minutes}").count() == 1;
                assert!(
                    says_number || (is_only && !form.is_empty()),
                    "{locale:?} {minutes}"
                );
            }
        }
    }

    #[test]
    fn number_without_its_word_precedes_an_abbreviation() {
        let has_plurals = |locale: &Locale| {
            (1..=30).any(|minutes| plural_category(locale.tag(), minutes) != "other")
        };
        for locale in Locale::all().filter(has_plurals) {
            for key in KEYS.iter().chain(&OPTIONAL) {
                let text = locale.find(key).unwrap_or_default();
                let Some((_, after)) = text.split_once("{minutes}") else {
                    continue;
                };
                let unit = UNITS.iter().find_map(|unit| after.strip_prefix(unit));
                let is_whole = unit.is_some_and(|rest| !rest.starts_with(char::is_alphabetic));
                assert!(is_whole, "{locale:?} {key}: {text}");
            }
        }
    }

    #[test]
    fn calls_and_emails_advise_not_to_share_the_code() {
        for locale in Locale::all() {
            let warning = warning(locale.text("email"))
                .unwrap_or_else(|| panic!("{locale:?}: {}", locale.text("email")));
            for key in ["voice", "voice_transaction", "email_transaction"] {
                let value = locale.text(key);
                let is_warned =
                    split_at_time(value).is_some_and(|(_, after)| after.contains(warning));
                assert!(
                    is_warned,
                    "{locale:?} {key}: no `{warning}` after the minutes: {value}"
                );
            }
        }
    }

    #[test]
    fn no_text_has_links_hidden_characters_or_digits() {
        for locale in Locale::all() {
            for line in locale
                .entry()
                .1
                .lines()
                .filter(|line| !line.starts_with('#') && !line.starts_with("name"))
            {
                let text: String = line.split_once(" = ").map_or("", |(_, text)| text).into();
                assert!(
                    !text.contains(['@', '#']) && !text.contains("://") && !text.contains("www."),
                    "{locale:?}: {line}"
                );
                assert!(
                    !text.contains(|c: char| c.is_control()
                        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')),
                    "{locale:?}"
                );
                assert!(
                    !text.contains(|c: char| c.is_numeric()),
                    "{locale:?}: {line}"
                );
            }
        }
    }

    #[test]
    fn english_comes_first_and_the_others_are_sorted() {
        assert_eq!(Locale::ENGLISH.tag(), "en");
        let tags: Vec<_> = Locale::all().map(Locale::tag).collect();
        assert!(tags[1..].is_sorted(), "{tags:?}");
        for tag in tags {
            assert_eq!(Locale::from_tag(tag).map(Locale::tag), Some(tag));
        }
        for unknown in ["EN", "xx", ""] {
            assert!(Locale::from_tag(unknown).is_none(), "{unknown}");
        }
    }
}
