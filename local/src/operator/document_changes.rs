//! What differs between two configuration documents, for people: one line for each field.

use std::collections::BTreeMap;

use otp::config::document::{ApiKeyEntry, Document};
use otp::config::without_hidden as shown;
use serde_json::Value;

/// Lines that begin with `+` for an added field, `-` for a removed one, `~` for a changed one.
pub(crate) fn document_changes(before: &Document, after: &Document) -> Vec<String> {
    let (before, after) = (fields(before), fields(after));
    let mut lines = vec![];
    for (name, value) in &before {
        match after.get(name) {
            None => lines.push((name, format!("- {name}: {value}"))),
            Some(other) if other != value => {
                lines.push((name, format!("~ {name}: {value} -> {other}")));
            }
            Some(_) => {}
        }
    }
    let added = after.iter().filter(|(name, _)| !before.contains_key(*name));
    lines.extend(added.map(|(name, value)| (name, format!("+ {name}: {value}"))));
    lines.sort();
    let lines = lines.into_iter().map(|(_, line)| line);
    lines.map(|line| shown(&line)).collect()
}

/// Texts by the path of the field. Keys and carriers are found by id and name, not by position.
fn fields(document: &Document) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (app, settings) in &document.apps {
        flatten(&format!("apps.{app}"), settings, &mut fields);
    }
    for (app, rules) in &document.rules {
        fields.insert(format!("rules.{app}"), rules.to_string());
    }
    for key in &document.api_keys {
        fields.insert(format!("api_keys.{}", key.id), shown_key(key));
    }
    if let Some(numbers) = &document.test_numbers {
        fields.insert("test_numbers".into(), numbers.to_string());
    }
    if let Some(carriers) = document.carriers.as_ref().and_then(Value::as_array) {
        let names = carriers.iter().map(carrier_name).collect::<Vec<_>>();
        fields.insert("carriers".into(), names.join(", "));
        for (name, carrier) in names.iter().zip(carriers) {
            flatten(&format!("carriers.{name}"), carrier, &mut fields);
        }
    }
    fields
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                flatten(&format!("{path}.{name}"), member, fields);
            }
        }
        value => drop(fields.insert(path.to_owned(), value.to_string())),
    }
}

fn carrier_name(carrier: &Value) -> String {
    let name = carrier["name"].as_str().or(carrier["kind"].as_str());
    name.unwrap_or("?").to_owned()
}

fn shown_key(key: &ApiKeyEntry) -> String {
    let expires = key.expires_at.map(|at| at.to_string());
    format!(
        "app {}, {:?}, ends with {}, expires {}",
        key.app,
        key.name,
        key.last4,
        expires.as_deref().unwrap_or("never")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(members: &str) -> Document {
        let text = format!(r#"{{"format":1,{members}}}"#);
        Document::parse(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn changes_are_shown_by_field() {
        let before = document(
            r#""apps":{"shop":{"brand":"Shop","code_length":6}},
               "carriers":[{"kind":"sns"}]"#,
        );
        let after = document(
            r#""apps":{"shop":{"code_length":8},"bank":{}},
               "carriers":[{"kind":"twilio","name":"first"},{"kind":"sns"}]"#,
        );
        let expected = [
            "+ apps.bank: {}",
            r#"- apps.shop.brand: "Shop""#,
            "~ apps.shop.code_length: 6 -> 8",
            "~ carriers: sns -> first, sns",
            r#"+ carriers.first.kind: "twilio""#,
            r#"+ carriers.first.name: "first""#,
        ];
        assert_eq!(document_changes(&before, &after), expected);
        assert!(document_changes(&after, &after).is_empty());
    }
}
