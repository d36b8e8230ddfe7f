//! The verify function: checks, get and cancel.

mod binding;
mod check;
mod get_and_cancel;
mod idempotency;
mod notations;

use serde_json::{Value, json};

fn transaction() -> Value {
    json!({"amount": "49.90", "currency": "EUR", "payee": "Example Books"})
}
