//! Request for a decision, and its response.

use std::net::IpAddr;

use lambda_http::Request;
use serde_json::{Value, json};

use crate::api::problem::Problem;
use crate::api::request::{idempotency_key, json_body};
use crate::api::v1::fields;
use crate::api::v1::proofs::{render_proof_lists, render_proofs};
use crate::crypto::keyring::Keyring;
use crate::domain::decision::Decision;
use crate::domain::decision_rules::{Amount, is_currency, is_rule_word};
use crate::domain::place::is_place_country;
use crate::domain::time::Timestamp;
use crate::domain::verification_params::Idempotency;
use crate::platform::json::{self, Fields};
use crate::service::factors::decide::DecisionRequest;

const DEVICE_ID_LENGTH_MAX: usize = 255;
const RULE_WORD: &str = "1 to 32 characters of a-z, 0-9, _ and -";

/// The circumstances of an action, as far as the request gives them.
#[derive(Default)]
pub struct DecisionContext {
    ip: Option<IpAddr>,
    /// The country of the end user, ISO 3166 alpha-2.
    pub country: Option<String>,
    device_id: Option<String>,
    /// The amount, and its currency.
    pub amount: Option<(Amount, String)>,
    /// The role of the subject.
    pub role: Option<String>,
}

/// Reads a request for a decision.
///
/// # Errors
/// 400, 413, 415, 422.
pub fn read_decision(
    request: &Request,
    keyring: &Keyring,
    app: &str,
) -> Result<DecisionRequest, Problem> {
    let body = json_body(request)?;
    let idempotency = idempotency_key(request)?.map(|key| Idempotency {
        key: keyring.idempotency_key_hash(app, &key),
        body: keyring.body_hash(app, &json::canonical(&body)),
    });
    let mut fields = Fields::new(body);
    let action = fields.required_parsed_text("action", rule_word, RULE_WORD);
    let context = fields.object("context", read_context).unwrap_or_default();
    let is_dry_run = fields.boolean("dry_run");
    fields.finish().map_err(Problem::invalid)?;
    Ok(DecisionRequest {
        // Without an action, `finish` has returned an error.
        action: action.unwrap_or_default(),
        ip: context.ip,
        country: context.country,
        device_id: context.device_id,
        amount: context.amount,
        role: context.role,
        is_dry_run,
        idempotency,
    })
}

fn rule_word(text: &str) -> Option<String> {
    is_rule_word(text).then(|| text.to_owned())
}

/// Reads the fields of `context`.
pub fn read_context(fields: &mut Fields) -> DecisionContext {
    let country = |text: &str| {
        let code = text.to_ascii_uppercase();
        is_place_country(&code).then_some(code)
    };
    let currency = |text: &str| is_currency(text).then(|| text.to_owned());
    let ip = fields::ip(fields, "ip");
    let country = fields.parsed_text("country", country, "an ISO 3166 code such as FR");
    let device_id = fields.bounded_text("device_id", 1..=DEVICE_ID_LENGTH_MAX);
    let [has_amount, has_currency] = ["amount", "currency"].map(|name| fields.has(name));
    let amount = fields.parsed_text(
        "amount",
        Amount::parse,
        "up to 12 digits, and up to 6 after a point",
    );
    let currency = fields.parsed_text("currency", currency, "an ISO 4217 code such as EUR");
    match (has_amount, has_currency) {
        (true, false) => fields.reject("currency", "Required with `amount`."),
        (false, true) => fields.reject("amount", "Required with `currency`."),
        (true, true) | (false, false) => {}
    }
    DecisionContext {
        ip,
        country,
        device_id,
        amount: amount.zip(currency),
        role: fields.parsed_text("role", rule_word, RULE_WORD),
    }
}

/// A decision. `id` is `None` for one that is not stored.
#[must_use]
pub fn render_decision(id: Option<String>, decision: &Decision, now: Timestamp) -> Value {
    let reasons = decision.reasons.iter().map(|reason| reason.name());
    json!({
        "id": id,
        "decision": decision.outcome.name(),
        "status": decision.status(now).name(),
        "rule": decision.rule,
        "reasons": reasons.collect::<Vec<_>>(),
        "action": decision.action,
        "requires": render_proof_lists(decision.requires()),
        "missing": render_proof_lists(&decision.missing()),
        "approved_by": render_proofs(&decision.approved_by),
        "created_at": decision.created_at.to_string(),
        "expires_at": decision.expires_at.to_string(),
        "approved_at": decision.approved_at.map(|at| at.to_string()),
    })
}
