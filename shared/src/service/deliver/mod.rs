//! Deliver: one step with the deliveries of a verification. A worker claims the step before it
//! calls a carrier, so that a dispatch that is received twice sends once, and records the next step
//! when it ends this one.
//!
//! Invariants: no message is handed over after its verification has ended, nothing is done for a
//! stale dispatch, and at most two handovers of a message may have reached the person.

pub mod breakers;
mod call_time;
pub mod carrier_client;
mod spend_charge;
mod composed_message;
mod dependencies;
mod fallback;
mod feedback;
mod give_back;
mod handover;
mod lost_claim;
mod poll;
mod record;
mod single_handover;
pub mod sns_publisher;
mod step_work;

pub use dependencies::{DeliverError, Delivering};
pub use single_handover::SingleHandover;

use carrier_client::CarrierClient;
use step_work::{Snapshot, StepWork, uncertain_before};

use crate::domain::delivery::{Cause, Delivery, DeliveryStatus};
use crate::domain::delivery_plan::{self, NextStep};
use crate::domain::ids::ClaimId;
use crate::domain::recipient::Recipient;
use crate::domain::step::HANDOVERS_MAX;
use crate::domain::verification::Verification;
use crate::platform::deadline::Deadline;
use crate::platform::queue::Dispatch;
use crate::platform::random::random_bytes;
use crate::store::ClaimResult;

impl<C: CarrierClient> Delivering<C> {
    /// Takes the step that `dispatch` names, if it is the current one. `deadline` is that of the
    /// invocation: work that would not be done by then is left to another one.
    ///
    /// # Errors
    /// [`DeliverError`]: the dispatch must be received again.
    pub async fn deliver(
        &self,
        dispatch: &Dispatch,
        deadline: Deadline,
    ) -> Result<(), DeliverError> {
        let (work, claimed) =
            StepWork::claim(self, dispatch, ClaimId(random_bytes()), deadline).await?;
        match claimed {
            ClaimResult::Written(stored) => work.take_step(&stored.recipient).await,
            ClaimResult::Lost(Some(recipient)) => work.handle_lost_claim(&recipient).await,
            ClaimResult::Lost(None) => Ok(()),
        }
    }
}

impl<C: CarrierClient> StepWork<'_, C> {
    /// Takes the claimed step.
    async fn take_step(&self, recipient: &Recipient) -> Result<(), DeliverError> {
        let Some(verification) = &recipient.current else {
            return Ok(());
        };
        let Some(latest) = verification.deliveries.last() else {
            return Ok(());
        };
        if !verification.is_deliverable(self.now) {
            let is_queued = latest.status == DeliveryStatus::Queued;
            self.end_undeliverable(latest, is_queued).await?;
            return Ok(());
        }
        let expires_at = verification.params.expires_at;
        let is_poll = |due| delivery_plan::is_poll(latest, expires_at, due);
        if verification.step.due.is_some_and(is_poll) {
            return self.poll_status(recipient, verification, latest).await;
        }
        let uncertain = uncertain_before(verification);
        match self.next_step(
            recipient,
            verification,
            &verification.deliveries,
            uncertain,
            self.now,
        ) {
            NextStep::Done | NextStep::WaitUntil(_) => {
                self.end_without_message(recipient, verification).await?;
                Ok(())
            }
            NextStep::HandOver if uncertain >= HANDOVERS_MAX => {
                self.give_up_handover(recipient, verification, latest)
                    .await?;
                Ok(())
            }
            NextStep::HandOver => {
                let snapshot = Snapshot {
                    recipient,
                    verification,
                    read_at: self.claimed_at,
                };
                let except = carrier_before(verification, latest);
                self.hand_over(snapshot, latest, except, None).await
            }
            NextStep::AddDelivery {
                channel,
                cause,
                except,
            } => {
                let snapshot = Snapshot {
                    recipient,
                    verification,
                    read_at: self.claimed_at,
                };
                self.add_delivery(snapshot, channel, cause, except.as_deref())
                    .await
            }
        }
    }
}

/// The carrier that may already have the message that a second carrier is to send.
fn carrier_before<'v>(verification: &'v Verification, latest: &Delivery) -> Option<&'v str> {
    if latest.cause != Cause::SecondCarrier {
        return None;
    }
    let mut earlier = verification.deliveries.iter().rev();
    earlier
        .find(|delivery| delivery.number < latest.number)?
        .carrier
        .as_deref()
}
