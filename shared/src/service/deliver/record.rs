//! Record: what became of a message and the next step, in one write; then the dispatch of that
//! step.
//!
//! Invariants: a status is counted once; no planned step is left without a dispatch.

use super::carrier_client::CarrierClient;
use super::delivering::DeliverError;
use super::step_work::StepWork;
use crate::domain::address::Address;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::ids::DeliveryTag;
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::platform::metrics::Metric;
use crate::platform::queue::Dispatch;
use crate::store::{ClaimResult, DeliveryRecord, HandoverDetails, RaiseResult, StepResult};

impl<C: CarrierClient> StepWork<'_, C> {
    /// Records the status of `delivery` at `carrier`, and plans the next step.
    pub(super) async fn record_outcome(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        delivery: &Delivery,
        status: DeliveryStatus,
        carrier: &str,
        details: Option<HandoverDetails>,
    ) -> Result<(), DeliverError> {
        let now = self.delivering.clock.now();
        let mut deliveries = verification.deliveries.clone();
        if let Some(latest) = deliveries.last_mut() {
            latest.status = status;
            latest.carrier = Some(carrier.to_owned());
            latest.updated_at = now;
            if let Some(details) = &details {
                latest.vendor_id.clone_from(&details.vendor_id);
            }
        }
        let due = self.next_due(recipient, verification, &deliveries, now);
        let record = DeliveryRecord {
            tag: delivery.tag,
            status,
            carrier: Some(carrier.to_owned()),
        };
        self.end(StepResult {
            record: Some(record),
            details,
            due,
            retry_rounds: 0,
        })
        .await
    }

    /// Ends a step in which nothing was sent.
    pub(super) async fn end_without_message(
        &self,
        recipient: &Recipient,
        verification: &Verification,
    ) -> Result<(), DeliverError> {
        let now = self.delivering.clock.now();
        let due = self.next_due(recipient, verification, &verification.deliveries, now);
        self.end(StepResult {
            due,
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
    ) -> Result<(), DeliverError> {
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

    /// Ends the step, then enqueues the next one.
    pub(super) async fn end(&self, mut result: StepResult) -> Result<(), DeliverError> {
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let current = match store.end_step(&self.claim, &result, now).await? {
            ClaimResult::Written(stored) => {
                self.count(&stored.recipient, result.record.as_ref(), now);
                return self.enqueue_next(result.due).await;
            }
            ClaimResult::Lost(current) => current,
        };
        let Some(record) = result.record.take() else {
            return self.enqueue_next(result.due).await;
        };
        let verification = current
            .as_ref()
            .and_then(|recipient| recipient.current.as_ref());
        let held = current
            .as_ref()
            .zip(verification.filter(|v| self.claim.holds(v)));
        let Some((recipient, verification)) = held else {
            // Another send came first and planned its own step: only the status is left to record.
            return self
                .raise(record.tag, record.status, record.carrier.as_deref())
                .await;
        };
        // A report came first and says more: the next step follows from it.
        result.due = self.next_due(recipient, verification, &verification.deliveries, now);
        store.end_step(&self.claim, &result, now).await?;
        self.enqueue_next(result.due).await
    }

    /// No carrier accepted the message: plans the next retry round.
    pub(super) async fn schedule_retry(
        &self,
        delivery: &Delivery,
        at: Timestamp,
        retry_rounds: u8,
    ) -> Result<(), DeliverError> {
        let now = self.delivering.clock.now();
        let result = StepResult {
            due: Some(at),
            retry_rounds,
            ..StepResult::default()
        };
        match self
            .delivering
            .store
            .end_step(&self.claim, &result, now)
            .await?
        {
            ClaimResult::Written(_) => self.enqueue_next(result.due).await,
            // Another send came first: this message has no further round.
            ClaimResult::Lost(_) => self.raise(delivery.tag, DeliveryStatus::Failed, None).await,
        }
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
    ) -> Result<(), DeliverError> {
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let raised = store
            .raise_delivery(self.claim.key, tag, status, carrier, now)
            .await?;
        if let RaiseResult::Raised(recipient) = raised {
            let carrier = carrier.map(str::to_owned);
            self.count(
                &recipient,
                Some(&DeliveryRecord {
                    tag,
                    status,
                    carrier,
                }),
                now,
            );
        }
        Ok(())
    }

    fn count(&self, recipient: &Recipient, record: Option<&DeliveryRecord>, now: Timestamp) {
        let Some(record) = record else { return };
        let metric = Metric::Delivery {
            carrier: record.carrier.as_deref(),
            country: recipient.address.as_ref().and_then(Address::country),
            status: record.status.name(),
        };
        self.delivering.metrics.count(&metric, now);
    }
}
