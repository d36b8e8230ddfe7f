//! The end of a step: its outcome and the next step in one write, then the dispatch of that step.
//! As `service::deliver::record` and `lost_claim`.

use otp::domain::delivery::{Delivery, DeliveryStatus};
use otp::domain::ids::{ClaimId, DeliveryTag};
use otp::domain::recipient::{RaiseOutcome, Recipient};
use otp::domain::step::StepState;
use otp::domain::time::Timestamp;
use otp::domain::verification::Verification;

use super::broken::Broken;
use super::handover::name_of;
use super::table::{Wire, WriteId};
use super::worker::{Went, Work, Worker, index_of, next_due};
use super::world::{Dispatch, Scenario, World};

/// A message, its new status, and the carrier that has it.
type Record = (DeliveryTag, DeliveryStatus, Option<u8>);

/// How a step ends.
#[derive(Clone, Hash)]
pub struct Ended {
    pub record: Option<Record>,
    pub due: Option<Timestamp>,
    pub rounds: u8,
    pub uncertain: u8,
    /// The message of a retry round that follows.
    pub retries: Option<DeliveryTag>,
    pub id: WriteId,
}

impl Ended {
    /// Nothing was sent, and no step follows.
    pub fn new(next: &mut World) -> Self {
        let id = next.next_write();
        Self {
            record: None,
            due: None,
            rounds: 0,
            uncertain: 0,
            retries: None,
            id,
        }
    }

    /// `StepWork::record_outcome` and `give_up_handover`.
    pub fn with_outcome(
        scenario: &Scenario,
        work: &Work,
        status: DeliveryStatus,
        carrier: Option<u8>,
        uncertain: u8,
        next: &mut World,
    ) -> Self {
        let mut deliveries = work.verification().deliveries.clone();
        if let Some(latest) = deliveries.last_mut() {
            latest.status = status;
            latest.carrier = carrier.map(|carrier| name_of(carrier).to_owned());
            latest.updated_at = next.now;
        }
        let due = next_due(scenario, &deliveries, uncertain, next.now);
        let record = Some((work.latest().tag, status, carrier));
        Self {
            record,
            due,
            uncertain,
            ..Self::new(next)
        }
    }

    pub fn steps(&self, scenario: &Scenario, work: &Work, world: &World, went: &mut Vec<Went>) {
        for (wire, mut next) in world.writes() {
            let is_written = wire.is_carried_out() && self.write(scenario, work, &mut next);
            next.history.has_uncertain_call |= wire.is_fault();
            let this = Worker::Ending(work.clone(), self.clone());
            went.push(match wire {
                Wire::Answered if is_written => self.written(scenario, work, next),
                Wire::Answered => self.lost(scenario, work, next),
                Wire::Repeated => ("ends its step, the write is repeated", this, next),
                Wire::Refused => this.fail("cannot end its step", next),
                Wire::Lost => this.fail("ends its step, the answer is lost", next),
            });
        }
    }

    /// `Store::end_step`.
    fn write(&self, scenario: &Scenario, work: &Work, next: &mut World) -> bool {
        let (dispatch, now) = (work.dispatch, next.now);
        let raise = |recipient: &mut Recipient| match self.record {
            Some((tag, status, carrier)) => {
                let outcome =
                    recipient.raise_delivery(tag, status.into(), carrier.map(name_of), now);
                outcome == RaiseOutcome::Raised
            }
            None => true,
        };
        let condition = |recipient: &Recipient| {
            let is_held = is_held_by(recipient, dispatch, work.claim)
                || (scenario.is_broken(Broken::EndWithoutClaim) && is_current(recipient, dispatch));
            is_held && raise(&mut recipient.clone())
        };
        let written = next.table.update(self.id, condition, |recipient| {
            raise(recipient);
            let Some(current) = &mut recipient.current else {
                return;
            };
            let step = &mut current.step;
            step.sequence += 1;
            step.claim = None;
            step.tried_carriers.clear();
            step.due = self.due;
            step.retry_rounds = self.rounds;
            step.uncertain_handovers = self.uncertain;
        });
        if written.is_written {
            let retried = self.due.filter(|_| self.retries.is_some());
            next.history.backoff = retried.map(|due| (next_of(dispatch, due), due));
        }
        written.is_written
    }

    fn written(&self, scenario: &Scenario, work: &Work, mut next: World) -> Went {
        let mut following = Following::new();
        let mut due = self.due;
        let recipient = next.recipient();
        let mut deliveries = recipient.verifications().flat_map(|v| v.deliveries());
        let recorded = self.record.map(|(tag, ..)| tag);
        let delivery = deliveries.find(|delivery| Some(delivery.tag) == recorded);
        let early = delivery
            .and_then(Delivery::status_of_early_report)
            .map(|reported| reported.status);
        if let (Some(delivery), Some(status)) = (delivery, early) {
            let carrier = delivery.carrier.as_deref().and_then(index_of);
            following.raise((delivery.tag, status, carrier), &mut next);
            due = if status.is_failure() {
                Some(next.now)
            } else {
                due
            };
        }
        if !scenario.is_broken(Broken::NextStepNotEnqueued) {
            following.enqueue(due.map(|due| next_of(work.dispatch, due)));
        }
        ("ends its step", following.into_worker(work.dispatch), next)
    }

    /// The branches of `StepWork::end` and `schedule_retry_or_fail` after a lost claim.
    fn lost(&self, scenario: &Scenario, work: &Work, mut next: World) -> Went {
        let what = "cannot end its step any more";
        let mut following = Following::new();
        let recipient = next.recipient();
        if !scenario.is_broken(Broken::EndedStepNotEnqueued) {
            following.enqueue(ended_step(&recipient, work.dispatch));
        }
        if let Some(tag) = self.retries {
            let is_failed =
                scenario.is_broken(Broken::FailAfterTakeover) || is_left(&recipient, tag);
            if is_failed {
                following.raise((tag, DeliveryStatus::Failed, None), &mut next);
            }
            return (what, following.into_worker(work.dispatch), next);
        }
        let Some(record) = self.record else {
            if let Some(due) = self.due {
                following.enqueue(Some(next_of(work.dispatch, due)));
            }
            return (what, following.into_worker(work.dispatch), next);
        };
        let current = recipient.current.as_ref();
        if !is_held_by(&recipient, work.dispatch, work.claim) {
            following.raise(record, &mut next);
            return (what, following.into_worker(work.dispatch), next);
        }
        // A report came first and says more.
        let due = current
            .and_then(|current| next_due(scenario, &current.deliveries, self.uncertain, next.now));
        let ended = Self {
            record: None,
            due,
            ..self.clone()
        };
        let ended = Self {
            id: next.next_write(),
            ..ended
        };
        (what, Worker::Ending(work.clone(), ended), next)
    }
}

/// `StepWork::enqueue_after_ended_step`: the dispatch of the next step, if this one has ended.
fn ended_step(recipient: &Recipient, dispatch: Dispatch) -> Option<Dispatch> {
    let current = recipient.current.as_ref()?;
    let step = &current.step;
    let is_ended = current.params.nonce == dispatch.nonce()
        && step.sequence == dispatch.step + 1
        && step.claim.is_none();
    let due = step.due.filter(|_| is_ended)?;
    Some(next_of(dispatch, due))
}

/// Whether a newer send left the message to the worker that claimed it.
fn is_left(recipient: &Recipient, tag: DeliveryTag) -> bool {
    let mut deliveries = recipient.verifications().flat_map(|v| v.deliveries());
    deliveries.any(|left| left.tag == tag && left.status == DeliveryStatus::Sending)
}

/// `store::deliveries::IS_CLAIMED`.
pub fn is_held_by(recipient: &Recipient, dispatch: Dispatch, claim: ClaimId) -> bool {
    is_current(recipient, dispatch)
        && recipient
            .current
            .as_ref()
            .is_some_and(|current| current.step.claim.is_some_and(|held| held.id == claim))
}

fn is_current(recipient: &Recipient, dispatch: Dispatch) -> bool {
    recipient.current.as_ref().is_some_and(|current| {
        current.params.nonce == dispatch.nonce() && current.step.sequence == dispatch.step
    })
}

fn next_of(dispatch: Dispatch, due: Timestamp) -> Dispatch {
    Dispatch {
        step: dispatch.step + 1,
        due,
        ..dispatch
    }
}

/// What is left to do after a step, or after a lost claim: statuses to raise, then a dispatch.
#[derive(Clone, Hash, Default)]
pub struct Following {
    raises: Vec<(Record, WriteId)>,
    dispatch: Option<Dispatch>,
}

impl Following {
    fn new() -> Self {
        Self::default()
    }

    fn raise(&mut self, record: Record, next: &mut World) {
        self.raises.push((record, next.next_write()));
    }

    fn enqueue(&mut self, dispatch: Option<Dispatch>) {
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
fn raise(((tag, status, carrier), id): (Record, WriteId), next: &mut World) {
    let now = next.now;
    let rule = |recipient: &mut Recipient| {
        recipient.raise_delivery(tag, status.into(), carrier.map(name_of), now)
    };
    let condition = |recipient: &Recipient| rule(&mut recipient.clone()) == RaiseOutcome::Raised;
    next.table.update(id, condition, |recipient| {
        rule(recipient);
    });
}
