//! Check: the request, and the resource that it returns.

use lambda_http::Request;
use serde_json::{Value, json};

use super::account::Account;
use super::error_table::When;
use super::parameters::{Parameters, recipient};
use super::rejection::Rejection;
use super::sid::{parse_verification_sid, verification_sid};
use super::verification::Shape;
use crate::api::problem::ErrorCode;
use crate::crypto::keyring::Keyring;
use crate::domain::code::Code;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::{DEFAULT_PURPOSE, Transaction};
use crate::domain::verification_status::Reason;
use crate::service::check::{CheckRequest, Checked};
use crate::service::target::Target;

/// Parameters that have an effect, in the order in which errors name them.
const PARAMETERS: [&str; 5] = ["To", "VerificationSid", "Code", "Amount", "Payee"];

/// Reads a check, and which verification it is about.
///
/// # Errors
/// 400, 404, 413, 415.
pub fn read_check(
    request: &Request,
    app: &str,
    keyring: &Keyring,
    policy: &Policy,
) -> Result<(Target, CheckRequest), Rejection> {
    let mut parameters = Parameters::read(request, &PARAMETERS)?;
    let sid = parameters.text("VerificationSid");
    let to = match (parameters.text("To"), &sid) {
        (None, None) => parameters.required("To"),
        (to, _) => to,
    };
    let latest = to.and_then(|to| {
        let addresses = recipient(&to).map_err(|code| {
            let detail = "Must be a phone number in E.164, or an e-mail address.";
            parameters.reject("To", code, When::Wrong, detail);
        });
        addresses.ok().map(Target::LatestOf)
    });
    let typed = parameters.required("Code");
    let code = typed.and_then(|typed| {
        let code = Code::parse(&typed, policy.code_alphabet);
        if code.is_none() {
            let detail = "Must be 4 to 10 characters of this app's code alphabet.";
            parameters.reject("Code", ErrorCode::InvalidCode, When::Wrong, detail);
        }
        code
    });
    let transaction = parameters.transaction();
    parameters.finish()?;
    let target = match sid {
        None => latest.ok_or_else(Rejection::not_found)?,
        Some(sid) => {
            let id = parse_verification_sid(&sid).ok_or_else(Rejection::not_found)?;
            if latest.is_some_and(|latest| !latest.may_be(id, keyring, app)) {
                return Err(Rejection::not_found());
            }
            Target::Id(id)
        }
    };
    let request = CheckRequest {
        // Present: otherwise the reading has ended with an error.
        code: code.ok_or_else(|| Rejection::malformed(None))?,
        purpose: DEFAULT_PURPOSE.into(),
        transaction,
        subject: None,
        decision: None,
        idempotency_key: None,
    };
    Ok((target, request))
}

/// The resource of a check. Its payment is the submitted one: the verification's own would reveal
/// what was wrong.
///
/// # Errors
/// 429 without attempts left, 404 for a verification that has ended.
pub fn render_check(
    account: &Account,
    submitted: Option<&Transaction>,
    checked: &Checked,
    now: Timestamp,
) -> Result<Value, Rejection> {
    let found = checked.recipient.find(checked.nonce, now);
    let verification = found.ok_or_else(Rejection::not_found)?;
    let (valid, status) = match checked.outcome.reason {
        None => (true, "approved"),
        Some(Reason::WrongCode) => (false, "pending"),
        Some(_) => {
            let expires_at = verification.params().expires_at;
            return Err(Rejection::ended(checked.outcome.status, expires_at, now));
        }
    };
    let shape = Shape::of(&checked.recipient, verification);
    Ok(json!({
        "sid": verification_sid(checked.id),
        "service_sid": account.service_sid,
        "account_sid": account.account_sid,
        "to": shape.to,
        "channel": shape.channel,
        "status": status,
        "valid": valid,
        "amount": submitted.map(|transaction| &transaction.amount),
        "payee": submitted.map(|transaction| &transaction.payee),
        "date_created": verification.params().created_at.to_string(),
        "date_updated": verification.changed_at().to_string(),
        "sna_attempts_error_codes": [],
    }))
}
