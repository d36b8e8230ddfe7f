//! Registered templates: in India the operator registers itself and each text with a carrier (DLT),
//! and every message names both registrations. Its text is the registered one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::vendor_format::config_fields::by_country;
use crate::message::{Template, is_template};
use crate::platform::json::Fields;

/// The country whose registrations a value without a country is about.
const INDIA: &str = "IN";
/// Longest id: they are numbers of 19 digits.
const ID_LENGTH_MAX: usize = 64;
/// Longest text of a template, in characters.
const TEXT_CHARS_MAX: usize = 1000;

/// The registrations that messages to one country name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisteredTemplate {
    /// Of the operator.
    pub entity_id: String,
    /// Of the text.
    pub template_id: String,
    /// The text; `None` if it is the text of this service.
    pub text: Option<Template>,
}

/// Reads `entity_id`, `template_id` and `template_text`, each a value for India, or an object by
/// country code.
pub fn read(fields: &mut Fields) -> BTreeMap<String, RegisteredTemplate> {
    let is_id = |id: &&str| {
        (1..=ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let id = |value: &Value| value.as_str().filter(is_id).map(str::to_owned);
    let text = |value: &Value| {
        let text = value.as_str()?;
        let is_short = text.chars().count() <= TEXT_CHARS_MAX;
        (is_short && is_template(text)).then(|| Template(text.to_owned()))
    };
    const ID: &str = "1 to 64 letters and digits";
    const TEXT: &str = "a text with {code} once, and at most {brand}, {minutes}, {amount}, \
                        {currency} and {payee} beside it";
    let mut entity_ids = for_india(by_country(fields, "entity_id", id, ID));
    let mut template_ids = for_india(by_country(fields, "template_id", id, ID));
    let mut texts = for_india(by_country(fields, "template_text", text, TEXT));
    let countries = entity_ids.keys().chain(template_ids.keys());
    let countries: BTreeSet<String> = countries.chain(texts.keys()).cloned().collect();
    let mut templates = BTreeMap::new();
    for country in countries {
        let (entity_id, template_id) = (entity_ids.remove(&country), template_ids.remove(&country));
        let text = texts.remove(&country);
        // Named by a field that is present: functions without credentials report only those.
        let present = match (&entity_id, &template_id) {
            (Some(_), _) => "entity_id",
            (None, Some(_)) => "template_id",
            (None, None) => "template_text",
        };
        let Some((entity_id, template_id)) = entity_id.zip(template_id) else {
            let problem = format!("Requires both entity_id and template_id for {country}.");
            fields.reject(present, &problem);
            continue;
        };
        let template = RegisteredTemplate {
            entity_id,
            template_id,
            text,
        };
        templates.insert(country, template);
    }
    templates
}

fn for_india<T>(mut values: BTreeMap<String, T>) -> BTreeMap<String, T> {
    if let Some(value) = values.remove("*") {
        values.entry(INDIA.to_owned()).or_insert(value);
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::carrier::fixture;

    fn read_entry(entry: Value) -> (BTreeMap<String, RegisteredTemplate>, Vec<String>) {
        fixture::read(read, entry)
    }

    #[test]
    fn ids_without_a_country_are_those_of_india() {
        let plain = read_entry(json!({"entity_id": "1101", "template_id": "1107"}));
        let by_country =
            read_entry(json!({"entity_id": {"IN": "1101"}, "template_id": {"IN": "1107"}}));
        assert_eq!(plain, by_country);
        let template = plain
            .0
            .get("IN")
            .map(|template| template.template_id.as_str());
        assert_eq!((template, plain.1), (Some("1107"), vec![]));
    }

    #[test]
    fn incomplete_registrations_are_rejected() {
        for (entry, wrong) in [
            (json!({"entity_id": "1101"}), vec!["entity_id"]),
            (json!({"template_id": "1107"}), vec!["template_id"]),
            (json!({"template_text": "{code}"}), vec!["template_text"]),
            (
                json!({"entity_id": "1 2", "template_id": "1107"}),
                vec!["entity_id", "template_id"],
            ),
            (json!({"entity_id": {"India": "1"}}), vec!["entity_id"]),
        ] {
            assert_eq!(read_entry(entry.clone()).1, wrong, "{entry}");
        }
        for text in ["Hello", "{code} {code}", "{code} {name}", "{code", ""] {
            let entry = json!({"entity_id": "1", "template_id": "2", "template_text": text});
            assert_eq!(read_entry(entry).1, ["template_text"], "{text}");
        }
    }
}
