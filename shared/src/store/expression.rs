//! One UpdateItem: what it sets, adds and removes, its conditions, names and values.
//!
//! Every update carries a random write id. If the response to our own update is lost and the client
//! repeats it, the condition fails on an item with our write id: that is a success.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::attributes::{self, Item, binary, bytes, number_value};
use super::{Store, StoreError, WriteId};
use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;

/// Text of an expression: most are constants.
type Text = Cow<'static, str>;

/// One UpdateItem. Attributes are written by their own names. A `#name` is a token for an attribute
/// that [`Self::name`] gives: one whose name DynamoDB reserves, or that is computed.
#[derive(Default)]
pub(super) struct Update {
    assignments: Vec<Text>,
    additions: Vec<Text>,
    removed: Vec<Text>,
    conditions: Vec<Text>,
    names: Vec<(Text, Text)>,
    values: Vec<(Text, AttributeValue)>,
    returns_item: bool,
}

/// Result of a conditional write.
#[derive(Debug)]
pub(super) enum WriteResult {
    /// Written. With the item if the update asks for it, or if it was written by an earlier try.
    Written(Option<Item>),
    /// The condition failed on this item; `None` if there is no item.
    ConditionFailed(Option<Item>),
}

impl Update {
    /// An update under `condition`.
    pub(super) fn when(condition: impl Into<Text>) -> Self {
        Self::default().and(condition)
    }

    /// Adds assignments, separated by commas: `step = :next, retry_rounds = :zero`.
    pub(super) fn set(mut self, assignments: impl Into<Text>) -> Self {
        self.assignments.push(assignments.into());
        self
    }

    /// Adds to a number, which is zero if it is missing: `filled :one`.
    pub(super) fn add(mut self, addition: impl Into<Text>) -> Self {
        self.additions.push(addition.into());
        self
    }

    /// Removes an attribute.
    pub(super) fn remove(mut self, path: impl Into<Text>) -> Self {
        self.removed.push(path.into());
        self
    }

    /// Adds a condition; all of them must hold. A comparison with a missing attribute is false:
    /// `NOT n > :max` holds for an item without `n`.
    pub(super) fn and(mut self, condition: impl Into<Text>) -> Self {
        self.conditions.push(condition.into());
        self
    }

    /// Sets the attribute name behind `token` (`#name`).
    pub(super) fn name(mut self, token: impl Into<Text>, attribute: impl Into<Text>) -> Self {
        let token = token.into();
        if !self.names.iter().any(|(known, _)| *known == token) {
            self.names.push((token, attribute.into()));
        }
        self
    }

    /// Sets the value behind `token` (`:value`).
    pub(super) fn value(mut self, token: impl Into<Text>, value: AttributeValue) -> Self {
        self.values.push((token.into(), value));
        self
    }

    /// Asks for the item after the update.
    pub(super) fn returning_item(mut self) -> Self {
        self.returns_item = true;
        self
    }

    fn update_expression(&self) -> String {
        let mut expression = format!("SET {}", self.assignments.join(","));
        for (action, parts) in [("ADD", &self.additions), ("REMOVE", &self.removed)] {
            if !parts.is_empty() {
                expression.extend([" ", action, " ", &parts.join(",")]);
            }
        }
        expression
    }

    /// Length of the longer of both expressions in bytes, for tests of DynamoDB's limit.
    #[cfg(test)]
    pub(super) fn expression_length(&self) -> usize {
        let condition = self.conditions.join(" AND ");
        self.update_expression().len().max(condition.len())
    }
}

impl Store {
    /// Applies `update` to the item under `key`, creating it if no condition prevents that. `None`
    /// leaves its TTL to `update`.
    pub(super) async fn update(
        &self,
        key: RecordKey,
        update: Update,
        ttl: impl Into<Option<Timestamp>>,
    ) -> Result<WriteResult, StoreError> {
        let write_id = WriteId::random();
        let mut update = update
            .set("write_id = :write_id")
            .and("NOT write_id = :write_id")
            .value(":write_id", binary(&write_id.0));
        if let Some(ttl) = ttl.into() {
            update = update
                .set("#ttl = :ttl")
                .name("#ttl", attributes::TTL)
                .value(":ttl", number_value(ttl.0));
        }
        let returned = match update.returns_item {
            true => ReturnValue::AllNew,
            false => ReturnValue::None,
        };
        let expression = update.update_expression();
        let owned = |(token, name): (Text, Text)| (token.into_owned(), name.into_owned());
        let names: HashMap<_, _> = update.names.into_iter().map(owned).collect();
        let call = self
            .update_item()
            .key(attributes::KEY, binary(&key.0))
            .update_expression(expression)
            .condition_expression(update.conditions.join(" AND "))
            .set_expression_attribute_names(Some(names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(
                update
                    .values
                    .into_iter()
                    .map(|(token, value)| (token.into_owned(), value))
                    .collect(),
            ))
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match self.send_update(call).await {
            Ok(output) => return Ok(WriteResult::Written(output.attributes)),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let item = failed.item().cloned();
                let is_ours = item
                    .as_ref()
                    .is_some_and(|item| bytes(item, attributes::WRITE_ID) == write_id.0);
                Ok(match is_ours {
                    true => WriteResult::Written(item),
                    false => WriteResult::ConditionFailed(item),
                })
            }
            _ => Err(StoreError::request(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::number;
    use super::*;
    use crate::store::tests::{Fault, KEY, NOW, TestTable, stored_item};

    /// Counts, up to 2.
    fn count() -> Update {
        Update::when("NOT #n >= :max")
            .add("#n :one")
            .set("#m = :one")
            .name("#n", "number")
            .name("#m", "map")
            .name("#n", "number")
            .value(":one", number_value(1))
            .value(":max", number_value(2))
    }

    fn numbers(item: &Item) -> [i64; 2] {
        ["number", attributes::TTL].map(|name| number(item, name))
    }

    #[tokio::test]
    async fn update_is_applied_under_its_condition() {
        let table = TestTable::start().await;
        let store = table.store();
        let written = store.update(KEY, count(), NOW).await;
        assert!(
            matches!(written, Ok(WriteResult::Written(None))),
            "{written:?}"
        );
        let written = store.update(KEY, count().returning_item(), None).await;
        let Ok(WriteResult::Written(Some(item))) = written else {
            panic!("{written:?}");
        };
        assert_eq!(numbers(&item), [2, NOW.0], "its TTL stays");
        let failed = store.update(KEY, count(), NOW + 9).await;
        let Ok(WriteResult::ConditionFailed(Some(item))) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(numbers(&item), [2, NOW.0]);
        let missing = Update::when("attribute_exists(pk)").remove("x");
        let failed = store.update(RecordKey([9; 12]), missing, None).await;
        assert!(
            matches!(failed, Ok(WriteResult::ConditionFailed(None))),
            "{failed:?}"
        );
    }

    #[tokio::test]
    async fn update_with_a_lost_response_is_applied_once() {
        let table = TestTable::start().await;
        let store = table.store();
        table.fail([Fault::Lost]);
        let written = store.update(KEY, count().remove("map"), None).await;
        assert!(written.is_err(), "one attribute cannot be set and removed");
        table.fail([Fault::Lost]);
        let written = store.update(KEY, count(), None).await;
        let Ok(WriteResult::Written(Some(item))) = written else {
            panic!("{written:?}");
        };
        assert_eq!(numbers(&item)[0], 1);
        let item = stored_item(&store, KEY).await.expect("an item");
        assert_eq!(numbers(&item)[0], 1);
        assert!(table.has_failed());
    }

    #[test]
    fn longer_expression_is_measured() {
        let update = Update::when("a = :b").set("c = :d");
        assert_eq!(update.expression_length(), "SET c = :d".len());
        let update = update.and("e = :f AND g = :h").remove("i");
        assert_eq!(
            update.expression_length(),
            "a = :b AND e = :f AND g = :h".len()
        );
    }
}
