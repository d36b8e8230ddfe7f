//! The guard of one prefix or country, and what a send reserves at it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::state::GuardState;
use crate::domain::conversion::{ConversionRule, ConversionScope, HELD_SECONDS, Sample};
use crate::domain::ids::RecordKey;
use crate::domain::rate_limit::{Limit, LimitExceeded};
use crate::domain::time::{DAY_SECONDS, Timestamp};
use crate::store::attributes::Item;
use crate::store::limits::reservation_id::ReservationId;

/// How long a guard is stored to which nothing is sent.
const TTL_SECONDS: i64 = 30 * DAY_SECONDS;

/// The guard of one prefix or country, and the sample of one send.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::limits) struct ConversionGuard {
    pub(in crate::store::limits) scope: ConversionScope,
    pub(in crate::store::limits) key: RecordKey,
    pub(in crate::store::limits) rule: ConversionRule,
    pub(in crate::store::limits) sample: Sample,
}

/// A send that passed a guard.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::limits) struct GuardReservation {
    pub(in crate::store::limits) guard: ConversionGuard,
    pub(in crate::store::limits) place: StoredSample,
    /// Whether it was let through while conversion is low: then its id.
    pub(in crate::store::limits) let_through: Option<ReservationId>,
}

/// Where a sample is stored.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::limits) enum StoredSample {
    Nowhere,
    /// In the guard's item, most likely at this position.
    Inline(Option<usize>),
    /// In a shard, most likely at this position.
    Shard(RecordKey, Option<usize>),
}

impl GuardReservation {
    /// Of a send whose sample is in the guard's item.
    pub(in crate::store::limits) fn inline(guard: ConversionGuard) -> Self {
        Self {
            guard,
            place: StoredSample::Inline(None),
            let_through: None,
        }
    }
}

/// Result of a reservation at a guard.
pub(in crate::store::limits) enum GuardResult {
    Reserved(GuardReservation),
    /// The send is held back. Nothing is reserved.
    Held(LimitExceeded),
}

/// What a send may have reserved at a guard so far. It is known also if the reservation fails, or
/// ends because its time is over.
#[derive(Default, Debug)]
pub(in crate::store::limits) struct UnsureGuard(Mutex<Option<GuardReservation>>);

impl UnsureGuard {
    /// From now on, this may be reserved.
    pub(in crate::store::limits) fn set(&self, reservation: Option<GuardReservation>) {
        *self.lock() = reservation;
    }

    pub(in crate::store::limits) fn get(&self) -> Option<GuardReservation> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<GuardReservation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConversionGuard {
    pub(in crate::store::limits) fn ttl(now: Timestamp) -> Timestamp {
        now + TTL_SECONDS
    }

    /// Whether the guard holds the next send back, as far as outcomes are learned.
    pub(in crate::store::limits) fn exceeded(
        &self,
        item: &Item,
        now: Timestamp,
    ) -> Option<LimitExceeded> {
        let holds = GuardState::read(item).holds(self.rule, now);
        holds.then(|| self.held(now))
    }

    pub(super) fn held(&self, now: Timestamp) -> LimitExceeded {
        LimitExceeded {
            limit: Limit::Conversion(self.scope),
            until: now + HELD_SECONDS,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::ids::VerificationNonce;
    use crate::store::attributes::{binary, number_value};
    use crate::store::tests::{KEY, NOW};

    /// A guard of a country.
    pub(in crate::store::limits) fn guard_with(sample: Sample) -> ConversionGuard {
        ConversionGuard {
            scope: ConversionScope::Country,
            key: KEY,
            rule: ConversionRule {
                percent: 10,
                window: 10,
            },
            sample,
        }
    }

    pub(in crate::store::limits) fn guard() -> ConversionGuard {
        guard_with(Sample {
            recipient: KEY,
            verification: VerificationNonce([1; 4]),
            at: NOW,
            salt: [1; 2],
        })
    }

    #[test]
    fn guard_refuses_while_conversion_is_low() {
        let refusal = |approved: u8, held: u32| {
            let item = Item::from([
                ("outcomes".to_owned(), binary(&[approved, 0])),
                ("known".to_owned(), number_value(10)),
                ("held".to_owned(), number_value(held)),
            ]);
            guard().exceeded(&item, NOW)
        };
        let held = LimitExceeded {
            limit: Limit::Conversion(ConversionScope::Country),
            until: NOW + 600,
        };
        assert_eq!(refusal(0, 1), Some(held));
        assert_eq!(refusal(0, 99), None, "one is let through");
        assert_eq!(refusal(1, 1), None, "enough are approved");
        assert_eq!(guard().exceeded(&Item::new(), NOW), None);
    }

    #[test]
    fn guard_is_stored_for_thirty_days() {
        assert_eq!(ConversionGuard::ttl(NOW), NOW + 30 * 86_400);
    }
}
