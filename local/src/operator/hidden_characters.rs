//! Characters that a terminal obeys or does not show: with them a text looks like another one.

use otp::config::document::Document;
use serde_json::Value;

/// Whether `character` controls the terminal, the direction of the text around it, or shows
/// nothing at all. Joiners are none of them: some scripts need them.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with `?` in place of hidden characters.
pub(crate) fn shown(text: &str) -> String {
    text.replace(is_hidden, "?")
}

/// The members of `document` that have hidden characters.
pub(super) fn texts_with_hidden(document: &Document) -> Vec<String> {
    let mut paths = vec![];
    visit("config", &document.to_json(), &mut paths);
    paths
        .iter()
        .map(|path| {
            format!("{path}: has control characters, or invisible ones that change the text")
        })
        .collect()
}

fn visit(path: &str, value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains(is_hidden) => paths.push(path.to_owned()),
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                visit(&format!("{path}[{index}]"), value, paths);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let member = format!("{path}.{}", shown(name));
                if name.contains(is_hidden) {
                    paths.push(member.clone());
                }
                visit(&member, value, paths);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_the_document_is_visited() {
        let text = r#"{"format":1,"apps":{"shop":{"brand":"Sh\u202eop"}},
            "carriers":[{"kind":"sns"},{"kind":"sns","na\u200bme":"x"}],
            "rules":{"shop":[{"name":"ok","when":{"action":["a\u0007"]}}]}}"#;
        let document = Document::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let found = texts_with_hidden(&document);
        let members: Vec<&str> = found
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        let expected = [
            "config.apps.shop.brand",
            "config.carriers[1].na?me",
            "config.rules.shop[0].when.action[0]",
        ];
        assert_eq!(members, expected);
        assert!(!"क्‍ष नمی‌خواهم".contains(is_hidden), "joiners stay");
    }
}
