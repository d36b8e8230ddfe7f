//! Request for a check of a factor, and its response.

use lambda_http::Request;
use serde_json::{Value, json};

use crate::api::problem::{ErrorCode, Problem};
use crate::api::request::{idempotency_key, json_body};
use crate::api::v1::proofs::render_decision_state;
use crate::api::v1::subjects::errors::factor_not_found;
use crate::domain::code::{Alphabet, Code};
use crate::domain::factor::FactorType;
use crate::domain::ids::FactorId;
use crate::domain::subject::Verdict;
use crate::platform::json::Fields;
use crate::service::factors::check::{FactorCheckRequest, FactorChecked};

/// Reads a check of `factor`; `None`: the path has no id of a factor.
///
/// # Errors
/// 400, 413, 415, 422; then 404 without a factor.
pub fn read_factor_check(
    request: &Request,
    factor: Option<FactorId>,
) -> Result<(FactorCheckRequest, FactorType), Problem> {
    let kind = factor.and_then(FactorId::kind);
    let mut fields = Fields::new(json_body(request)?);
    let code = fields.required_text("code");
    let next_code = fields.text("next_code");
    if next_code.is_some() && kind.is_some_and(|kind| kind != FactorType::Hotp) {
        fields.reject("next_code", "Allowed only for hotp.");
    }
    let decision = fields.text("decision");
    fields.finish().map_err(Problem::invalid)?;
    let idempotency_key = idempotency_key(request)?;
    let (factor, kind) = factor.zip(kind).ok_or_else(factor_not_found)?;
    let read_code = |field, typed: &str| {
        let (alphabet, detail) = match kind {
            FactorType::Totp | FactorType::Hotp => (Alphabet::Digits, "Must be 4 to 10 digits."),
            FactorType::BackupCodes => (
                Alphabet::Alphanumeric,
                "Must be 4 to 10 characters of the alphabet of backup codes.",
            ),
        };
        let code = Code::parse(typed, alphabet);
        code.ok_or_else(|| Problem::field(ErrorCode::InvalidCode, field, detail))
    };
    let check = FactorCheckRequest {
        factor,
        code: read_code("code", &code)?,
        next_code: match next_code {
            Some(typed) => Some(read_code("next_code", &typed)?),
            None => None,
        },
        decision,
        idempotency_key,
    };
    Ok((check, kind))
}

/// The response to a check.
#[must_use]
pub fn render_factor_check(
    request: &FactorCheckRequest,
    kind: FactorType,
    checked: &FactorChecked,
) -> Value {
    let reason = match checked.verdict {
        Some(Verdict::Accepted) => None,
        Some(Verdict::Replayed) => Some("replayed"),
        Some(Verdict::Wrong) => Some("wrong_code"),
        None => Some("unreadable"),
    };
    let mut body = json!({
        "id": request.factor.to_string(),
        "type": kind.name(),
        "status": checked.status.name(),
        "valid": reason.is_none(),
        "reason": reason,
        "attempts_left": checked.attempts_left,
    });
    if let Some(left) = checked.codes_left {
        body["codes_left"] = left.into();
    }
    if let (Some(id), Some(state)) = (&request.decision, &checked.decision) {
        body["decision"] = render_decision_state(id, state);
    }
    body
}
