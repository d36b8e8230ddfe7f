//! Delivery status: what workers and reports say about a message.
//!
//! Invariants: a status only moves up. `delivered` counts from every carrier; any other report only
//! from the carrier that has the message, or may have it.

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

/// Sets the status of the message `tag`, only upwards, and only for the carrier that has it unless
/// the message was delivered.
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
    let update = match status {
        DeliveryStatus::Delivered => update,
        _ => update.and(
            "(attribute_not_exists(deliveries.#tag.carrier) \
             OR deliveries.#tag.carrier = :carrier)",
        ),
    };
    update
        .set("deliveries.#tag.carrier = :carrier")
        .value(":carrier", text(carrier))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::delivery::{Cause, EarlyReport};
    use crate::domain::verification::Verification;
    use crate::store::tests::{
        KEY, NOW, TAG, TestTable, keyring, opened, store_with_recipient, stored_verification,
    };

    const OTHER: DeliveryTag = DeliveryTag([2; 4]);

    /// A message of the current verification, and one of a past one.
    async fn two_messages(status: DeliveryStatus, carrier: Option<&str>) -> (TestTable, Store) {
        let keyring = keyring(&["k1"]);
        let mut recipient = opened(&keyring);
        let mut current: Verification = recipient.current.clone().expect("a verification");
        current.deliveries.clear();
        current.add_delivery(Channel::Sms, Cause::Requested, OTHER, NOW);
        recipient.open(current, NOW);
        let current = recipient.current.as_mut().expect("a verification");
        current.step.due = None;
        let delivery = &mut current.deliveries[0];
        (delivery.status, delivery.carrier) = (status, carrier.map(str::to_owned));
        let past = &mut recipient.past[0].deliveries[0];
        (past.status, past.carrier) = (status, carrier.map(str::to_owned));
        let table = TestTable::start().await;
        let store = store_with_recipient(&table, &recipient).await;
        (table, store)
    }

    fn name(result: Result<RaiseResult, StoreError>) -> &'static str {
        match result.expect("a response") {
            RaiseResult::Raised(_) => "raised",
            RaiseResult::Unchanged(_) => "unchanged",
            RaiseResult::UnknownMessage => "unknown",
        }
    }

    /// Status, time and carrier of the current and of the past message.
    async fn stored(store: &Store) -> [(DeliveryStatus, Timestamp, Option<String>); 2] {
        let stored = store.load(KEY, "shop", NOW).await.expect("a read");
        let recipient = stored.recipient;
        let current = &recipient.current.as_ref().expect("current").deliveries[0];
        let past = &recipient.past[0].deliveries[0];
        [current, past].map(|d| (d.status, d.updated_at, d.carrier.clone()))
    }

    #[tokio::test]
    async fn report_raises_messages_of_its_carrier() {
        let (_table, store) = two_messages(DeliveryStatus::Sent, Some("a")).await;
        let report = async |tag, status: DeliveryStatus, carrier| {
            name(
                store
                    .apply_report(KEY, tag, status.into(), carrier, NOW + 5)
                    .await,
            )
        };
        for tag in [OTHER, TAG] {
            assert_eq!(
                report(tag, DeliveryStatus::Undelivered, "b").await,
                "unchanged"
            );
            assert_eq!(
                report(tag, DeliveryStatus::Undelivered, "a").await,
                "raised"
            );
            assert_eq!(
                report(tag, DeliveryStatus::Undelivered, "a").await,
                "unchanged"
            );
            assert_eq!(report(tag, DeliveryStatus::Delivered, "a").await, "raised");
        }
        let delivered = (DeliveryStatus::Delivered, NOW + 5, Some("a".to_owned()));
        assert_eq!(stored(&store).await, [delivered.clone(), delivered]);
        let unknown = DeliveryTag([9; 4]);
        assert_eq!(
            report(unknown, DeliveryStatus::Delivered, "a").await,
            "unknown"
        );
        let elsewhere = store.apply_report(
            RecordKey([9; 12]),
            TAG,
            DeliveryStatus::Delivered.into(),
            "a",
            NOW,
        );
        assert_eq!(name(elsewhere.await), "unknown");
    }

    #[tokio::test]
    async fn failure_makes_the_next_step_due() {
        let (_table, store) = two_messages(DeliveryStatus::Sent, Some("a")).await;
        let fault = ReportedStatus {
            status: DeliveryStatus::Rejected,
            is_account_fault: true,
        };
        let raised = store.raise_delivery(KEY, OTHER, fault, None, NOW + 5).await;
        assert_eq!(name(raised), "raised");
        let verification = stored_verification(&store).await;
        assert_eq!(verification.step.due, Some(NOW + 5));
        assert!(verification.deliveries[0].is_account_fault);
        assert_eq!(verification.deliveries[0].carrier.as_deref(), Some("a"));
        let (_table, store) = two_messages(DeliveryStatus::Sent, Some("a")).await;
        let delivered = DeliveryStatus::Delivered.into();
        let raised = store
            .raise_delivery(KEY, OTHER, delivered, Some("a"), NOW)
            .await;
        assert_eq!(name(raised), "raised");
        let verification = stored_verification(&store).await;
        assert_eq!(verification.step.due, None);
        assert!(!verification.deliveries[0].is_account_fault);
    }

    #[tokio::test]
    async fn early_report_is_kept_until_a_carrier_accepts() {
        let (_table, store) = two_messages(DeliveryStatus::Sending, None).await;
        let early = async |status, is_account_fault, carrier| {
            let reported = ReportedStatus {
                status,
                is_account_fault,
            };
            let result = store
                .apply_report(KEY, OTHER, reported, carrier, NOW + 5)
                .await;
            assert_eq!(name(result), "unchanged");
            let verification = stored_verification(&store).await;
            assert_eq!(verification.deliveries[0].status, DeliveryStatus::Sending);
            verification.deliveries[0].early_report.clone()
        };
        let kept = |status, is_account_fault, carrier: &str| {
            Some(EarlyReport {
                carrier: carrier.to_owned(),
                reported: ReportedStatus {
                    status,
                    is_account_fault,
                },
            })
        };
        use DeliveryStatus::{Rejected, Sent, Undelivered};
        assert_eq!(early(Sent, false, "a").await, kept(Sent, false, "a"));
        let failed = kept(Undelivered, false, "a");
        assert_eq!(early(Undelivered, false, "a").await, failed);
        assert_eq!(early(Sent, false, "a").await, failed, "it reported more");
        assert_eq!(early(Rejected, true, "b").await, kept(Rejected, true, "b"));
        // Reports for which no message of the current verification waits are not kept.
        let past = store
            .apply_report(KEY, TAG, Undelivered.into(), "a", NOW)
            .await;
        assert_eq!(name(past), "unchanged");
    }

    #[tokio::test]
    async fn delivery_by_any_carrier_counts_before_handover_ends() {
        let (_table, store) = two_messages(DeliveryStatus::Sending, None).await;
        let delivered = DeliveryStatus::Delivered.into();
        let report = store
            .apply_report(KEY, OTHER, delivered, "b", NOW + 5)
            .await;
        assert_eq!(name(report), "raised");
        let [current, _] = stored(&store).await;
        assert_eq!(
            current,
            (DeliveryStatus::Delivered, NOW + 5, Some("b".into()))
        );
        assert_eq!(
            stored_verification(&store).await.deliveries[0].early_report,
            None
        );
    }

    #[tokio::test]
    async fn uncertain_message_takes_the_report_of_any_carrier() {
        let (_table, store) = two_messages(DeliveryStatus::Unknown, None).await;
        let failed = DeliveryStatus::Undelivered.into();
        let report = store.apply_report(KEY, OTHER, failed, "b", NOW + 5).await;
        assert_eq!(name(report), "raised");
        assert_eq!(
            stored_verification(&store).await.deliveries[0].early_report,
            None
        );
    }

    #[tokio::test]
    async fn only_a_claimed_message_that_was_left_fails() {
        for (status, result) in [
            (DeliveryStatus::Queued, "unchanged"),
            (DeliveryStatus::Sending, "raised"),
            (DeliveryStatus::Sent, "unchanged"),
        ] {
            let (_table, store) = two_messages(status, None).await;
            let failed = store.fail_left_delivery(KEY, OTHER, NOW + 5).await;
            assert_eq!(name(failed), result, "{status:?}");
            let [(stored, ..), _] = stored(&store).await;
            let expected = match result {
                "raised" => DeliveryStatus::Failed,
                _ => status,
            };
            assert_eq!(stored, expected);
        }
    }

    #[tokio::test]
    async fn report_costs_one_write_unless_it_is_early() {
        let reports = [
            (DeliveryStatus::Sent, Some("a"), "b", 1),
            (DeliveryStatus::Sent, Some("a"), "a", 1),
            (DeliveryStatus::Undelivered, None, "a", 1),
            (DeliveryStatus::Sending, None, "a", 2),
        ];
        for (status, holder, carrier, writes) in reports {
            let (table, store) = two_messages(status, holder).await;
            let before = table.requests();
            let failed = DeliveryStatus::Undelivered.into();
            let report = store
                .apply_report(KEY, OTHER, failed, carrier, NOW + 5)
                .await;
            report.expect("a response");
            assert_eq!(table.requests() - before, writes, "{status:?} {carrier}");
        }
    }

    #[tokio::test]
    async fn unkept_early_report_is_applied_again() {
        let (table, store) = two_messages(DeliveryStatus::Sending, None).await;
        let sent = DeliveryStatus::Sent.into();
        for writes in [2, 3] {
            let before = table.requests();
            let report = store.apply_report(KEY, OTHER, sent, "a", NOW + 5).await;
            assert_eq!(name(report), "unchanged");
            assert_eq!(table.requests() - before, writes, "kept once");
        }
    }
}
