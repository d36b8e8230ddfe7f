//! Status polling: asks the status API of a carrier whose reports may be lost.

use super::carrier_client::CarrierClient;
use super::dependencies::DeliverError;
use super::record::Outcome;
use super::step_work::StepWork;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::recipient::Recipient;
use crate::domain::verification::Verification;

impl<C: CarrierClient> StepWork<'_, C> {
    /// Polls the status of `latest` and does what a report with it would do.
    pub(super) async fn poll_status(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        latest: &Delivery,
    ) -> Result<(), DeliverError> {
        let status = self.polled_status(recipient, latest).await;
        let status = status.filter(|status| latest.status.may_become(*status));
        match (status, &latest.carrier) {
            (Some(status), Some(carrier)) => {
                let outcome = Outcome {
                    status,
                    carrier: Some(carrier.clone()),
                    details: None,
                };
                self.record_outcome(recipient, verification, latest, outcome)
                    .await
                    .map(drop)
            }
            (None, _) | (_, None) => self
                .end_without_message(recipient, verification)
                .await
                .map(drop),
        }
    }

    async fn polled_status(
        &self,
        recipient: &Recipient,
        latest: &Delivery,
    ) -> Option<DeliveryStatus> {
        let (to, vendor_id) = (recipient.address.as_ref()?, latest.vendor_id.as_ref()?);
        let mut serving = self.delivering.carriers.serving(latest.channel, to);
        let carrier = serving.find(|carrier| latest.carrier.as_ref() == Some(&carrier.name))?;
        let status = self
            .delivering
            .carriers
            .poll_status(carrier, vendor_id, to)
            .await;
        tracing::info!(
            verification.id = self.log_id(),
            carrier = carrier.name,
            status = status.map(DeliveryStatus::name),
            "polled the status of a message"
        );
        status
    }
}
