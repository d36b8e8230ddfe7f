//! DynamoDB attributes: the names that every item has, and values of the types that are used.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

/// Partition key.
pub(super) const KEY: &str = "pk";
/// When DynamoDB may delete the item, in seconds since 1970.
pub(super) const TTL: &str = "ttl";
/// Random id of the last write: the version of the item.
pub(super) const WRITE_ID: &str = "write_id";
/// Version of the stored format.
pub(super) const FORMAT: &str = "format";

/// An item.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn number_value(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn binary(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// Names as a list.
pub(super) fn names(names: &[String]) -> AttributeValue {
    AttributeValue::L(names.iter().map(text).collect())
}

/// A number; `None` if it is absent or of another type.
pub(super) fn optional_number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A number; 0 if it is absent or of another type.
pub(super) fn number(item: &Item, name: &str) -> i64 {
    optional_number(item, name).unwrap_or(0)
}

/// Bytes; empty if they are absent or of another type.
pub(super) fn bytes<'i>(item: &'i Item, name: &str) -> &'i [u8] {
    let value = item.get(name).and_then(|value| value.as_b().ok());
    value.map(AsRef::as_ref).unwrap_or_default()
}

/// Bytes; `None` if they are absent or of another type.
pub(super) fn optional_bytes(item: &Item, name: &str) -> Option<Vec<u8>> {
    Some(item.get(name)?.as_b().ok()?.as_ref().to_vec())
}

/// A text; `None` if it is absent or of another type.
pub(super) fn optional_text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

/// A list; empty if it is absent or of another type.
pub(super) fn list<'i>(item: &'i Item, name: &str) -> &'i [AttributeValue] {
    let value = item.get(name).and_then(|value| value.as_l().ok());
    value.map(Vec::as_slice).unwrap_or_default()
}

/// A map; `None` if it is absent or of another type.
pub(super) fn map<'i>(item: &'i Item, name: &str) -> Option<&'i Item> {
    item.get(name)?.as_m().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_another_type_is_absent() {
        let item = Item::from([
            ("number".to_owned(), number_value(7)),
            ("bytes".to_owned(), binary(&[1, 2])),
            ("text".to_owned(), text("a")),
            ("list".to_owned(), names(&["b".to_owned()])),
            ("map".to_owned(), AttributeValue::M(Item::new())),
        ]);
        for name in ["number", "bytes", "text", "list", "map", "none"] {
            let is = |kind: &str| name == kind;
            assert_eq!(optional_number(&item, name), is("number").then_some(7));
            assert_eq!(number(&item, name), if is("number") { 7 } else { 0 });
            assert_eq!(optional_bytes(&item, name), is("bytes").then(|| vec![1, 2]));
            assert_eq!(bytes(&item, name).len(), if is("bytes") { 2 } else { 0 });
            assert_eq!(optional_text(&item, name), is("text").then(|| "a".into()));
            let expected: &[AttributeValue] = if is("list") { &[text("b")] } else { &[] };
            assert_eq!(list(&item, name), expected);
            assert_eq!(map(&item, name).is_some(), is("map"));
        }
    }
}
