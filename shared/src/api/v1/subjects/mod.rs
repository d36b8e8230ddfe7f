//! Subjects: requests about factors, decisions and verified recipients of one user, and their
//! responses.

pub mod check;
pub mod decision;
pub mod enrolment;
pub mod errors;
pub mod factor;
mod key_uri;
pub mod subject;

use crate::api::problem::{ErrorCode, Problem};
use crate::api::request::optional_json_body;
use crate::api::v1::fields::SUBJECT_CHARACTERS;
use crate::domain::subject_id::SubjectId;
use crate::platform::json::Fields;
use crate::platform::url::percent_decode;
use lambda_http::Request;

/// The subject that a segment of a path names.
///
/// # Errors
/// 422.
pub fn read_subject(segment: &str) -> Result<SubjectId, Problem> {
    let id = percent_decode(segment).and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        let detail = format!("Must be {SUBJECT_CHARACTERS}.");
        Problem::field(ErrorCode::InvalidRequest, "subject", &detail)
    })
}

/// Reads a body without fields: none, or `{}`.
///
/// # Errors
/// 400, 413, 415, 422.
pub fn read_empty(request: &Request) -> Result<(), Problem> {
    let fields = Fields::new(optional_json_body(request)?);
    fields.finish().map_err(Problem::invalid)
}
