//! Charges: a message that no request asked for is charged to the app's spend cap when it is handed
//! over. (A requested message is charged when it is accepted.)

use super::carrier_client::CarrierClient;
use super::delivering::DeliverError;
use super::step_work::StepWork;
use crate::domain::money::Money;
use crate::platform::logging::causes;
use crate::store::{Take, Taken};

/// What is reserved for one message.
pub(super) struct Charge {
    price: Money,
    /// `None` if nothing is counted: no price, or no spend cap.
    taken: Option<Taken>,
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
        let Some(counter) = store.spend_counter(app, policy, price, self.now) else {
            return Ok(Some(Charge { price, taken: None }));
        };
        Ok(match store.take(counter, self.now).await? {
            Take::Taken(taken) => Some(Charge {
                price,
                taken: Some(taken),
            }),
            Take::Refused { .. } => None,
        })
    }

    /// Releases a charge for a message that no carrier accepted.
    pub(super) async fn release(&self, charge: Option<Charge>) {
        let Some(taken) = charge.and_then(|charge| charge.taken) else {
            return;
        };
        if let Err(error) = self.delivering.store.give_back(&taken, self.now).await {
            tracing::error!(
                verification.id = self.log_id(),
                error.kind = "not_released",
                error.cause = causes(&error),
                "failed to release the charge of a message that no carrier accepted"
            );
        }
    }
}
