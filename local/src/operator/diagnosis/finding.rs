//! A finding: what a check found, and what to do.

use std::error::Error;

use otp::platform::logging::causes;
use serde_json::{Value, json};

/// One thing to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    /// Whether the deployment does not work as it should.
    pub(crate) is_problem: bool,
    /// The check that found it, in one word.
    pub(crate) check: &'static str,
    /// What was found.
    pub(crate) finding: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Finding {
    pub(super) fn problem(check: &'static str, finding: impl Into<String>, advice: &str) -> Self {
        Self {
            is_problem: true,
            check,
            finding: finding.into(),
            advice: advice.to_owned(),
        }
    }

    pub(super) fn advice(check: &'static str, finding: impl Into<String>, advice: &str) -> Self {
        Self {
            is_problem: false,
            ..Self::problem(check, finding, advice)
        }
    }

    pub(super) fn failed(check: &'static str, error: &(dyn Error + 'static)) -> Self {
        Self::problem(
            check,
            causes(error),
            "this check was not made: solve this, and repeat it",
        )
    }

    /// For tables and programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "level": if self.is_problem { "problem" } else { "advice" },
            "check": self.check,
            "finding": self.finding,
            "do": self.advice,
        })
    }
}
