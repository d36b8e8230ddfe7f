//! One handover within a request, for `OTP_DISPATCH=sns`: claim, hand over, record, without a
//! queue.

use super::carrier_client::CarrierClient;
use super::dependencies::{DeliverError, Delivering};
use super::handover::{Handover, NotHandedOver, SkipReason};
use super::record::{Outcome, Recorded};
use super::step_work::{Snapshot, StepWork, uncertain_before};
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::ids::ClaimId;
use crate::domain::recipient::Recipient;
use crate::domain::step::HANDOVERS_MAX;
use crate::platform::deadline::Deadline;
use crate::platform::logging::causes;
use crate::platform::queue::Dispatch;
use crate::store::{ClaimResult, StoredRecipient, WriteId};

/// Result of [`Delivering::hand_over_once`].
pub enum SingleHandover {
    /// The message was handed over, or its verification has ended. The recipient after that.
    Done(Box<Recipient>),
    /// No carrier accepted it. The version of the item that the claim left.
    NotAccepted(Option<WriteId>),
}

impl<C: CarrierClient> Delivering<C> {
    /// Takes the step that `dispatch` names within this request, claimed as `claim_id`.
    ///
    /// # Errors
    /// [`DeliverError`]: nothing was handed over. The step may be claimed.
    pub async fn hand_over_once(
        &self,
        dispatch: &Dispatch,
        claim_id: ClaimId,
        deadline: Deadline,
    ) -> Result<SingleHandover, DeliverError> {
        let (work, claimed) = StepWork::claim(self, dispatch, claim_id, deadline).await?;
        let stored = match claimed {
            ClaimResult::Written(stored) => stored,
            // Another send or a cancel came first.
            ClaimResult::Lost(recipient) => {
                return Ok(SingleHandover::Done(recipient.unwrap_or_default()));
            }
        };
        let StoredRecipient { recipient, version } = *stored;
        let Some(verification) = &recipient.current else {
            return Ok(SingleHandover::Done(Box::new(recipient)));
        };
        let Some(latest) = verification.deliveries.last() else {
            return Ok(SingleHandover::Done(Box::new(recipient)));
        };
        let snapshot = Snapshot {
            recipient: &recipient,
            verification,
            read_at: work.claimed_at,
        };
        if uncertain_before(verification) >= HANDOVERS_MAX {
            let recorded = work
                .give_up_handover(&recipient, verification, latest)
                .await;
            let after = with_status(&recipient, latest, DeliveryStatus::Unknown, None);
            return Ok(work.done(recorded, after));
        }
        let handover = work.try_carriers(snapshot, latest, None, None).await;
        let Ok(handover) = handover.inspect_err(|error| work.log_not_handed_over(error)) else {
            return Ok(SingleHandover::NotAccepted(version));
        };
        Ok(match handover {
            Handover::Answered { outcome, call, .. } => {
                let after = with_outcome(&recipient, latest, &outcome);
                let recorded = work.record_outcome(&recipient, verification, latest, outcome);
                let recorded = tokio::join!(recorded, work.finish_call(call)).0;
                work.done(recorded, after)
            }
            Handover::Skipped(SkipReason::Ended | SkipReason::Replaced) => {
                let after = with_status(&recipient, latest, DeliveryStatus::Failed, None);
                work.done(work.end_undeliverable(latest, true).await, after)
            }
            Handover::Skipped(SkipReason::ClaimLost) => {
                SingleHandover::Done(Box::new(recipient.clone()))
            }
            Handover::NotAccepted { .. } | Handover::Postponed { .. } => {
                SingleHandover::NotAccepted(version)
            }
        })
    }
}

impl<C: CarrierClient> StepWork<'_, C> {
    fn log_not_handed_over(&self, NotHandedOver { error, .. }: &NotHandedOver) {
        tracing::error!(
            verification.id = self.log_id(),
            error.kind = "not_handed_over",
            error.cause = causes(error),
            "the table failed before a message was handed over"
        );
    }

    /// The recipient as it is stored now, or `after` if that is not known: the message was handed
    /// over, whatever the table says.
    fn done(&self, recorded: Result<Recorded, DeliverError>, after: Recipient) -> SingleHandover {
        let recorded = recorded.unwrap_or_else(|error| {
            tracing::error!(
                verification.id = self.log_id(),
                error.kind = "not_recorded",
                error.cause = causes(&error),
                "failed to record the delivery status"
            );
            None
        });
        SingleHandover::Done(recorded.unwrap_or_else(|| Box::new(after)))
    }
}

fn with_outcome(recipient: &Recipient, delivery: &Delivery, outcome: &Outcome) -> Recipient {
    let carrier = outcome.carrier.as_deref();
    let mut after = with_status(recipient, delivery, outcome.status, carrier);
    let current = after.current.as_mut().and_then(|c| c.deliveries.last_mut());
    if let (Some(delivery), Some(details)) = (current, &outcome.details) {
        delivery.parts = details.parts;
    }
    after
}

fn with_status(
    recipient: &Recipient,
    delivery: &Delivery,
    status: DeliveryStatus,
    carrier: Option<&str>,
) -> Recipient {
    let mut after = recipient.clone();
    let current = after
        .current
        .iter_mut()
        .flat_map(|current| &mut current.deliveries);
    for updated in current.filter(|updated| updated.tag == delivery.tag) {
        updated.status = status;
        updated.carrier = carrier.map(str::to_owned);
    }
    if let Some(current) = &mut after.current {
        current.step.claim = None;
    }
    after
}
