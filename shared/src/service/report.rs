//! Report: applies an authentic report of a carrier to the message that it names.
//!
//! Invariant: a report moves the status of one message up and changes nothing else.

use std::sync::Arc;

use crate::crypto::keyring::Keyring;
use crate::domain::address::Address;
use crate::domain::delivery::{DeliveryStatus, ReportedStatus};
use crate::domain::delivery_plan::{self, NextStep, ReportWaits};
use crate::domain::ids::{DeliveryTag, RecordKey};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification_status::Status;
use crate::platform::metrics::{Metric, Metrics};
use crate::platform::queue::{Dispatch, Queue, QueueError};
use crate::store::{RaiseResult, Store, StoreError};

/// What reports need.
pub struct Reporting {
    /// The table.
    pub store: Store,
    /// The queue for follow-up steps; `None` with `OTP_DISPATCH=sns`.
    pub queue: Option<Queue>,
    /// Seal keys and lookup key.
    pub keyring: Arc<Keyring>,
    /// Waits for reports.
    pub waits: ReportWaits,
    /// Metrics.
    pub metrics: Metrics,
}

/// What an authentic report did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportOutcome {
    /// The status moved up.
    Raised,
    /// The status was as high already, or the report has no status that is known.
    Unchanged,
    /// There is no such message (any more).
    UnknownMessage,
}

/// Why an authentic report was not applied: the carrier must send it again.
#[derive(Debug, thiserror::Error)]
pub enum ApplyReportError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Reporting {
    /// Applies the report of `carrier` about the message `reference`.
    ///
    /// # Errors
    /// [`ApplyReportError`].
    pub async fn apply(
        &self,
        carrier: &str,
        reference: &str,
        reported: Option<ReportedStatus>,
        now: Timestamp,
    ) -> Result<ReportOutcome, ApplyReportError> {
        let outcome = match (self.keyring.open_reference(reference), reported) {
            (Some((key, tag)), Some(reported)) => {
                self.raise(carrier, key, tag, reported, now).await?
            }
            (Some(_), None) => ReportOutcome::Unchanged,
            (None, _) => ReportOutcome::UnknownMessage,
        };
        tracing::info!(
            carrier = carrier,
            delivery.reference = reference.get(..8).unwrap_or_default(),
            status = reported.map(|reported| reported.status.name()),
            outcome = ?outcome,
            "received a delivery report"
        );
        let is_account_fault = reported.is_some_and(|reported| reported.is_account_fault);
        if is_account_fault && outcome != ReportOutcome::UnknownMessage {
            tracing::error!(
                carrier = carrier,
                delivery.reference = reference.get(..8).unwrap_or_default(),
                error.kind = "misconfigured",
                "the carrier could not send for this account: check sender, registration, template"
            );
        }
        Ok(outcome)
    }

    async fn raise(
        &self,
        carrier: &str,
        key: RecordKey,
        tag: DeliveryTag,
        reported: ReportedStatus,
        now: Timestamp,
    ) -> Result<ReportOutcome, ApplyReportError> {
        let status = reported.status;
        if status.rank_floor() == 0 {
            // No status is below `queued`.
            return Ok(ReportOutcome::Unchanged);
        }
        let raised = self
            .store
            .apply_report(key, tag, reported, carrier, now)
            .await?;
        let (recipient, outcome) = match raised {
            RaiseResult::Raised(recipient) => (recipient, ReportOutcome::Raised),
            RaiseResult::Unchanged(recipient) => (recipient, ReportOutcome::Unchanged),
            RaiseResult::UnknownMessage => return Ok(ReportOutcome::UnknownMessage),
        };
        if outcome == ReportOutcome::Raised {
            self.count(&recipient, carrier, tag, status, now);
        }
        if status.is_failure() {
            self.enqueue_next_message(key, &recipient, now).await?;
        }
        Ok(outcome)
    }

    fn count(
        &self,
        recipient: &Recipient,
        carrier: &str,
        tag: DeliveryTag,
        status: DeliveryStatus,
        now: Timestamp,
    ) {
        let country = recipient.address.as_ref().and_then(Address::country);
        let status_name = status.name();
        let metric = Metric::Delivery {
            carrier: Some(carrier),
            country,
            status: status_name,
        };
        self.metrics.count(&metric);
        if status == DeliveryStatus::Delivered
            && let Some(opened_at) = opened_with(recipient, tag)
        {
            let seconds = now.seconds_since(opened_at);
            self.metrics.count(&Metric::Report { carrier, seconds });
        }
    }

    /// After a failed message another carrier or a fallback channel may follow: the step is
    /// enqueued at once, and the worker finds out whether there is one. A repeated report enqueues
    /// it again, which is harmless and replaces a dispatch that was lost.
    async fn enqueue_next_message(
        &self,
        key: RecordKey,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let (Some(current), Some(queue)) = (&recipient.current, &self.queue) else {
            return Ok(());
        };
        let (deliveries, fallback) = (&current.deliveries, current.fallback_left());
        let may_have_second = deliveries.last().is_some_and(|last| last.is_account_fault);
        let next = delivery_plan::next_step(deliveries, may_have_second, fallback, self.waits, now);
        let is_due = current.step.due.is_some_and(|due| due <= now);
        let is_pending = current.status(now) == Status::Pending;
        if !matches!(next, NextStep::AddDelivery { .. }) || !is_due || !is_pending {
            return Ok(());
        }
        let id = self
            .keyring
            .verification_id(&recipient.app, key, current.params.nonce);
        let dispatch = Dispatch {
            app: recipient.app.clone(),
            id,
            step: current.step.sequence,
        };
        queue.enqueue(&dispatch, 0).await
    }
}

/// When the verification was opened whose first message is `tag`: only that message was handed over
/// then.
fn opened_with(recipient: &Recipient, tag: DeliveryTag) -> Option<Timestamp> {
    let mut verifications = recipient.verifications();
    let opened = verifications.find(|verification| {
        let mut deliveries = verification.deliveries().iter();
        deliveries.any(|delivery| delivery.tag == tag && delivery.number == 1)
    })?;
    Some(opened.params().created_at)
}
