//! Deliveries: claim a step, add a message, end the step.
//!
//! Invariant: each is one conditional write.

use super::attributes::{binary, number_value, text};
use super::delivery_item::write_delivery;
use super::delivery_status::raising;
use super::expression::{Update, WriteResult};
use super::recipient_item;
use super::recipients::StoredRecipient;
use super::{Store, StoreError, attributes};
use crate::domain::delivery::{Cause, Delivery, DeliveryStatus, HANDOVER_MARGIN_SECONDS};
use crate::domain::ids::{ClaimId, DeliveryTag, RecordKey, VerificationNonce};
use crate::domain::recipient::Recipient;
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;

/// The step is still held by this claim.
const IS_CLAIMED: &str = "nonce = :nonce AND step = :step AND claim_id = :claim_id";

/// A worker's claim on one step of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The recipient.
    pub key: RecordKey,
    /// The verification.
    pub nonce: VerificationNonce,
    /// The step.
    pub sequence: u16,
    /// Random name: two claims on one step differ.
    pub id: ClaimId,
    /// When it lapses.
    pub until: Timestamp,
}

impl Claim {
    /// Whether `verification` is held by this claim.
    #[must_use]
    pub fn holds(&self, verification: &Verification) -> bool {
        let step = &verification.step;
        verification.params.nonce == self.nonce
            && step.sequence == self.sequence
            && step.claim.is_some_and(|claim| claim.id == self.id)
    }
}

/// Result of a write under a claim.
#[derive(Debug)]
pub enum ClaimResult {
    /// Written; the recipient after it.
    Written(Box<StoredRecipient>),
    /// The condition failed; the recipient as it is, if there is one.
    Lost(Option<Box<Recipient>>),
}

/// New status of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRecord {
    /// The message.
    pub tag: DeliveryTag,
    /// Its status.
    pub status: DeliveryStatus,
    /// The carrier that has it, or may have.
    pub carrier: Option<String>,
}

/// What is known of a message once it was handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandoverDetails {
    /// The message.
    pub tag: DeliveryTag,
    /// Parts of a text message.
    pub parts: Option<u8>,
    /// The carrier's id of it, where the carrier's status API is polled.
    pub vendor_id: Option<String>,
}

/// End of a step: what became of its message, and the next step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepResult {
    /// New status of a message.
    pub record: Option<DeliveryRecord>,
    /// What the handover of a message brought beside its status.
    pub details: Option<HandoverDetails>,
    /// When the next step is due; `None` if no step is planned.
    pub due: Option<Timestamp>,
    /// Rounds in which no carrier accepted the message.
    pub retry_rounds: u8,
    /// Handovers of the latest message whose outcome is still not known.
    pub uncertain_handovers: u8,
}

impl Store {
    /// Claims a step. Only a dispatch with the current step number wins, once the step is due, if
    /// no other worker holds it and a message would still arrive in time. The claim counts as a
    /// handover until the outcome of the step is stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_step(
        &self,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let update = Update::when("nonce = :nonce AND step = :step AND step_due <= :now")
            .and("NOT claimed_until > :now")
            .and("attribute_not_exists(canceled_at) AND expires_at >= :in_time")
            .set("claim_id = :claim_id, claimed_until = :until")
            .add("uncertain_handovers :one")
            .value(":one", number_value(1))
            .value(":now", number_value(now.0))
            .value(":in_time", number_value((now + HANDOVER_MARGIN_SECONDS).0))
            .value(":until", number_value(claim.until.0));
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    /// Adds `delivery` to a claimed verification, in place of the `dropped` one if there are too
    /// many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_delivery(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        fallbacks_used: u8,
        dropped: Option<DeliveryTag>,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let mut update = Update::when(IS_CLAIMED)
            .and("attribute_not_exists(deliveries.#tag)")
            .set("deliveries.#tag = :delivery")
            .set("fallbacks_used = :fallbacks_used")
            .remove("tried_carriers, retry_rounds")
            .name("#tag", delivery.tag.to_string())
            .value(":delivery", write_delivery(delivery))
            .value(":fallbacks_used", number_value(fallbacks_used));
        if delivery.cause == Cause::Fallback {
            // A new message: only the handover of this claim counts.
            update = update
                .set("uncertain_handovers = :one")
                .value(":one", number_value(1));
        }
        if let Some(tag) = dropped {
            update = update
                .remove("deliveries.#dropped")
                .name("#dropped", tag.to_string());
        }
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    /// Ends a claimed step: the message's new status, if it is above the stored one, and the next
    /// step.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_step(
        &self,
        claim: &Claim,
        result: &StepResult,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let mut update = Update::when(IS_CLAIMED)
            .set("step = :next")
            .remove("claim_id, claimed_until, tried_carriers")
            .value(":next", number_value(claim.sequence.saturating_add(1)));
        update = match result.retry_rounds {
            0 => update.remove("retry_rounds"),
            rounds => update
                .set("retry_rounds = :retry_rounds")
                .value(":retry_rounds", number_value(rounds)),
        };
        update = with_uncertain_handovers(update, result.uncertain_handovers);
        update = match result.due {
            Some(due) => update
                .set("step_due = :due")
                .value(":due", number_value(due.0)),
            None => update.remove("step_due"),
        };
        if let Some(DeliveryRecord {
            tag,
            status,
            carrier,
        }) = &result.record
        {
            update = raising(update, *tag, *status, carrier.as_deref(), now);
        }
        if let Some(details) = &result.details {
            update = detailing(update, details);
        }
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    /// Gives a claimed step back without an outcome. Another worker takes it and leaves out the
    /// carriers in `tried`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_claim(
        &self,
        claim: &Claim,
        tried: &[String],
        uncertain_handovers: u8,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let mut update = Update::when(IS_CLAIMED).remove("claim_id, claimed_until");
        update = with_uncertain_handovers(update, uncertain_handovers);
        if !tried.is_empty() {
            update = update
                .set("tried_carriers = :tried")
                .value(":tried", attributes::names(tried));
        }
        self.write_claimed(claim, claim_values(update, claim), now)
            .await
    }

    async fn write_claimed(
        &self,
        claim: &Claim,
        update: Update,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let update = update.returning_item();
        match self.update(claim.key, update, None).await? {
            WriteResult::Written(item) => {
                let recipient = self.recipient_of(claim.key, item.as_ref(), now)?;
                let version = item.as_ref().and_then(recipient_item::version);
                let recipient = recipient.unwrap_or_default();
                Ok(ClaimResult::Written(Box::new(StoredRecipient {
                    recipient,
                    version,
                })))
            }
            WriteResult::ConditionFailed(item) => {
                let recipient = self.recipient_of(claim.key, item.as_ref(), now)?;
                Ok(ClaimResult::Lost(recipient.map(Box::new)))
            }
        }
    }
}

fn with_uncertain_handovers(update: Update, count: u8) -> Update {
    match count {
        0 => update.remove("uncertain_handovers"),
        count => update
            .set("uncertain_handovers = :uncertain_handovers")
            .value(":uncertain_handovers", number_value(count)),
    }
}

fn claim_values(update: Update, claim: &Claim) -> Update {
    update
        .value(":nonce", binary(&claim.nonce.0))
        .value(":step", number_value(claim.sequence))
        .value(":claim_id", binary(&claim.id.0))
}

/// Sets what the handover of a message brought beside its status.
fn detailing(mut update: Update, details: &HandoverDetails) -> Update {
    if let Some(parts) = details.parts {
        update = update
            .set("deliveries.#tag.parts = :parts")
            .name("#tag", details.tag.to_string())
            .value(":parts", number_value(parts));
    }
    if let Some(vendor_id) = &details.vendor_id {
        update = update
            .set("deliveries.#tag.vendor_id = :vendor_id")
            .name("#tag", details.tag.to_string())
            .value(":vendor_id", text(vendor_id));
    }
    update
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;
    use crate::domain::step::StepClaim;
    use crate::store::tests::{
        KEY, NONCE, NOW, TAG, TestTable, keyring, opened, store_with_recipient, stored_verification,
    };

    fn claim(n: u8) -> Claim {
        Claim {
            key: KEY,
            nonce: NONCE,
            sequence: 1,
            id: ClaimId([n; 6]),
            until: NOW + 15,
        }
    }

    /// The verification after a write under a claim; `None` if the claim is lost.
    fn written(result: Result<ClaimResult, StoreError>) -> Option<Verification> {
        match result.expect("a response") {
            ClaimResult::Written(stored) => {
                assert!(stored.version.is_some());
                stored.recipient.current
            }
            ClaimResult::Lost(_) => None,
        }
    }

    async fn is_claimed(store: &Store, claim: Claim, now: Timestamp) -> bool {
        let claimed = written(store.claim_step(&claim, now).await);
        claimed.is_some_and(|verification| claim.holds(&verification))
    }

    async fn queued() -> (TestTable, Store) {
        let table = TestTable::start().await;
        let store = store_with_recipient(&table, &opened(&keyring(&["k1"]))).await;
        (table, store)
    }

    #[tokio::test]
    async fn step_is_claimed_by_one_worker_until_it_lapses() {
        let (_table, store) = queued().await;
        let early = NOW - 1;
        assert!(!is_claimed(&store, claim(1), early).await, "not due yet");
        assert!(is_claimed(&store, claim(1), NOW).await);
        assert!(!is_claimed(&store, claim(2), NOW + 14).await, "held");
        assert!(is_claimed(&store, claim(2), NOW + 15).await, "lapsed");
        let verification = stored_verification(&store).await;
        assert!(claim(2).holds(&verification) && !claim(1).holds(&verification));
        assert_eq!(verification.step.uncertain_handovers, 2);
        assert_eq!(
            verification.step.claim.map(|claim| claim.until),
            Some(NOW + 15)
        );
    }

    #[test]
    fn claim_holds_its_own_step_only() {
        let recipient = opened(&keyring(&["k1"]));
        let mut verification = recipient.current.expect("a current verification");
        verification.step.claim = Some(StepClaim {
            id: ClaimId([1; 6]),
            until: NOW + 15,
        });
        assert!(claim(1).holds(&verification));
        let other_step = Claim {
            sequence: 2,
            ..claim(1)
        };
        let other_verification = Claim {
            nonce: VerificationNonce([9; 4]),
            ..claim(1)
        };
        for other in [claim(2), other_step, other_verification] {
            assert!(!other.holds(&verification), "{other:?}");
        }
        verification.step.claim = None;
        assert!(!claim(1).holds(&verification));
    }

    #[tokio::test]
    async fn late_or_stale_step_is_not_claimed() {
        let (_table, store) = queued().await;
        let in_time = NOW + 300 - HANDOVER_MARGIN_SECONDS;
        assert!(!is_claimed(&store, claim(1), in_time + 1).await, "too late");
        let stale = Claim {
            sequence: 2,
            ..claim(1)
        };
        assert!(!is_claimed(&store, stale, NOW).await);
        let lost = store.claim_step(&stale, NOW).await;
        assert!(matches!(lost, Ok(ClaimResult::Lost(Some(_)))), "{lost:?}");
        let unknown = Claim {
            key: RecordKey([9; 12]),
            ..claim(1)
        };
        let lost = store.claim_step(&unknown, NOW).await;
        assert!(matches!(lost, Ok(ClaimResult::Lost(None))), "{lost:?}");
        assert!(is_claimed(&store, claim(1), in_time).await);
    }

    fn second(cause: Cause) -> Delivery {
        Delivery {
            tag: DeliveryTag([2; 4]),
            number: 2,
            channel: Channel::Voice,
            status: DeliveryStatus::Queued,
            carrier: None,
            cause,
            updated_at: NOW,
            parts: None,
            vendor_id: None,
            early_report: None,
            is_account_fault: false,
        }
    }

    #[tokio::test]
    async fn message_is_added_once_under_a_claim() {
        let (_table, store) = queued().await;
        let fallback = second(Cause::Fallback);
        let added = store.add_delivery(&claim(1), &fallback, 1, None, NOW).await;
        assert!(written(added).is_none(), "not claimed");
        for n in [1, 2] {
            let at = NOW + i64::from(n - 1) * 15;
            assert!(is_claimed(&store, claim(n), at).await);
        }
        let added = store
            .add_delivery(&claim(2), &fallback, 1, Some(TAG), NOW)
            .await;
        let verification = written(added).expect("a held claim");
        assert_eq!(verification.deliveries, std::slice::from_ref(&fallback));
        assert_eq!(verification.fallbacks_used, 1);
        assert_eq!(
            verification.step.uncertain_handovers, 1,
            "of the new message"
        );
        let added = store.add_delivery(&claim(2), &fallback, 1, None, NOW).await;
        assert!(written(added).is_none(), "it is there");
    }

    #[tokio::test]
    async fn second_carrier_keeps_the_count_of_handovers() {
        let (_table, store) = queued().await;
        for n in [1, 2] {
            let at = NOW + i64::from(n - 1) * 15;
            assert!(is_claimed(&store, claim(n), at).await);
        }
        let other = second(Cause::SecondCarrier);
        let added = store.add_delivery(&claim(2), &other, 0, None, NOW).await;
        let verification = written(added).expect("a held claim");
        assert_eq!(verification.deliveries.len(), 2);
        assert_eq!(verification.step.uncertain_handovers, 2);
    }

    #[tokio::test]
    async fn end_of_a_step_stores_its_outcome() {
        let (_table, store) = queued().await;
        assert!(is_claimed(&store, claim(1), NOW).await);
        let result = StepResult {
            record: Some(DeliveryRecord {
                tag: TAG,
                status: DeliveryStatus::Sent,
                carrier: Some("sim-a".into()),
            }),
            details: Some(HandoverDetails {
                tag: TAG,
                parts: Some(2),
                vendor_id: Some("307".into()),
            }),
            due: Some(NOW + 60),
            retry_rounds: 3,
            uncertain_handovers: 1,
        };
        assert!(written(store.end_step(&claim(2), &result, NOW).await).is_none());
        let ended = written(store.end_step(&claim(1), &result, NOW + 1).await);
        let verification = ended.expect("a held claim");
        let delivery = &verification.deliveries[0];
        assert_eq!(
            (
                delivery.status,
                delivery.carrier.as_deref(),
                delivery.updated_at
            ),
            (DeliveryStatus::Sent, Some("sim-a"), NOW + 1)
        );
        assert_eq!(
            (delivery.parts, delivery.vendor_id.as_deref()),
            (Some(2), Some("307"))
        );
        let step = verification.step;
        assert_eq!(
            (step.sequence, step.due, step.claim),
            (2, Some(NOW + 60), None)
        );
        assert_eq!((step.retry_rounds, step.uncertain_handovers), (3, 1));
        assert!(
            written(store.end_step(&claim(1), &result, NOW).await).is_none(),
            "ended"
        );
    }

    #[tokio::test]
    async fn end_of_the_last_step_plans_none() {
        let (_table, store) = queued().await;
        assert!(is_claimed(&store, claim(1), NOW).await);
        let ended = store.end_step(&claim(1), &StepResult::default(), NOW).await;
        let verification = written(ended).expect("a held claim");
        assert_eq!(verification.step.due, None);
        assert_eq!(verification.step.uncertain_handovers, 0);
        let delivery = &verification.deliveries[0];
        assert_eq!(
            (delivery.status, delivery.parts),
            (DeliveryStatus::Queued, None)
        );
    }

    #[tokio::test]
    async fn released_step_is_claimed_by_another_worker() {
        let (_table, store) = queued().await;
        assert!(is_claimed(&store, claim(1), NOW).await);
        let tried = ["sim-a".to_owned()];
        let lost = store.release_claim(&claim(2), &tried, 1, NOW).await;
        assert!(written(lost).is_none());
        let released = store.release_claim(&claim(1), &tried, 1, NOW).await;
        let step = written(released).expect("a held claim").step;
        assert_eq!((step.sequence, step.due, step.claim), (1, Some(NOW), None));
        assert_eq!(step.tried_carriers, tried);
        assert_eq!(step.uncertain_handovers, 1);
        assert!(is_claimed(&store, claim(2), NOW).await);
        let released = store.release_claim(&claim(2), &[], 0, NOW).await;
        let step = written(released).expect("a held claim").step;
        assert_eq!(step.tried_carriers, tried, "those of before");
        assert_eq!(step.uncertain_handovers, 0);
    }
}
