//! Handing a message over: through the carriers in order, each after a look at the verification
//! that is younger than the call. As `service::deliver::handover` and `fallback`.

use otp::domain::channel::Channel;
use otp::domain::delivery::{Cause, DeliveryStatus};
use otp::domain::delivery_plan;
use otp::domain::ids::DeliveryTag;
use otp::domain::time::Timestamp;
use otp::domain::verification::Verification;

use super::broken::Broken;
use super::ending::{Ended, is_held_by};
use super::table::{Wire, WriteId};
use super::worker::{Went, Work, Worker};
use super::world::{CARRIERS, Scenario, World};

/// The way of one message through the carriers.
#[derive(Clone, Hash)]
pub struct Handover {
    state: State,
    /// The carrier that may have the message already.
    except: Option<u8>,
    /// Carriers that did not accept it, a bit each.
    tried: u8,
    /// When the verification was last read; `None`: before the last call.
    read_at: Option<Timestamp>,
}

#[derive(Clone, Hash)]
enum State {
    /// Adds the message of a second carrier.
    Adding {
        cause: Cause,
        tag: DeliveryTag,
        id: WriteId,
    },
    /// Chooses a carrier and looks at the verification.
    Choosing,
    /// Calls, whatever happened since.
    Calling { carrier: u8 },
}

impl Handover {
    pub fn new(except: Option<u8>, now: Timestamp) -> Self {
        Self {
            state: State::Choosing,
            except,
            tried: 0,
            read_at: Some(now),
        }
    }

    pub fn adding(cause: Cause, tag: DeliveryTag, except: Option<u8>, next: &mut World) -> Self {
        let state = State::Adding {
            cause,
            tag,
            id: next.next_write(),
        };
        Self {
            state,
            ..Self::new(except, next.now)
        }
    }

    pub fn steps(&self, scenario: &Scenario, work: &Work, world: &World, went: &mut Vec<Went>) {
        match self.state {
            State::Adding { cause, tag, id } => {
                for (wire, next) in world.writes() {
                    went.push(self.add(work, (cause, tag, id), wire, next));
                }
            }
            State::Choosing => self.choose(scenario, work, world, went),
            State::Calling { carrier } => self.call(scenario, work, carrier, world, went),
        }
    }

    /// `Store::add_delivery`.
    fn add(
        &self,
        work: &Work,
        (cause, tag, id): (Cause, DeliveryTag, WriteId),
        wire: Wire,
        mut next: World,
    ) -> Went {
        let (claim, dispatch, now) = (work.claim, work.dispatch, next.now);
        let written = wire.is_carried_out().then(|| {
            let condition = |recipient: &_| is_held_by(recipient, dispatch, claim);
            next.table.update(id, condition, |recipient| {
                let Some(current) = &mut recipient.current else {
                    return;
                };
                current.add_delivery(Channel::Sms, cause, tag, now);
                current.step.retry_rounds = 0;
                current.step.tried_carriers.clear();
            })
        });
        next.history.has_uncertain_call |= wire.is_fault();
        let this = Worker::HandingOver(work.clone(), self.clone());
        match (wire, written) {
            (Wire::Answered, Some(written)) => match written.item.filter(|_| written.is_written) {
                Some(item) => {
                    let work = Work {
                        item,
                        ..work.clone()
                    };
                    let handover = Self {
                        state: State::Choosing,
                        read_at: Some(now),
                        ..self.clone()
                    };
                    ("adds a message", Worker::HandingOver(work, handover), next)
                }
                None => ("has lost its claim", Worker::Idle, next),
            },
            (Wire::Repeated, _) => ("adds a message, the write is repeated", this, next),
            _ => this.fail("cannot add a message", next),
        }
    }

    /// Chooses the next carrier, and looks at the verification if what was read is older.
    fn choose(&self, scenario: &Scenario, work: &Work, world: &World, went: &mut Vec<Went>) {
        let is_left =
            |carrier: &u8| self.tried & (1 << carrier) == 0 && self.except != Some(*carrier);
        let Some(carrier) = (0..2).find(is_left) else {
            let mut next = world.clone();
            let ended = self.not_accepted(work, &mut next);
            went.push((
                "has no carrier left",
                Worker::Ending(work.clone(), ended),
                next,
            ));
            return;
        };
        let calling = Self {
            state: State::Calling { carrier },
            ..self.clone()
        };
        if !work.verification().is_deliverable(world.now) {
            let mut next = world.clone();
            let ended = end_undeliverable(work, &mut next);
            went.push((
                "finds that it has ended",
                Worker::Ending(work.clone(), ended),
                next,
            ));
            return;
        }
        let is_young = self.read_at == Some(world.now);
        if is_young || scenario.is_broken(Broken::CallWithoutReading) {
            let mut next = world.clone();
            let is_ended = world.is_ended(work.dispatch.nonce());
            next.history.has_blind_call |= !is_young && is_ended;
            let calling = Worker::HandingOver(work.clone(), calling);
            went.push(("is about to call", calling, next));
            return;
        }
        for (wire, next) in world.calls().take(2) {
            went.push(match wire {
                Wire::Answered => check_again(scenario, work, calling.clone(), next),
                _ => Worker::HandingOver(work.clone(), self.clone()).fail("cannot read", next),
            });
        }
    }

    /// `StepWork::schedule_retry_or_fail`.
    fn not_accepted(&self, work: &Work, next: &mut World) -> Ended {
        let verification = work.verification();
        let rounds = verification.step.retry_rounds.saturating_add(1);
        let expires_at = verification.params.expires_at;
        match delivery_plan::retry_at(rounds, 0, expires_at, next.now) {
            None => end_undeliverable(work, next),
            Some(due) => Ended {
                due: Some(due),
                rounds,
                uncertain: work.uncertain_before(),
                retries: Some(work.latest().tag),
                ..Ended::new(next)
            },
        }
    }

    fn call(
        &self,
        scenario: &Scenario,
        work: &Work,
        carrier: u8,
        world: &World,
        went: &mut Vec<Went>,
    ) {
        let verification = work.verification();
        let mut accepted = world.clone();
        accepted.history.check_backoff(work.dispatch, world.now);
        accepted.history.call(verification, carrier);
        let mut unknown = accepted.clone();
        let status = DeliveryStatus::Sent;
        let ended = Ended::with_outcome(scenario, work, status, Some(carrier), 0, &mut accepted);
        went.push((
            "hands over, accepted",
            Worker::Ending(work.clone(), ended),
            accepted,
        ));
        if world.failed_calls_left == 0 {
            return;
        }
        unknown.failed_calls_left -= 1;
        unknown.history.has_uncertain_call = true;
        let uncertain = verification.step.uncertain_handovers;
        let status = DeliveryStatus::Unknown;
        let ended = Ended::with_outcome(
            scenario,
            work,
            status,
            Some(carrier),
            uncertain,
            &mut unknown,
        );
        let ending = Worker::Ending(work.clone(), ended);
        went.push(("hands over, outcome unknown", ending, unknown));
        let mut rejected = world.clone();
        rejected.failed_calls_left -= 1;
        rejected.history.check_backoff(work.dispatch, world.now);
        rejected.history.note_reporter(work.latest().tag, carrier);
        let next_carrier = Self {
            state: State::Choosing,
            tried: self.tried | (1 << carrier),
            read_at: None,
            ..self.clone()
        };
        let trying = Worker::HandingOver(work.clone(), next_carrier);
        went.push(("calls a carrier that does not accept", trying, rejected));
    }
}

/// `StepWork::check_deliverable`, with what the table has now.
fn check_again(scenario: &Scenario, work: &Work, calling: Handover, mut next: World) -> Went {
    let recipient = next.recipient();
    let nonce = work.dispatch.nonce();
    let current = recipient
        .current
        .filter(|current| current.params.nonce == nonce);
    let is_deliverable = |current: &Verification| current.is_deliverable(next.now);
    let is_held = |current: &Verification| {
        current.step.sequence == work.dispatch.step
            && current
                .step
                .claim
                .is_some_and(|claim| claim.id == work.claim)
    };
    let is_left = |current: &Verification| {
        let mut deliveries = current.deliveries.iter();
        deliveries
            .any(|left| left.tag == work.latest().tag && left.status == DeliveryStatus::Sending)
    };
    match &current {
        Some(current) if is_held(current) && is_deliverable(current) => {
            let calling = Handover {
                read_at: Some(next.now),
                ..calling
            };
            (
                "reads again, then calls",
                Worker::HandingOver(work.clone(), calling),
                next,
            )
        }
        Some(current) if !is_held(current) && !is_left(current) => {
            ("reads that it has lost its claim", Worker::Idle, next)
        }
        current => {
            let is_replaced = current.as_ref().is_none_or(|current| !is_held(current))
                && !scenario.is_broken(Broken::FailAfterRollBack);
            let ended = match is_replaced {
                true => Ended {
                    gives_back: Some(work.latest().tag),
                    uncertain: work.uncertain_before(),
                    ..Ended::new(&mut next)
                },
                false => end_undeliverable(work, &mut next),
            };
            (
                "reads that it has ended",
                Worker::Ending(work.clone(), ended),
                next,
            )
        }
    }
}

fn end_undeliverable(work: &Work, next: &mut World) -> Ended {
    let record = Some((work.latest().tag, DeliveryStatus::Failed, None));
    Ended {
        record,
        ..Ended::new(next)
    }
}

/// The name of a carrier.
pub fn name_of(carrier: u8) -> &'static str {
    CARRIERS[usize::from(carrier)]
}
