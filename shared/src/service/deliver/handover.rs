//! Handover: through the carriers in order, until one accepts the message, one rejects it
//! permanently, or none is left.
//!
//! Invariant: no message is handed over whose verification has ended, however long the table or
//! earlier carriers took.

use std::time::Duration;

use super::carrier_client::CarrierClient;
use super::charge::Charge;
use super::delivering::DeliverError;
use super::step_work::{Snapshot, StepWork};
use crate::carrier::{ConfiguredCarrier, HandoverResponse, OutgoingMessage, Receipt};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus};
use crate::domain::delivery_plan;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::message::{Message, compose};
use crate::platform::logging::causes;
use crate::store::{DeliveryRecord, HandoverDetails, StepResult};

/// Time for all carriers of one step, within the function's 10 s.
const HANDOVER_BUDGET: Duration = Duration::from_millis(8500);
/// Less time than this is not worth a connection.
const HANDOVER_MINIMUM: Duration = Duration::from_millis(500);
/// A verification that was read longer ago is read again before a message is handed over, and
/// always after a carrier that did not accept it.
const SNAPSHOT_AGE_MAX_SECONDS: i64 = 2;

/// What became of a message.
pub(super) enum Handover {
    /// A carrier answered: `sent`, `rejected`, or `unknown`.
    Answered {
        status: DeliveryStatus,
        carrier: String,
        details: HandoverDetails,
    },
    /// No carrier accepted it. The shortest `Retry-After`, 0 if a carrier sent none.
    NotAccepted { retry_after_seconds: i64 },
    /// It was not handed over.
    Skipped(SkipReason),
}

/// A message, ready for any carrier.
struct Composed<'s> {
    to: &'s Address,
    message: Message,
    code: Code,
    reference: String,
    locale: &'s str,
    expires_at: Timestamp,
}

/// Why a message is not handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SkipReason {
    /// The verification has ended, or its code expires before the message arrives.
    Ended,
    /// The claim lapsed and another worker took the step.
    ClaimLost,
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
        match self
            .try_carriers(snapshot, delivery, except, charge)
            .await?
        {
            Handover::Answered {
                status,
                carrier,
                details,
            } => {
                let details = Some(details);
                self.record_outcome(recipient, verification, delivery, status, &carrier, details)
                    .await
            }
            Handover::NotAccepted {
                retry_after_seconds,
            } => {
                self.schedule_retry_or_fail(verification, delivery, retry_after_seconds)
                    .await
            }
            Handover::Skipped(SkipReason::Ended) => self.end_undeliverable(delivery, true).await,
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
        mut charge: Option<Charge>,
    ) -> Result<Handover, DeliverError> {
        let Some(text) = self.compose(&snapshot, delivery) else {
            self.release(charge).await;
            return Ok(Handover::Skipped(SkipReason::Ended));
        };
        let mut read_at = snapshot.read_at;
        let started = tokio::time::Instant::now();
        let mut shortest_retry_after: Option<i64> = None;
        let mut breakers = self.delivering.breakers.read().await;
        for carrier in self.delivering.carriers.serving(delivery.channel, text.to) {
            if Some(carrier.name.as_str()) == except {
                continue;
            }
            if delivery.cause != Cause::Requested {
                charge = self.charge(charge, carrier.price_to(text.to)).await?;
                if charge.is_none() {
                    continue;
                }
            }
            let time_left = HANDOVER_BUDGET.saturating_sub(started.elapsed());
            let Some(wait) = time_left.checked_sub(HANDOVER_MINIMUM) else {
                continue;
            };
            let entered = self
                .delivering
                .breakers
                .enter(&mut breakers, &carrier.name, wait)
                .await;
            let Some(permit) = entered else { continue };
            let checked = self
                .check_deliverable(&snapshot, delivery, &mut read_at)
                .await;
            if let Err(reason) = checked {
                self.release(charge).await;
                return Ok(Handover::Skipped(reason));
            }
            let time_left = HANDOVER_BUDGET.saturating_sub(started.elapsed());
            let HandoverResponse { receipt, vendor_id } =
                self.call(carrier, &text, delivery.channel, time_left).await;
            self.delivering
                .breakers
                .leave(permit, &breakers, &receipt)
                .await;
            // The call took time: the verification is read again before the next one.
            read_at = Timestamp(0);
            self.log_receipt(carrier, &receipt, delivery.channel);
            let status = match receipt {
                Receipt::Accepted => DeliveryStatus::Sent,
                Receipt::Permanent => DeliveryStatus::Rejected,
                Receipt::Unknown => DeliveryStatus::Unknown,
                Receipt::Misconfigured => continue,
                Receipt::Transient {
                    retry_after_seconds,
                } => {
                    let seconds = retry_after_seconds.unwrap_or(0);
                    let shortest = shortest_retry_after.map_or(seconds, |known| known.min(seconds));
                    shortest_retry_after = Some(shortest);
                    continue;
                }
            };
            let parts = (delivery.channel == Channel::Sms).then_some(text.message.parts);
            let details = HandoverDetails {
                tag: delivery.tag,
                parts,
                vendor_id,
            };
            return Ok(Handover::Answered {
                status,
                carrier: carrier.name.clone(),
                details,
            });
        }
        self.release(charge).await;
        Ok(Handover::NotAccepted {
            retry_after_seconds: shortest_retry_after.unwrap_or(0),
        })
    }

    /// The text of `delivery`; `None` if the recipient was forgotten or the key of the code was
    /// removed.
    fn compose<'s>(&self, snapshot: &Snapshot<'s>, delivery: &Delivery) -> Option<Composed<'s>> {
        let Snapshot {
            recipient,
            verification,
            ..
        } = *snapshot;
        let policy = self.delivering.apps.policy(&self.dispatch.app);
        let code = self
            .delivering
            .keyring
            .open_code(self.claim.key, verification)?;
        Some(Composed {
            to: recipient.address.as_ref()?,
            message: compose(policy, verification, &code, delivery.channel, self.now),
            reference: self
                .delivering
                .keyring
                .reference(self.claim.key, delivery.tag),
            locale: &verification.params.locale,
            expires_at: verification.params.expires_at,
            code,
        })
    }

    /// Hands the text to one carrier.
    async fn call(
        &self,
        carrier: &ConfiguredCarrier,
        text: &Composed<'_>,
        channel: Channel,
        time_left: Duration,
    ) -> HandoverResponse {
        let now = self.delivering.clock.now();
        let policy = self.delivering.apps.policy(&self.dispatch.app);
        let sender = carrier.sender_for(policy, text.to);
        let callback_url = self.callback_url(carrier, &text.reference);
        let message = OutgoingMessage {
            to: text.to,
            sender: sender.as_deref(),
            channel,
            message: &text.message,
            code: text.code.reveal(),
            locale: text.locale,
            reference: &text.reference,
            validity_seconds: text.expires_at.seconds_since(now),
            callback_url: &callback_url,
        };
        self.delivering
            .carriers
            .hand_over(carrier, &message, time_left, now)
            .await
    }

    /// Whether the message may be handed over now. An old snapshot is read again; if that
    /// fails, the snapshot counts.
    async fn check_deliverable(
        &self,
        snapshot: &Snapshot<'_>,
        delivery: &Delivery,
        read_at: &mut Timestamp,
    ) -> Result<(), SkipReason> {
        let now = self.delivering.clock.now();
        if !snapshot.verification.is_deliverable(now) {
            return Err(SkipReason::Ended);
        }
        if now.seconds_since(*read_at) < SNAPSHOT_AGE_MAX_SECONDS {
            return Ok(());
        }
        let loaded = self
            .delivering
            .store
            .load(self.claim.key, &self.dispatch.app, now)
            .await;
        let current = match loaded {
            Ok(stored) => stored.recipient.current,
            Err(error) => {
                tracing::warn!(
                    verification.id = self.log_id(),
                    error.kind = "unread",
                    error.cause = causes(&error),
                    "could not re-read the verification; sending with the earlier snapshot"
                );
                return Ok(());
            }
        };
        *read_at = now;
        let current = current.filter(|current| current.params.nonce == self.claim.nonce);
        let current = current.ok_or(SkipReason::Ended)?;
        if self.claim.holds(&current) {
            return if current.is_deliverable(now) {
                Ok(())
            } else {
                Err(SkipReason::Ended)
            };
        }
        // A resend leaves this worker's message as `sending`. Otherwise another worker has it.
        let mut left = current
            .deliveries
            .iter()
            .filter(|left| left.tag == delivery.tag);
        let is_left = left.any(|left| left.status == DeliveryStatus::Sending);
        Err(if is_left {
            SkipReason::Ended
        } else {
            SkipReason::ClaimLost
        })
    }

    async fn schedule_retry_or_fail(
        &self,
        verification: &Verification,
        delivery: &Delivery,
        retry_after_seconds: i64,
    ) -> Result<(), DeliverError> {
        let now = self.delivering.clock.now();
        let rounds = verification.step.retry_rounds.saturating_add(1);
        let expires_at = verification.params.expires_at;
        match delivery_plan::retry_at(rounds, retry_after_seconds, expires_at, now) {
            Some(at) => self.schedule_retry(delivery, at, rounds).await,
            None => {
                let (tag, status) = (delivery.tag, DeliveryStatus::Failed);
                let record = Some(DeliveryRecord {
                    tag,
                    status,
                    carrier: None,
                });
                self.end(StepResult {
                    record,
                    ..StepResult::default()
                })
                .await
            }
        }
    }

    /// Where `carrier` reports what becomes of a message: a URL for the message, or for the
    /// account.
    fn callback_url(&self, carrier: &ConfiguredCarrier, reference: &str) -> String {
        let Some(public_url) = &self.delivering.public_url else {
            return String::new();
        };
        let token = match &carrier.callback_token {
            Some(token) => token.clone(),
            None => self
                .delivering
                .keyring
                .callback_token(&carrier.name, reference),
        };
        format!("{public_url}/v1/callbacks/{}/{token}", carrier.name)
    }

    fn log_receipt(&self, carrier: &ConfiguredCarrier, receipt: &Receipt, channel: Channel) {
        let (id, carrier, channel) = (self.log_id(), carrier.name.as_str(), channel.name());
        match receipt {
            Receipt::Misconfigured => tracing::error!(
                verification.id = id,
                delivery.carrier = carrier,
                delivery.channel = channel,
                error.kind = "misconfigured",
                "the carrier rejects this account's requests: check credentials, balance, settings"
            ),
            receipt => tracing::info!(
                verification.id = id,
                delivery.carrier = carrier,
                delivery.channel = channel,
                delivery.receipt = ?receipt,
                "called a carrier"
            ),
        }
    }
}
