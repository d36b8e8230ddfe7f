//! Record: what became of a message and the next step, in one write; then the dispatch of that
//! step.
//!
//! Invariants: a status is counted once; no planned step is left without a dispatch.

use super::carrier_client::CarrierClient;
use super::dependencies::DeliverError;
use super::step_work::{StepWork, uncertain_before};
use crate::domain::address::Address;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::delivery_plan;
use crate::domain::ids::DeliveryTag;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::platform::metrics::Metric;
use crate::platform::queue::Dispatch;
use crate::store::{ClaimResult, DeliveryRecord, HandoverDetails, RaiseResult, StepResult};

/// The recipient as the last write left it, if there is one.
pub(super) type Recorded = Option<Box<Recipient>>;

/// What became of a message.
pub(super) struct Outcome {
    pub(super) status: DeliveryStatus,
    /// The carrier that has it, or may have it.
    pub(super) carrier: Option<String>,
    pub(super) details: Option<HandoverDetails>,
}

impl<C: CarrierClient> StepWork<'_, C> {
    /// Records what became of `delivery`, and plans the next step.
    pub(super) async fn record_outcome(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        delivery: &Delivery,
        outcome: Outcome,
    ) -> Result<Recorded, DeliverError> {
        let uncertain_handovers = match outcome.status {
            DeliveryStatus::Unknown => verification.step.uncertain_handovers,
            _ => 0,
        };
        let due = self.due_after(recipient, verification, &outcome, uncertain_handovers);
        let record = DeliveryRecord {
            tag: delivery.tag,
            status: outcome.status,
            carrier: outcome.carrier,
        };
        self.end(StepResult {
            record: Some(record),
            details: outcome.details,
            due,
            retry_rounds: 0,
            uncertain_handovers,
        })
        .await
    }

    /// Ends a step whose message may already have been handed over twice: its workers crashed. It
    /// is not handed over again.
    pub(super) async fn give_up_handover(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        delivery: &Delivery,
    ) -> Result<Recorded, DeliverError> {
        let outcome = Outcome {
            status: DeliveryStatus::Unknown,
            carrier: None,
            details: None,
        };
        let uncertain_handovers = uncertain_before(verification);
        let due = self.due_after(recipient, verification, &outcome, uncertain_handovers);
        let record = DeliveryRecord {
            tag: delivery.tag,
            status: outcome.status,
            carrier: None,
        };
        tracing::warn!(
            verification.id = self.log_id(),
            error.kind = "handovers_unknown",
            "a message was claimed twice without an outcome; it is not handed over again"
        );
        self.end(StepResult {
            record: Some(record),
            due,
            uncertain_handovers,
            ..StepResult::default()
        })
        .await
    }

    /// When the next step is due after `outcome` of the latest message.
    fn due_after(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        outcome: &Outcome,
        uncertain_handovers: u8,
    ) -> Option<Timestamp> {
        let now = self.delivering.clock.now();
        let mut deliveries = verification.deliveries.clone();
        if let Some(latest) = deliveries.last_mut() {
            latest.status = outcome.status;
            latest.carrier.clone_from(&outcome.carrier);
            latest.updated_at = now;
            if let Some(details) = &outcome.details {
                latest.vendor_id.clone_from(&details.vendor_id);
            }
        }
        self.next_due(
            recipient,
            verification,
            &deliveries,
            uncertain_handovers,
            now,
        )
    }

    /// Ends a step in which nothing was sent.
    pub(super) async fn end_without_message(
        &self,
        recipient: &Recipient,
        verification: &Verification,
    ) -> Result<Recorded, DeliverError> {
        let (now, uncertain_handovers) =
            (self.delivering.clock.now(), uncertain_before(verification));
        let deliveries = &verification.deliveries;
        let due = self.next_due(
            recipient,
            verification,
            deliveries,
            uncertain_handovers,
            now,
        );
        self.end(StepResult {
            due,
            uncertain_handovers,
            ..StepResult::default()
        })
        .await
    }

    /// Ends the step of a verification that has ended. A message that was not handed over is
    /// `failed`.
    pub(super) async fn end_undeliverable(
        &self,
        delivery: &Delivery,
        is_queued: bool,
    ) -> Result<Recorded, DeliverError> {
        let status = DeliveryStatus::Failed;
        let record = is_queued.then_some(DeliveryRecord {
            tag: delivery.tag,
            status,
            carrier: None,
        });
        self.end(StepResult {
            record,
            ..StepResult::default()
        })
        .await
    }

    /// No carrier accepted the message: plans the next retry round, or ends it.
    pub(super) async fn schedule_retry_or_fail(
        &self,
        verification: &Verification,
        delivery: &Delivery,
        retry_after_seconds: i64,
    ) -> Result<(), DeliverError> {
        let now = self.delivering.clock.now();
        let rounds = verification.step.retry_rounds.saturating_add(1);
        let expires_at = verification.params.expires_at;
        let retry_at = delivery_plan::retry_at(rounds, retry_after_seconds, expires_at, now);
        let Some(at) = retry_at else {
            self.end_undeliverable(delivery, true).await?;
            return Ok(());
        };
        let result = StepResult {
            due: Some(at),
            retry_rounds: rounds,
            uncertain_handovers: uncertain_before(verification),
            ..StepResult::default()
        };
        let store = &self.delivering.store;
        match store.end_step(&self.claim, &result, now).await? {
            ClaimResult::Written(_) => self.enqueue_next(result.due).await,
            // Another send came first: this message has no further round.
            ClaimResult::Lost(recipient) => {
                self.enqueue_after_ended_step(recipient.as_deref()).await?;
                self.fail_left_message(recipient, delivery).await
            }
        }
    }

    /// Moves a message to `failed` that no worker will take again: a newer send left it to this
    /// worker, which has lost its claim. One whose step another worker took over is left to that
    /// one.
    pub(super) async fn fail_left_message(
        &self,
        recipient: Option<Box<Recipient>>,
        delivery: &Delivery,
    ) -> Result<(), DeliverError> {
        if recipient.unwrap_or_default().has_left(delivery.tag) {
            self.fail_left(delivery.tag).await?;
        }
        Ok(())
    }

    /// Ends the step, then enqueues the next one.
    pub(super) async fn end(&self, mut result: StepResult) -> Result<Recorded, DeliverError> {
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let current = match store.end_step(&self.claim, &result, now).await? {
            ClaimResult::Written(stored) => {
                let recipient = stored.recipient;
                self.count(&recipient, result.record.as_ref());
                let tag = result.record.as_ref().map(|record| record.tag);
                let is_failure = self.apply_early_report(&recipient, tag).await?;
                let due = if is_failure { Some(now) } else { result.due };
                self.enqueue_next(due).await?;
                return Ok(Some(Box::new(recipient)));
            }
            ClaimResult::Lost(current) => current,
        };
        self.enqueue_after_ended_step(current.as_deref()).await?;
        let Some(record) = result.record.take() else {
            self.enqueue_next(result.due).await?;
            return Ok(current);
        };
        let Some(recipient) = current.filter(|recipient| self.holds_current(recipient)) else {
            // Another send came first and planned its own step: only the status is left to record.
            if record.status == DeliveryStatus::Failed {
                return self.fail_left(record.tag).await;
            }
            return self
                .raise(record.tag, record.status, record.carrier.as_deref())
                .await;
        };
        // A report came first and says more, or an earlier worker of this step has stored that the
        // outcome of its own handover is not known: the next step follows from it. All handovers so
        // far count, so that there is no third one.
        if let Some(verification) = &recipient.current {
            result.uncertain_handovers = match record.status {
                DeliveryStatus::Sent | DeliveryStatus::Unknown => {
                    verification.step.uncertain_handovers
                }
                _ => uncertain_before(verification),
            };
            let (deliveries, uncertain) = (&verification.deliveries, result.uncertain_handovers);
            result.due = self.next_due(&recipient, verification, deliveries, uncertain, now);
        }
        store.end_step(&self.claim, &result, now).await?;
        self.enqueue_next(result.due).await?;
        Ok(Some(recipient))
    }

    fn holds_current(&self, recipient: &Recipient) -> bool {
        let current = recipient.current.as_ref();
        current.is_some_and(|verification| self.claim.holds(verification))
    }

    /// Applies a report that arrived during the handover, now that it is known which carrier has
    /// the message. Returns whether it was a failure: then the next step is due at once.
    async fn apply_early_report(
        &self,
        recipient: &Recipient,
        tag: Option<DeliveryTag>,
    ) -> Result<bool, DeliverError> {
        let mut deliveries = recipient.verifications().flat_map(|v| v.deliveries());
        let delivery = deliveries.find(|delivery| Some(delivery.tag) == tag);
        let Some((delivery, reported)) =
            delivery.zip(delivery.and_then(Delivery::status_of_early_report))
        else {
            return Ok(false);
        };
        let status = reported.status;
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let carrier = delivery.carrier.as_deref();
        let raised = store
            .raise_delivery(self.claim.key, delivery.tag, reported, carrier, now)
            .await?;
        if let RaiseResult::Raised(recipient) = raised {
            let (tag, carrier) = (delivery.tag, delivery.carrier.clone());
            let record = DeliveryRecord {
                tag,
                status,
                carrier,
            };
            self.count(&recipient, Some(&record));
        }
        Ok(status.is_failure())
    }

    async fn enqueue_next(&self, due: Option<Timestamp>) -> Result<(), DeliverError> {
        match due {
            Some(at) => {
                self.enqueue_step(self.claim.sequence.saturating_add(1), at)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Enqueues a step of this verification.
    pub(super) async fn enqueue_step(
        &self,
        sequence: u16,
        at: Timestamp,
    ) -> Result<(), DeliverError> {
        let Some(queue) = &self.delivering.queue else {
            return Ok(());
        };
        let dispatch = Dispatch {
            step: sequence,
            ..self.dispatch.clone()
        };
        let delay_seconds = at.seconds_since(self.delivering.clock.now());
        Ok(queue.enqueue(&dispatch, delay_seconds).await?)
    }

    /// Moves the status of a message up, outside a claim.
    pub(super) async fn raise(
        &self,
        tag: DeliveryTag,
        status: DeliveryStatus,
        carrier: Option<&str>,
    ) -> Result<Recorded, DeliverError> {
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let raised = store
            .raise_delivery(self.claim.key, tag, status.into(), carrier, now)
            .await?;
        self.raised(raised, tag, status, carrier).await
    }

    /// Moves a message to `failed` that a newer send left to this worker.
    async fn fail_left(&self, tag: DeliveryTag) -> Result<Recorded, DeliverError> {
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let failed = store.fail_left_delivery(self.claim.key, tag, now).await?;
        self.raised(failed, tag, DeliveryStatus::Failed, None).await
    }

    /// Counts a status that moved up.
    async fn raised(
        &self,
        raised: RaiseResult,
        tag: DeliveryTag,
        status: DeliveryStatus,
        carrier: Option<&str>,
    ) -> Result<Recorded, DeliverError> {
        match raised {
            RaiseResult::Raised(recipient) => {
                let carrier = carrier.map(str::to_owned);
                let record = DeliveryRecord {
                    tag,
                    status,
                    carrier,
                };
                self.count(&recipient, Some(&record));
                self.apply_early_report(&recipient, Some(tag)).await?;
                Ok(Some(recipient))
            }
            RaiseResult::Unchanged(recipient) => Ok(Some(recipient)),
            RaiseResult::UnknownMessage => Ok(None),
        }
    }

    fn count(&self, recipient: &Recipient, record: Option<&DeliveryRecord>) {
        let Some(record) = record else { return };
        let metric = Metric::Delivery {
            carrier: record.carrier.as_deref(),
            country: recipient.address.as_ref().and_then(Address::country),
            status: record.status.name(),
        };
        self.delivering.metrics.count(&metric);
    }
}
