//! The work on one step: claims it and plans the next one.

use super::breakers::States;
use super::call_time::CallTime;
use super::carrier_client::CarrierClient;
use super::dependencies::Delivering;
use crate::domain::delivery::Delivery;
use crate::domain::delivery_plan::{self, NextStep};
use crate::domain::ids::ClaimId;
use crate::domain::recipient::Recipient;
use crate::domain::step::{CLAIM_SECONDS, HANDOVERS_MAX};
use crate::domain::time::Timestamp;
use crate::domain::verification::Verification;
use crate::platform::deadline::Deadline;
use crate::platform::queue::Dispatch;
use crate::store::{Claim, ClaimResult, StoreError};

/// One step of one verification, claimed or to be claimed.
pub(super) struct StepWork<'a, C> {
    pub(super) delivering: &'a Delivering<C>,
    pub(super) dispatch: &'a Dispatch,
    pub(super) claim: Claim,
    /// When the claim was requested, in milliseconds since 1970: what it returned is as old as
    /// this.
    pub(super) claimed_at: i64,
    /// The circuit breakers, read beside the claim.
    pub(super) breakers: States,
    /// Time for calls of carriers.
    pub(super) call_time: CallTime,
    /// When its response arrived.
    pub(super) now: Timestamp,
}

/// Handovers of the latest message before the current claim whose outcome is not known.
pub(super) fn uncertain_before(verification: &Verification) -> u8 {
    verification.step.uncertain_handovers.saturating_sub(1)
}

/// A verification as it was read at a moment.
#[derive(Clone, Copy)]
pub(super) struct Snapshot<'s> {
    pub(super) recipient: &'s Recipient,
    pub(super) verification: &'s Verification,
    /// When the read began, in milliseconds since 1970.
    pub(super) read_at: i64,
}

impl<'a, C: CarrierClient> StepWork<'a, C> {
    /// Tries to claim the step that `dispatch` names, as `claim_id`.
    pub(super) async fn claim(
        delivering: &'a Delivering<C>,
        dispatch: &'a Dispatch,
        claim_id: ClaimId,
        deadline: Deadline,
    ) -> Result<(Self, ClaimResult), StoreError> {
        let call_time = CallTime::new(deadline);
        let (claimed_at, before) = (delivering.clock.now_millis(), delivering.clock.now());
        let (key, nonce) = delivering
            .keyring
            .open_verification_id(&dispatch.app, dispatch.id);
        let claim = Claim {
            key,
            nonce,
            sequence: dispatch.step,
            id: claim_id,
            until: before + CLAIM_SECONDS,
        };
        let (claimed, breakers) = tokio::join!(
            delivering.store.claim_step(&claim, before),
            delivering.breakers.read(),
        );
        let (claimed, claimed_at) = match claimed {
            Ok(claimed) => (claimed, claimed_at),
            Err(error) => read_claim(delivering, dispatch, &claim)
                .await
                .ok_or(error)?,
        };
        let now = delivering.clock.now();
        Ok((
            Self {
                delivering,
                dispatch,
                claim,
                claimed_at,
                breakers,
                call_time,
                now,
            },
            claimed,
        ))
    }

    /// When the next step after `deliveries` is due; `None` if none is planned.
    pub(super) fn next_due(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        deliveries: &[Delivery],
        uncertain_handovers: u8,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // Without a queue no later step is ever taken.
        self.delivering.queue.as_ref()?;
        let next = self.next_step(
            recipient,
            verification,
            deliveries,
            uncertain_handovers,
            now,
        );
        let step = match next {
            NextStep::WaitUntil(at) => Some(at),
            NextStep::AddDelivery { .. } => Some(now),
            NextStep::HandOver | NextStep::Done => None,
        };
        let expires_at = verification.params.expires_at;
        let poll = deliveries
            .last()
            .and_then(|latest| delivery_plan::next_poll(latest, expires_at, now));
        step.into_iter().chain(poll).min()
    }

    pub(super) fn next_step(
        &self,
        recipient: &Recipient,
        verification: &Verification,
        deliveries: &[Delivery],
        uncertain_handovers: u8,
        now: Timestamp,
    ) -> NextStep {
        let latest = deliveries.last().zip(recipient.address.as_ref());
        let may_hand_over = uncertain_handovers < HANDOVERS_MAX;
        let has_second_carrier = may_hand_over
            && latest.is_some_and(|(latest, to)| {
                let mut serving = self.delivering.carriers.serving(latest.channel, to);
                serving.any(|carrier| latest.carrier.as_ref() != Some(&carrier.name))
            });
        delivery_plan::next_step(
            deliveries,
            has_second_carrier,
            verification.fallback_left(),
            self.delivering.waits,
            now,
        )
    }

    /// First characters of the verification's id, for logs.
    pub(super) fn log_id(&self) -> String {
        self.dispatch.id.log_prefix()
    }
}

/// Reads whether a claim was stored whose response was lost; `None` if it was not, or if that is
/// not known either. With the time of the read, in milliseconds since 1970.
async fn read_claim<C: CarrierClient>(
    delivering: &Delivering<C>,
    dispatch: &Dispatch,
    claim: &Claim,
) -> Option<(ClaimResult, i64)> {
    let (read_at, now) = (delivering.clock.now_millis(), delivering.clock.now());
    let stored = delivering.store.load(claim.key, &dispatch.app, now).await;
    let stored = stored.ok()?;
    let current = stored.recipient.current.as_ref()?;
    let is_stored = claim.holds(current);
    is_stored.then(|| (ClaimResult::Written(Box::new(stored)), read_at))
}
