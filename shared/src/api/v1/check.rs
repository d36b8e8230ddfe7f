//! Request for a check, and its response.

use lambda_http::Request;
use serde_json::{Value, json};

use super::fields;
use super::proofs::render_decision_state;
use crate::api::problem::{ErrorCode, Problem};
use crate::api::request::{idempotency_key, json_body};
use crate::domain::address::Address;
use crate::domain::code::Code;
use crate::domain::ids::VerificationId;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::DEFAULT_PURPOSE;
use crate::domain::verification_status::Reason;
use crate::platform::json::Fields;
use crate::service::check::{CheckRequest, Checked};

/// Reads a check.
///
/// # Errors
/// 400, 413, 415, 422.
pub fn read_check(request: &Request, policy: &Policy) -> Result<CheckRequest, Problem> {
    let mut fields = Fields::new(json_body(request)?);
    let typed = fields.required_text("code");
    let purpose = fields::purpose(&mut fields);
    let transaction = fields::transaction(&mut fields);
    let subject = fields::subject(&mut fields);
    let decision = fields.text("decision");
    if decision.is_some() && subject.is_none() {
        fields.reject("decision", "Allowed only with `subject`.");
    }
    fields.finish().map_err(Problem::invalid)?;
    let idempotency_key = idempotency_key(request)?;
    let code = Code::parse(&typed, policy.code_alphabet).ok_or_else(|| {
        let detail = "Must be 4 to 10 characters of this app's code alphabet.";
        Problem::field(ErrorCode::InvalidCode, "code", detail)
    })?;
    Ok(CheckRequest {
        code,
        purpose: purpose.unwrap_or_else(|| DEFAULT_PURPOSE.into()),
        transaction,
        subject,
        decision,
        idempotency_key,
    })
}

/// The response to a check. Its purpose is the submitted one: the verification's own would reveal
/// what was wrong.
///
/// # Errors
/// 404 if the verification is not readable any more.
pub fn render_check(
    id: VerificationId,
    request: &CheckRequest,
    checked: &Checked,
    now: Timestamp,
) -> Result<Value, Problem> {
    let missing = || {
        Problem::new(
            ErrorCode::NotFound,
            "There is no verification with this id.",
        )
    };
    let verification = checked
        .recipient
        .find(checked.nonce, now)
        .ok_or_else(missing)?;
    let outcome = checked.outcome;
    let channel = verification.params().channel;
    let to = checked.recipient.address.as_ref();
    let to = to.map(|address| address.over(channel));
    let mut body = json!({
        "id": id.to_string(),
        "valid": outcome.reason.is_none(),
        "status": outcome.status.name(),
        "attempts_left": outcome.attempts_left,
        "reason": outcome.reason.map(Reason::name),
        "purpose": request.purpose,
        "channel": channel.name(),
        "to": to.as_ref().map(Address::reveal),
    });
    if let Some(subject) = &request.subject {
        body["subject"] = subject.reveal().into();
    }
    if let (Some(id), None) = (&request.decision, outcome.reason) {
        let state = checked.decision.as_ref();
        body["decision"] = state.map(|state| render_decision_state(id, state)).into();
    }
    Ok(body)
}
