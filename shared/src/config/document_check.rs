//! Checks a configuration document with the code by which the functions read it, before it is
//! written.

use super::config_error::ConfigError;
use super::document::{CarrierCredentials, Document, StoredConfig};
use super::reader::{Reader, Variables};

impl Document {
    /// Reads every member as the functions do, over `variables`. With `credentials`, carriers are
    /// read as the functions that call them do.
    ///
    /// # Errors
    /// All that a function refuses with the document and not without it, with the member:
    /// `config.apps: shop.code_length must be a whole number from 4 to 10`.
    pub fn check(
        &self,
        credentials: Option<&CarrierCredentials>,
        variables: Variables<'_>,
    ) -> Result<(), ConfigError> {
        let stored = StoredConfig {
            document: Some(self),
            credentials,
        };
        let without = Reader::of(variables).all_problems(None);
        let mut problems = Reader::new(variables, stored).all_problems(credentials);
        problems.retain(|problem| !without.contains(problem));
        // Its size, and what only the reader of the stored form refuses.
        let stored = self.to_stored().and_then(|text| Self::parse(&text));
        problems.extend(stored.err().into_iter().flat_map(|error| error.0));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ConfigError(problems)),
        }
    }
}
