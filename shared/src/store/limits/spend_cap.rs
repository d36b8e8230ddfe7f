//! Spend caps: the money that an app spends in a UTC day.
//!
//! `spent` is the sum in millionths; `recent` has the ids of the last reservations and releases, by
//! which a repeated write is recognised.
//!
//! Write units: 1 for a reservation, a release or a rejection, as the item stays below 1 KiB. One
//! more write in 65 reservations.

use super::exceeded::Exceeded;
use super::register::Register;
use super::reservation_id::ReservationId;
use super::retries::{TRIES_MAX, wait_after};
use crate::domain::ids::RecordKey;
use crate::domain::money::{self, Money};
use crate::domain::rate_limit::{Limit, LimitExceeded};
use crate::domain::time::{DAY_SECONDS, Timestamp};
use crate::store::attributes::{Item, number, number_value};
use crate::store::expression::{Update, WriteResult};
use crate::store::{Store, StoreError};

/// In millionths of the unit of the carriers' prices.
const SPENT: &str = "spent";
/// Recent reservations and releases.
const RECENT: Register = Register {
    name: "recent",
    length: 32,
    capacity: 96,
};

/// The cap of one app and day, and what one message costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpendCap {
    pub(super) key: RecordKey,
    pub(super) cap: Money,
    pub(super) price: Money,
}

impl Store {
    /// Counts the price of a message, or says why not. After an error it may be counted.
    pub(super) async fn reserve_spend(
        &self,
        spend: &SpendCap,
        id: ReservationId,
        now: Timestamp,
    ) -> Result<Option<Exceeded>, StoreError> {
        let mut stored = Item::new();
        for tries in 1..=TRIES_MAX {
            let Some(update) = spend.reservation(id, &stored) else {
                return Ok(Some(spend.reached(None, now)));
            };
            let item = match self.update(spend.key, update, ttl(now)).await? {
                WriteResult::Written(_) => return Ok(None),
                WriteResult::ConditionFailed(item) => item.unwrap_or_default(),
            };
            if RECENT.position(&item, id).is_some() {
                return Ok(None);
            }
            if let Some(exceeded) = spend.exceeded(&item, now) {
                return Ok(Some(exceeded));
            }
            stored = item;
            wait_after(tries).await;
        }
        Err(StoreError::Conflict)
    }

    /// Subtracts the price of a message, once, as long as its reservation is among the recent ones.
    /// `was_counted`: also later, as it is known that the price was counted and not subtracted yet.
    pub(super) async fn release_spend(
        &self,
        spend: &SpendCap,
        id: ReservationId,
        was_counted: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut earlier, mut stored) = (id, Item::new());
        for tries in 1..=TRIES_MAX {
            let update = spend.release(id, earlier, &stored);
            let item = match self.update(spend.key, update, ttl(now)).await? {
                WriteResult::Written(_) => return Ok(()),
                WriteResult::ConditionFailed(item) => item.unwrap_or_default(),
            };
            let is_known = |id| RECENT.position(&item, id).is_some();
            if is_known(id.of_release()) || SpendCap::spent(&item) < spend.price.millionths() {
                return Ok(());
            }
            if !is_known(earlier) {
                // Others have pushed the reservation out.
                match RECENT.ids(&item).next().filter(|_| was_counted) {
                    Some(newest) => earlier = newest,
                    None => return Ok(()),
                }
            }
            stored = item;
            wait_after(tries).await;
        }
        Err(StoreError::Conflict)
    }
}

impl SpendCap {
    /// Whether the cap does not allow the price.
    pub(super) fn exceeded(&self, item: &Item, now: Timestamp) -> Option<Exceeded> {
        let spent = Self::spent(item);
        let is_reached = spent.saturating_add(self.price.millionths()) > self.cap.millionths();
        is_reached.then(|| self.reached(Some(item), now))
    }

    /// In millionths.
    fn spent(item: &Item) -> u64 {
        number(item, SPENT).unsigned_abs()
    }

    fn reached(&self, item: Option<&Item>, now: Timestamp) -> Exceeded {
        let newest = item.and_then(|item| RECENT.ids(item).next());
        let limit = LimitExceeded {
            limit: Limit::Spend,
            until: money::day_end(now),
        };
        Exceeded::new(limit, newest, now)
    }

    /// `None` if the price alone is over the cap.
    fn reservation(&self, id: ReservationId, stored: &Item) -> Option<Update> {
        let price = self.price.millionths();
        let room = self.cap.millionths().checked_sub(price)?;
        let update = Update::when(format!("NOT {}", RECENT.contains(":id")))
            .and(format!("NOT {SPENT} > :room"))
            .add(format!("{SPENT} :price"))
            .value(":price", number_value(price))
            .value(":room", number_value(room))
            .value(":id", id.value());
        Some(RECENT.push(update, id, stored))
    }

    /// The release has an id of its own, so that it is not applied twice: as long as `earlier`, an
    /// older one, is among the recent ones, so is the release.
    fn release(&self, id: ReservationId, earlier: ReservationId, stored: &Item) -> Update {
        let update = Update::when(format!("NOT {}", RECENT.contains(":id")))
            .and(RECENT.contains(":earlier"))
            .and(format!("{SPENT} >= :price"))
            .value(":earlier", earlier.value())
            .set(format!("{SPENT} = {SPENT} - :price"))
            .value(":price", number_value(self.price.millionths()))
            .value(":id", id.of_release().value());
        RECENT.push(update, id.of_release(), stored)
    }
}

fn ttl(now: Timestamp) -> Timestamp {
    money::day_end(now) + DAY_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{KEY, LOST, NOW, REFUSED, TestTable};

    fn money(units: f64) -> Money {
        Money::of(units).expect("an amount")
    }

    /// Two messages a day.
    fn cap() -> SpendCap {
        SpendCap {
            key: KEY,
            cap: money(0.10),
            price: money(0.05),
        }
    }

    async fn reserve(store: &Store, spend: &SpendCap, id: ReservationId) -> Option<Exceeded> {
        store
            .reserve_spend(spend, id, NOW)
            .await
            .expect("a response")
    }

    fn id() -> ReservationId {
        ReservationId::new(KEY, NOW)
    }

    async fn spent(store: &Store) -> i64 {
        let item = store.get(KEY, true).await.expect("a read");
        number(&item.unwrap_or_default(), SPENT)
    }

    #[tokio::test]
    async fn money_is_spent_up_to_the_cap() {
        let table = TestTable::start().await;
        let store = table.store();
        let first = id();
        for id in [first, first, id()] {
            assert_eq!(reserve(&store, &cap(), id).await, None);
        }
        assert_eq!(spent(&store).await, 100_000, "a repetition costs nothing");
        let exceeded = reserve(&store, &cap(), id()).await.expect("a refusal");
        let expected = LimitExceeded {
            limit: Limit::Spend,
            until: money::day_end(NOW),
        };
        assert_eq!(exceeded.limit, expected);
        assert!(exceeded.is_contested(), "reserved a moment ago");
        let item = store
            .get(KEY, true)
            .await
            .expect("a read")
            .expect("an item");
        assert_eq!(number(&item, "ttl"), (money::day_end(NOW) + DAY_SECONDS).0);
        for _ in 0..2 {
            store
                .release_spend(&cap(), first, true, NOW)
                .await
                .expect("a write");
            assert_eq!(spent(&store).await, 50_000, "released once");
        }
        assert_eq!(reserve(&store, &cap(), id()).await, None);
    }

    #[tokio::test]
    async fn price_over_the_cap_is_refused_for_good() {
        let table = TestTable::start().await;
        let store = table.store();
        let dear = SpendCap {
            price: money(0.11),
            ..cap()
        };
        let exceeded = reserve(&store, &dear, id()).await.expect("a refusal");
        assert!(!exceeded.is_contested());
        let whole = SpendCap {
            price: money(0.10),
            ..cap()
        };
        assert_eq!(reserve(&store, &whole, id()).await, None);
        assert_eq!(spent(&store).await, 100_000);
    }

    #[tokio::test]
    async fn unsure_reservation_is_released_if_it_was_counted() {
        let table = TestTable::start().await;
        let store = table.store();
        assert_eq!(reserve(&store, &cap(), id()).await, None);
        for faults in [LOST, REFUSED] {
            let unsure = id();
            table.fail(faults);
            let reserved = store.reserve_spend(&cap(), unsure, NOW).await;
            assert!(reserved.is_err() && table.has_failed());
            for _ in 0..2 {
                let released = store.release_spend(&cap(), unsure, false, NOW).await;
                released.expect("a write");
                assert_eq!(spent(&store).await, 50_000, "{faults:?}");
            }
        }
    }

    #[tokio::test]
    async fn late_release_is_applied_once_after_many_others() {
        let table = TestTable::start().await;
        let store = table.store();
        let wide = SpendCap {
            cap: money(100.0),
            ..cap()
        };
        let pass_many = async || {
            for _ in 0..100 {
                assert_eq!(reserve(&store, &wide, id()).await, None);
            }
        };
        let release = async |id, was_counted| {
            let before = spent(&store).await;
            let released = store.release_spend(&wide, id, was_counted, NOW).await;
            released.expect("a write");
            before - spent(&store).await
        };
        let first = id();
        assert_eq!(reserve(&store, &wide, first).await, None);
        pass_many().await;
        assert_eq!(release(first, false).await, 0, "pushed out");
        assert_eq!(release(first, true).await, 50_000);
        assert_eq!(release(first, true).await, 0);
        // A request of the release that was on its way for long.
        let late = [first, id()].map(|earlier| wide.release(first, earlier, &Item::new()));
        pass_many().await;
        for late in late {
            let written = store.update(KEY, late, ttl(NOW)).await;
            let failed = matches!(written, Ok(WriteResult::ConditionFailed(_)));
            assert!(failed, "{written:?}");
        }
        assert_eq!(release(first, false).await, 0, "a repetition");
    }

    #[test]
    fn cap_is_exceeded_by_the_next_price() {
        let spent = |millionths: i64| Item::from([(SPENT.to_owned(), number_value(millionths))]);
        let exceeded = |item: &Item| cap().exceeded(item, NOW).is_some();
        assert!(!exceeded(&Item::new()));
        assert!(!exceeded(&spent(50_000)));
        assert!(exceeded(&spent(50_001)));
    }
}
