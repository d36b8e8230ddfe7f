//! Attempt log: the expressions that append to the log of a verification and to that of a subject.
//!
//! Invariants: a repeated nonce is not appended. Nothing is appended for a value whose seal key was
//! removed.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Store;
use super::attributes::{binary, text};
use super::expression::Update;
use crate::domain::ids::AttemptNonce;

impl Update {
    /// Appends `entry` to the log of an item that has one.
    pub(super) fn append_to_log(self, nonce: AttemptNonce, entry: AttributeValue) -> Update {
        self.set("attempts = list_append(attempts, :attempt)")
            .set("attempt_nonces = list_append(attempt_nonces, :attempt_nonces)")
            .log_values(nonce, entry)
    }

    /// Appends `entry` to the log of an item that need not exist.
    pub(super) fn append_to_new_log(self, nonce: AttemptNonce, entry: AttributeValue) -> Update {
        self.set("attempts = list_append(if_not_exists(attempts, :no_attempts), :attempt)")
            .set(
                "attempt_nonces = \
                 list_append(if_not_exists(attempt_nonces, :no_attempts), :attempt_nonces)",
            )
            .value(":no_attempts", AttributeValue::L(vec![]))
            .log_values(nonce, entry)
    }

    fn log_values(self, nonce: AttemptNonce, entry: AttributeValue) -> Update {
        let nonce = binary(&nonce.to_bytes());
        self.and("NOT contains(attempt_nonces, :attempt_nonce)")
            .value(":attempt", AttributeValue::L(vec![entry]))
            .value(":attempt_nonces", AttributeValue::L(vec![nonce.clone()]))
            .value(":attempt_nonce", nonce)
    }
}

impl Store {
    /// Adds the condition that the key whose id is at `path` is live.
    pub(super) fn with_live_key(&self, mut update: Update, path: &str) -> Update {
        let mut tokens = vec![];
        for (index, id) in self.keyring.seal_key_ids().enumerate() {
            let token = format!(":key{index}");
            update = update.value(token.clone(), text(id));
            tokens.push(token);
        }
        update.and(format!("{path} IN ({})", tokens.join(", ")))
    }
}
