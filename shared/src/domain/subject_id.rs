//! Subject ids: the app's own names of its users.
//!
//! Invariant: an id is 1 to 255 of the allowed characters. API Gateway passes paths decoded, so an
//! id with `/`, `?`, `%` or a space would name another path.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Longest subject id, in characters.
const SUBJECT_ID_LENGTH_MAX: usize = 255;

/// The app's id of one of its users. Case matters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SubjectId(String);

impl SubjectId {
    /// An id that was parsed before it was stored. It is trusted: nothing is validated again.
    #[must_use]
    pub fn from_stored(id: String) -> Self {
        Self(id)
    }

    /// The characters. Only for responses, sealed values and keyed hashes.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The text is not a subject id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a subject id")]
pub struct InvalidSubjectId;

impl FromStr for SubjectId {
    type Err = InvalidSubjectId;

    fn from_str(text: &str) -> Result<Self, InvalidSubjectId> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~-:@|".contains(&b);
        let starts_well = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        let fits = text.len() <= SUBJECT_ID_LENGTH_MAX && text.bytes().all(is_allowed);
        (starts_well && fits)
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidSubjectId)
    }
}

impl fmt::Debug for SubjectId {
    /// Masked: `SubjectId(…)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_characters_are_a_subject_id() {
        for id in ["u", "42", "auth0|7", "ann@example.com", "a:b~c-d_e.f"] {
            let parsed: SubjectId = id.parse().expect("an id");
            assert_eq!(parsed.reveal(), id);
            assert_eq!(format!("{parsed:?}"), "SubjectId(…)");
        }
        assert!("a".repeat(255).parse::<SubjectId>().is_ok());
    }

    #[test]
    fn anything_else_is_rejected() {
        let long = "a".repeat(256);
        for id in [
            "", ".a", "-a", "@a", "a/b", "a?b", "a%41", "a b", "ä", "a\n", &long,
        ] {
            assert_eq!(id.parse::<SubjectId>(), Err(InvalidSubjectId), "{id:?}");
        }
    }
}
