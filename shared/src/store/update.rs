//! One UpdateItem, put together from parts: assignments, a condition, names and values.

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{self, blob, n};
use super::{Claim, Handover};
use crate::domain::delivery::{DeliveryStatus, DeliveryTag};
use crate::domain::time::Timestamp;

/// The step is still this claim's.
pub(super) const CLAIMED: &str = "id = :id AND seq = :seq AND who = :who";

/// One UpdateItem: what it sets and removes, under which condition. Attributes go by their own names, which makes the
/// request shorter to sign and to send. A `#name` stands for one whose name DynamoDB reserves, or for the attribute that
/// [`Self::named`] gives it.
pub(super) struct Update {
    pub(super) set: Vec<&'static str>,
    pub(super) remove: String,
    pub(super) condition: String,
    pub(super) names: Vec<(&'static str, String)>,
    pub(super) values: Vec<(String, AttributeValue)>,
}

impl Update {
    pub(super) fn when(condition: &str) -> Self {
        Self {
            set: vec!["ver = ver + :one", "#ttl = :ttl"],
            remove: String::new(),
            condition: condition.into(),
            names: vec![],
            values: vec![],
        }
    }

    pub(super) fn set(mut self, assignments: &'static str) -> Self {
        self.set.push(assignments);
        self
    }

    pub(super) fn and(mut self, condition: &str) -> Self {
        self.condition = format!("{} AND {condition}", self.condition);
        self
    }

    pub(super) fn remove(mut self, path: &str) -> Self {
        self.remove = format!(" REMOVE {path}");
        self
    }

    pub(super) fn named(mut self, token: &'static str, attribute: String) -> Self {
        self.names.push((token, attribute));
        self
    }

    pub(super) fn value(mut self, token: impl Into<String>, value: AttributeValue) -> Self {
        self.values.push((token.into(), value));
        self
    }

    pub(super) fn claimed(self, claim: &Claim) -> Self {
        self.value(":id", blob(&claim.nonce))
            .value(":seq", n(claim.sequence))
            .value(":who", blob(&claim.holder))
    }

    /// Sets the state of the message called `tag`, only ever upwards and only for the carrier that has it.
    pub(super) fn raising(
        mut self,
        tag: &DeliveryTag,
        status: DeliveryStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) -> Self {
        self = self
            .set("msgs.#tag.s = :status, msgs.#tag.t = :at")
            .and("msgs.#tag.s < :floor")
            .named("#tag", item::tag_name(tag))
            .value(":status", n(status.number()))
            .value(":at", n(now.0))
            .value(":floor", n(status.floor()));
        if let Some(carrier) = carrier {
            self = self
                .set("msgs.#tag.c = :carrier")
                .and("(attribute_not_exists(msgs.#tag.c) OR msgs.#tag.c = :carrier)")
                .value(":carrier", AttributeValue::S(carrier.into()));
        }
        self
    }

    /// Sets what the handover of a message noted.
    pub(super) fn noting(mut self, handover: &Handover) -> Self {
        if handover.parts > 0 {
            self = self
                .set("msgs.#tag.p = :parts")
                .value(":parts", n(handover.parts));
        }
        if let Some(vendor_id) = &handover.vendor_id {
            self = self
                .set("msgs.#tag.i = :vendor")
                .value(":vendor", AttributeValue::S(vendor_id.clone()));
        }
        self.named("#tag", item::tag_name(&handover.tag))
    }
}

/// The `#name` tokens of some expressions, each once.
pub(super) fn names_in(expressions: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for expression in expressions {
        for token in
            expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '#' || c == '_'))
        {
            if token.starts_with('#') && !names.iter().any(|name| name == token) {
                names.push(token.to_owned());
            }
        }
    }
    names
}
