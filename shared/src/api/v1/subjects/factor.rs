//! Factors in responses.
//!
//! Invariant: no secret and no code of a factor is shown.

use serde_json::{Value, json};

use crate::domain::factor::{Factor, Method, StoredSecret};
use crate::domain::time::Timestamp;

/// A factor, as lists and requests for it show it.
#[must_use]
pub fn render_factor(factor: &Factor) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let mut body = json!({
        "id": factor.id.to_string(),
        "type": factor.kind().name(),
        "name": factor.name,
        "status": factor.status().name(),
        "created_at": factor.created_at.to_string(),
        "confirmed_at": time(factor.confirmed_at),
        "expires_at": time(factor.expires_at()),
        "last_used_at": time(factor.last_used_at),
    });
    match &factor.method {
        Method::Totp {
            secret,
            period,
            skew,
            ..
        } => {
            render_parameters(&mut body, secret);
            body["period"] = (*period).into();
            body["skew"] = (*skew).into();
        }
        Method::Hotp {
            secret,
            look_ahead,
            next_counter,
        } => {
            render_parameters(&mut body, secret);
            body["counter"] = (*next_counter).into();
            body["look_ahead"] = (*look_ahead).into();
        }
        Method::BackupCodes(_) => body["codes_left"] = factor.codes_left().into(),
    }
    body
}

fn render_parameters(body: &mut Value, secret: &StoredSecret) {
    body["algorithm"] = secret.algorithm.name().into();
    body["digits"] = secret.digits.number().into();
}
