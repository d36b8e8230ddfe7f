//! Fallback: adds a message of the second carrier or of a fallback channel, charges it, and hands
//! it over.

use super::carrier_client::CarrierClient;
use super::dependencies::DeliverError;
use super::spend_charge::Charge;
use super::step_work::{Snapshot, StepWork, uncertain_before};
use crate::domain::channel::Channel;
use crate::domain::delivery::{Cause, DELIVERIES_MAX, Delivery};
use crate::domain::ids::DeliveryTag;
use crate::domain::recipient::Recipient;
use crate::domain::verification::Verification;
use crate::platform::random::random_bytes;
use crate::store::{ClaimResult, StepResult};

/// A message that could be added.
struct Candidate<'c> {
    channel: Channel,
    cause: Cause,
    /// The carrier that may have the message already.
    except: Option<&'c str>,
    /// Number of fallback channels that it uses up.
    fallbacks_used: u8,
}

impl<C: CarrierClient> StepWork<'_, C> {
    /// Charges and adds the first message that a carrier serves and the spend cap allows, then
    /// hands it over.
    pub(super) async fn add_delivery(
        &self,
        snapshot: Snapshot<'_>,
        channel: Channel,
        cause: Cause,
        except: Option<&str>,
    ) -> Result<(), DeliverError> {
        let verification = snapshot.verification;
        let Some(to) = &snapshot.recipient.address else {
            return self.end(StepResult::default()).await.map(drop);
        };
        for candidate in self.candidates(verification, channel, cause, except) {
            let mut serving = self.delivering.carriers.serving(candidate.channel, to);
            let carrier = serving.find(|carrier| Some(carrier.name.as_str()) != candidate.except);
            let Some(carrier) = carrier else { continue };
            let charged = match self.charge(None, carrier.price_to(to)).await {
                Ok(charged) => charged,
                Err(error) => {
                    self.give_back_after_error(verification, &[]).await;
                    return Err(error);
                }
            };
            if let Some(charge) = charged {
                return self.add_candidate(verification, &candidate, charge).await;
            }
        }
        self.end_without_candidate(verification, cause).await
    }

    /// Adds the message and hands it over.
    async fn add_candidate(
        &self,
        verification: &Verification,
        candidate: &Candidate<'_>,
        charge: Charge,
    ) -> Result<(), DeliverError> {
        let added = self.added(verification, candidate);
        let Some(delivery) = added.deliveries.last() else {
            return Ok(());
        };
        let read_at = self.delivering.clock.now_millis();
        let stored = match self.write_added(verification, &added, delivery).await {
            Ok(stored) => stored,
            Err(error) => {
                // If it was written after all, it is charged when this step is taken again.
                self.release(Some(charge)).await;
                return Err(error);
            }
        };
        let current = stored.as_ref().and_then(|stored| stored.current.as_ref());
        let Some((recipient, verification)) = stored.as_ref().zip(current) else {
            self.release(Some(charge)).await;
            return Ok(());
        };
        let snapshot = Snapshot {
            recipient,
            verification,
            read_at,
        };
        self.hand_over(snapshot, delivery, candidate.except, Some(charge))
            .await
    }

    /// No carrier, or the spend cap is reached. Without a second carrier the fallback channel is
    /// due after its own wait.
    async fn end_without_candidate(
        &self,
        verification: &Verification,
        cause: Cause,
    ) -> Result<(), DeliverError> {
        let waits = self.delivering.waits;
        let latest = verification.deliveries.last();
        let due = latest.map(|latest| latest.updated_at + waits.fallback_seconds);
        let has_fallback = !verification.fallback_left().is_empty();
        let is_second_carrier = cause == Cause::SecondCarrier;
        let due = due.filter(|at| is_second_carrier && has_fallback && *at > self.now);
        self.end(StepResult {
            due,
            uncertain_handovers: uncertain_before(verification),
            ..StepResult::default()
        })
        .await
        .map(drop)
    }

    /// The requested message, then those that may be sent instead of it.
    fn candidates<'c>(
        &self,
        verification: &Verification,
        channel: Channel,
        cause: Cause,
        except: Option<&'c str>,
    ) -> Vec<Candidate<'c>> {
        let waits = self.delivering.waits;
        let is_over = |latest: &Delivery| {
            latest.status.is_failure() || latest.updated_at + waits.fallback_seconds <= self.now
        };
        let may_fall_back =
            cause == Cause::Fallback || verification.deliveries.last().is_some_and(is_over);
        let mut candidates = vec![];
        if cause == Cause::SecondCarrier {
            candidates.push(Candidate {
                channel,
                cause,
                except,
                fallbacks_used: 0,
            });
        }
        if may_fall_back {
            let fallback = verification.fallback_left().iter().zip(1..);
            candidates.extend(fallback.map(|(channel, fallbacks_used)| Candidate {
                channel: *channel,
                cause: Cause::Fallback,
                except: None,
                fallbacks_used,
            }));
        }
        candidates
    }

    /// `verification` with the candidate's message.
    fn added(&self, verification: &Verification, candidate: &Candidate<'_>) -> Verification {
        let mut added = verification.clone();
        added.fallbacks_used = added
            .fallbacks_used
            .saturating_add(candidate.fallbacks_used);
        let tag = DeliveryTag(random_bytes());
        added.add_delivery(candidate.channel, candidate.cause, tag, self.now);
        added
    }

    /// The recipient with the added message; `None` if the claim was lost.
    async fn write_added(
        &self,
        before: &Verification,
        added: &Verification,
        delivery: &Delivery,
    ) -> Result<Option<Recipient>, DeliverError> {
        let is_full = before.deliveries.len() >= DELIVERIES_MAX;
        let dropped = before
            .deliveries
            .first()
            .filter(|_| is_full)
            .map(|oldest| oldest.tag);
        let (store, now) = (&self.delivering.store, self.delivering.clock.now());
        let written = store
            .add_delivery(&self.claim, delivery, added.fallbacks_used, dropped, now)
            .await?;
        Ok(match written {
            ClaimResult::Written(stored) => Some(stored.recipient),
            ClaimResult::Lost(_) => None,
        })
    }
}
