//! Delivery status: what workers and reports say about a message.
//!
//! Invariants: a status only moves up. A report counts only from the carrier that has the message,
//! or may have it.

use super::attributes::{Item, number_value, text};
use super::delivery_item::DELIVERY_STATUS;
use super::expression::{Update, WriteResult};
use super::recipient_item;
use super::recipients::Change;
use super::{Store, StoreError};
use crate::domain::delivery::{Delivery, DeliveryStatus, ReportedStatus};
use crate::domain::ids::{DeliveryTag, RecordKey};
use crate::domain::recipient::{RaiseOutcome, Recipient};
use crate::domain::time::Timestamp;

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
    /// Applies a report of `carrier`: one write. A report that arrives while the message is being
    /// handed over is kept with one more write, until it is known which carrier has the message. A
    /// failure makes the next step due at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply_report(
        &self,
        key: RecordKey,
        tag: DeliveryTag,
        reported: ReportedStatus,
        carrier: &str,
        now: Timestamp,
    ) -> Result<RaiseResult, StoreError> {
        let mut result = self
            .apply_known_report(key, tag, reported, carrier, now)
            .await?;
        let is_early = |delivery: &Delivery| {
            delivery.tag == tag
                && delivery.carrier.is_none()
                && !delivery.accepts_report(carrier, reported.status)
        };
        if let RaiseResult::Unchanged(recipient) = &result
            && let Some(current) = &recipient.current
            && current.deliveries.iter().any(is_early)
            && !self.keep_early_report(key, tag, reported, carrier).await?
        {
            // The worker was first and stored which carrier has the message.
            result = self
                .apply_known_report(key, tag, reported, carrier, now)
                .await?;
        }
        Ok(result)
    }

    async fn apply_known_report(
        &self,
        key: RecordKey,
        tag: DeliveryTag,
        reported: ReportedStatus,
        carrier: &str,
        now: Timestamp,
    ) -> Result<RaiseResult, StoreError> {
        let mut update = raising(Update::default(), tag, reported.status, Some(carrier), now);
        if reported.status != DeliveryStatus::Delivered {
            update = update
                .and(
                    "(attribute_exists(deliveries.#tag.carrier) \
                     OR deliveries.#tag.#status >= :unknown)",
                )
                .value(":unknown", number_value(DeliveryStatus::Unknown.number()));
        }
        let rule = |recipient: &mut Recipient| recipient.apply_report(tag, reported, carrier, now);
        self.raise(key, tag, update, reported, rule, now).await
    }

    /// Keeps a report of a carrier that may not have the message; `false` if it is known by now
    /// which carrier has it, the message is gone, or this carrier has reported more already.
    async fn keep_early_report(
        &self,
        key: RecordKey,
        tag: DeliveryTag,
        reported: ReportedStatus,
        carrier: &str,
    ) -> Result<bool, StoreError> {
        let mut update = Update::when("attribute_exists(deliveries.#tag)")
            .and("attribute_not_exists(deliveries.#tag.carrier)")
            .and("deliveries.#tag.#status < :unknown")
            .and(
                "(attribute_not_exists(deliveries.#tag.early_carrier) \
                 OR deliveries.#tag.early_carrier <> :carrier \
                 OR deliveries.#tag.early_status < :rank_floor)",
            )
            .set("deliveries.#tag.early_carrier = :carrier")
            .set("deliveries.#tag.early_status = :early_status")
            .name("#tag", tag.to_string())
            .name("#status", DELIVERY_STATUS)
            .value(":unknown", number_value(DeliveryStatus::Unknown.number()))
            .value(":carrier", text(carrier))
            .value(":rank_floor", number_value(reported.status.rank_floor()))
            .value(":early_status", number_value(reported.status.number()));
        if reported.is_account_fault {
            update = update
                .set("deliveries.#tag.early_account_fault = :one")
                .value(":one", number_value(1));
        }
        let written = self.update(key, update, None).await?;
        Ok(matches!(written, WriteResult::Written(_)))
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
        reported: ReportedStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) -> Result<RaiseResult, StoreError> {
        let update = raising(Update::default(), tag, reported.status, carrier, now);
        let rule =
            |recipient: &mut Recipient| recipient.raise_delivery(tag, reported, carrier, now);
        self.raise(key, tag, update, reported, rule, now).await
    }

    /// Moves a message to `failed` that a newer send left to a worker, which did not hand it over.
    /// If that send was rolled back meanwhile, the message is not left any more: nothing is
    /// written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fail_left_delivery(
        &self,
        key: RecordKey,
        tag: DeliveryTag,
        now: Timestamp,
    ) -> Result<RaiseResult, StoreError> {
        let status = DeliveryStatus::Failed;
        let update = raising(Update::default(), tag, status, None, now)
            .and("deliveries.#tag.#status = :left")
            .value(":left", number_value(DeliveryStatus::Sending.number()));
        let rule = |recipient: &mut Recipient| match recipient.has_left(tag) {
            true => recipient.raise_delivery(tag, status.into(), None, now),
            false => RaiseOutcome::Unchanged,
        };
        self.raise(key, tag, update, status.into(), rule, now).await
    }

    /// Writes `update` if the message belongs to the current verification; applies `rule` if it
    /// belongs to a past one.
    async fn raise(
        &self,
        key: RecordKey,
        tag: DeliveryTag,
        update: Update,
        reported: ReportedStatus,
        rule: impl Fn(&mut Recipient) -> RaiseOutcome,
        now: Timestamp,
    ) -> Result<RaiseResult, StoreError> {
        let mut update = update
            .and("attribute_exists(deliveries.#tag)")
            .returning_item();
        if reported.status.is_failure() {
            update = update
                .set("step_due = :now")
                .value(":now", number_value(now.0));
        }
        if reported.is_account_fault {
            update = update
                .set("deliveries.#tag.account_fault = :one")
                .value(":one", number_value(1));
        }
        let (item, is_written) = match self.update(key, update, None).await? {
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
        let apply = |recipient: &mut Recipient| {
            let outcome = rule(recipient);
            let recipient = Box::new(recipient.clone());
            Ok(match outcome {
                RaiseOutcome::Raised => Change::Write(RaiseResult::Raised(recipient)),
                RaiseOutcome::Unchanged => Change::Keep(RaiseResult::Unchanged(recipient)),
                RaiseOutcome::UnknownMessage => Change::Keep(RaiseResult::UnknownMessage),
            })
        };
        self.modify(key, &recipient.app, now, apply).await
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

/// Sets the status of the message `tag`, only upwards and only for the carrier that has it.
pub(super) fn raising(
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
