//! Exit codes of commands, and errors on standard error.

use std::process::ExitCode;

use otp::platform::logging::causes;

use crate::operator::OperatorError;

/// Prints why a command has not done its work.
pub(super) fn exit_code(result: Result<(), OperatorError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Prints an error.
pub(super) fn failure(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("{}", causes(error));
    ExitCode::FAILURE
}
