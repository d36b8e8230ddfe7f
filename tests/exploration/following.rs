//! What a worker does after a step, or after a lost claim. As `service::deliver::record` and
//! `lost_claim`.

use otp::domain::delivery::{Delivery, DeliveryStatus};
use otp::domain::ids::DeliveryTag;
use otp::domain::recipient::{RaiseOutcome, Recipient};
use otp::domain::step::StepState;
use otp::domain::verification::Verification;

use super::broken::Broken;
use super::ending::{Record, next_of};
use super::handover::name_of;
use super::table::{Wire, WriteId};
use super::worker::{Went, Worker};
use super::world::{Dispatch, Scenario, World};

/// A status to raise.
#[derive(Clone, Copy, Hash)]
struct Raise {
    record: Record,
    id: WriteId,
    /// Whether only a message is raised that a newer send left to this worker.
    is_of_left: bool,
}

/// What is left to do after a step, or after a lost claim: statuses to raise, then a dispatch.
#[derive(Clone, Hash, Default)]
pub struct Following {
    raises: Vec<Raise>,
    dispatch: Option<Dispatch>,
}

impl Following {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn raise(&mut self, record: Record, next: &mut World) {
        let (id, is_of_left) = (next.next_write(), false);
        self.raises.push(Raise {
            record,
            id,
            is_of_left,
        });
    }

    pub fn fail_left(&mut self, tag: DeliveryTag, next: &mut World) {
        self.raises.push(Raise {
            record: (tag, DeliveryStatus::Failed, None),
            id: next.next_write(),
            is_of_left: true,
        });
    }

    pub fn enqueue(&mut self, dispatch: Option<Dispatch>) {
        self.dispatch = dispatch;
    }

    /// `StepWork::handle_lost_claim`.
    pub fn lost_claim(
        scenario: &Scenario,
        recipient: &Recipient,
        dispatch: Dispatch,
        next: &mut World,
    ) -> Self {
        let mut following = Self::new();
        let now = next.now;
        let nonce = dispatch.nonce();
        let current = recipient
            .current
            .as_ref()
            .filter(|v| v.params.nonce == nonce);
        let Some(verification) = current else {
            let past = recipient
                .past
                .iter()
                .find(|past| past.params.nonce == nonce);
            following.mark_abandoned(past.map_or(&[], |past| &past.deliveries), next);
            return following;
        };
        let step = &verification.step;
        if step.sequence != dispatch.step
            && let [earlier @ .., _] = verification.deliveries.as_slice()
        {
            following.mark_abandoned(earlier, next);
        }
        if !verification.is_deliverable(now) {
            following.finish_queued(verification, dispatch, next);
            return following;
        }
        let Some(due) = step.due else {
            return following;
        };
        let held_until = step.claim.map(|claim| claim.until);
        let is_next = step.sequence == dispatch.step + 1;
        if step.sequence == dispatch.step {
            let due = held_until.map_or(due, |until| until.max(due));
            let is_dropped = scenario.is_broken(Broken::HeldStepDropped);
            following.enqueue((!is_dropped).then_some(Dispatch { due, ..dispatch }));
        } else if is_next && held_until.is_none_or(|until| until <= now) {
            following.enqueue(Some(next_of(dispatch, due)));
        }
        following
    }

    fn mark_abandoned(&mut self, earlier: &[Delivery], next: &mut World) {
        for delivery in earlier
            .iter()
            .filter(|d| d.status == DeliveryStatus::Sending)
        {
            self.raise((delivery.tag, DeliveryStatus::Unknown, None), next);
        }
    }

    fn finish_queued(&mut self, verification: &Verification, dispatch: Dispatch, next: &mut World) {
        let is_held = matches!(verification.step.state(next.now), StepState::Held { .. });
        let is_current = verification.step.sequence == dispatch.step;
        let latest = verification.deliveries.last();
        let queued = latest.filter(|latest| latest.status == DeliveryStatus::Queued);
        if let Some(delivery) = queued
            && is_current
            && !is_held
        {
            let status = verification.final_status_of_queued(next.now);
            self.raise((delivery.tag, status, None), next);
        }
    }

    /// The worker, which is idle if nothing is left to do.
    pub fn into_worker(self, dispatch: Dispatch) -> Worker {
        match self.raises.is_empty() && self.dispatch.is_none() {
            true => Worker::Idle,
            false => Worker::Following(dispatch, self),
        }
    }

    pub fn steps(&self, dispatch: Dispatch, world: &World, went: &mut Vec<Went>) {
        let this = Worker::Following(dispatch, self.clone());
        if let Some((first, rest)) = self.raises.split_first() {
            for (wire, mut next) in world.writes() {
                if wire.is_carried_out() {
                    raise(*first, &mut next);
                }
                next.history.has_uncertain_call |= wire.is_fault();
                let rest = Self {
                    raises: rest.to_vec(),
                    ..self.clone()
                };
                went.push(match wire {
                    Wire::Answered => ("raises a status", rest.into_worker(dispatch), next),
                    Wire::Repeated => {
                        ("raises a status, the write is repeated", this.clone(), next)
                    }
                    _ => this.fail("cannot raise a status", next),
                });
            }
            return;
        }
        let Some(following) = self.dispatch else {
            return;
        };
        for (wire, mut next) in world.calls() {
            if wire.is_carried_out() {
                next.enqueue(following);
            }
            next.history.has_uncertain_call |= wire.is_fault();
            went.push(match wire {
                Wire::Answered => ("enqueues the next step", Worker::Idle, next),
                _ => this.fail("cannot enqueue the next step", next),
            });
        }
    }
}

/// `Store::raise_delivery`.
fn raise(raise: Raise, next: &mut World) {
    let (tag, status, carrier) = raise.record;
    let now = next.now;
    let rule = |recipient: &mut Recipient| {
        recipient.raise_delivery(tag, status.into(), carrier.map(name_of), now)
    };
    let condition = |recipient: &Recipient| {
        (!raise.is_of_left || recipient.has_left(tag))
            && rule(&mut recipient.clone()) == RaiseOutcome::Raised
    };
    next.table.update(raise.id, condition, |recipient| {
        rule(recipient);
    });
}
