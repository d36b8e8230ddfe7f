//! Fields that the entries of several kinds have: credentials, base URL, sender, callback token,
//! topic.
//!
//! Invariant: an error contains no value of a field.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::carrier::sender::{SenderRules, is_number};
use crate::domain::phone::is_country;
use crate::message::has_visible_text;
use crate::platform::json::Fields;
use crate::platform::url::is_base_url;

/// Longest credential.
const CREDENTIAL_LENGTH_MAX: usize = 256;
/// Shortest callback token of an account: 128 bits in base64.
const CALLBACK_TOKEN_LENGTH_MIN: usize = 22;
const CALLBACK_TOKEN_LENGTH_MAX: usize = 128;
/// Longest name or number that messages come from.
const SENDER_LENGTH_MAX: usize = 32;

/// The format of a phone number, for errors.
const NUMBER: &str = "a phone number in E.164";
/// The format of a callback token, for errors.
const CALLBACK_TOKEN: &str = "22 to 128 letters, digits, hyphens and underscores";

/// `base_url` without a slash at the end, or `default`; required if there is no default.
pub fn base_url(fields: &mut Fields, default: Option<&str>) -> String {
    let url = match (fields.text("base_url"), default) {
        (Some(url), _) if is_base_url(&url) => url,
        (Some(_), _) => {
            fields.reject(
                "base_url",
                "Must be an http(s) URL with a host, and without user, query and fragment.",
            );
            String::new()
        }
        (None, Some(default)) => default.to_owned(),
        (None, None) => {
            fields.reject("base_url", "Is required, an http(s) URL.");
            String::new()
        }
    };
    url.trim_end_matches('/').to_owned()
}

/// The URLs of a vendor with several hosts: `base_url` takes the place of each.
pub fn base_urls<const N: usize>(fields: &mut Fields, defaults: [&str; N]) -> [String; N] {
    let own = base_url(fields, Some(""));
    defaults.map(|default| match own.as_str() {
        "" => default.to_owned(),
        own => own.to_owned(),
    })
}

/// A required credential. It is printable ASCII, so that it fits in a header.
pub fn credential(fields: &mut Fields, name: &str) -> String {
    required(
        fields,
        name,
        is_credential,
        "1 to 256 printable ASCII characters",
    )
}

/// A required credential, or a list of two while one replaces the other.
pub fn one_or_two_credentials(fields: &mut Fields, name: &str) -> Vec<String> {
    let credentials = match fields.value(name) {
        None => {
            fields.reject(name, "Is required.");
            return vec![];
        }
        Some(Value::Array(list)) if (1..=2).contains(&list.len()) => list,
        Some(single) => vec![single],
    };
    let valid = |value: &Value| {
        value
            .as_str()
            .filter(|text| is_credential(text))
            .map(str::to_owned)
    };
    credentials
        .iter()
        .map(valid)
        .collect::<Option<Vec<_>>>()
        .unwrap_or_else(|| {
            let problem = "Must be 1 to 256 printable ASCII characters, or a list of two of these.";
            fields.reject(name, problem);
            vec![]
        })
}

/// Whether the field is `true`; `false` if it is absent.
pub fn flag(fields: &mut Fields, name: &str) -> bool {
    match fields.value(name) {
        None => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => {
            fields.reject(name, "Must be true or false.");
            false
        }
    }
}

/// A phone number, if there is one.
pub fn number(fields: &mut Fields, name: &str) -> Option<String> {
    let number = |text: &str| is_number(text).then(|| text.to_owned());
    fields.parsed_text(name, number, NUMBER)
}

/// A required phone number.
pub fn required_number(fields: &mut Fields, name: &str) -> String {
    required(fields, name, is_number, NUMBER)
}

/// A required user name of HTTP Basic authentication, which ends at the first colon.
pub fn basic_user(fields: &mut Fields, name: &str) -> String {
    required(
        fields,
        name,
        |text| is_credential(text) && !text.contains(':'),
        "1 to 256 printable ASCII characters other than a colon",
    )
}

/// `callback_token`, if there is one.
pub fn callback_token(fields: &mut Fields) -> Option<String> {
    fields.parsed_text(
        "callback_token",
        |text| is_callback_token(text).then(|| text.to_owned()),
        CALLBACK_TOKEN,
    )
}

/// `callback_token`, which is required.
pub fn required_callback_token(fields: &mut Fields) -> String {
    required(fields, "callback_token", is_callback_token, CALLBACK_TOKEN)
}

/// A value, or an object of values by country code, with `*` for all other countries. `format`
/// describes one value.
pub fn by_country<T>(
    fields: &mut Fields,
    name: &str,
    parse: impl Fn(&Value) -> Option<T>,
    format: &str,
) -> BTreeMap<String, T> {
    let Some(value) = fields.value(name) else {
        return BTreeMap::new();
    };
    let values = match &value {
        Value::Object(by_country) => by_country
            .iter()
            .map(|(country, value)| {
                parse(value)
                    .filter(|_| country == "*" || is_country(country))
                    .map(|value| (country.clone(), value))
            })
            .collect(),
        value => parse(value).map(|value| BTreeMap::from([("*".to_owned(), value)])),
    };
    values.unwrap_or_else(|| {
        let problem = format!("Must be {format}, or an object of these by country code or *.");
        fields.reject(name, &problem);
        BTreeMap::new()
    })
}

/// `sender`: a name or a number that the vendor accepts, or one by country.
pub fn senders(fields: &mut Fields, rules: &SenderRules) -> BTreeMap<String, String> {
    let fitting = |value: &Value| {
        let sender = value.as_str().filter(|sender| is_sender(sender))?;
        match rules.is_as_written {
            true => Some(sender.to_owned()),
            false => rules.fit(sender),
        }
    };
    let format = match rules.is_as_written {
        true => "1 to 32 characters, at least one of them visible".to_owned(),
        false => rules.format(),
    };
    by_country(fields, "sender", fitting, &format)
}

/// A name or number that messages come from. Vendors have different rules; none of them allows a
/// sender without a visible character.
pub fn sender(fields: &mut Fields, name: &str) -> Option<String> {
    fields.parsed_text(
        name,
        |text| is_sender(text).then(|| text.to_owned()),
        "1 to 32 characters, at least one of them visible",
    )
}

fn is_sender(text: &str) -> bool {
    (1..=SENDER_LENGTH_MAX).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && has_visible_text(text)
}

/// `topic_arn`, the SNS topic that reports come from.
pub fn topic_arn(fields: &mut Fields) -> Option<String> {
    let is_topic = |arn: &str| {
        arn.starts_with("arn:")
            && arn.split(':').nth(2) == Some("sns")
            && arn.split(':').count() == 6
    };
    fields.parsed_text(
        "topic_arn",
        |arn| is_topic(arn).then(|| arn.to_owned()),
        "the ARN of an SNS topic",
    )
}

/// A required text that is `valid`; `format` describes valid texts. Returns an empty text after an
/// error.
pub fn required(
    fields: &mut Fields,
    name: &str,
    valid: impl Fn(&str) -> bool,
    format: &str,
) -> String {
    match fields.value(name) {
        Some(Value::String(text)) if valid(&text) => return text,
        Some(_) => fields.reject(name, &format!("Must be {format}.")),
        None => fields.reject(name, "Is required."),
    }
    String::new()
}

fn is_credential(text: &str) -> bool {
    (1..=CREDENTIAL_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_callback_token(text: &str) -> bool {
    (CALLBACK_TOKEN_LENGTH_MIN..=CALLBACK_TOKEN_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_printable_and_callback_tokens_are_long() {
        let wrong = |value: Value| {
            let entry =
                json!({ "callback_token": value.clone(), "key": value.clone(), "user": value });
            let mut fields = Fields::new(entry.as_object().cloned().unwrap_or_default());
            required_callback_token(&mut fields);
            credential(&mut fields, "key");
            basic_user(&mut fields, "user");
            fields
                .finish()
                .err()
                .unwrap_or_default()
                .into_iter()
                .map(|error| error.field)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(wrong(json!("abcdefghijklmnopqrs_-9")), "");
        assert_eq!(wrong(json!("abcdefghijklmnopqrs_-")), "callback_token");
        assert_eq!(wrong(json!("a".repeat(129))), "callback_token");
        assert_eq!(
            wrong(json!("abcdefghijklmnopqrstuv:/")),
            "callback_token user"
        );
        for value in [
            json!(""),
            json!("a\r\nb"),
            json!("a b"),
            json!("é"),
            json!("a".repeat(257)),
            json!(5),
            Value::Null,
        ] {
            assert_eq!(wrong(value.clone()), "callback_token key user", "{value}");
        }
    }

    #[test]
    fn callback_token_is_optional_but_never_short() {
        let read = |entry: Value| {
            let mut fields = Fields::new(entry.as_object().cloned().unwrap_or_default());
            let token = callback_token(&mut fields);
            fields.finish().map(|()| token)
        };
        let token = "abcdefghijklmnopqrs_-9";
        assert_eq!(
            read(json!({ "callback_token": token })),
            Ok(Some(token.to_owned()))
        );
        assert_eq!(read(json!({})), Ok(None));
        for wrong in [json!("short"), json!("a/b".repeat(11))] {
            assert!(read(json!({ "callback_token": wrong })).is_err());
        }
    }
}
