//! Lost claims: a dispatch that is stale, early, or for a step that another worker holds.

use super::carrier_client::CarrierClient;
use super::dependencies::DeliverError;
use super::step_work::StepWork;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::recipient::Recipient;
use crate::domain::step::StepState;
use crate::domain::verification::Verification;

impl<C: CarrierClient> StepWork<'_, C> {
    /// Drops the dispatch, or enqueues the step that it shows to be lost.
    pub(super) async fn handle_lost_claim(
        &self,
        recipient: &Recipient,
    ) -> Result<(), DeliverError> {
        let nonce = self.claim.nonce;
        let current = recipient
            .current
            .as_ref()
            .filter(|v| v.params.nonce == nonce);
        let Some(verification) = current else {
            let past = recipient
                .past
                .iter()
                .find(|past| past.params.nonce == nonce);
            return self
                .mark_abandoned(past.map_or(&[], |past| &past.deliveries))
                .await;
        };
        let (step, sequence) = (&verification.step, self.claim.sequence);
        if step.sequence != sequence
            && let [earlier @ .., _] = verification.deliveries.as_slice()
        {
            self.mark_abandoned(earlier).await?;
        }
        if !verification.is_deliverable(self.now) {
            return self.finish_queued(verification).await;
        }
        let Some(due) = step.due else { return Ok(()) };
        let held_until = step.claim.map(|claim| claim.until);
        if step.sequence == sequence {
            // Early, or held by another worker. If that one crashes, this dispatch follows it.
            return self
                .enqueue_step(sequence, held_until.map_or(due, |until| until.max(due)))
                .await;
        }
        let is_next = step.sequence == sequence.saturating_add(1);
        if is_next && held_until.is_none_or(|until| until <= self.now) {
            // The worker of this step may have crashed after it planned the next step and before
            // it enqueued it. A second dispatch of a step is harmless.
            return self.enqueue_step(step.sequence, due).await;
        }
        Ok(())
    }

    /// Enqueues the next step if this one has ended although its claim is lost: the write of its
    /// end was applied, its response was lost, and another write came before the repeated one.
    pub(super) async fn enqueue_after_ended_step(
        &self,
        recipient: Option<&Recipient>,
    ) -> Result<(), DeliverError> {
        let current = recipient.and_then(|recipient| recipient.current.as_ref());
        let Some(verification) = current else {
            return Ok(());
        };
        let step = &verification.step;
        let is_ended = verification.params.nonce == self.claim.nonce
            && step.sequence == self.claim.sequence.saturating_add(1)
            && step.claim.is_none();
        match step.due {
            Some(due) if is_ended => self.enqueue_step(step.sequence, due).await,
            _ => Ok(()),
        }
    }

    /// Marks as `unknown` the messages of a crashed worker. A redelivered dispatch is the evidence
    /// of the crash; the messages may have been sent.
    async fn mark_abandoned(&self, earlier: &[Delivery]) -> Result<(), DeliverError> {
        for delivery in earlier
            .iter()
            .filter(|d| d.status == DeliveryStatus::Sending)
        {
            self.raise(delivery.tag, DeliveryStatus::Unknown, None)
                .await?;
        }
        Ok(())
    }

    /// Moves a message that was not handed over before its verification ended to its final status.
    /// One that a worker holds is left to that worker.
    async fn finish_queued(&self, verification: &Verification) -> Result<(), DeliverError> {
        let is_held = matches!(verification.step.state(self.now), StepState::Held { .. });
        let is_current = verification.step.sequence == self.claim.sequence;
        let latest = verification.deliveries.last();
        let queued = latest.filter(|latest| latest.status == DeliveryStatus::Queued);
        match queued {
            Some(delivery) if is_current && !is_held => {
                let status = verification.final_status_of_queued(self.now);
                self.raise(delivery.tag, status, None).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}
