//! Handing a message over: through the carriers in order, until one has it, one refuses for good, or nobody is left.
//! Must never hand over a code that would arrive dead, or a message that nobody waits for any more, however long the table
//! or the carriers before took.

use std::time::Duration;

use otp::carrier::{ConfiguredCarrier, OutgoingMessage, Receipt};
use otp::domain::channel::Channel;
use otp::domain::delivery::{self, Cause, Delivery, DeliveryStatus};
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::domain::verification::{Status, Verification};
use otp::message::compose;
use otp::store::Handover;

use crate::further::Charge;
use crate::{DeliverError, Work};

/// Time for all carriers of one step: within the function's 10 s.
const HANDOVER_BUDGET: Duration = Duration::from_millis(8500);
/// Less than this is not worth opening a connection for.
const HANDOVER_MINIMUM: Duration = Duration::from_millis(500);
/// A verification that was read longer ago is read again before a message goes out, and always after a carrier that did not take it: as a
/// rule none is.
const KNOWN_SECONDS_MAX: i64 = 2;

/// What is known of a verification, and since when.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k> {
    pub(crate) recipient: &'k Recipient,
    pub(crate) verification: &'k Verification,
    pub(crate) at: Timestamp,
}

/// Why a message does not go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unwanted {
    /// Nobody waits for it any more, or its code would arrive dead.
    Ended,
    /// This worker stood still for so long that another one took the step.
    TakenOver,
}

impl Work<'_> {
    /// A message that was not asked for is charged at the price of the carrier that gets it; `charge` is set aside for it.
    pub(crate) async fn hand(
        &self,
        known: Known<'_>,
        delivery: &Delivery,
        except: Option<&str>,
        mut charge: Option<Charge>,
    ) -> Result<(), DeliverError> {
        let (
            Known {
                recipient,
                verification,
                ..
            },
            mut known_at,
        ) = (known, known.at);
        let policy = self.worker.apps.policy(&self.dispatch.app);
        let (Some(to), Some(code)) = (
            &recipient.address,
            self.worker.store.open_code(&self.claim.key, verification),
        ) else {
            return self.leave_out(delivery, charge, Unwanted::Ended).await;
        };
        let text = compose(policy, verification, &code, delivery.channel, self.now);
        let reference = self.worker.seal.reference(&self.claim.key, &delivery.tag);
        let started = tokio::time::Instant::now();
        // The soonest that any of them will take it: at once, if one did not say.
        let mut retry_after_seconds: Option<i64> = None;
        let mut breakers = self.worker.breakers.read().await;
        for carrier in self
            .worker
            .carriers
            .serving(delivery.channel, to)
            .filter(|carrier| Some(carrier.name.as_str()) != except)
        {
            if delivery.cause != Cause::Asked {
                charge = self.charge(charge, carrier.price_to(to)).await?;
                if charge.is_none() {
                    continue;
                }
            }
            let wait = HANDOVER_BUDGET
                .saturating_sub(started.elapsed())
                .checked_sub(HANDOVER_MINIMUM);
            let Some(wait) = wait else { continue };
            let Some(place) = self
                .worker
                .breakers
                .enter(&mut breakers, &carrier.name, wait)
                .await
            else {
                continue;
            };
            let now = self.worker.clock.now();
            if let Err(unwanted) = self
                .is_wanted(verification, delivery, &mut known_at, now)
                .await
            {
                return self.leave_out(delivery, charge, unwanted).await;
            }
            let time_left = HANDOVER_BUDGET.saturating_sub(started.elapsed());
            let (sender, callback_url) = (
                carrier.sender_for(policy, to),
                self.callback_url(carrier, &reference),
            );
            let message = OutgoingMessage {
                to,
                sender: sender.as_deref(),
                channel: delivery.channel,
                message: &text,
                code: code.reveal(),
                locale: &verification.params.locale,
                reference: &reference,
                validity_seconds: verification.params.expires_at.seconds_since(now),
                callback_url: &callback_url,
            };
            let (receipt, vendor_id) = self
                .worker
                .carriers
                .hand_over(carrier, &message, time_left, now)
                .await;
            self.worker.breakers.leave(place, &breakers, &receipt).await;
            // Its answer took time: before the next one is called, what is known is looked at again.
            known_at = Timestamp(0);
            self.log(carrier, &receipt, delivery.channel);
            let status = match receipt {
                Receipt::Accepted => DeliveryStatus::Sent,
                Receipt::Permanent => DeliveryStatus::Rejected,
                Receipt::Unknown => DeliveryStatus::Unknown,
                Receipt::Misconfigured => continue,
                Receipt::Transient {
                    retry_after_seconds: after,
                } => {
                    retry_after_seconds = Some(
                        after
                            .unwrap_or(0)
                            .min(retry_after_seconds.unwrap_or(i64::MAX)),
                    );
                    continue;
                }
            };
            let parts = if delivery.channel == Channel::Sms {
                text.parts
            } else {
                0
            };
            let handover = Handover {
                tag: delivery.tag,
                parts,
                vendor_id,
            };
            return self
                .told(
                    recipient,
                    verification,
                    delivery,
                    status,
                    &carrier.name,
                    Some(handover),
                )
                .await;
        }
        self.uncharge(charge).await;
        self.nobody_took(verification, delivery, retry_after_seconds)
            .await
    }

    /// A message that goes to nobody costs nothing.
    pub(crate) async fn leave_out(
        &self,
        delivery: &Delivery,
        charge: Option<Charge>,
        unwanted: Unwanted,
    ) -> Result<(), DeliverError> {
        self.uncharge(charge).await;
        match unwanted {
            Unwanted::Ended => {
                self.end(
                    Some((delivery, DeliveryStatus::Failed, None)),
                    None,
                    None,
                    0,
                )
                .await
            }
            Unwanted::TakenOver => Ok(()),
        }
    }

    /// Whether a message may still go at `now`. Where the table cannot say so, what was known before counts.
    async fn is_wanted(
        &self,
        verification: &Verification,
        delivery: &Delivery,
        known_at: &mut Timestamp,
        now: Timestamp,
    ) -> Result<(), Unwanted> {
        may_go(verification, now)?;
        if now.seconds_since(*known_at) < KNOWN_SECONDS_MAX {
            return Ok(());
        }
        let there = match self.worker.store.read(&self.claim.key, now).await {
            Ok(recipient) => recipient
                .and_then(|recipient| recipient.verification)
                .filter(|there| there.params.nonce == self.claim.nonce),
            Err(error) => {
                tracing::warn!(
                    error.kind = "unread",
                    error.cause = error.0,
                    "a message goes out by what was known before"
                );
                return Ok(());
            }
        };
        *known_at = now;
        let there = there.ok_or(Unwanted::Ended)?;
        if self.claim.is_held_by(&there) {
            return may_go(&there, now);
        }
        // A resend leaves the message to us as `sending`; whoever claimed after us has it otherwise.
        let is_left = there
            .deliveries
            .iter()
            .any(|left| left.tag == delivery.tag && left.status == DeliveryStatus::Sending);
        Err(if is_left {
            Unwanted::Ended
        } else {
            Unwanted::TakenOver
        })
    }

    async fn nobody_took(
        &self,
        verification: &Verification,
        delivery: &Delivery,
        retry_after_seconds: Option<i64>,
    ) -> Result<(), DeliverError> {
        let now = self.worker.clock.now();
        let rounds = verification.step.rounds.saturating_add(1);
        match delivery::retry_at(
            rounds,
            retry_after_seconds.unwrap_or(0),
            verification.params.expires_at,
            now,
        ) {
            Some(at) => self.plan_round(delivery, at, rounds).await,
            None => {
                self.end(
                    Some((delivery, DeliveryStatus::Failed, None)),
                    None,
                    None,
                    0,
                )
                .await
            }
        }
    }

    /// Where `carrier` reports what becomes of a message: a URL of the message, or of the account.
    fn callback_url(&self, carrier: &ConfiguredCarrier, reference: &str) -> String {
        let of_message = || self.worker.seal.callback_token(&carrier.name, reference);
        let token = carrier
            .account_token()
            .map_or_else(of_message, str::to_owned);
        format!(
            "{}/v1/callbacks/{}/{token}",
            self.worker.public_url, carrier.name
        )
    }

    fn log(&self, carrier: &ConfiguredCarrier, receipt: &Receipt, channel: Channel) {
        let id = self.dispatch.id.get(..8).unwrap_or_default();
        let (carrier, channel) = (carrier.name.as_str(), channel.name());
        match receipt {
            Receipt::Misconfigured => {
                tracing::error!(
                    verification.id = id,
                    delivery.carrier = carrier,
                    delivery.channel = channel,
                    error.kind = "misconfigured",
                    "a carrier takes nothing from us: check its credentials, balance and settings"
                );
            }
            receipt => {
                tracing::info!(verification.id = id, delivery.carrier = carrier, delivery.channel = channel, delivery.receipt = ?receipt, "a carrier was called")
            }
        }
    }
}

/// Whether a message of `verification` may go to a carrier: somebody waits for it, and its code will not arrive dead.
pub(crate) fn may_go(verification: &Verification, now: Timestamp) -> Result<(), Unwanted> {
    let may_go = verification.status(now) == Status::Pending && verification.params.is_in_time(now);
    may_go.then_some(()).ok_or(Unwanted::Ended)
}

/// The carrier that may have the message before a second-carrier message, which must not go there again.
pub(crate) fn carrier_before<'v>(
    verification: &'v Verification,
    latest: &Delivery,
) -> Option<&'v str> {
    let before = verification
        .deliveries
        .iter()
        .rev()
        .find(|delivery| delivery.number < latest.number);
    before
        .filter(|_| latest.cause == Cause::Unknown)
        .and_then(|before| before.carrier.as_deref())
}
