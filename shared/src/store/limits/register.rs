//! Registers: attributes of an item that have the ids of its last reservations, newest first.
//!
//! Invariant: a repeated write is recognised. The SDK repeats a write whose response was lost; the
//! repetition fails the condition of the register, also after the writes of others, and the id in
//! the returned item says that the reservation was made.

use super::reservation_id::{NONE, ReservationId};
use crate::store::attributes::{Item, binary};
use crate::store::expression::Update;

/// A register: attributes `{letter}0` (the newest) to `{letter}{length - 1}`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Register {
    pub(super) letter: char,
    pub(super) length: usize,
}

impl Register {
    /// The attribute of a position.
    pub(super) fn name(self, position: usize) -> String {
        format!("{}{position}", self.letter)
    }

    /// Pushes the id of the token `:id`; the oldest is dropped.
    pub(super) fn push(self, update: Update) -> Update {
        let update = (1..self.length).fold(update, |update, to| self.moved(update, to - 1, to));
        let update = update.set(format!("{}=:id", self.name(0)));
        // DynamoDB rejects a value that no expression uses.
        match self.length {
            1 => update,
            _ => update.value(":none", binary(&NONE)),
        }
    }

    /// Removes the id at `position`: all older ones move up.
    pub(super) fn remove(self, update: Update, position: usize) -> Update {
        let last = self.length - 1;
        let update = (position..last).fold(update, |update, to| self.moved(update, to + 1, to));
        update
            .set(format!("{}=:none", self.name(last)))
            .value(":none", binary(&NONE))
    }

    /// Condition: the register has the id of `token`.
    pub(super) fn contains(self, token: &str) -> String {
        let equal = |position| format!("{}={token}", self.name(position));
        let any: Vec<_> = (0..self.length).map(equal).collect();
        format!("({})", any.join(" OR "))
    }

    /// Where `item` has `id`.
    pub(super) fn position(self, item: &Item, id: ReservationId) -> Option<usize> {
        (0..self.length)
            .find(|position| ReservationId::read(item, &self.name(*position)) == Some(id))
    }

    /// Assigns one position to another, `:none` if it is empty. Without spaces, as there are many.
    fn moved(self, update: Update, from: usize, to: usize) -> Update {
        let (from, to) = (self.name(from), self.name(to));
        update.set(format!("{to}=if_not_exists({from},:none)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordKey;
    use crate::domain::time::Timestamp;
    use crate::store::tests::{KEY, TestTable, stored_item};

    #[test]
    fn id_is_found_at_its_position() {
        let register = Register {
            letter: 'r',
            length: 4,
        };
        let id = ReservationId::new(RecordKey([7; 12]), Timestamp(1_795_291_200));
        let other = ReservationId::new(RecordKey([7; 12]), Timestamp(1_795_291_201));
        let item = Item::from([
            ("r0".to_owned(), other.value()),
            ("r1".to_owned(), binary(&NONE)),
            ("r2".to_owned(), id.value()),
        ]);
        assert_eq!(register.position(&item, id), Some(2));
        assert_eq!(register.position(&item, id.of_release()), None);
        assert_eq!(ReservationId::read(&item, "r1"), None);
    }

    #[tokio::test]
    async fn removal_keeps_the_length_of_a_register() {
        let store = TestTable::start().await.store();
        let register = Register {
            letter: 'r',
            length: 3,
        };
        let id = |n: i64| ReservationId::new(RecordKey([7; 12]), Timestamp(1_795_291_200 + n));
        let ids: Vec<_> = (0..4).map(id).collect();
        for id in &ids {
            let update = register.push(Update::default()).value(":id", id.value());
            store.update(KEY, update, None).await.expect("a write");
        }
        let update = register.remove(Update::default(), 1);
        store.update(KEY, update, None).await.expect("a write");
        let item = stored_item(&store, KEY).await.expect("an item");
        let positions = ids.iter().map(|id| register.position(&item, *id));
        assert_eq!(
            positions.collect::<Vec<_>>(),
            [None, Some(1), None, Some(0)]
        );
        let mut names: Vec<_> = item.keys().filter(|name| name.starts_with('r')).collect();
        names.sort();
        assert_eq!(names, ["r0", "r1", "r2"]);
    }
}
