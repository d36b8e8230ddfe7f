//! A limit over many recipients that refuses a send.

use super::reservation_id::ReservationId;
use crate::domain::ids::RecordKey;
use crate::domain::rate_limit::LimitExceeded;
use crate::domain::time::Timestamp;

/// A send releases its reservation within this time, if at all.
const CONTESTED_SECONDS: i64 = 2;

/// A limit that refuses a send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exceeded {
    /// The limit; of several, the one that ends last.
    pub limit: LimitExceeded,
    /// Reservations of a moment ago, one for each limit that refuses: the sends that made them may
    /// yet release them. Empty if a limit refuses for good.
    contested_by: Vec<ReservationId>,
}

impl Exceeded {
    /// `newest`: the newest reservation in the limit, if it may be released.
    pub(super) fn new(limit: LimitExceeded, newest: Option<ReservationId>, now: Timestamp) -> Self {
        let is_recent = |id: &ReservationId| now.seconds_since(id.at()) <= CONTESTED_SECONDS;
        Self {
            limit,
            contested_by: newest.filter(is_recent).into_iter().collect(),
        }
    }

    /// A guard holds the send back, for good.
    pub(super) fn held(limit: LimitExceeded) -> Self {
        Self {
            limit,
            contested_by: vec![],
        }
    }

    /// Whether every limit that refuses was reserved a moment ago, by sends that may release it.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        !self.contested_by.is_empty()
    }

    /// Whether nothing was reserved or released since the `earlier` refusal of the same send.
    #[must_use]
    pub fn is_settled_since(&self, earlier: &Self) -> bool {
        self.contested_by == earlier.contested_by
    }

    /// Whether one of these reservations may be of another message to `recipient`, made after
    /// `since`.
    #[must_use]
    pub fn is_contested_by(&self, recipient: RecordKey, since: Option<Timestamp>) -> bool {
        let mut ids = self.contested_by.iter();
        ids.any(|id| id.may_be_of(recipient) && since.is_none_or(|since| id.at() > since))
    }

    /// Two limits that refuse the same send.
    pub(super) fn and(self, other: Self) -> Self {
        let is_contested = self.is_contested() && other.is_contested();
        let ids = self.contested_by.into_iter().chain(other.contested_by);
        Self {
            limit: self.limit.or_later([other.limit]),
            contested_by: ids.filter(|_| is_contested).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate_limit::Limit;

    const NOW: Timestamp = Timestamp(1_795_291_200);

    fn exceeded(limit: Limit, seconds: i64, newest: Option<ReservationId>) -> Exceeded {
        let until = NOW + seconds;
        Exceeded::new(LimitExceeded { limit, until }, newest, NOW)
    }

    #[test]
    fn limit_is_contested_for_two_seconds() {
        let reserved_at = |at| {
            exceeded(
                Limit::Prefix,
                9,
                Some(ReservationId::new(RecordKey([7; 12]), at)),
            )
        };
        assert!(reserved_at(NOW - 2).is_contested());
        assert!(!reserved_at(NOW - 3).is_contested());
        assert!(!exceeded(Limit::Prefix, 9, None).is_contested());
    }

    #[test]
    fn refusal_is_contested_if_all_limits_are() {
        let contested = || {
            exceeded(
                Limit::Prefix,
                9,
                Some(ReservationId::new(RecordKey([7; 12]), NOW)),
            )
        };
        let other = || {
            exceeded(
                Limit::Client,
                99,
                Some(ReservationId::new(RecordKey([7; 12]), NOW)),
            )
        };
        let settled = exceeded(Limit::Spend, 999, None);
        assert!(contested().and(other()).is_contested());
        assert_eq!(contested().and(other()).limit.limit, Limit::Client);
        assert!(!contested().and(settled).is_contested());
    }

    #[test]
    fn refusal_is_settled_once_reservations_stay() {
        let id = ReservationId::new(RecordKey([7; 12]), NOW);
        let first = exceeded(Limit::Prefix, 9, Some(id));
        assert!(exceeded(Limit::Prefix, 9, Some(id)).is_settled_since(&first));
        let other = ReservationId::new(RecordKey([7; 12]), NOW);
        assert!(!exceeded(Limit::Prefix, 9, Some(other)).is_settled_since(&first));
    }

    #[test]
    fn refusal_names_reservations_of_the_same_recipient() {
        let refusal = exceeded(
            Limit::Prefix,
            9,
            Some(ReservationId::new(RecordKey([7; 12]), NOW)),
        );
        assert!(refusal.is_contested_by(RecordKey([7; 12]), None));
        assert!(refusal.is_contested_by(RecordKey([7; 12]), Some(NOW - 1)));
        assert!(!refusal.is_contested_by(RecordKey([7; 12]), Some(NOW)));
        assert!(!refusal.is_contested_by(RecordKey([8; 12]), None));
    }
}
