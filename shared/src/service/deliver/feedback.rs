//! Conversion feedback: informs the carrier that delivered a message that its code came back.
//!
//! It is planned when a carrier accepts a message, and given when the code has expired, so that a
//! check does not wait for it. It writes nothing; a redelivered dispatch informs the carrier again.

use super::carrier_client::CarrierClient;
use super::dependencies::{DeliverError, Delivering};
use super::step_work::StepWork;
use crate::carrier::Conversion;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::ids::DeliveryTag;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::domain::verification_ref::VerificationRef;
use crate::domain::verification_status::Status;
use crate::platform::logging::causes;
use crate::platform::queue::FeedbackDispatch;

impl<C: CarrierClient> StepWork<'_, C> {
    /// Enqueues the feedback about an accepted message. A failure is logged: the message is on its
    /// way.
    pub(super) async fn plan_feedback(
        &self,
        verification: &Verification,
        delivery: &Delivery,
        feedback: Option<(String, String)>,
    ) {
        let Some(((carrier, message_id), queue)) = feedback.zip(self.delivering.queue.as_ref())
        else {
            return;
        };
        let dispatch = FeedbackDispatch {
            app: self.dispatch.app.clone(),
            id: self.dispatch.id,
            tag: delivery.tag,
            carrier,
            message_id,
        };
        let now = self.delivering.clock.now();
        let delay_seconds = verification.params.expires_at.seconds_since(now);
        if let Err(error) = queue.enqueue_feedback(&dispatch, delay_seconds).await {
            tracing::warn!(
                verification.id = self.log_id(),
                error.kind = "not_enqueued",
                error.cause = causes(&error),
                "failed to enqueue conversion feedback"
            );
        }
    }
}

impl<C: CarrierClient> Delivering<C> {
    /// Gives the feedback that `dispatch` names, if the verification is approved and its message is
    /// the one that was delivered. Before the code has expired it is enqueued again.
    ///
    /// # Errors
    /// [`DeliverError`]: the dispatch must be received again.
    pub async fn give_feedback(&self, dispatch: &FeedbackDispatch) -> Result<(), DeliverError> {
        let now = self.clock.now();
        let (key, nonce) = self
            .keyring
            .open_verification_id(&dispatch.app, dispatch.id);
        let stored = self.store.load(key, &dispatch.app, now).await?;
        let mut verifications = stored.recipient.verifications();
        let found = verifications.find(|verification| verification.params().nonce == nonce);
        let Some(verification) = found else {
            return Ok(());
        };
        let delay_seconds = verification.params().expires_at.seconds_since(now);
        match (verification.status(now), &self.queue) {
            (Status::Pending, Some(queue)) => {
                Ok(queue.enqueue_feedback(dispatch, delay_seconds).await?)
            }
            (Status::Approved, _) if has_delivered(verification.deliveries(), dispatch.tag) => {
                let conversion = Conversion {
                    message_id: &dispatch.message_id,
                    to: stored.recipient.address.as_ref(),
                    at: approved_at(verification),
                };
                self.carriers
                    .send_feedback(&dispatch.carrier, &conversion, now)
                    .await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// When the code came back; for a past verification, at most so late.
fn approved_at(verification: VerificationRef<'_>) -> Timestamp {
    match verification {
        VerificationRef::Current(current) => {
            let success = current.success_index();
            let success = success.and_then(|index| current.attempts.get(index));
            success.map_or(current.params.expires_at, |attempt| attempt.at)
        }
        VerificationRef::Past(past) => past.ended_at.min(past.params.expires_at),
    }
}

/// Whether the code came from the message `tag`: the latest one that was delivered, or else the
/// latest one that a carrier accepted.
fn has_delivered(deliveries: &[Delivery], tag: DeliveryTag) -> bool {
    let latest = |status: DeliveryStatus| {
        let mut deliveries = deliveries.iter().rev();
        deliveries.find(|delivery| delivery.status == status)
    };
    let source = latest(DeliveryStatus::Delivered).or_else(|| latest(DeliveryStatus::Sent));
    source.is_some_and(|delivery| delivery.tag == tag)
}
