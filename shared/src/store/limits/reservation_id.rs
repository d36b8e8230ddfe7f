//! Ids of reservations.
//!
//! Invariant: an id is stored as long as its reservation counts or may be repeated, so that a
//! repetition is recognised, also after the writes of others.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::ids::RecordKey;
use crate::domain::time::Timestamp;
use crate::platform::random::random_bytes;
use crate::store::attributes::{Item, binary};

/// Names one reservation: its time, one byte of the recipient's key, and random bytes. Ids are
/// ordered by time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ReservationId([u8; 8]);

impl ReservationId {
    /// A new id.
    pub(super) fn new(recipient: RecordKey, now: Timestamp) -> Self {
        let mut id = [0; 8];
        id[..4].copy_from_slice(&seconds(now));
        id[4] = recipient.0[0];
        id[5..].copy_from_slice(&random_bytes::<3>());
        Self(id)
    }

    /// Whether the reservation may be of a message to `recipient`: of others, one in 256 is taken
    /// for it.
    pub(super) fn may_be_of(self, recipient: RecordKey) -> bool {
        self.0[4] == recipient.0[0]
    }

    /// The last id of the second `at`.
    pub(super) fn last_of(at: Timestamp) -> Self {
        let mut id = [0xff; 8];
        id[..4].copy_from_slice(&seconds(at));
        Self(id)
    }

    /// The id of the release of this reservation.
    pub(super) fn of_release(self) -> Self {
        let mut id = self.0;
        id[7] ^= 1;
        Self(id)
    }

    /// When the reservation was made.
    pub(super) fn at(self) -> Timestamp {
        let Self([a, b, c, d, ..]) = self;
        Timestamp(u32::from_be_bytes([a, b, c, d]).into())
    }

    pub(super) fn value(self) -> AttributeValue {
        binary(&self.0)
    }

    /// The id in the attribute `name`; `None` if there is none.
    pub(super) fn read(item: &Item, name: &str) -> Option<Self> {
        Self::of(item.get(name)?)
    }

    /// The id that is stored as `value`; `None` if it is none.
    pub(super) fn of(value: &AttributeValue) -> Option<Self> {
        Some(Self(value.as_b().ok()?.as_ref().try_into().ok()?))
    }
}

/// Seconds since 1970 in four bytes, which last until 2106.
fn seconds(at: Timestamp) -> [u8; 4] {
    u32::try_from(at.0.max(0)).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: RecordKey = RecordKey([7; 12]);

    #[test]
    fn ids_are_ordered_by_time() {
        let (first, second) = (Timestamp(1_795_291_200), Timestamp(1_795_291_201));
        let id = ReservationId::new(RECIPIENT, first);
        assert_eq!(id.at(), first);
        assert!(id.0 <= ReservationId::last_of(first).0);
        assert!(ReservationId::last_of(first).0 < ReservationId::new(RECIPIENT, second).0);
    }

    #[test]
    fn id_tells_whether_it_may_be_of_a_recipient() {
        let id = ReservationId::new(RECIPIENT, Timestamp(1_795_291_200));
        assert!(id.may_be_of(RECIPIENT));
        assert!(!id.may_be_of(RecordKey([8; 12])));
    }

    #[test]
    fn release_has_an_id_of_its_own() {
        let id = ReservationId::new(RECIPIENT, Timestamp(1_795_291_200));
        assert_eq!(id.of_release().at(), id.at());
        for last in [0, 1, 2, 255] {
            let id = ReservationId([1, 2, 3, 4, 5, 6, 7, last]);
            let released = ReservationId([1, 2, 3, 4, 5, 6, 7, last ^ 1]);
            assert_eq!(id.of_release(), released);
            assert_eq!(released.of_release(), id);
        }
    }
}
