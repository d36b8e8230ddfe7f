//! Further messages of a verification: the second carrier's, and a fallback channel's. The one that a caller asked for was
//! paid when it was accepted; these are paid from the app's money of the day when they are handed over, and left out once
//! that is spent.

use otp::domain::channel::Channel;
use otp::domain::delivery::{Cause, DELIVERIES_MAX, Delivery};
use otp::domain::money::Money;
use otp::domain::recipient::Recipient;
use otp::domain::verification::Verification;
use otp::platform::random::random_bytes;
use otp::store::{Take, Taken, Written};

use crate::hand::{Known, may_go};
use crate::{DeliverError, Work};

/// What is set aside for one message.
pub(crate) struct Charge {
    price: Money,
    /// Absent where nothing is counted: no price, or no end to the money.
    taken: Option<Taken>,
}

impl Work<'_> {
    /// Paid and recorded first, then handed over.
    pub(crate) async fn open(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        channel: Channel,
        cause: Cause,
        except: Option<&str>,
    ) -> Result<(), DeliverError> {
        let Some(to) = &recipient.address else {
            return self.end(None, None, None, 0).await;
        };
        for (channel, cause, except, fallbacks_used) in
            self.openings(verification, channel, cause, except)
        {
            let carrier = self
                .worker
                .carriers
                .serving(channel, to)
                .find(|carrier| Some(carrier.name.as_str()) != except);
            let Some(carrier) = carrier else { continue };
            let Some(charge) = self.charge(None, carrier.price_to(to)).await? else {
                continue;
            };
            let mut opened = verification.clone();
            opened.fallbacks_used = opened.fallbacks_used.saturating_add(fallbacks_used);
            opened.add_delivery(channel, cause, random_bytes(), self.now);
            let Some(delivery) = opened.deliveries.last() else {
                return Ok(());
            };
            let full = verification.deliveries.len() >= DELIVERIES_MAX;
            let dropped = verification
                .deliveries
                .first()
                .filter(|_| full)
                .map(|oldest| oldest.tag);
            let at = self.worker.clock.now();
            let there = match self
                .worker
                .store
                .add_delivery(&self.claim, delivery, opened.fallbacks_used, dropped, at)
                .await
            {
                Ok(Written::Done(there)) => Some(there),
                // Our own write, its answer lost, may have been repeated by the SDK.
                Ok(Written::Refused(there)) => there.filter(|there| has_delivery(there, delivery)),
                Err(error) => {
                    // Should it have been written after all, it is charged when this step is taken again.
                    self.uncharge(Some(charge)).await;
                    return Err(error.into());
                }
            };
            let Some((recipient, verification)) = there
                .as_ref()
                .and_then(|there| Some((there, there.verification.as_ref()?)))
            else {
                self.uncharge(Some(charge)).await;
                return Ok(());
            };
            // What came back is the verification of now: it may have ended since the claim.
            if let Err(unwanted) = may_go(verification, self.worker.clock.now()) {
                return self.leave_out(delivery, Some(charge), unwanted).await;
            }
            return self
                .hand(
                    Known {
                        recipient,
                        verification,
                        at,
                    },
                    delivery,
                    except,
                    Some(charge),
                )
                .await;
        }
        // Nobody to carry it, or no money: without a second carrier the fallback channel's time is waited for.
        let fallback_at = verification
            .deliveries
            .last()
            .map(|latest| latest.updated_at + self.worker.waits.fallback_seconds);
        let due = fallback_at.filter(|at| {
            cause == Cause::Unknown && !verification.fallback_left().is_empty() && *at > self.now
        });
        self.end(None, None, due, 0).await
    }

    /// The message to open, and those to open instead where it is left out: how, why, not by whom, and how many of the
    /// fallback channels that uses up.
    fn openings<'o>(
        &self,
        verification: &'o Verification,
        channel: Channel,
        cause: Cause,
        except: Option<&'o str>,
    ) -> Vec<(Channel, Cause, Option<&'o str>, u8)> {
        let is_silent =
            |latest: &Delivery| latest.updated_at + self.worker.waits.fallback_seconds <= self.now;
        let falls_back =
            cause == Cause::Fallback || verification.deliveries.last().is_some_and(is_silent);
        let fallback = verification
            .fallback_left()
            .iter()
            .filter(|_| falls_back)
            .zip(1..);
        let fallback = fallback.map(|(channel, used)| (*channel, Cause::Fallback, None, used));
        let second = (cause == Cause::Unknown).then_some((channel, cause, except, 0));
        second.into_iter().chain(fallback).collect()
    }

    /// Sets `price` aside, in place of what was before; `None` if so much is not left.
    pub(crate) async fn charge(
        &self,
        before: Option<Charge>,
        price: Money,
    ) -> Result<Option<Charge>, DeliverError> {
        if before.as_ref().is_some_and(|before| before.price == price) {
            return Ok(before);
        }
        self.uncharge(before).await;
        let (store, app) = (&self.worker.store, self.dispatch.app.as_str());
        let Some(counter) = store.spend_counter(app, self.worker.apps.policy(app), price, self.now)
        else {
            return Ok(Some(Charge { price, taken: None }));
        };
        Ok(match store.take(counter, self.now).await? {
            Take::Taken(taken) => Some(Charge {
                price,
                taken: Some(taken),
            }),
            Take::Refused { .. } => None,
        })
    }

    /// Puts back what no carrier has taken a message for.
    pub(crate) async fn uncharge(&self, charge: Option<Charge>) {
        let Some(taken) = charge.and_then(|charge| charge.taken) else {
            return;
        };
        if let Err(error) = self.worker.store.give_back(&taken, self.now).await {
            tracing::error!(
                error.kind = "not_given_back",
                error.cause = error.0,
                "a message that nobody took stays charged"
            );
        }
    }
}

fn has_delivery(recipient: &Recipient, delivery: &Delivery) -> bool {
    recipient
        .verification
        .as_ref()
        .is_some_and(|v| v.deliveries.iter().any(|there| there.tag == delivery.tag))
}
