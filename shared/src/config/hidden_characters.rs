//! Characters that people do not see, or take for others: they come with pasted text, and make a
//! value look right that is not.
//!
//! Invariant: a message contains only the character of a value, and its position.

use std::fmt;

use serde_json::Value;

/// A character, and where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundCharacter {
    character: char,
    /// Counted from 1, in characters.
    position: usize,
}

impl fmt::Display for FoundCharacter {
    /// `character 3 is U+200B (zero width space)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (position, code_point) = (self.position, u32::from(self.character));
        write!(f, "character {position} is U+{code_point:04X}")?;
        match name_of(self.character) {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

/// A text within a JSON document, with a character that people do not see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundText {
    /// Such as `config.apps.shop.brand`.
    pub path: String,
    /// The last name in the path.
    pub field: String,
    /// The first such character of the text.
    pub character: FoundCharacter,
}

/// Whether `character` controls the terminal or the direction of the text around it, or shows
/// nothing at all. Joiners are none of them: some scripts need them.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// As [`is_hidden`], or one that looks like a character of ASCII and is none. Texts for people may
/// have these; in a value that cannot be used they may be the reason.
fn is_misleading(character: char) -> bool {
    is_hidden(character)
        || (character.is_whitespace() && character != ' ')
        || matches!(character,
            '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{2010}'..='\u{201f}'
            | '\u{2032}' | '\u{2033}' | '\u{2212}' | '\u{ab}' | '\u{bb}' | '\u{fffd}')
}

/// `text` with `?` in place of hidden characters.
#[must_use]
pub fn without_hidden(text: &str) -> String {
    text.replace(is_hidden, "?")
}

/// The first hidden character of `text`.
#[must_use]
pub fn hidden_character(text: &str) -> Option<FoundCharacter> {
    find(text, is_hidden)
}

/// The first character of `text` that people do not see or take for another one.
pub(super) fn misleading_character(text: &str) -> Option<FoundCharacter> {
    find(text, is_misleading)
}

/// The first character of a JSON document that is allowed within its texts only, if at all.
pub(super) fn misplaced_character(document: &str) -> Option<FoundCharacter> {
    let (mut is_in_text, mut is_escaped) = (false, false);
    for (position, character) in (1..).zip(document.chars()) {
        let is_white_space = matches!(character, ' ' | '\t' | '\n' | '\r');
        let is_allowed = match is_in_text {
            true => !character.is_ascii_control(),
            false => is_white_space || character.is_ascii_graphic(),
        };
        if !is_allowed {
            return Some(FoundCharacter {
                character,
                position,
            });
        }
        let is_quotation_mark = character == '"' && !is_escaped;
        is_in_text ^= is_quotation_mark;
        is_escaped = is_in_text && character == '\\' && !is_escaped;
    }
    None
}

/// The names and texts of a JSON document that have a hidden character. `path`: of the document.
#[must_use]
pub fn texts_with_hidden(path: &str, document: &Value) -> Vec<FoundText> {
    let mut found = vec![];
    visit(path, "", document, is_hidden, &mut found);
    found
}

/// What `problems`, which are about the names in them, may be due to: names and texts of `document`
/// with characters that people do not see or take for others.
#[must_use]
pub fn misleading_texts(path: &str, document: &Value, problems: &[String]) -> Vec<FoundText> {
    let mut found = vec![];
    visit(path, "", document, is_misleading, &mut found);
    let is_named = |field: &str| problems.iter().any(|problem| problem.contains(field));
    found.retain(|text| is_named(&text.field));
    found
}

impl fmt::Display for FoundText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.character)
    }
}

fn visit(
    path: &str,
    field: &str,
    value: &Value,
    is_reported: fn(char) -> bool,
    found: &mut Vec<FoundText>,
) {
    let text = |text: &str, path: &str, field: &str| {
        find(text, is_reported).map(|character| FoundText {
            path: path.to_owned(),
            field: field.to_owned(),
            character,
        })
    };
    match value {
        Value::String(value) => found.extend(text(value, path, field)),
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                visit(
                    &format!("{path}[{index}]"),
                    field,
                    value,
                    is_reported,
                    found,
                );
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let (member, shown) = (format!("{path}.{}", without_hidden(name)), name.as_str());
                found.extend(text(name, &member, ""));
                visit(&member, shown, value, is_reported, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn find(text: &str, is_reported: fn(char) -> bool) -> Option<FoundCharacter> {
    let mut characters = (1..).zip(text.chars());
    let (position, character) = characters.find(|(_, character)| is_reported(*character))?;
    Some(FoundCharacter {
        character,
        position,
    })
}

fn name_of(character: char) -> Option<&'static str> {
    Some(match character {
        '\t' => "tab",
        '\n' => "line feed",
        '\r' => "carriage return",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{200e}' => "left-to-right mark",
        '\u{200f}' => "right-to-left mark",
        '\u{2028}' => "line separator",
        '\u{2029}' => "paragraph separator",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "direction of text",
        '\u{202f}' => "narrow no-break space",
        '\u{2060}' => "word joiner",
        '\u{feff}' => "byte order mark",
        '\u{fffd}' => "a byte that is not UTF-8",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "typographic dash",
        '\u{2018}'..='\u{201f}' | '\u{2032}' | '\u{2033}' | '\u{ab}' | '\u{bb}' => {
            "typographic quotation mark"
        }
        character if character.is_control() => "control character",
        character if character.is_whitespace() => "space",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn character_is_named_with_its_position() {
        for (text, expected) in [
            ("6\u{200b}", "character 2 is U+200B (zero width space)"),
            ("\u{feff}6", "character 1 is U+FEFF (byte order mark)"),
            ("é\u{a0}6", "character 2 is U+00A0 (no-break space)"),
            ("6\n", "character 2 is U+000A (line feed)"),
            ("a\u{1b}[2J", "character 2 is U+001B (control character)"),
            (
                "\u{201c}on\u{201d}",
                "character 1 is U+201C (typographic quotation mark)",
            ),
            ("20\u{2013}600", "character 3 is U+2013 (typographic dash)"),
            ("a\u{e0041}", "character 2 is U+E0041"),
        ] {
            let found = misleading_character(text).map(|found| found.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{text:?}");
        }
        assert_eq!(misleading_character("Café 24, Prix fixe"), None);
        assert!(!"क्‍ष नمی‌خواهم".contains(is_hidden), "joiners stay");
    }

    #[test]
    fn character_between_the_texts_of_json_is_found() {
        for (document, position) in [
            ("\u{feff}{}", Some(1)),
            ("[{\u{201c}kind\u{201d}:1}]", Some(3)),
            ("{\"a\":\u{a0}1}", Some(6)),
            ("{\"a\":\"b\nc\"}", Some(8)),
            ("{\"a\\\"\u{201c}\": 1\u{200b}}", Some(11)),
            ("{\"a\\\"\u{201c}\u{a0}\":\r\n\t1}\n", None),
        ] {
            let found = misplaced_character(document).map(|found| found.position);
            assert_eq!(found, position, "{document:?}");
        }
    }

    #[test]
    fn every_text_of_a_document_is_visited() {
        let document = json!({"apps": {"shop": {"brand": "Sh\u{202e}op", "locale": "fr\u{a0}"}},
            "carriers": [{"kind": "sns"}, {"kind": "sns", "na\u{200b}me": "x"}],
            "rules": {"shop": [{"name": "ok", "when": {"action": ["a\u{7}"]}}]}});
        let paths = |found: &[FoundText]| -> Vec<String> {
            found.iter().map(|text| text.path.clone()).collect()
        };
        let expected = [
            "config.apps.shop.brand",
            "config.carriers[1].na?me",
            "config.rules.shop[0].when.action[0]",
        ];
        assert_eq!(paths(&texts_with_hidden("config", &document)), expected);
        let problems = ["config.apps: shop.locale must be a language tag".to_owned()];
        let found = misleading_texts("config", &document, &problems);
        let found = found.into_iter().filter(|text| !text.field.is_empty());
        let found: Vec<String> = found.map(|text| text.to_string()).collect();
        let expected = "config.apps.shop.locale: character 3 is U+00A0 (no-break space)";
        assert_eq!(found, [expected]);
    }
}
