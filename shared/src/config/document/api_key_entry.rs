//! An API key in the configuration document: its hash, and what an operator sees of it.
//!
//! Invariant: the key itself is not stored.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::{Value, json};

use crate::config::advice::unknown_name;
use crate::config::apps::is_app_name;
use crate::domain::time::Timestamp;

/// Names of the fields, in the order of a row.
const FIELDS: [&str; 7] = [
    "id",
    "app",
    "name",
    "sha256",
    "last4",
    "created_at",
    "expires_at",
];
/// Longest name of a key.
const NAME_CHARS_MAX: usize = 64;

/// One API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKeyEntry {
    /// Names the key: 1 to 32 lower-case letters, digits and `_`, such as `ak_7f3k2m9q`.
    pub id: String,
    /// The app that it belongs to.
    pub app: String,
    /// Up to 64 characters for people; may be empty.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// Its last four characters, so that people can recognize it; may be empty.
    pub last4: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// From this moment on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// What is wrong with an entry: `.sha256: must be the base64 of 32 bytes`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum EntryProblem {
    /// A field.
    Field {
        field: &'static str,
        expected: &'static str,
    },
    /// It has a field that does not exist.
    Unknown(String),
    /// It is neither an object nor a row.
    NotAnEntry,
}

impl fmt::Display for EntryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, expected } => write!(f, ".{field}: must be {expected}"),
            Self::Unknown(name) => {
                write!(
                    f,
                    ": unknown field {}; allowed: {}",
                    unknown_name(name, FIELDS),
                    FIELDS.join(", ")
                )
            }
            Self::NotAnEntry => write!(f, ": must be an object with {}", FIELDS.join(", ")),
        }
    }
}

impl ApiKeyEntry {
    /// Reads an object with the fields, or a row with their values.
    pub(super) fn read(value: &Value) -> Result<Self, EntryProblem> {
        match value {
            Value::Object(object) => {
                let mut names = object.keys();
                if let Some(unknown) = names.find(|name| !FIELDS.contains(&name.as_str())) {
                    return Err(EntryProblem::Unknown(unknown.clone()));
                }
            }
            Value::Array(row) if row.len() == FIELDS.len() => {}
            _ => return Err(EntryProblem::NotAnEntry),
        }
        let field = |index: usize| match value {
            Value::Array(row) => &row[index],
            object => &object[FIELDS[index]],
        };
        let wrong = |index: usize, expected: &'static str| EntryProblem::Field {
            field: FIELDS[index],
            expected,
        };
        let text = |index: usize| field(index).as_str();
        let optional_text = |index: usize| match field(index) {
            Value::Null => Some(""),
            value => value.as_str(),
        };
        let is_printable = |text: &&str| !text.contains(char::is_control);
        let id = text(0).filter(|id| is_key_id(id));
        let id = id.ok_or(wrong(0, "1 to 32 lower-case letters, digits and _"))?;
        let app = text(1).filter(|app| is_app_name(app));
        let app = app.ok_or(wrong(1, "the name of an app (letters, digits, - and _)"))?;
        let name = optional_text(2).filter(is_printable);
        let name = name.filter(|name| name.chars().count() <= NAME_CHARS_MAX);
        let name = name.ok_or(wrong(2, "up to 64 characters, without control characters"))?;
        let sha256 = text(3).and_then(hash_of);
        let sha256 = sha256.ok_or(wrong(3, "the base64 of 32 bytes"))?;
        let last4 = optional_text(4).filter(is_printable);
        let last4 = last4.filter(|last4| last4.chars().count() <= 4);
        let last4 = last4.ok_or(wrong(4, "the last four characters of the key"))?;
        const TIME: &str = "a time such as 2026-11-28T20:00:00Z";
        let created_at = time_of(field(5)).ok_or(wrong(5, TIME))?;
        let expires_at = match field(6) {
            Value::Null => None,
            value => Some(time_of(value).ok_or(wrong(6, TIME))?),
        };
        Ok(Self {
            id: id.to_owned(),
            app: app.to_owned(),
            name: name.to_owned(),
            sha256,
            last4: last4.to_owned(),
            created_at,
            expires_at,
        })
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "app": self.app, "name": self.name,
            "sha256": BASE64.encode(&self.sha256), "last4": self.last4,
            "created_at": self.created_at.to_string(),
            "expires_at": self.expires_at.map(|moment| moment.to_string()),
        })
    }

    pub(super) fn to_row(&self) -> Value {
        json!([
            self.id,
            self.app,
            self.name,
            BASE64_NOPAD.encode(&self.sha256),
            self.last4,
            self.created_at.0,
            self.expires_at.map(|moment| moment.0),
        ])
    }
}

fn is_key_id(id: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=32).contains(&id.len()) && id.bytes().all(is_allowed)
}

fn hash_of(text: &str) -> Option<[u8; 32]> {
    let bytes = BASE64.decode(text.as_bytes());
    let bytes = bytes.or_else(|_| BASE64_NOPAD.decode(text.as_bytes()));
    bytes.ok()?.try_into().ok()
}

/// RFC 3339 in an object, seconds since 1970 in a row.
fn time_of(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => Timestamp::from_rfc3339(text),
        value => value.as_i64().map(Timestamp),
    }
}
