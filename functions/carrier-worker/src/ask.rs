//! Questions to carriers that lose their reports: a step of its own, planned when the message was taken, that does what a report
//! would have done. Must never hand anything over.

use otp::domain::delivery::{Delivery, DeliveryStatus};
use otp::domain::recipient::Recipient;
use otp::domain::verification::Verification;

use crate::{DeliverError, Work};

impl Work<'_> {
    /// Asks the carrier that has the message what became of it.
    pub(crate) async fn ask(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        latest: &Delivery,
    ) -> Result<(), DeliverError> {
        let mut status = None;
        if let (Some(to), Some(vendor_id)) = (&recipient.address, &latest.vendor_id) {
            let carrier = self
                .worker
                .carriers
                .serving(latest.channel, to)
                .find(|carrier| latest.carrier.as_ref() == Some(&carrier.name));
            if let Some(carrier) = carrier {
                status = self
                    .worker
                    .carriers
                    .ask(carrier, vendor_id, to)
                    .await
                    .filter(|status| latest.status.may_become(*status));
                let told = status.map_or("", DeliveryStatus::name);
                tracing::info!(
                    delivery.carrier = carrier.name,
                    delivery.status = told,
                    "a carrier was asked about a message"
                );
            }
        }
        match (status, &latest.carrier) {
            (Some(status), Some(carrier)) => {
                self.told(recipient, verification, latest, status, carrier, None)
                    .await
            }
            (None, _) | (_, None) => {
                let due = self.due(
                    recipient,
                    verification,
                    &verification.deliveries,
                    self.worker.clock.now(),
                );
                self.end(None, None, due, 0).await
            }
        }
    }
}
