//! The end of a step: what became of a message and what is planned next in one write, then the dispatch that asks for it.
//! Must never let a state count twice, or leave a planned step that nobody asks for.

use otp::domain::address::Address;
use otp::domain::delivery::{Delivery, DeliveryStatus, DeliveryTag};
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::platform::metrics::Metric;
use otp::platform::queue::Dispatch;
use otp::store::{Handover, Raised, StepResult, Written};

use crate::{DeliverError, Work};

impl Work<'_> {
    /// Writes the outcome and the plan in one write, then asks for the planned step.
    pub(crate) async fn end(
        &self,
        delivery: Option<(&Delivery, DeliveryStatus, Option<&str>)>,
        handover: Option<Handover>,
        due: Option<Timestamp>,
        rounds: u8,
    ) -> Result<(), DeliverError> {
        let (store, now) = (&self.worker.store, self.worker.clock.now());
        let outcome = delivery
            .map(|(delivery, status, carrier)| (delivery.tag, status, carrier.map(str::to_owned)));
        let mut due = due;
        let written = store
            .end_step(
                &self.claim,
                &StepResult {
                    delivery: outcome.clone(),
                    handover: handover.clone(),
                    due,
                    rounds,
                },
                now,
            )
            .await?;
        if let (Written::Done(recipient), Some((_, status, carrier))) = (&written, &outcome) {
            self.count(recipient, *status, carrier.as_deref(), now);
        }
        let verification = match &written {
            Written::Refused(Some(recipient)) => recipient.verification.as_ref(),
            Written::Done(_) | Written::Refused(None) => None,
        };
        // Our own write, its answer lost, was repeated by the SDK: it is done.
        let is_done = verification.is_some_and(|v| self.claim.is_ended_on(v));
        if let (Written::Refused(Some(recipient)), Some((tag, status, carrier)), false) =
            (&written, &outcome, is_done)
        {
            let Some(verification) = recipient
                .verification
                .as_ref()
                .filter(|v| self.claim.is_held_by(v))
            else {
                // A resend came first and made its own plan: only the state is left to write.
                return self.raise(tag, *status, carrier.as_deref(), now).await;
            };
            // A report came first and says more than we do: what follows, follows from it.
            due = self.due(recipient, verification, &verification.deliveries, now);
            store
                .end_step(
                    &self.claim,
                    &StepResult {
                        delivery: None,
                        handover,
                        due,
                        rounds,
                    },
                    now,
                )
                .await?;
        }
        match due {
            Some(at) => {
                self.dispatch_again(self.claim.sequence.saturating_add(1), at)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Nobody took a message: plans the next round for it.
    pub(crate) async fn plan_round(
        &self,
        delivery: &Delivery,
        at: Timestamp,
        rounds: u8,
    ) -> Result<(), DeliverError> {
        let (store, now) = (&self.worker.store, self.worker.clock.now());
        let plan = StepResult {
            delivery: None,
            handover: None,
            due: Some(at),
            rounds,
        };
        let is_done = match store.end_step(&self.claim, &plan, now).await? {
            Written::Done(_) => true,
            Written::Refused(there) => there
                .and_then(|there| there.verification)
                .is_some_and(|v| self.claim.is_ended_on(&v)),
        };
        if is_done {
            return self
                .dispatch_again(self.claim.sequence.saturating_add(1), at)
                .await;
        }
        // A resend or another send took its place and left it to us: it has no further round.
        self.raise(&delivery.tag, DeliveryStatus::Failed, None, now)
            .await
    }

    /// What a worker that died had in hand when another message took its place: a dispatch that comes again tells that it died. It may have
    /// gone out.
    pub(crate) async fn tell_left(&self, left: &[Delivery]) -> Result<(), DeliverError> {
        for delivery in left
            .iter()
            .filter(|delivery| delivery.status == DeliveryStatus::Sending)
        {
            self.raise(&delivery.tag, DeliveryStatus::Unknown, None, self.now)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn dispatch_again(
        &self,
        sequence: u16,
        at: Timestamp,
    ) -> Result<(), DeliverError> {
        let dispatch = Dispatch {
            seq: sequence,
            ..self.dispatch.clone()
        };
        Ok(self
            .worker
            .queue
            .enqueue(&dispatch, at.seconds_since(self.worker.clock.now()))
            .await?)
    }

    pub(crate) async fn raise(
        &self,
        tag: &DeliveryTag,
        status: DeliveryStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) -> Result<(), DeliverError> {
        if let Raised::Done(recipient) = self
            .worker
            .store
            .raise(&self.claim.key, tag, status, carrier, now)
            .await?
        {
            self.count(&recipient, status, carrier, now);
        }
        Ok(())
    }

    /// A state counts once it is written, so that it counts once.
    fn count(
        &self,
        recipient: &Recipient,
        status: DeliveryStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) {
        let country = recipient.address.as_ref().and_then(Address::country);
        self.worker.metrics.count(
            &Metric::Delivery {
                carrier,
                country,
                status: status.name(),
            },
            now,
        );
    }
}
