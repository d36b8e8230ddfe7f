//! What is wrong with variables, as the reader notes it: one line for each, with the likely cause.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::advice::json_advice;
use super::hidden_characters::{misleading_character, misleading_texts};
use super::reader::Reader;
use crate::platform::json::{self, JsonError};

/// Where the credentials of carriers may be.
const SECRETS: &str = "OTP_SECRETS";

/// The sentence about a variable that should have a JSON object.
#[must_use]
pub fn json_problem(error: JsonError) -> String {
    match error {
        JsonError::DuplicateKey { line, column } => {
            format!("has a key twice (line {line}, column {column})")
        }
        JsonError::Syntax { line, column } => {
            format!("is not valid JSON (line {line}, column {column})")
        }
        JsonError::NotAnObject => "must be a JSON object".to_owned(),
    }
}

impl Reader<'_> {
    pub(super) fn required(&mut self, name: &str) -> String {
        self.variable(name).unwrap_or_else(|| {
            self.problem(name, "must be set");
            String::new()
        })
    }

    /// Notes what is wrong with `name`: a variable, or a member of the document.
    pub(super) fn problem(&mut self, name: &str, problem: &str) {
        let cause = self.misleading_character(name, problem).unwrap_or_default();
        let line = format!("{name}: {problem}{cause}");
        if !self.problems.contains(&line) {
            self.problems.push(line);
        }
    }

    pub(super) fn integer(&mut self, name: &str, range: RangeInclusive<i64>, default: i64) -> i64 {
        let Some(value) = self.variable(name) else {
            return default;
        };
        let is_digits = value.bytes().all(|b| b.is_ascii_digit());
        let number = is_digits.then(|| value.parse().ok()).flatten();
        number
            .filter(|number| range.contains(number))
            .unwrap_or_else(|| {
                let (min, max) = (range.start(), range.end());
                self.problem(name, &format!("must be a whole number from {min} to {max}"));
                default
            })
    }

    pub(super) fn object(&mut self, name: &str) -> Map<String, Value> {
        let Some(value) = self.variable(name) else {
            return Map::new();
        };
        json::parse_object(value.as_bytes()).unwrap_or_else(|problem| {
            let advice = json_advice(&value);
            self.problem(name, &advice.unwrap_or_else(|| json_problem(problem)));
            Map::new()
        })
    }

    /// Which character of the variable people do not see, or take for another one, if `problem` may
    /// be due to it.
    fn misleading_character(&self, name: &str, problem: &str) -> Option<String> {
        let variable = name.split([':', ',']).next()?;
        let sources = match variable {
            "OTP_CARRIERS" => &[variable, SECRETS][..],
            variable => &[variable],
        };
        let problems = [problem.to_owned()];
        let found = sources.iter().find_map(|variable| {
            let value = self.variable(variable)?;
            match json::parse(value.as_bytes()) {
                Ok(document @ (Value::Object(_) | Value::Array(_))) => {
                    let texts = misleading_texts(variable, &document, &problems);
                    Some(texts.first()?.to_string())
                }
                // Of a value that should be JSON, `json_advice` names the character.
                _ if value.starts_with(['{', '[']) => None,
                _ => Some(misleading_character(&value)?.to_string()),
            }
        });
        found.map(|character| format!("; {character}"))
    }
}
