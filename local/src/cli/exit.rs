//! Exit codes of commands, and errors on standard error.

use std::process::ExitCode;

use otp::platform::logging::causes;

use super::output;
use crate::operator::OperatorError;

/// Prints why a command has not done its work, or could not print its result.
pub(super) fn exit_code(result: Result<(), OperatorError>) -> ExitCode {
    match result {
        Ok(()) => match output::disk_failure() {
            None => ExitCode::SUCCESS,
            Some(error) => {
                eprintln!("standard output: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => failure(&error),
    }
}

/// Prints an error.
pub(super) fn failure(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("{}", causes(error));
    ExitCode::FAILURE
}
