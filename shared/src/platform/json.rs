//! The strict JSON reader: parses a document without guessing what was meant.
//!
//! Invariant: a duplicate key is an error, at every depth.
//! Invariant: equal integers below 2^53 are equal values, however they are written: `120`, `120.0`
//! and `1.2e2`.
//! Invariant: an error holds nothing of the document.

mod fields;

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error;

pub use fields::{FieldError, Fields};

/// Below this magnitude (2^53) a floating-point number without a fraction is exactly one integer.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a document was rejected. `Display` is a sentence for the sender of the document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum JsonError {
    /// An object has the same key twice.
    #[error("Duplicate key in a JSON object (line {line}, column {column}).")]
    DuplicateKey {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Not JSON, not UTF-8, nested too deeply, or a number out of range.
    #[error("The body is not valid JSON (line {line}, column {column}).")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Valid JSON, but a list, a text, a number, a boolean or `null`.
    #[error("The body must be a JSON object.")]
    NotAnObject,
}

/// Parses a JSON object.
///
/// # Errors
/// Any [`JsonError`].
pub fn parse_object(document: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match parse(document)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Parses any JSON document.
///
/// # Errors
/// [`JsonError::DuplicateKey`] or [`JsonError::Syntax`].
pub fn parse(document: &[u8]) -> Result<Value, JsonError> {
    let found_duplicate = Cell::new(false);
    let strict_value = StrictValue {
        found_duplicate: &found_duplicate,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let parsed = strict_value
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if found_duplicate.get() {
            JsonError::DuplicateKey { line, column }
        } else {
            JsonError::Syntax { line, column }
        }
    })
}

/// The object without the fields that are `null`, in one spelling: two bodies with the same meaning
/// have equal bytes.
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
    // `Map` keeps its keys sorted, and `parse` has given equal integers one form.
    without_null(&Value::Object(object.clone()))
        .to_string()
        .into_bytes()
}

/// Reads a `serde_json::Value`, but fails at a duplicate key.
#[derive(Clone, Copy)]
struct StrictValue<'a> {
    /// Set before the parser fails at a duplicate key: its error carries only a message.
    found_duplicate: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for StrictValue<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue<'_> {
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
        if value.fract() == 0.0 && value.abs() < EXACT_INTEGER_MAX {
            return Ok(Value::Number((value as i64).into()));
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            if object.insert(key, value).is_some() {
                self.found_duplicate.set(true);
                return Err(de::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_strict_object_is_accepted() {
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
    fn bodies_of_equal_meaning_are_canonically_equal() {
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
        assert_ne!(form(r#"{"a":120}"#), form(r#"{"a":120.5}"#));
        let large = "9007199254740993"; // 2^53 + 1, which no floating-point number is
        assert_eq!(
            form(&format!("{{\"a\":{large}}}")),
            format!("{{\"a\":{large}}}").as_bytes()
        );
    }

    #[test]
    fn an_error_has_its_kind_and_place() {
        for (document, error) in [
            (
                "{\n \"a\":1, \"a\":2}",
                JsonError::DuplicateKey {
                    line: 2,
                    column: 14,
                },
            ),
            (
                "[{\"a\":{\"b\":1,\"b\":1}}]",
                JsonError::DuplicateKey {
                    line: 1,
                    column: 19,
                },
            ),
            (
                "{\"duplicate key\"}",
                JsonError::Syntax {
                    line: 1,
                    column: 17,
                },
            ),
            ("{} {}", JsonError::Syntax { line: 1, column: 4 }),
        ] {
            assert_eq!(parse(document.as_bytes()), Err(error), "{document}");
        }
        assert_eq!(parse_object(b"[]"), Err(JsonError::NotAnObject));
        assert_eq!(
            JsonError::DuplicateKey { line: 2, column: 9 }.to_string(),
            "Duplicate key in a JSON object (line 2, column 9)."
        );
    }
}
