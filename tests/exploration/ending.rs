//! The end of a step: its outcome and the next step in one write, then the dispatch of that step.
//! As `service::deliver::record`.

use otp::domain::delivery::{Delivery, DeliveryStatus};
use otp::domain::ids::{ClaimId, DeliveryTag};
use otp::domain::recipient::{RaiseOutcome, Recipient};
use otp::domain::time::Timestamp;

use super::broken::Broken;
use super::following::Following;
use super::handover::name_of;
use super::table::{Wire, WriteId};
use super::worker::{Went, Work, Worker, index_of, next_due};
use super::world::{Dispatch, Scenario, World};

/// A message, its new status, and the carrier that has it.
pub type Record = (DeliveryTag, DeliveryStatus, Option<u8>);

/// How a step ends.
#[derive(Clone, Hash)]
pub struct Ended {
    pub record: Option<Record>,
    pub due: Option<Timestamp>,
    pub rounds: u8,
    pub uncertain: u8,
    /// The message of a retry round that follows.
    pub retries: Option<DeliveryTag>,
    /// The message of a step that is given back: a newer send has replaced it.
    pub gives_back: Option<DeliveryTag>,
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
            gives_back: None,
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
            if self.gives_back.is_some() {
                step.claim = None;
                step.uncertain_handovers = self.uncertain;
                return;
            }
            step.sequence += 1;
            step.claim = None;
            step.tried_carriers.clear();
            step.due = self.due;
            step.retry_rounds = self.rounds;
            step.uncertain_handovers = self.uncertain;
        });
        if written.is_written && self.gives_back.is_none() {
            let retried = self.due.filter(|_| self.retries.is_some());
            next.history.backoff = retried.map(|due| (next_of(dispatch, due), due));
        }
        written.is_written
    }

    fn written(&self, scenario: &Scenario, work: &Work, mut next: World) -> Went {
        let mut following = Following::new();
        if self.gives_back.is_some() {
            following.enqueue(Some(Dispatch {
                due: next.now,
                ..work.dispatch
            }));
            return (
                "gives its step back",
                following.into_worker(work.dispatch),
                next,
            );
        }
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
        if let Some(tag) = self.gives_back {
            if recipient.has_left(tag) {
                following.fail_left(tag, &mut next);
            }
            return (what, following.into_worker(work.dispatch), next);
        }
        if !scenario.is_broken(Broken::EndedStepNotEnqueued) {
            following.enqueue(ended_step(&recipient, work.dispatch));
        }
        if let Some(tag) = self.retries {
            if scenario.is_broken(Broken::FailAfterTakeover) {
                following.raise((tag, DeliveryStatus::Failed, None), &mut next);
            } else if recipient.has_left(tag) {
                following.fail_left(tag, &mut next);
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
            let is_failed = record.1 == DeliveryStatus::Failed;
            match is_failed && !scenario.is_broken(Broken::FailAfterRollBack) {
                true => following.fail_left(record.0, &mut next),
                false => following.raise(record, &mut next),
            }
            return (what, following.into_worker(work.dispatch), next);
        }
        // A report came first and says more, or an earlier worker of this step.
        let uncertain = match (current, record.1) {
            _ if scenario.is_broken(Broken::EarlierWorkerUncounted) => self.uncertain,
            (Some(current), DeliveryStatus::Sent | DeliveryStatus::Unknown) => {
                current.step.uncertain_handovers
            }
            (Some(current), _) => current.step.uncertain_handovers.saturating_sub(1),
            (None, _) => self.uncertain,
        };
        let due = current
            .and_then(|current| next_due(scenario, &current.deliveries, uncertain, next.now));
        let ended = Self {
            record: None,
            due,
            uncertain,
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

pub fn next_of(dispatch: Dispatch, due: Timestamp) -> Dispatch {
    Dispatch {
        step: dispatch.step + 1,
        due,
        ..dispatch
    }
}
