//! Give back: a claimed step that this invocation does not finish. Another one goes on with it, and
//! the claim counts as no handover.

use super::carrier_client::CarrierClient;
use super::dependencies::DeliverError;
use super::step_work::{StepWork, uncertain_before};
use crate::domain::delivery::Delivery;
use crate::domain::verification::Verification;
use crate::platform::logging::causes;
use crate::store::ClaimResult;

/// When a step is taken again for whose first carrier an invocation had no time.
const POSTPONED_SECONDS: i64 = 1;

impl<C: CarrierClient> StepWork<'_, C> {
    /// Gives the step back for lack of time: another invocation goes on, without the carriers in
    /// `tried`.
    pub(super) async fn postpone(
        &self,
        verification: &Verification,
        delivery: &Delivery,
        tried: &[String],
    ) -> Result<(), DeliverError> {
        tracing::info!(
            verification.id = self.log_id(),
            tried = tried.len(),
            "no time left for the next carrier in this invocation"
        );
        self.give_back(verification, delivery, tried).await
    }

    /// Gives the step back; another invocation goes on, without the carriers in `tried`. If a newer
    /// send has replaced the message, it is `failed`; if that send was rolled back meanwhile, the
    /// message is sent after all.
    pub(super) async fn give_back(
        &self,
        verification: &Verification,
        delivery: &Delivery,
        tried: &[String],
    ) -> Result<(), DeliverError> {
        let now = self.delivering.clock.now();
        let uncertain_handovers = uncertain_before(verification);
        let released = self
            .delivering
            .store
            .release_claim(&self.claim, tried, uncertain_handovers, now)
            .await?;
        match released {
            ClaimResult::Written(_) => {
                let delay_seconds = i64::from(tried.is_empty()) * POSTPONED_SECONDS;
                self.enqueue_step(self.claim.sequence, now + delay_seconds)
                    .await
            }
            // Another send came first: this message goes to no other carrier.
            ClaimResult::Lost(recipient) => self.fail_left_message(recipient, delivery).await,
        }
    }

    /// Gives the step back after the table failed before a carrier had the message: the dispatch is
    /// received again, and this claim counts as no handover. If the table fails again, it does.
    pub(super) async fn give_back_after_error(
        &self,
        verification: &Verification,
        tried: &[String],
    ) {
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let uncertain_handovers = uncertain_before(verification);
        let released = store
            .release_claim(&self.claim, tried, uncertain_handovers, now)
            .await;
        if let Err(error) = released {
            tracing::warn!(
                verification.id = self.log_id(),
                error.kind = "claim_not_released",
                error.cause = causes(&error),
                "could not give a step back; its claim lapses and counts as a handover"
            );
        }
    }
}
