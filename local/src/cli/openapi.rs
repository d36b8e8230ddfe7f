//! `lambda-otp openapi`: prints the API document, as the local server does at `/openapi.json`.

use crate::cli::output;
use crate::operator::OperatorError;
use crate::plain_openapi::{api_document, plain};

/// Options of `openapi`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// With all conditions, for validators; without it, in a plain form for people and generators
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<(), OperatorError> {
    let document = api_document().map_err(OperatorError::OpenApi)?;
    let document = match arguments.strict {
        true => document,
        false => plain(&document),
    };
    output::line(&format!("{document:#}"));
    Ok(())
}
