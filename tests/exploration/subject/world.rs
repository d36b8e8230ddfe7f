//! The world: the subject's item, the requests, and what has happened.

use std::hash::{Hash, Hasher};

use otp::domain::factor::FactorType;
use otp::domain::ids::{AttemptNonce, FactorId};
use otp::domain::log_outcomes::judge;
use otp::domain::subject::{Budget, LogEntry, Subject};
use otp::domain::time::{DAY_SECONDS, Timestamp};

use super::super::explorer::{Model, Step};
use super::super::table::{Shared, Wire, WriteId};
use super::change::{Change, Kind};
use super::check::Check;
use super::factors::{Codes, START, forget_used, initial};
use super::invariants::{self, History};
use super::{Broken, Scenario};

/// The item of the subject, and the write that left it.
#[derive(Debug)]
pub struct Item {
    pub subject: Subject,
    pub version: WriteId,
}

impl Hash for Item {
    fn hash<H: Hasher>(&self, state: &mut H) {
        format!("{self:?}").hash(state);
    }
}

/// One state.
#[derive(Clone, Hash)]
pub struct World {
    pub now: Timestamp,
    pub item: Shared<Item>,
    pub checks: Vec<Check>,
    pub changes: Vec<Change>,
    pub history: History,
    pub faults_left: u8,
    days_left: u8,
}

pub type Steps = Vec<(Step, World)>;

impl World {
    /// For each outcome of a write that may occur: the world after it, with the fault counted.
    pub fn writes(&self) -> impl Iterator<Item = (Wire, Self)> {
        Wire::of_write(self.faults_left).map(|wire| {
            let mut next = self.clone();
            next.faults_left -= u8::from(wire.is_fault());
            (wire, next)
        })
    }

    pub fn subject(&self) -> &Subject {
        &self.item.get().subject
    }

    pub fn version(&self) -> WriteId {
        self.item.get().version
    }

    pub fn write(&mut self, subject: Subject, version: WriteId) {
        self.item = Shared::new(Item { subject, version });
    }

    /// `Store::save_subject`. A repeated put finds its own version and is a success.
    pub fn put(
        &mut self,
        scenario: &Scenario,
        subject: Subject,
        id: WriteId,
        read: WriteId,
    ) -> bool {
        if self.version() == id {
            return true;
        }
        let is_allowed = self.version() == read || scenario.is_broken(Broken::SaveWithoutVersion);
        if is_allowed {
            self.write(subject, id);
        }
        is_allowed
    }

    fn pass_a_day(&self, steps: &mut Steps) {
        let is_quiet = self.checks.iter().all(Check::is_quiet);
        let is_quiet = is_quiet && self.changes.iter().all(Change::is_quiet);
        if self.days_left > 0 && is_quiet {
            let mut next = self.clone();
            next.days_left -= 1;
            next.now = next.now + DAY_SECONDS;
            steps.push((CLOCK, next));
        }
    }
}

const CLOCK: Step = (("the clock", 0), "a day passes");

/// The settled subject, as `Judged::settle` makes it.
pub fn settle(scenario: &Scenario, subject: &Subject, now: Timestamp) -> Subject {
    let before = subject.factors.clone();
    let mut settled = judge(subject, &Codes).settle(now);
    if scenario.is_broken(Broken::SettleDropsWrongCodes) {
        settled.unlock();
    }
    if scenario.is_broken(Broken::SettleDropsUsed) && settled.factors.len() == before.len() {
        settled.factors.iter_mut().for_each(forget_used);
    }
    if scenario.is_broken(Broken::SettleDropsOutcomes) {
        settled.remembered.clear();
    }
    settled
}

/// Entries that count in the condition of an append: settled wrong codes, and the log.
pub fn counted_attempts(scenario: &Scenario, subject: &Subject, factor: FactorId) -> usize {
    let kind = factor.kind().unwrap_or(FactorType::Totp);
    let budget = Budget::from(kind);
    let settled = match budget {
        Budget::Apps => subject.wrong_app_codes.len(),
        Budget::BackupCodes => subject.wrong_backup_codes.len(),
    };
    let is_counted = |entry: &&LogEntry| match entry {
        LogEntry::Check(check) if scenario.is_broken(Broken::BudgetOfEachFactor) => {
            check.factor == factor
        }
        LogEntry::Check(check) => Budget::from(check.factor.kind().unwrap_or(kind)) == budget,
        LogEntry::Approval(_) | LogEntry::Removal(_) => false,
    };
    settled + subject.log.iter().filter(is_counted).count()
}

/// Whether the log has the nonce, and whether the remembered checks have it.
pub fn has_nonce(subject: &Subject, nonce: AttemptNonce) -> (bool, bool) {
    let is_logged = subject.log.iter().any(|entry| match entry {
        LogEntry::Check(check) => check.attempt.nonce == nonce,
        LogEntry::Approval(_) | LogEntry::Removal(_) => false,
    });
    let mut remembered = subject.remembered.iter();
    let is_remembered = remembered.any(|check| check.submitted.attempt.nonce == nonce);
    (is_logged, is_remembered)
}

impl Model for Scenario {
    type State = World;

    fn initial(&self) -> World {
        let kinds = [(Kind::Removal, self.removals), (Kind::Settle, self.settles)];
        let changes = kinds
            .into_iter()
            .flat_map(|(kind, count)| std::iter::repeat_n(Change::new(kind), usize::from(count)));
        World {
            now: START,
            item: Shared::new(Item {
                subject: initial(self),
                version: 0,
            }),
            checks: vec![Check::Idle; usize::from(self.checks)],
            changes: changes.collect(),
            history: History::default(),
            faults_left: self.faults,
            days_left: self.days,
        }
    }

    fn steps(&self, world: &World) -> Vec<(Step, World)> {
        let mut steps = vec![];
        for number in 0..self.checks {
            Check::steps(self, world, number, &mut steps);
        }
        for number in 0..self.removals + self.settles {
            Change::steps(self, world, number, &mut steps);
        }
        world.pass_a_day(&mut steps);
        steps
    }

    fn violation(&self, world: &World, _is_final: bool) -> Option<String> {
        invariants::violation(self, world)
    }
}
