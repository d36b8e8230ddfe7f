//! Registers: lists of an item that have the ids of its last reservations, newest first.
//!
//! Invariant: a repeated write is recognised. The SDK repeats a write whose response was lost; the
//! repetition fails the condition of the register, also after the writes of others, and the id in
//! the returned item says that the reservation was made.
//!
//! A write cannot both add an id and drop the oldest one, so a register grows. A write to a full one
//! fails, and another drops what is no longer needed: two more writes after 44 reservations or more.

use aws_sdk_dynamodb::types::AttributeValue;

use super::reservation_id::ReservationId;
use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;
use crate::store::attributes::{Item, list};
use crate::store::expression::Update;
use crate::store::{Store, StoreError};

/// A register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Register {
    /// Its attribute.
    pub(super) name: &'static str,
    /// How many ids are needed.
    pub(super) length: usize,
}

impl Register {
    /// The path of a position.
    pub(super) fn at(self, position: usize) -> String {
        format!("{}[{position}]", self.name)
    }

    /// Adds `id`, unless the register is full.
    pub(super) fn push(self, update: Update, id: ReservationId) -> Update {
        let name = self.name;
        update
            .set(format!(
                "{name} = list_append(:added, if_not_exists({name}, :none))"
            ))
            .and(format!("attribute_not_exists({})", self.at(self.last())))
            .value(":added", AttributeValue::L(vec![id.value()]))
            .value(":none", AttributeValue::L(vec![]))
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

    /// How many ids there is room for: in an item with two registers of 50 they take less than
    /// 1 KiB, and in one with a register of up to 80 as well.
    fn capacity(self) -> usize {
        (self.length + 16).max(64)
    }

    fn last(self) -> usize {
        self.capacity() - 1
    }

    fn is_full(self, item: &Item) -> bool {
        list(item, self.name).len() >= self.capacity()
    }

    /// Drops the ids that are not needed.
    fn shorten(self, update: Update) -> Update {
        let update = update.and(format!("attribute_exists({})", self.at(self.last())));
        (self.length..self.capacity())
            .fold(update, |update, position| self.remove(update, position))
    }
}

impl Store {
    /// Shortens those of `registers` that are full in `item`, which is stored under `key`. Returns
    /// whether there are any.
    pub(super) async fn shorten_registers(
        &self,
        key: RecordKey,
        item: &Item,
        registers: &[Register],
        ttl: Timestamp,
    ) -> Result<bool, StoreError> {
        let full = registers.iter().filter(|register| register.is_full(item));
        let update = full.map(|register| register.shorten(Update::default()));
        let mut has_full = false;
        for update in update {
            has_full = true;
            // If the condition fails, another send has done it.
            self.update(key, update, ttl).await?;
        }
        Ok(has_full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::expression::WriteResult;
    use crate::store::tests::{KEY, NOW, TestTable, stored_item};

    const REGISTER: Register = Register {
        name: "recent",
        length: 3,
    };

    fn id(second: i64) -> ReservationId {
        ReservationId::new(RecordKey([7; 12]), NOW + second)
    }

    async fn push(store: &Store, id: ReservationId) -> WriteResult {
        let update = REGISTER.push(Update::default(), id);
        store.update(KEY, update, None).await.expect("a response")
    }

    #[tokio::test]
    async fn newest_id_is_the_first() {
        let store = TestTable::start().await.store();
        let ids: Vec<_> = (0..4).map(id).collect();
        for id in &ids {
            push(&store, *id).await;
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
            let written = store.update(KEY, REGISTER.push(update, id), None).await;
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
    async fn full_register_keeps_the_ids_that_are_needed() {
        let store = TestTable::start().await.store();
        let ids: Vec<_> = (0..64).map(id).collect();
        for id in &ids {
            assert!(matches!(push(&store, *id).await, WriteResult::Written(_)));
        }
        let WriteResult::ConditionFailed(Some(item)) = push(&store, id(64)).await else {
            panic!("it was not full");
        };
        for is_full in [true, true, false] {
            let item = match is_full {
                true => item.clone(),
                false => stored_item(&store, KEY).await.expect("an item"),
            };
            let shortened = store.shorten_registers(KEY, &item, &[REGISTER], NOW).await;
            assert_eq!(shortened.expect("a response"), is_full);
        }
        let item = stored_item(&store, KEY).await.expect("an item");
        assert_eq!(
            REGISTER.ids(&item).collect::<Vec<_>>(),
            [ids[63], ids[62], ids[61]]
        );
    }
}
