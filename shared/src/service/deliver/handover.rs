//! Handover: through the carriers in order, until one accepts the message, one rejects it
//! permanently, or none is left.
//!
//! Invariants: no message is handed over whose verification has ended, however long the table or
//! earlier carriers took. No carrier is called that could still be working when the invocation
//! ends.

use super::breakers::{CallPermit, Entry, Scopes, States};
use super::carrier_client::CarrierClient;
use super::composed_message::ComposedMessage;
use super::dependencies::DeliverError;
use super::record::Outcome;
use super::spend_charge::Charge;
use super::step_work::{Snapshot, StepWork};
use crate::carrier::{ConfiguredCarrier, HandoverResponse, Receipt};
use crate::domain::channel::Channel;
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus};
use crate::store::HandoverDetails;

/// A verification whose read began longer ago is read again before a message is handed over, and
/// always after a carrier that did not accept it.
const SNAPSHOT_AGE_MILLIS_MAX: i64 = 100;

/// What became of a message.
pub(super) enum Handover<'a> {
    /// A carrier answered: `sent`, `rejected`, or `unknown`.
    Answered {
        outcome: Outcome,
        call: FinishedCall<'a>,
        /// The carrier and its id of the message, if it takes conversion feedback.
        feedback: Option<(String, String)>,
    },
    /// No carrier accepted it. The shortest `Retry-After`, 0 if a carrier sent none.
    NotAccepted { retry_after_seconds: i64 },
    /// This invocation has no time for the next carrier. Those in `tried` did not accept it.
    Postponed { tried: Vec<String> },
    /// It was not handed over.
    Skipped(SkipReason),
}

/// Why a message is not handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SkipReason {
    /// The verification has ended, or its code expires before the message arrives.
    Ended,
    /// A newer send replaced the verification or its message. That send may be rolled back.
    Replaced,
    /// The claim lapsed and another worker took the step.
    ClaimLost,
}

/// The table failed before a carrier had the message. Those in `tried` did not accept it.
pub(super) struct NotHandedOver {
    pub(super) error: DeliverError,
    tried: Vec<String>,
}

/// A call whose outcome the breakers do not know yet.
pub(super) struct FinishedCall<'a> {
    permit: CallPermit<'a>,
    /// `None`: the call was cut short, which says nothing about the carrier.
    receipt: Option<Receipt>,
    breakers: States,
}

/// The way of one message through the carriers.
struct Round {
    /// What is charged for it so far.
    charge: Option<Charge>,
    breakers: States,
    /// When the verification was last read; `None`: before the last call.
    read_at: Option<i64>,
    /// Carriers that did not accept it.
    tried: Vec<String>,
    shortest_retry_after: Option<i64>,
}

impl<C: CarrierClient> StepWork<'_, C> {
    /// Hands `delivery` over and records the outcome.
    pub(super) async fn hand_over(
        &self,
        snapshot: Snapshot<'_>,
        delivery: &Delivery,
        except: Option<&str>,
        charge: Option<Charge>,
    ) -> Result<(), DeliverError> {
        let Snapshot {
            recipient,
            verification,
            ..
        } = snapshot;
        let handover = self.try_carriers(snapshot, delivery, except, charge);
        let handover = match handover.await {
            Ok(handover) => handover,
            Err(NotHandedOver { error, tried }) => {
                self.give_back_after_error(verification, &tried).await;
                return Err(error);
            }
        };
        match handover {
            Handover::Answered {
                outcome,
                call,
                feedback,
            } => {
                let recorded = self.record_outcome(recipient, verification, delivery, outcome);
                tokio::join!(recorded, self.finish_call(call)).0?;
                self.plan_feedback(verification, delivery, feedback).await;
                Ok(())
            }
            Handover::NotAccepted {
                retry_after_seconds,
            } => {
                self.schedule_retry_or_fail(verification, delivery, retry_after_seconds)
                    .await
            }
            Handover::Postponed { tried } => self.postpone(verification, delivery, &tried).await,
            Handover::Skipped(SkipReason::Ended) => {
                self.end_undeliverable(delivery, true).await?;
                Ok(())
            }
            Handover::Skipped(SkipReason::Replaced) => {
                self.give_back(verification, delivery, &[]).await
            }
            Handover::Skipped(SkipReason::ClaimLost) => Ok(()),
        }
    }

    /// Calls the carriers in order. A message that was not requested is charged at the price of the
    /// carrier that gets it; `charge` is what is reserved for it so far.
    pub(super) async fn try_carriers(
        &self,
        snapshot: Snapshot<'_>,
        delivery: &Delivery,
        except: Option<&str>,
        charge: Option<Charge>,
    ) -> Result<Handover<'_>, NotHandedOver> {
        let mut round = Round {
            charge,
            breakers: self.breakers.clone(),
            read_at: Some(snapshot.read_at),
            tried: snapshot.verification.step.tried_carriers.clone(),
            shortest_retry_after: None,
        };
        let result = match self.compose(&snapshot, delivery) {
            Some(text) => {
                self.call_in_order(&mut round, &snapshot, &text, delivery, except)
                    .await
            }
            None => Ok(Handover::Skipped(SkipReason::Ended)),
        };
        if !matches!(result, Ok(Handover::Answered { .. })) {
            self.release(round.charge).await;
        }
        result.map_err(|error| NotHandedOver {
            error,
            tried: round.tried,
        })
    }

    async fn call_in_order(
        &self,
        round: &mut Round,
        snapshot: &Snapshot<'_>,
        text: &ComposedMessage<'_>,
        delivery: &Delivery,
        except: Option<&str>,
    ) -> Result<Handover<'_>, DeliverError> {
        for carrier in self.delivering.carriers.serving(delivery.channel, &text.to) {
            if Some(carrier.name.as_str()) == except || round.tried.contains(&carrier.name) {
                continue;
            }
            if delivery.cause != Cause::Requested {
                if !self.call_time.fits(carrier) {
                    return Ok(round.postponed());
                }
                let price = carrier.price_to(&text.to);
                round.charge = self.charge(round.charge.take(), price).await?;
                if round.charge.is_none() {
                    continue;
                }
            }
            let scopes = Scopes::new(&carrier.name, delivery.channel, text.to.country());
            let latest_start = self.call_time.latest_start(carrier);
            let breakers = &self.delivering.breakers;
            let entered =
                breakers.enter(&mut round.breakers, &scopes, self.claim.key, latest_start);
            let permit = match entered.await {
                Entry::Permitted(permit) => permit,
                Entry::Open => continue,
                Entry::Full => return Ok(round.postponed()),
            };
            let checked = self.check_deliverable(snapshot, delivery, round.read_at);
            if let Some(reason) = checked.await? {
                return Ok(Handover::Skipped(reason));
            }
            if !self.call_time.fits(carrier) {
                return Ok(round.postponed());
            }
            let message = self.text_for(carrier, text, delivery.channel);
            let response = self.call(carrier, text, &message, delivery.channel).await;
            round.read_at = None;
            if let Some(handover) = self
                .judge(round, carrier, message.parts, delivery, permit, response)
                .await
            {
                return Ok(handover);
            }
        }
        Ok(Handover::NotAccepted {
            retry_after_seconds: round.shortest_retry_after.unwrap_or(0),
        })
    }

    /// What the response to a handover means; `None`: the next carrier is tried.
    async fn judge<'w>(
        &'w self,
        round: &mut Round,
        carrier: &ConfiguredCarrier,
        parts: u8,
        delivery: &Delivery,
        permit: CallPermit<'w>,
        response: HandoverResponse,
    ) -> Option<Handover<'w>> {
        let HandoverResponse {
            receipt,
            vendor_id,
            feedback_id,
        } = response;
        self.log_receipt(carrier, &receipt, delivery.channel);
        let status = match &receipt {
            Receipt::Accepted => Some(DeliveryStatus::Sent),
            Receipt::Permanent | Receipt::Blocked => Some(DeliveryStatus::Rejected),
            Receipt::Unknown => Some(DeliveryStatus::Unknown),
            Receipt::Misconfigured | Receipt::AccountRejected => None,
            Receipt::Transient {
                retry_after_seconds,
            } => {
                let seconds = retry_after_seconds.unwrap_or(0);
                let shortest = round.shortest_retry_after;
                round.shortest_retry_after = Some(shortest.map_or(seconds, |s| s.min(seconds)));
                None
            }
        };
        let is_cut_short =
            receipt == Receipt::Unknown && self.call_time.timeout(carrier) < carrier.timeout;
        let call = FinishedCall {
            permit,
            receipt: (!is_cut_short).then_some(receipt),
            breakers: round.breakers.clone(),
        };
        let Some(status) = status else {
            self.finish_call(call).await;
            round.tried.push(carrier.name.clone());
            return None;
        };
        let parts = (delivery.channel == Channel::Sms).then_some(parts);
        let details = HandoverDetails {
            tag: delivery.tag,
            parts,
            vendor_id,
        };
        let outcome = Outcome {
            status,
            carrier: Some(carrier.name.clone()),
            details: Some(details),
        };
        Some(Handover::Answered {
            outcome,
            call,
            feedback: feedback_id.map(|id| (carrier.name.clone(), id)),
        })
    }

    /// Tells the breakers the outcome of a call.
    pub(super) async fn finish_call(&self, call: FinishedCall<'_>) {
        let FinishedCall {
            permit,
            receipt,
            breakers,
        } = call;
        if let Some(receipt) = receipt {
            self.delivering
                .breakers
                .leave(permit, &breakers, self.claim.key, &receipt)
                .await;
        }
    }

    /// Whether the message may be handed over now; why not, otherwise. An old snapshot is read
    /// again.
    ///
    /// # Errors
    /// The verification could not be read again.
    async fn check_deliverable(
        &self,
        snapshot: &Snapshot<'_>,
        delivery: &Delivery,
        read_at: Option<i64>,
    ) -> Result<Option<SkipReason>, DeliverError> {
        let now = self.delivering.clock.now();
        if !snapshot.verification.is_deliverable(now) {
            return Ok(Some(SkipReason::Ended));
        }
        let age_millis = read_at.map(|read_at| self.delivering.clock.now_millis() - read_at);
        if age_millis.is_some_and(|age| (0..SNAPSHOT_AGE_MILLIS_MAX).contains(&age)) {
            return Ok(None);
        }
        let (store, app) = (&self.delivering.store, &self.dispatch.app);
        let stored = store.load(self.claim.key, app, now).await?;
        let current = stored.recipient.current;
        let current = current.filter(|current| current.params.nonce == self.claim.nonce);
        let Some(current) = current else {
            return Ok(Some(SkipReason::Replaced));
        };
        if self.claim.holds(&current) {
            let now = self.delivering.clock.now();
            return Ok((!current.is_deliverable(now)).then_some(SkipReason::Ended));
        }
        // A resend leaves this worker's message as `sending`. Otherwise another worker has it.
        let mut deliveries = current.deliveries.iter();
        let is_left = deliveries
            .any(|left| left.tag == delivery.tag && left.status == DeliveryStatus::Sending);
        Ok(Some(match is_left {
            true => SkipReason::Replaced,
            false => SkipReason::ClaimLost,
        }))
    }

    fn log_receipt(&self, carrier: &ConfiguredCarrier, receipt: &Receipt, channel: Channel) {
        let (id, carrier, channel) = (self.log_id(), carrier.name.as_str(), channel.name());
        match receipt {
            Receipt::Misconfigured | Receipt::AccountRejected => tracing::error!(
                verification.id = id,
                carrier = carrier,
                delivery.channel = channel,
                error.kind = "misconfigured",
                "the carrier rejects this account's requests: check credentials, balance, settings"
            ),
            Receipt::Blocked => tracing::warn!(
                verification.id = id,
                carrier = carrier,
                delivery.channel = channel,
                error.kind = "blocked",
                "the settings of the account at the carrier block this recipient or country"
            ),
            receipt => tracing::info!(
                verification.id = id,
                carrier = carrier,
                delivery.channel = channel,
                delivery.receipt = ?receipt,
                "called a carrier"
            ),
        }
    }
}

impl Round {
    fn postponed(&mut self) -> Handover<'static> {
        Handover::Postponed {
            tried: std::mem::take(&mut self.tried),
        }
    }
}
