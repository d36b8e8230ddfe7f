//! Field reader: takes a JSON object apart field by field and collects everything that is wrong
//! with it.
//!
//! Invariant: an unknown field and a value of the wrong type are errors; `null` is the same as an
//! absent field.
//! Invariant: an error contains no value of the object, and at most 20 errors are returned.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::platform::spelling::did_you_mean;

/// Most errors in one response: a body of nothing but unknown fields must not cause a response many
/// times its size.
const ERRORS_MAX: usize = 20;

/// How the sentence about a field that does not exist begins.
const UNKNOWN_FIELD: &str = "Unknown field";

/// What is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// The field, dotted where it is nested.
    pub field: String,
    /// A sentence about it, without its value.
    pub detail: String,
}

impl FieldError {
    /// The sentence about a field that does not exist. Its name was chosen by the sender.
    pub const UNKNOWN: &str = "Unknown field.";

    /// Whether there is no such field.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.detail.starts_with(UNKNOWN_FIELD)
    }
}

/// The fields of an object that have not been read yet, and the errors found so far.
///
/// Each method that reads a field removes it. An absent field is read as `None`; so is a wrong one,
/// which is recorded as an error. [`Fields::finish`] returns the errors.
pub struct Fields {
    object: Map<String, Value>,
    path: String,
    errors: Vec<FieldError>,
    /// Names that were read, to find the one that an unknown field was meant to be.
    known: Option<Vec<String>>,
}

impl Fields {
    /// All fields of `object`.
    #[must_use]
    pub fn new(object: Map<String, Value>) -> Self {
        Self {
            object,
            path: String::new(),
            errors: vec![],
            known: None,
        }
    }

    /// As [`Self::new`], for an object that an operator has written: the error about an unknown
    /// field asks whether it was meant to be one of those that were read.
    #[must_use]
    pub fn with_suggestions(object: Map<String, Value>) -> Self {
        Self {
            known: Some(vec![]),
            ..Self::new(object)
        }
    }

    /// A string.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            _ => self.rejected(name, "Must be a string."),
        }
    }

    /// A string whose length in characters is in `length`.
    pub fn bounded_text(&mut self, name: &str, length: RangeInclusive<usize>) -> Option<String> {
        let text = self.text(name)?;
        if length.contains(&text.chars().count()) {
            return Some(text);
        }
        let (min, max) = (length.start(), length.end());
        self.rejected(name, &format!("Must be {min} to {max} characters."))
    }

    /// A string that must be present; empty if it is absent or wrong.
    pub fn required_text(&mut self, name: &str) -> String {
        if self.require(name) {
            self.text(name).unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// A string that must be present, its length in characters in `length`; empty if it is absent
    /// or wrong.
    pub fn required_bounded_text(&mut self, name: &str, length: RangeInclusive<usize>) -> String {
        if self.require(name) {
            self.bounded_text(name, length).unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// A string that `parse` accepts. `expected` completes the sentence "Must be ...".
    pub fn parsed_text<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).or_else(|| self.rejected(name, &format!("Must be {expected}.")))
    }

    /// A string that must be present and that `parse` accepts.
    pub fn required_parsed_text<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        if self.require(name) {
            self.parsed_text(name, parse, expected)
        } else {
            None
        }
    }

    /// A list of at most `length_max` strings that `parse` accepts; empty if it is absent or wrong.
    pub fn parsed_list<T>(
        &mut self,
        name: &str,
        length_max: usize,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Vec<T> {
        let Some(value) = self.value(name) else {
            return vec![];
        };
        let list = value.as_array().filter(|list| list.len() <= length_max);
        let parsed: Option<Vec<T>> = list.and_then(|list| {
            list.iter()
                .map(|item| item.as_str().and_then(&parse))
                .collect()
        });
        parsed.unwrap_or_else(|| {
            let detail = format!("Must be a list of at most {length_max} of {expected}.");
            self.reject(name, &detail);
            vec![]
        })
    }

    /// An integer in `range`.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(name)?;
        let integer = value.as_i64().filter(|integer| range.contains(integer));
        let (min, max) = (range.start(), range.end());
        integer.or_else(|| {
            self.rejected(
                name,
                &format!("Must be a whole number from {min} to {max}."),
            )
        })
    }

    /// `true` or `false`; `false` if it is absent or wrong.
    pub fn boolean(&mut self, name: &str) -> bool {
        match self.value(name) {
            None => false,
            Some(Value::Bool(value)) => value,
            Some(_) => {
                self.reject(name, "Must be true or false.");
                false
            }
        }
    }

    /// A nested object; `read` takes its fields.
    pub fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.value(name)? {
            Value::Object(object) => {
                let mut nested = Self {
                    object,
                    path: format!("{}{name}.", self.path),
                    errors: vec![],
                    known: None,
                };
                let value = read(&mut nested);
                self.errors
                    .extend(nested.finish().err().unwrap_or_default());
                Some(value)
            }
            _ => self.rejected(name, "Must be an object."),
        }
    }

    /// A value of any type.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        if let Some(known) = &mut self.known {
            known.push(name.to_owned());
        }
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// Whether the field `name` is present, and not `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// Records an error of the field `name`. `detail` is a sentence without the field's value.
    pub fn reject(&mut self, name: &str, detail: &str) {
        self.errors.push(FieldError {
            field: format!("{}{name}", self.path),
            detail: detail.to_owned(),
        });
    }

    /// Whether an error of the field `name` was recorded.
    #[must_use]
    pub fn has_error(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.field == name)
    }

    /// Ends the reading. Each field that was not read is an unknown one.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub fn finish(mut self) -> Result<(), Vec<FieldError>> {
        let unknown: Vec<String> = self.object.keys().cloned().collect();
        for name in unknown {
            let printed = if is_printable(&name) { &name } else { "?" };
            let known = self.known.iter().flatten().map(String::as_str);
            let detail = match did_you_mean(&name, known) {
                question if question.is_empty() => FieldError::UNKNOWN.to_owned(),
                question => format!("{UNKNOWN_FIELD}{question}."),
            };
            self.reject(printed, &detail);
        }
        self.errors.truncate(ERRORS_MAX);
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self.errors)
        }
    }

    /// Whether the field `name` is present; records an error if not.
    fn require(&mut self, name: &str) -> bool {
        let is_present = self.has(name);
        if !is_present {
            self.value(name);
            self.reject(name, "Required.");
        }
        is_present
    }

    fn rejected<T>(&mut self, name: &str, detail: &str) -> Option<T> {
        self.reject(name, detail);
        None
    }
}

/// Whether the name of an unknown field may be repeated in an error. It is text of the sender: it
/// is printed where it looks like a name, so that a typo is found, and not where it may be a code
/// or a phone number in the wrong place.
fn is_printable(name: &str) -> bool {
    let is_name = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    is_name && name.bytes().filter(u8::is_ascii_digit).count() < 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::json::parse_object;

    #[test]
    fn all_errors_are_returned_at_once() {
        let object = parse_object(
            br#"{"to":5,"ttl":1.5,"extra":1,"transaction":{"amount":true,"x":1},"none":null}"#,
        )
        .expect("an object");
        let mut fields = Fields::new(object);
        fields.required_text("to");
        fields.integer("ttl", 60..=1800);
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
    fn an_integer_is_read_however_it_is_written() {
        let integer = |number: &str| {
            let object = parse_object(format!("{{\"n\":{number}}}").as_bytes()).expect("an object");
            Fields::new(object).integer("n", -10..=1800)
        };
        for number in ["120", "120.0", "1.2e2", "12E1", "1200e-1"] {
            assert_eq!(integer(number), Some(120), "{number}");
        }
        assert_eq!((integer("-0.0"), integer("-5.00")), (Some(0), Some(-5)));
        for number in [
            "120.5",
            "1801.0",
            "1e300",
            "\"120\"",
            "9007199254740993",
            "18446744073709551616.0",
        ] {
            assert_eq!(integer(number), None, "{number}");
        }
        assert!(parse_object(b"{\"n\":1e400}").is_err());
    }

    #[test]
    fn unknown_names_with_many_digits_are_hidden() {
        for (name, printed) in [
            ("chanel", true),
            ("ttl-seconds", true),
            ("+33612345678", false),
            ("123456", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_printable(name), printed, "{name:?}");
        }
    }
}
