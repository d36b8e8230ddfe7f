//! Strict JSON objects: reading a body field by field, naming everything that is wrong with it at once.
//! Never guesses: duplicate keys, unknown fields, wrong types are errors; `null` is the field left out. Equal numbers are equal,
//! however they are written.

mod numbers;

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most errors that one answer names: a body of nothing but unknown fields must not make an answer many times its size.
const ERRORS_MAX: usize = 20;

/// One thing that is wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// The field, dotted where it is nested.
    pub field: String,
    /// A sentence about it, without its value.
    pub detail: String,
}

/// Parses a JSON object.
///
/// # Errors
/// A sentence that holds nothing of the body.
pub fn parse_object(body: &[u8]) -> Result<Map<String, Value>, String> {
    match parse(body)? {
        Value::Object(object) => Ok(object),
        _ => Err("The body must be a JSON object.".into()),
    }
}

/// Parses any JSON document.
///
/// # Errors
/// A sentence that holds nothing of the document.
pub fn parse(body: &[u8]) -> Result<Value, String> {
    let strictly = |body: &[u8]| {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let value = Strict.deserialize(&mut deserializer)?;
        deserializer.end().map(|()| value)
    };
    let value = strictly(body).map_err(|error| sentence(&error))?;
    match numbers::with_integers(body) {
        Some(body) => strictly(&body).map_err(|error| sentence(&error)),
        None => Ok(value),
    }
}

/// The same object without the fields that are `null`, in one spelling: two bodies with the same meaning are equal.
#[must_use]
pub fn canonical(object: &Map<String, Value>) -> Vec<u8> {
    fn without_null(value: &Value) -> Value {
        match value {
            Value::Object(object) => Value::Object(
                object
                    .iter()
                    .filter(|(_, v)| !v.is_null())
                    .map(|(k, v)| (k.clone(), without_null(v)))
                    .collect(),
            ),
            other => other.clone(),
        }
    }
    // `Map` keeps its keys sorted.
    without_null(&Value::Object(object.clone()))
        .to_string()
        .into_bytes()
}

/// Takes the fields of an object one by one and remembers what was wrong.
pub struct Fields {
    object: Map<String, Value>,
    path: String,
    errors: Vec<FieldError>,
}

impl Fields {
    /// All fields of `object`.
    #[must_use]
    pub fn of(object: Map<String, Value>) -> Self {
        Self {
            object,
            path: String::new(),
            errors: vec![],
        }
    }

    /// A text; `None` if it is left out or wrong.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.wrong(name, "Must be a string."),
        }
    }

    /// A text of `range` characters.
    pub fn text_of(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
    ) -> Option<String> {
        let text = self.text(name)?;
        if range.contains(&text.chars().count()) {
            return Some(text);
        }
        self.wrong(
            name,
            &format!("Must be {} to {} characters.", range.start(), range.end()),
        )
    }

    /// A text that must be there.
    pub fn required_text(&mut self, name: &str) -> String {
        if self.has(name) {
            self.text(name).unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// A text of `range` characters that must be there; empty if it is not or is wrong.
    pub fn required_text_of(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
    ) -> String {
        if self.has(name) {
            self.text_of(name, range).unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// Whether a field that must be there is; notes it if not.
    fn has(&mut self, name: &str) -> bool {
        let is_there = self.object.get(name).is_some_and(|value| !value.is_null());
        if !is_there {
            self.object.remove(name);
            self.refuse(name, "Is required.");
        }
        is_there
    }

    /// A whole number within `range`.
    pub fn whole(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        match self.take(name)? {
            Value::Number(number) if number.as_i64().is_some_and(|n| range.contains(&n)) => {
                number.as_i64()
            }
            _ => self.wrong(
                name,
                &format!(
                    "Must be a whole number from {} to {}.",
                    range.start(),
                    range.end()
                ),
            ),
        }
    }

    /// One of a closed set of words.
    pub fn word<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        let text = self.text(name)?;
        read(&text).or_else(|| self.wrong(name, &format!("Must be {words}.")))
    }

    /// A list of at most `length_max` words of a closed set.
    pub fn words<T>(
        &mut self,
        name: &str,
        length_max: usize,
        read: impl Fn(&str) -> Option<T>,
        words: &str,
    ) -> Vec<T> {
        let Some(value) = self.take(name) else {
            return vec![];
        };
        let list = value.as_array().filter(|list| list.len() <= length_max);
        let read: Option<Vec<T>> = list.and_then(|list| {
            list.iter()
                .map(|item| item.as_str().and_then(&read))
                .collect()
        });
        read.unwrap_or_else(|| {
            self.refuse(
                name,
                &format!("Must be a list of at most {length_max} of {words}."),
            );
            vec![]
        })
    }

    /// A nested object, read by `read`.
    pub fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.take(name)? {
            Value::Object(object) => {
                let mut nested = Self {
                    object,
                    path: format!("{}{name}.", self.path),
                    errors: vec![],
                };
                let value = read(&mut nested);
                self.errors
                    .extend(nested.finish().err().unwrap_or_default());
                Some(value)
            }
            _ => self.wrong(name, "Must be an object."),
        }
    }

    /// Any value.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.take(name)
    }

    /// Notes that `name` is wrong.
    pub fn refuse(&mut self, name: &str, detail: &str) {
        self.errors.push(FieldError {
            field: format!("{}{name}", self.path),
            detail: detail.to_owned(),
        });
    }

    /// Ends the reading: whatever was not taken is unknown.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub fn finish(mut self) -> Result<(), Vec<FieldError>> {
        let unknown: Vec<String> = self.object.keys().cloned().collect();
        for name in unknown {
            let shown = if is_shown(&name) { name.as_str() } else { "?" };
            self.refuse(shown, "Is not a field of this request.");
        }
        self.errors.truncate(ERRORS_MAX);
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self.errors)
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    fn wrong<T>(&mut self, name: &str, detail: &str) -> Option<T> {
        self.refuse(name, detail);
        None
    }
}

/// The name of an unknown field is the caller's text. It is shown, so that a typo is found, where it looks like a name and
/// not like a code or a number that stands in the wrong place.
fn is_shown(name: &str) -> bool {
    let is_name = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    is_name && name.bytes().filter(u8::is_ascii_digit).count() < 4
}

/// What went wrong and where, without quoting the body.
fn sentence(error: &serde_json::Error) -> String {
    let kind = if error.to_string().starts_with(DUPLICATE) {
        "A key stands twice in an object"
    } else {
        "The body is not JSON"
    };
    format!("{kind} (line {}, column {}).", error.line(), error.column())
}

const DUPLICATE: &str = "duplicate key";

/// Like `serde_json::Value`, but a key that stands twice is an error.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(value) = seq.next_element_seed(Strict)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict)?;
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_one_strict_object_is_refused() {
        for body in [
            "",
            " ",
            "[]",
            "\"a\"",
            "null",
            "1",
            "{",
            "{}}",
            "{}{}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"b\":1}}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            "\u{feff}{}",
        ] {
            assert!(parse_object(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_err(), "invalid UTF-8");
        assert!(parse_object("[".repeat(16_000).as_bytes()).is_err());
        assert!(
            parse_object(format!("{{\"a\":{}", "[".repeat(16_000)).as_bytes()).is_err(),
            "deep nesting ends, the stack does not"
        );
        assert!(parse_object(format!("{{\"a\":{}}}", "9".repeat(16_000)).as_bytes()).is_err());
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let object = parse_object(
            br#"{"to":5,"ttl":1.5,"extra":1,"transaction":{"amount":true,"x":1},"none":null}"#,
        )
        .expect("an object");
        let mut fields = Fields::of(object);
        fields.required_text("to");
        fields.whole("ttl", 60..=1800);
        fields.text("none");
        fields.required_text("missing");
        fields.object("transaction", |t| t.required_text("amount"));
        let errors = fields.finish().expect_err("all wrong");
        let names: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(
            names,
            [
                "to",
                "ttl",
                "missing",
                "transaction.amount",
                "transaction.x",
                "extra"
            ]
        );
    }

    #[test]
    fn a_whole_number_is_whole_however_it_is_written() {
        let whole = |number: &str| {
            let mut fields = Fields::of(
                parse_object(format!("{{\"n\":{number}}}").as_bytes()).expect("an object"),
            );
            fields.whole("n", -10..=1800)
        };
        for number in ["120", "120.0", "1.2e2", "12E1", "1200e-1"] {
            assert_eq!(whole(number), Some(120), "{number}");
        }
        assert_eq!((whole("-0.0"), whole("-5.00")), (Some(0), Some(-5)));
        for number in [
            "120.5",
            "1e-400",
            "120.00000000000000000001",
            "1801.0",
            "1e300",
            "\"120\"",
            "9007199254740993",
        ] {
            assert_eq!(whole(number), None, "{number}");
        }
        assert!(parse_object(b"{\"n\":1e400}").is_err());
    }

    #[test]
    fn an_unknown_name_is_shown_unless_it_may_be_a_code_or_a_number() {
        for (name, shown) in [
            ("chanel", true),
            ("ttl-seconds", true),
            ("+33612345678", false),
            ("123456", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_shown(name), shown, "{name:?}");
        }
    }

    #[test]
    fn bodies_that_mean_the_same_are_canonically_equal() {
        let form = |text: &str| canonical(&parse_object(text.as_bytes()).expect("an object"));
        assert_eq!(
            form(r#"{"a":1,"b":null,"c":{"x":"y","z":null}}"#),
            form(r#"{ "c": {"x":"\u0079"}, "a": 1 }"#)
        );
        assert_ne!(form(r#"{"a":1}"#), form(r#"{"a":"1"}"#));
        assert_eq!(
            form(r#"{"a":120,"b":[2]}"#),
            form(r#"{"a":1.2e2,"b":[2.0]}"#)
        );
        assert_ne!(
            form(r#"{"a":120}"#),
            form(r#"{"a":120.00000000000000000001}"#)
        );
    }
}
