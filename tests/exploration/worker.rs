//! A worker with one dispatch: it claims the step, plans, and follows a lost claim. As
//! `service::deliver` and `Store::claim_step`.

use otp::domain::delivery::{Cause, Delivery, DeliveryStatus, HANDOVER_MARGIN_SECONDS};
use otp::domain::delivery_plan::{self, NextStep, ReportWaits};
use otp::domain::ids::{ClaimId, DeliveryTag, VerificationNonce};
use otp::domain::recipient::Recipient;
use otp::domain::step::{CLAIM_SECONDS, HANDOVERS_MAX, StepClaim, StepState};
use otp::domain::time::Timestamp;
use otp::domain::verification::Verification;

use super::broken::Broken;
use super::ending::Ended;
use super::following::Following;
use super::handover::Handover;
use super::table::{Item, Shared, Wire, WriteId};
use super::world::{CARRIERS, Dispatch, Scenario, Steps, World};

const WAITS: ReportWaits = ReportWaits {
    unknown_seconds: 15,
    fallback_seconds: 60,
};

/// A worker, as far as it is with its dispatch.
#[derive(Clone, Hash)]
pub enum Worker {
    Idle,
    Claiming {
        dispatch: Dispatch,
        id: WriteId,
        claim: ClaimId,
    },
    HandingOver(Work, Handover),
    Ending(Work, Ended),
    Following(Dispatch, Following),
}

/// A claimed step.
#[derive(Clone, Hash)]
pub struct Work {
    pub dispatch: Dispatch,
    pub claim: ClaimId,
    /// The item that the claim, or the last write of this worker, left.
    pub item: Shared<Item>,
}

/// What a worker does next, and the name of what it did.
pub type Went = (&'static str, Worker, World);

impl Worker {
    pub fn steps(scenario: &Scenario, world: &World, number: u8, steps: &mut Steps) {
        let me = ("worker", number);
        let current = &world.workers[usize::from(number)];
        let mut went = vec![];
        match current {
            Self::Idle => receive(scenario, world, number, &mut went),
            Self::Claiming {
                dispatch,
                id,
                claim,
            } => {
                for (wire, next) in world.writes() {
                    went.push(try_claim(scenario, *dispatch, *id, *claim, wire, next));
                }
            }
            Self::HandingOver(work, handover) => {
                handover.steps(scenario, work, world, &mut went);
            }
            Self::Ending(work, ended) => ended.steps(scenario, work, world, &mut went),
            Self::Following(dispatch, following) => {
                following.steps(*dispatch, world, &mut went);
            }
        }
        if world.crashes_left > 0 && !current.is_idle() {
            let mut next = world.clone();
            next.crashes_left -= 1;
            next.history.has_uncertain_call = true;
            went.push(current.fail("crashes", next));
        }
        for (what, worker, mut next) in went {
            next.workers[usize::from(number)] = worker;
            steps.push(((me, what), next));
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// The dispatch is received again.
    pub fn fail(&self, what: &'static str, mut next: World) -> Went {
        let dispatch = match self {
            Self::Idle => return (what, Self::Idle, next),
            Self::Claiming { dispatch, .. } | Self::Following(dispatch, _) => *dispatch,
            Self::HandingOver(work, _) | Self::Ending(work, _) => work.dispatch,
        };
        next.enqueue(Dispatch {
            due: next.now,
            ..dispatch
        });
        (what, Self::Idle, next)
    }
}

/// Receives a dispatch and claims its step: nothing sees the time in between.
fn receive(scenario: &Scenario, world: &World, number: u8, went: &mut Vec<Went>) {
    // Idle workers are interchangeable: the first one receives.
    let earlier = &world.workers[..usize::from(number)];
    if earlier.iter().any(Worker::is_idle) {
        return;
    }
    let mut seen = None;
    for (at, dispatch) in world.queue.iter().enumerate() {
        if seen == Some(dispatch) {
            continue;
        }
        seen = Some(dispatch);
        let mut worlds = vec![];
        if dispatch.due <= world.now {
            let mut received = world.clone();
            received.queue.remove(at);
            worlds.push(received);
        }
        // A copy, which may come early.
        if world.duplicates_left > 0 {
            let mut twice = world.clone();
            twice.duplicates_left -= 1;
            worlds.push(twice);
        }
        for mut received in worlds {
            let (id, claim) = (received.next_write(), received.next_claim());
            for (wire, next) in received.writes() {
                went.push(try_claim(scenario, *dispatch, id, claim, wire, next));
            }
        }
    }
}

const CLAIMS: [&str; 4] = [
    "claims its step",
    "cannot claim its step",
    "claims its step, the answer is lost",
    "claims its step, the answer is lost and the write is repeated",
];

fn try_claim(
    scenario: &Scenario,
    dispatch: Dispatch,
    id: WriteId,
    claim: ClaimId,
    wire: Wire,
    mut next: World,
) -> Went {
    let claiming = Worker::Claiming {
        dispatch,
        id,
        claim,
    };
    let what = wire.named(CLAIMS);
    let now = next.now;
    let condition = |recipient: &Recipient| is_claimable(scenario, recipient, dispatch, now);
    let written = wire.is_carried_out().then(|| {
        next.table.update(id, condition, |recipient| {
            let Some(current) = &mut recipient.current else {
                return;
            };
            current.step.claim = Some(StepClaim {
                id: claim,
                until: now + CLAIM_SECONDS,
            });
            if !scenario.is_broken(Broken::HandoverNotCounted) {
                current.step.uncertain_handovers += 1;
            }
        })
    });
    next.history.has_uncertain_call |= wire.is_fault();
    match (wire, written) {
        (Wire::Answered, Some(written)) => match written.item {
            Some(item) if written.is_written => {
                let work = Work {
                    dispatch,
                    claim,
                    item,
                };
                (what, work.plan(scenario, &mut next), next)
            }
            Some(item) => {
                let recipient = &item.get().recipient;
                let following = Following::lost_claim(scenario, recipient, dispatch, &mut next);
                (
                    "does not get the claim",
                    following.into_worker(dispatch),
                    next,
                )
            }
            None => ("finds no recipient", Worker::Idle, next),
        },
        (Wire::Repeated, _) => (what, claiming, next),
        _ => claiming.fail(what, next),
    }
}

/// The condition of `Store::claim_step`.
fn is_claimable(
    scenario: &Scenario,
    recipient: &Recipient,
    dispatch: Dispatch,
    now: Timestamp,
) -> bool {
    recipient.current.as_ref().is_some_and(|current| {
        let step = &current.step;
        let is_due = step
            .due
            .is_some_and(|due| due <= now || scenario.is_broken(Broken::ClaimEarly));
        let is_held = matches!(step.state(now), StepState::Held { .. });
        current.params.nonce == dispatch.nonce()
            && step.sequence == dispatch.step
            && is_due
            && (!is_held || scenario.is_broken(Broken::ClaimHeldStep))
            && current.canceled_at.is_none()
            && current.params.expires_at >= now + HANDOVER_MARGIN_SECONDS
    })
}

impl Dispatch {
    pub fn nonce(self) -> VerificationNonce {
        VerificationNonce(self.verification)
    }

    pub fn is_same_step(self, other: Self) -> bool {
        (self.verification, self.step) == (other.verification, other.step)
    }
}

impl Work {
    pub fn verification(&self) -> &Verification {
        let current = self.item.get().recipient.current.as_ref();
        current.expect("a claimed step has a verification")
    }

    pub fn latest(&self) -> &Delivery {
        self.verification()
            .deliveries
            .last()
            .expect("a claimed step has a message")
    }

    /// Handovers of the latest message before this claim whose outcome is not known.
    pub fn uncertain_before(&self) -> u8 {
        self.verification()
            .step
            .uncertain_handovers
            .saturating_sub(1)
    }

    /// `StepWork::take_step`.
    fn plan(self, scenario: &Scenario, next: &mut World) -> Worker {
        let (verification, latest, uncertain) =
            (self.verification(), self.latest(), self.uncertain_before());
        if !verification.is_deliverable(next.now) {
            let is_queued = latest.status == DeliveryStatus::Queued;
            let record = is_queued.then_some((latest.tag, DeliveryStatus::Failed, None));
            let ended = Ended {
                record,
                ..Ended::new(next)
            };
            return Worker::Ending(self, ended);
        }
        match next_step(scenario, &verification.deliveries, uncertain, next.now) {
            NextStep::Done | NextStep::WaitUntil(_) => {
                let due = next_due(scenario, &verification.deliveries, uncertain, next.now);
                let ended = Ended {
                    due,
                    uncertain,
                    ..Ended::new(next)
                };
                Worker::Ending(self, ended)
            }
            NextStep::HandOver if uncertain >= HANDOVERS_MAX => {
                let ended = Ended::with_outcome(
                    scenario,
                    &self,
                    DeliveryStatus::Unknown,
                    None,
                    uncertain,
                    next,
                );
                Worker::Ending(self, ended)
            }
            NextStep::HandOver => {
                let handover = Handover::new(carrier_before(verification, latest), next.now);
                Worker::HandingOver(self, handover)
            }
            NextStep::AddDelivery { cause, except, .. } => {
                let except = except.and_then(|name| index_of(&name));
                let tag = DeliveryTag([100 + latest.tag.0[0], latest.tag.0[1], 0, 0]);
                let handover = Handover::adding(cause, tag, except, next);
                Worker::HandingOver(self, handover)
            }
        }
    }
}

/// The carrier that may already have the message that a second carrier is to send.
fn carrier_before(verification: &Verification, latest: &Delivery) -> Option<u8> {
    if latest.cause != Cause::SecondCarrier {
        return None;
    }
    let mut earlier = verification.deliveries.iter().rev();
    let earlier = earlier.find(|delivery| delivery.number < latest.number)?;
    index_of(earlier.carrier.as_ref()?)
}

pub fn index_of(name: &str) -> Option<u8> {
    let at = CARRIERS.iter().position(|carrier| *carrier == name)?;
    u8::try_from(at).ok()
}

/// `StepWork::next_step`, with the rule of the domain.
pub fn next_step(
    scenario: &Scenario,
    deliveries: &[Delivery],
    uncertain: u8,
    now: Timestamp,
) -> NextStep {
    let may_hand_over =
        uncertain < HANDOVERS_MAX || scenario.is_broken(Broken::SecondCarrierUncounted);
    let has_second_carrier = may_hand_over
        && deliveries.last().is_some_and(|latest| {
            CARRIERS
                .iter()
                .any(|carrier| latest.carrier.as_deref() != Some(*carrier))
        });
    delivery_plan::next_step(deliveries, has_second_carrier, &[], WAITS, now)
}

/// `StepWork::next_due`.
pub fn next_due(
    scenario: &Scenario,
    deliveries: &[Delivery],
    uncertain: u8,
    now: Timestamp,
) -> Option<Timestamp> {
    match next_step(scenario, deliveries, uncertain, now) {
        NextStep::WaitUntil(at) => Some(at),
        NextStep::AddDelivery { .. } => Some(now),
        NextStep::HandOver | NextStep::Done => None,
    }
}
