//! Deliveries: claim a step, add a message, record what became of one.
//!
//! Invariants: each is one conditional write; a status only moves up.

use super::attributes::{Item, binary, number_value, text};
use super::expression::{Repeat, Update, WriteResult};
use super::recipient_item::{self, DELIVERY_STATUS, write_delivery};
use super::recipients::{Change, StoredRecipient};
use super::{Store, StoreError, TTL_SECONDS};
use crate::domain::delivery::{Delivery, DeliveryStatus, HANDOVER_MARGIN_SECONDS};
use crate::domain::ids::{ClaimId, DeliveryTag, RecordKey, VerificationNonce};
use crate::domain::recipient::{RaiseOutcome, Recipient};
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
        let step = verification.step;
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
}

/// Result of [`Store::raise_delivery`].
#[derive(Debug)]
pub enum RaiseResult {
    /// The status moved up.
    Raised(Box<Recipient>),
    /// The status was as high already, or another carrier has the message.
    Unchanged(Box<Recipient>),
    /// There is no such message.
    UnknownMessage,
}

impl Store {
    /// Claims a step. Only a dispatch with the current step number wins, once the step is due, if
    /// no other worker holds it and a message would still arrive in time.
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
            .set("fallbacks_used = :fallbacks_used, retry_rounds = :retry_rounds")
            .name("#tag", delivery.tag.to_string())
            .value(":delivery", write_delivery(delivery))
            .value(":fallbacks_used", number_value(fallbacks_used))
            .value(":retry_rounds", number_value(0));
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
            .set("step = :next, retry_rounds = :retry_rounds")
            .remove("claim_id, claimed_until")
            .value(":next", number_value(claim.sequence.saturating_add(1)))
            .value(":retry_rounds", number_value(result.retry_rounds));
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

    /// Moves the status of one message up: one write; for a message of a past verification a read
    /// and a write more. A failure makes the next step due at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn raise_delivery(
        &self,
        key: RecordKey,
        tag: DeliveryTag,
        status: DeliveryStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) -> Result<RaiseResult, StoreError> {
        let update = Update::when("attribute_exists(deliveries.#tag)").returning_item();
        let mut update = raising(update, tag, status, carrier, now);
        if status.is_failure() {
            update = update
                .set("step_due = :now")
                .value(":now", number_value(now.0));
        }
        let (item, is_written) = match self
            .update(key, update, now + TTL_SECONDS, Repeat::BySdk)
            .await?
        {
            WriteResult::Written(item) => (item, true),
            WriteResult::ConditionFailed(item) => (item, false),
        };
        let Some(recipient) = self.recipient_of(key, item.as_ref(), now)? else {
            return Ok(RaiseResult::UnknownMessage);
        };
        if is_written {
            return Ok(RaiseResult::Raised(Box::new(recipient)));
        }
        let mut current = recipient
            .current
            .iter()
            .flat_map(|current| &current.deliveries);
        if current.any(|delivery| delivery.tag == tag) {
            return Ok(RaiseResult::Unchanged(Box::new(recipient)));
        }
        let rule = |recipient: &mut Recipient| {
            let outcome = recipient.raise_delivery(tag, status, carrier, now);
            let recipient = Box::new(recipient.clone());
            Ok(match outcome {
                RaiseOutcome::Raised => Change::Write(RaiseResult::Raised(recipient)),
                RaiseOutcome::Unchanged => Change::Keep(RaiseResult::Unchanged(recipient)),
                RaiseOutcome::UnknownMessage => Change::Keep(RaiseResult::UnknownMessage),
            })
        };
        self.modify(key, &recipient.app, now, rule).await
    }

    async fn write_claimed(
        &self,
        claim: &Claim,
        update: Update,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let update = update.returning_item();
        match self
            .update(claim.key, update, now + TTL_SECONDS, Repeat::BySdk)
            .await?
        {
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

    pub(super) fn recipient_of(
        &self,
        key: RecordKey,
        item: Option<&Item>,
        now: Timestamp,
    ) -> Result<Option<Recipient>, StoreError> {
        match item {
            Some(item) => recipient_item::read(&self.keyring, key, item, now),
            None => Ok(None),
        }
    }
}

fn claim_values(update: Update, claim: &Claim) -> Update {
    update
        .value(":nonce", binary(&claim.nonce.0))
        .value(":step", number_value(claim.sequence))
        .value(":claim_id", binary(&claim.id.0))
}

/// Sets the status of the message `tag`, only upwards and only for the carrier that has it.
fn raising(
    update: Update,
    tag: DeliveryTag,
    status: DeliveryStatus,
    carrier: Option<&str>,
    now: Timestamp,
) -> Update {
    let update = update
        .and("deliveries.#tag.#status < :rank_floor")
        .set("deliveries.#tag.#status = :status, deliveries.#tag.updated_at = :at")
        .name("#tag", tag.to_string())
        .name("#status", DELIVERY_STATUS)
        .value(":status", number_value(status.number()))
        .value(":rank_floor", number_value(status.rank_floor()))
        .value(":at", number_value(now.0));
    let Some(carrier) = carrier else {
        return update;
    };
    let is_unset = "attribute_not_exists(deliveries.#tag.carrier)";
    update
        .and(format!(
            "({is_unset} OR deliveries.#tag.carrier = :carrier)"
        ))
        .set("deliveries.#tag.carrier = :carrier")
        .value(":carrier", text(carrier))
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
