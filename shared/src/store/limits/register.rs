//! Registers: lists of an item that have the ids of its last reservations, newest first.
//!
//! Invariant: a repeated write is recognised. The client repeats a write whose response was lost;
//! the repetition fails the condition of the register, also after the writes of others, and the id
//! in the returned item says that the reservation was made.
//!
//! A register grows with each reservation, as one write cannot add an id to a list and remove
//! another one from it. A write to a full register fails. It is repeated as one that stores the ids
//! which are needed and the new one: the failure has returned them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::reservation_id::ReservationId;
use crate::store::attributes::{Item, list, number_value};
use crate::store::expression::Update;

/// A register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Register {
    /// Its attribute.
    pub(super) name: &'static str,
    /// How many ids are needed.
    pub(super) length: usize,
    /// How many ids there is room for. Each takes 9 bytes, and an item of up to 1 KiB is one write
    /// unit. The more room, the fewer failed writes.
    pub(super) capacity: usize,
}

impl Register {
    /// The path of a position.
    pub(super) fn at(self, position: usize) -> String {
        format!("{}[{position}]", self.name)
    }

    /// Adds `id`. `stored`: the item as an earlier try has found it, or none. The condition fails
    /// if the register is full, unless `stored` shows that: then the update replaces it.
    pub(super) fn push(self, update: Update, id: ReservationId, stored: &Item) -> Update {
        let (name, last) = (self.name, self.at(self.capacity - 1));
        let ids: Vec<_> = self.ids(stored).collect();
        match ids.first().filter(|_| ids.len() >= self.capacity) {
            None => update
                .set(format!(
                    "{name} = list_append(:added, if_not_exists({name}, :none))"
                ))
                .and(format!("attribute_not_exists({last})"))
                .value(":added", id_list(&[id]))
                .value(":none", id_list(&[])),
            // With this newest id and this size nothing was added or removed in between.
            Some(newest) => {
                let needed = [&[id], &ids[..self.length - 1]].concat();
                update
                    .set(format!("{name} = :needed_{name}"))
                    .and(format!(
                        "{} = :newest_{name} AND size({name}) = :size_{name}",
                        self.at(0)
                    ))
                    .value(format!(":size_{name}"), number_value(ids.len()))
                    .value(format!(":needed_{name}"), id_list(&needed))
                    .value(format!(":newest_{name}"), newest.value())
            }
        }
    }

    /// Removes the id at `position`: all older ones move up.
    pub(super) fn remove(self, update: Update, position: usize) -> Update {
        update.remove(self.at(position))
    }

    /// Condition: the register has the id of `token`.
    pub(super) fn contains(self, token: &str) -> String {
        format!("contains({}, {token})", self.name)
    }

    /// The ids that `item` has.
    pub(super) fn ids(self, item: &Item) -> impl Iterator<Item = ReservationId> {
        list(item, self.name).iter().map_while(ReservationId::of)
    }

    /// Where `item` has `id`.
    pub(super) fn position(self, item: &Item, id: ReservationId) -> Option<usize> {
        self.ids(item).position(|stored| stored == id)
    }
}

fn id_list(ids: &[ReservationId]) -> AttributeValue {
    AttributeValue::L(ids.iter().map(|id| id.value()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordKey;
    use crate::store::Store;
    use crate::store::expression::WriteResult;
    use crate::store::tests::{KEY, NOW, TestTable, stored_item};

    const REGISTER: Register = Register {
        name: "recent",
        length: 3,
        capacity: 31,
    };

    fn id(second: i64) -> ReservationId {
        ReservationId::new(RecordKey([7; 12]), NOW + second)
    }

    /// The item on which it failed.
    async fn push(store: &Store, id: ReservationId, stored: &Item) -> Option<Item> {
        let update = REGISTER.push(Update::default(), id, stored);
        match store.update(KEY, update, None).await.expect("a response") {
            WriteResult::Written(_) => None,
            WriteResult::ConditionFailed(item) => item,
        }
    }

    #[tokio::test]
    async fn newest_id_is_the_first() {
        let store = TestTable::start().await.store();
        let ids: Vec<_> = (0..4).map(id).collect();
        for id in &ids {
            push(&store, *id, &Item::new()).await;
        }
        let update = REGISTER.remove(Update::default(), 1);
        store.update(KEY, update, None).await.expect("a write");
        let item = stored_item(&store, KEY).await.expect("an item");
        let positions = ids.iter().map(|id| REGISTER.position(&item, *id));
        assert_eq!(
            positions.collect::<Vec<_>>(),
            [Some(2), Some(1), None, Some(0)]
        );
        assert_eq!(REGISTER.position(&item, ids[0].of_release()), None);
    }

    #[tokio::test]
    async fn condition_finds_an_id_in_a_register_only() {
        let store = TestTable::start().await.store();
        let write = async |id: ReservationId, condition: String| {
            let update = Update::when(condition).value(":id", id.value());
            let written = store
                .update(KEY, REGISTER.push(update, id, &Item::new()), None)
                .await;
            matches!(written, Ok(WriteResult::Written(_)))
        };
        let (has, has_not) = (
            REGISTER.contains(":id"),
            format!("NOT {}", REGISTER.contains(":id")),
        );
        assert!(!write(id(0), has.clone()).await, "there is no register");
        assert!(write(id(0), has_not.clone()).await);
        assert!(!write(id(1), has.clone()).await);
        let first = id(2);
        assert!(write(first, has_not.clone()).await);
        assert!(!write(first, has_not).await);
        assert!(write(first, has).await);
    }

    #[tokio::test]
    async fn full_register_keeps_the_needed_ids() {
        let store = TestTable::start().await.store();
        let ids: Vec<_> = (0..40).map(id).collect();
        let mut stored = Item::new();
        for (n, id) in ids.iter().enumerate() {
            let pushed = push(&store, *id, &Item::new()).await;
            assert_eq!(pushed.is_none(), n < 31, "{n}");
            stored = pushed.unwrap_or(stored);
        }
        let removal = REGISTER.remove(Update::default(), 5);
        store.update(KEY, removal, None).await.expect("a write");
        let late = push(&store, ids[31], &stored).await;
        assert!(late.is_some(), "it has changed");
        assert!(push(&store, ids[31], &Item::new()).await.is_none());
        let late = push(&store, ids[32], &stored).await;
        let full = late.expect("it has another newest id");
        assert!(push(&store, ids[32], &full).await.is_none());
        let item = stored_item(&store, KEY).await.expect("an item");
        assert_eq!(
            REGISTER.ids(&item).collect::<Vec<_>>(),
            [ids[32], ids[31], ids[30]]
        );
    }
}
