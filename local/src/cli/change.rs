//! A change of the configuration document, as the commands make it: shown, asked about if it takes
//! something away, written, and reported.

use otp::config::document::Document;
use otp::config::hidden_character;
use serde_json::{Map, Value, json};

use super::confirm::Confirmation;
use super::output;
use super::target::TargetOptions;
use crate::operator::{Configuration, Deployment, OperatorError, document_changes};

/// Seconds after which functions read the document again, without the variable.
const MAX_AGE_SECONDS_DEFAULT: &str = "60";

/// A document that is to be written in place of the stored one.
pub(super) struct Change<'a> {
    pub(super) target: &'a TargetOptions,
    pub(super) deployment: &'a Deployment,
    pub(super) configuration: &'a Configuration<'a>,
    pub(super) document: Document,
    /// Asked before it is written; `None`: nothing is lost by the change.
    pub(super) confirmation: Option<&'a Confirmation>,
}

impl Change<'_> {
    /// Checks and writes the document. Prints what changed and `more`, on standard output.
    pub(super) async fn write(self, more: Map<String, Value>) -> Result<(), OperatorError> {
        let credentials = &self.configuration.credentials;
        self.configuration.check(&self.document, credentials)?;
        if let Some(problem) = &self.configuration.credentials_problem {
            eprintln!("{problem}; `doctor` says what to do");
        }
        let changes = self.changes();
        if changes.is_empty() && self.configuration.problems.is_empty() {
            return self.print_no_difference();
        }
        if let Some(confirmation) = self.confirmation {
            confirmation.ask(&changes.join("\n"))?;
        }
        let version = self.configuration.write(&self.document).await?;
        let mut document = json!({"version": version, "changes": changes});
        if let Some(members) = document.as_object_mut() {
            members.extend(more.clone());
        }
        if self.target.json {
            output::json(&document);
            return Ok(());
        }
        if self.confirmation.is_none() {
            changes.iter().for_each(|line| output::line(line));
        }
        for (name, value) in &more {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            output::line(&format!("{name}: {text}"));
        }
        let seconds = max_age_seconds(self.deployment);
        output::line(&format!(
            "written as version {version}; all functions use it within {seconds} s"
        ));
        Ok(())
    }

    /// What differs from the stored document.
    pub(super) fn changes(&self) -> Vec<String> {
        document_changes(&self.configuration.document, &self.document)
    }

    fn print_no_difference(&self) -> Result<(), OperatorError> {
        match self.target.json {
            true => output::json(&json!({"version": self.configuration.version, "changes": []})),
            false => output::line("no difference; nothing was written"),
        }
        Ok(())
    }
}

/// After so many seconds, all functions use a document that was written.
pub(super) fn max_age_seconds(deployment: &Deployment) -> String {
    let set = deployment.variable("OTP_CONFIG_MAX_AGE_SECONDS");
    let set = set.filter(|seconds| !seconds.is_empty());
    set.unwrap_or_else(|| MAX_AGE_SECONDS_DEFAULT.to_owned())
}

/// `NAME=VALUE`.
#[derive(Clone)]
pub(super) struct Assignment {
    pub(super) name: String,
    /// Empty: the setting is removed.
    pub(super) value: String,
}

/// Reads `NAME=VALUE`.
pub(super) fn assignment(text: &str) -> Result<Assignment, String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    for (what, text) in [("the name", name), ("the value", value)] {
        if let Some(character) = hidden_character(text) {
            return Err(format!("{character} in {what}; it does not show"));
        }
    }
    Ok(Assignment {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}
