//! A write that reads the record first, as in `service::subject_change`: the removal of the first
//! factor, or one that only settles, such as the enrolment of another factor.

use otp::domain::subject::LogEntry;

use super::super::table::{Shared, WRITES, Wire};
use super::factors::first_id;
use super::world::{Item, Steps, World, settle};
use super::{Broken, Scenario};

/// Requests of the app.
const TRIES_MAX: u8 = 2;

#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub enum Kind {
    Removal,
    Settle,
}

#[derive(Clone, Hash)]
pub struct Change {
    pub kind: Kind,
    state: State,
    tries: u8,
    writes: u16,
}

#[derive(Clone, Hash)]
enum State {
    Idle,
    Saving(Shared<Item>),
    Unavailable,
    Done,
}

impl Change {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            state: State::Idle,
            tries: 1,
            writes: 0,
        }
    }

    pub fn is_quiet(&self) -> bool {
        !matches!(self.state, State::Saving(_))
    }

    /// Whether the app knows that the factor was removed.
    pub fn is_acknowledged_removal(&self) -> bool {
        self.kind == Kind::Removal && matches!(self.state, State::Done)
    }

    pub fn steps(scenario: &Scenario, world: &World, number: u8, steps: &mut Steps) {
        let change = &world.changes[usize::from(number)];
        let me = match change.kind {
            Kind::Removal => ("removal", number),
            Kind::Settle => ("other write", number),
        };
        let mut go = |what, change: Self, mut next: World| {
            next.changes[usize::from(number)] = change;
            steps.push(((me, what), next));
        };
        match &change.state {
            State::Idle => go("reads", change.read(world), world.clone()),
            State::Saving(read) => {
                for (wire, mut next) in world.writes() {
                    let after = change.clone().save(scenario, read, wire, number, &mut next);
                    go(wire.named(WRITES), after, next);
                }
            }
            State::Unavailable if change.tries < TRIES_MAX => {
                let mut again = change.clone();
                again.tries += 1;
                go("is repeated", again.read(world), world.clone());
            }
            State::Unavailable | State::Done => {}
        }
    }

    fn read(&self, world: &World) -> Self {
        let mut after = self.clone();
        after.state = State::Saving(world.item.clone());
        after
    }

    fn save(
        mut self,
        scenario: &Scenario,
        read: &Shared<Item>,
        wire: Wire,
        number: u8,
        next: &mut World,
    ) -> Self {
        self.writes += 1;
        let id = 100 + u16::from(number) * 20 + self.writes;
        let (item, first) = (read.get(), first_id(scenario.kind));
        let mut before = item.subject.clone();
        let is_removal = self.kind == Kind::Removal;
        if is_removal && scenario.is_broken(Broken::RemovalDropsAttempts) {
            before.log.retain(|entry| match entry {
                LogEntry::Check(check) => check.factor != first,
                LogEntry::Approval(_) | LogEntry::Removal(_) => true,
            });
        }
        let mut subject = settle(scenario, &before, next.now);
        if is_removal {
            subject.factors.retain(|factor| factor.id != first);
        }
        let is_saved = wire.is_carried_out() && next.put(scenario, subject, id, item.version);
        self.state = match wire {
            Wire::Answered | Wire::Repeated if is_saved => State::Done,
            // The write returns what is stored now.
            Wire::Answered | Wire::Repeated => State::Saving(next.item.clone()),
            Wire::Refused | Wire::Lost => State::Unavailable,
        };
        self
    }
}
