//! Update: the status that the app sets.

use lambda_http::Request;

use super::parameters::Parameters;
use super::rejection::Rejection;

/// What an update makes of a pending verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// It is canceled.
    Cancel,
    /// It is approved without a code.
    Approve,
}

/// Reads an update.
///
/// # Errors
/// 400, 413, 415.
pub fn read_update(request: &Request) -> Result<Update, Rejection> {
    let mut parameters = Parameters::read(request, &["Status"])?;
    let parse = |word: &str| match word {
        "canceled" => Some(Update::Cancel),
        "approved" => Some(Update::Approve),
        _ => None,
    };
    let update = match parameters.required("Status") {
        Some(_) => parameters.parsed("Status", parse, "Must be canceled or approved."),
        None => None,
    };
    parameters.finish()?;
    // Present: otherwise the reading has ended with an error.
    update.ok_or_else(|| Rejection::malformed(None))
}
