//! Deliveries: claim a step, add a message, end the step.
//!
//! Invariant: each is one conditional write.

use super::attributes::{binary, number_value, text};
use super::delivery_item::write_delivery;
use super::delivery_status::raising;
use super::expression::{Update, WriteResult};
use super::recipient_item;
use super::recipients::StoredRecipient;
use super::{Store, StoreError, attributes};
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus, HANDOVER_MARGIN_SECONDS};
use crate::domain::ids::{ClaimId, DeliveryTag, RecordKey, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;

/// The step is still held by this claim.
const IS_CLAIMED: &str = "nonce = :nonce AND step = :step AND claim_id = :claim_id";

/// A worker's claim on one step of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The recipient.
    pub key: RecordKey,
    /// The verification.
    pub nonce: VerificationNonce,
    /// The step.
    pub sequence: u16,
    /// Random name: two claims on one step differ.
    pub id: ClaimId,
    /// When it lapses.
    pub until: Timestamp,
}

impl Claim {
    /// Whether `verification` is held by this claim.
    #[must_use]
    pub fn holds(&self, verification: &Verification) -> bool {
        let step = &verification.step;
        verification.params.nonce == self.nonce
            && step.sequence == self.sequence
            && step.claim.is_some_and(|claim| claim.id == self.id)
    }
}

/// Result of a write under a claim.
#[derive(Debug)]
pub enum ClaimResult {
    /// Written; the recipient after it.
    Written(Box<StoredRecipient>),
    /// The condition failed; the recipient as it is, if there is one.
    Lost(Option<Box<Recipient>>),
}

/// New status of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRecord {
    /// The message.
    pub tag: DeliveryTag,
    /// Its status.
    pub status: DeliveryStatus,
    /// The carrier that has it, or may have.
    pub carrier: Option<String>,
}

/// What is known of a message once it was handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandoverDetails {
    /// The message.
    pub tag: DeliveryTag,
    /// Parts of a text message.
    pub parts: Option<u8>,
    /// The carrier's id of it, where the carrier's status API is polled.
    pub vendor_id: Option<String>,
}

/// End of a step: what became of its message, and the next step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepResult {
    /// New status of a message.
    pub record: Option<DeliveryRecord>,
    /// What the handover of a message brought beside its status.
    pub details: Option<HandoverDetails>,
    /// When the next step is due; `None` if no step is planned.
    pub due: Option<Timestamp>,
    /// Rounds in which no carrier accepted the message.
    pub retry_rounds: u8,
    /// Handovers of the latest message whose outcome is still not known.
    pub uncertain_handovers: u8,
}

impl Store {
    /// Claims a step. Only a dispatch with the current step number wins, once the step is due, if
    /// no other worker holds it and a message would still arrive in time. The claim counts as a
    /// handover until the outcome of the step is stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_step(
        &self,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let update = Update::when("nonce = :nonce AND step = :step AND step_due <= :now")
            .and("(attribute_not_exists(claimed_until) OR claimed_until <= :now)")
            .and("attribute_not_exists(canceled_at) AND expires_at >= :in_time")
            .set("claim_id = :claim_id, claimed_until = :until")
            .set("uncertain_handovers = if_not_exists(uncertain_handovers, :zero) + :one")
            .value(":zero", number_value(0))
            .value(":one", number_value(1))
            .value(":now", number_value(now.0))
            .value(":in_time", number_value((now + HANDOVER_MARGIN_SECONDS).0))
            .value(":until", number_value(claim.until.0));
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    /// Adds `delivery` to a claimed verification, in place of the `dropped` one if there are too
    /// many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_delivery(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        fallbacks_used: u8,
        dropped: Option<DeliveryTag>,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let mut update = Update::when(IS_CLAIMED)
            .and("attribute_not_exists(deliveries.#tag)")
            .set("deliveries.#tag = :delivery")
            .set("fallbacks_used = :fallbacks_used")
            .remove("tried_carriers, retry_rounds")
            .name("#tag", delivery.tag.to_string())
            .value(":delivery", write_delivery(delivery))
            .value(":fallbacks_used", number_value(fallbacks_used));
        if delivery.cause == Cause::Fallback {
            // A new message: only the handover of this claim counts.
            update = update
                .set("uncertain_handovers = :one")
                .value(":one", number_value(1));
        }
        if let Some(tag) = dropped {
            update = update
                .remove("deliveries.#dropped")
                .name("#dropped", tag.to_string());
        }
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    /// Ends a claimed step: the message's new status, if it is above the stored one, and the next
    /// step.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_step(
        &self,
        claim: &Claim,
        result: &StepResult,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let mut update = Update::when(IS_CLAIMED)
            .set("step = :next")
            .remove("claim_id, claimed_until, tried_carriers")
            .value(":next", number_value(claim.sequence.saturating_add(1)));
        update = match result.retry_rounds {
            0 => update.remove("retry_rounds"),
            rounds => update
                .set("retry_rounds = :retry_rounds")
                .value(":retry_rounds", number_value(rounds)),
        };
        update = with_uncertain_handovers(update, result.uncertain_handovers);
        update = match result.due {
            Some(due) => update
                .set("step_due = :due")
                .value(":due", number_value(due.0)),
            None => update.remove("step_due"),
        };
        if let Some(DeliveryRecord {
            tag,
            status,
            carrier,
        }) = &result.record
        {
            update = raising(update, *tag, *status, carrier.as_deref(), now);
        }
        if let Some(details) = &result.details {
            update = detailing(update, details);
        }
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    /// Gives a claimed step back without an outcome. Another worker takes it and leaves out the
    /// carriers in `tried`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_claim(
        &self,
        claim: &Claim,
        tried: &[String],
        uncertain_handovers: u8,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let mut update = Update::when(IS_CLAIMED).remove("claim_id, claimed_until");
        update = with_uncertain_handovers(update, uncertain_handovers);
        if !tried.is_empty() {
            update = update
                .set("tried_carriers = :tried")
                .value(":tried", attributes::names(tried));
        }
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    async fn write_claimed(
        &self,
        claim: &Claim,
        update: Update,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let update = update.returning_item();
        match self.update(claim.key, update, None).await? {
            WriteResult::Written(item) => {
                let recipient = self.recipient_of(claim.key, item.as_ref(), now)?;
                let version = item.as_ref().and_then(recipient_item::version);
                let recipient = recipient.unwrap_or_default();
                Ok(ClaimResult::Written(Box::new(StoredRecipient {
                    recipient,
                    version,
                })))
            }
            WriteResult::ConditionFailed(item) => {
                let recipient = self.recipient_of(claim.key, item.as_ref(), now)?;
                Ok(ClaimResult::Lost(recipient.map(Box::new)))
            }
        }
    }
}

fn with_uncertain_handovers(update: Update, count: u8) -> Update {
    match count {
        0 => update.remove("uncertain_handovers"),
        count => update
            .set("uncertain_handovers = :uncertain_handovers")
            .value(":uncertain_handovers", number_value(count)),
    }
}

fn claim_values(update: Update, claim: &Claim) -> Update {
    update
        .value(":nonce", binary(&claim.nonce.0))
        .value(":step", number_value(claim.sequence))
        .value(":claim_id", binary(&claim.id.0))
}

/// Sets what the handover of a message brought beside its status.
fn detailing(mut update: Update, details: &HandoverDetails) -> Update {
    if let Some(parts) = details.parts {
        update = update
            .set("deliveries.#tag.parts = :parts")
            .name("#tag", details.tag.to_string())
            .value(":parts", number_value(parts));
    }
    if let Some(vendor_id) = &details.vendor_id {
        update = update
            .set("deliveries.#tag.vendor_id = :vendor_id")
            .name("#tag", details.tag.to_string())
            .value(":vendor_id", text(vendor_id));
    }
    update
}
