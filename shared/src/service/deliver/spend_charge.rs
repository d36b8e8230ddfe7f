//! Charges: a message that no request asked for is charged to the app's spend cap when it is handed
//! over. (A requested message is charged when it is accepted.)

use super::carrier_client::CarrierClient;
use super::dependencies::DeliverError;
use super::step_work::StepWork;
use crate::domain::money::Money;
use crate::platform::logging::causes;
use crate::store::{Reservation, ReserveOrder, ReserveResult, ReserveTime};

/// What is reserved for one message.
pub(super) struct Charge {
    price: Money,
    reservation: Reservation,
}

impl<C: CarrierClient> StepWork<'_, C> {
    /// Reserves `price` in place of `before`; `None` if the spend cap does not allow it.
    pub(super) async fn charge(
        &self,
        before: Option<Charge>,
        price: Money,
    ) -> Result<Option<Charge>, DeliverError> {
        if before.as_ref().is_some_and(|before| before.price == price) {
            return Ok(before);
        }
        self.release(before).await;
        let (store, app) = (&self.delivering.store, self.dispatch.app.as_str());
        let policy = self.delivering.apps.policy(app);
        let until = self.call_time.undo_until();
        let time = ReserveTime {
            until,
            release_until: until,
        };
        let limit = store.spend_limit(app, policy, price, self.now);
        let (key, order) = (self.claim.key, ReserveOrder::AtOnce);
        let reserving = store.reserve(key, &limit, order, time, self.now);
        Ok(match reserving.await? {
            ReserveResult::Reserved(reservation) => Some(Charge { price, reservation }),
            ReserveResult::Exceeded(_) => None,
        })
    }

    /// Releases a charge for a message that no carrier accepted.
    pub(super) async fn release(&self, charge: Option<Charge>) {
        let Some(Charge { reservation, .. }) = charge else {
            return;
        };
        let (store, until) = (&self.delivering.store, self.call_time.undo_until());
        if let Err(error) = store.release(reservation, until, self.now).await {
            tracing::error!(
                verification.id = self.log_id(),
                error.kind = "not_released",
                error.cause = causes(&error),
                "failed to release the charge of a message that no carrier accepted"
            );
        }
    }
}
