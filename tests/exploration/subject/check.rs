//! A check of a factor with an `Idempotency-Key`: one attempt, appended to the log in one
//! conditional write and decided from the log that the write returns, as in
//! `service::factors::check` and `store::subject_log`.

use otp::domain::attempt_log::Attempt;
use otp::domain::factor_rejection::{Rejection, rejection};
use otp::domain::ids::AttemptNonce;
use otp::domain::log_outcomes::judge;
use otp::domain::subject::{FactorAttempt, FactorOutcome, LogEntry, Subject, Verdict};

use super::super::table::{Shared, WRITES, Wire, WriteId};
use super::factors::{Codes, choices};
use super::world::{Item, Steps, World, counted_attempts, has_nonce, settle};
use super::{BUDGET, Broken, Scenario};

/// Requests of the app with one `Idempotency-Key`.
const TRIES_MAX: u8 = 2;

#[derive(Clone, Hash)]
pub enum Check {
    Idle,
    /// It appends its attempt.
    Appending(Submitted),
    /// The log is full of entries that can be settled.
    Settling(Submitted, Shared<Item>),
    /// It makes the confirmation of the factor permanent.
    Confirming(Submitted, Answer),
    /// It was answered with 503. The app may repeat it.
    Unavailable(Submitted),
    Answered(Submitted, Answer),
}

/// What the app submits.
#[derive(Clone, Hash)]
pub struct Submitted {
    pub attempt: FactorAttempt,
    tries: u8,
    /// Writes so far: their names.
    writes: u16,
}

#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub enum Answer {
    Compared {
        verdict: Verdict,
        wrong_codes: u16,
        is_active: bool,
    },
    Locked,
    NotFound,
    Mismatch,
}

impl Check {
    pub fn is_quiet(&self) -> bool {
        let is_started = matches!(
            self,
            Self::Appending(_) | Self::Settling(..) | Self::Confirming(..)
        );
        !is_started
    }

    pub fn steps(scenario: &Scenario, world: &World, number: u8, steps: &mut Steps) {
        let me = ("check", number);
        let mut go = |what, check: Self, mut next: World| {
            next.checks[usize::from(number)] = check;
            steps.push(((me, what), next));
        };
        match &world.checks[usize::from(number)] {
            Self::Idle => {
                for submitted in submissions(scenario, world, number) {
                    for (wire, mut next) in world.writes() {
                        let check = submitted.clone().append(scenario, wire, &mut next);
                        go(wire.named(WRITES), check, next);
                    }
                }
            }
            Self::Appending(submitted) => {
                for (wire, mut next) in world.writes() {
                    let check = submitted.clone().append(scenario, wire, &mut next);
                    go(wire.named(WRITES), check, next);
                }
            }
            Self::Settling(submitted, read) => {
                for (wire, mut next) in world.writes() {
                    let check = submitted.clone().settle(scenario, read, wire, &mut next);
                    go(wire.named(WRITES), check, next);
                }
            }
            Self::Confirming(submitted, answer) => {
                for (wire, mut next) in world.writes() {
                    let check = submitted.clone().confirm(*answer, wire, &mut next);
                    go(wire.named(WRITES), check, next);
                }
            }
            Self::Unavailable(submitted) if submitted.tries < TRIES_MAX => {
                let mut again = submitted.clone();
                again.tries += 1;
                again.attempt.attempt.at = world.now;
                again.attempt.attempt.invocation = [number, again.tries, 0, 0];
                go("is repeated", Self::Appending(again), world.clone());
            }
            Self::Unavailable(_) | Self::Answered(..) => {}
        }
    }
}

/// What check `number` may submit, with its own key or that of the first check. Checks start in the
/// order of their numbers, because they are interchangeable.
fn submissions(scenario: &Scenario, world: &World, number: u8) -> Vec<Submitted> {
    let mut before = world.checks[..usize::from(number)].iter();
    if before.any(|check| matches!(check, Check::Idle)) {
        return vec![];
    }
    let keys = if number == 0 {
        vec![0]
    } else {
        vec![0, number]
    };
    let choices = choices(scenario.kind, world.now).into_iter();
    let submitted = choices.flat_map(|(factor, hash)| {
        keys.iter().map(move |key| {
            let attempt = Attempt {
                nonce: AttemptNonce::Keyed([*key, factor.0[0], factor.0[1], 0, 0, 0, 0, 0]),
                hash,
                decision: None,
                at: world.now,
                invocation: [number, 1, 0, 0],
            };
            Submitted {
                attempt: FactorAttempt {
                    attempt,
                    factor,
                    pair_hash: None,
                },
                tries: 1,
                writes: 0,
            }
        })
    });
    submitted.collect()
}

impl Submitted {
    fn next_write(&mut self) -> WriteId {
        self.writes += 1;
        let [number, tries, ..] = self.attempt.attempt.invocation;
        1000 + u16::from(number) * 100 + u16::from(tries) * 20 + self.writes
    }

    /// `Store::append_factor_attempt`.
    fn append(mut self, scenario: &Scenario, wire: Wire, next: &mut World) -> Check {
        let id = self.next_write();
        let mut is_written = false;
        if wire.is_carried_out() && self.is_accepted(scenario, next.subject()) {
            is_written = true;
            let mut subject = next.subject().clone();
            subject.log.push(LogEntry::Check(self.attempt.clone()));
            next.write(subject, id);
            next.history.append(&self.attempt, next.now);
        }
        match wire {
            Wire::Answered | Wire::Repeated => self.decide(scenario, is_written, next),
            _ if scenario.is_broken(Broken::CompareWithoutWrite) => {
                let mut subject = next.subject().clone();
                subject.log.push(LogEntry::Check(self.attempt.clone()));
                let judged = judge(&subject, &Codes);
                let answer = judged.check(self.attempt.attempt.nonce);
                let answer = answer.map_or(Answer::NotFound, |(_, outcome)| Answer::from(outcome));
                Check::Answered(self, answer)
            }
            Wire::Refused | Wire::Lost => Check::Unavailable(self),
        }
    }

    fn is_accepted(&self, scenario: &Scenario, subject: &Subject) -> bool {
        let (factor, attempt) = (self.attempt.factor, &self.attempt.attempt);
        let (is_logged, is_remembered) = has_nonce(subject, attempt.nonce);
        let counted = counted_attempts(scenario, subject, factor);
        let exists = subject.factor(factor, attempt.at).is_some();
        (exists || scenario.is_broken(Broken::AppendWithoutFactor))
            && (counted < usize::from(BUDGET) || scenario.is_broken(Broken::AppendWithoutBudget))
            && (!is_logged || scenario.is_broken(Broken::AppendWithoutNonce))
            && (!is_remembered || scenario.is_broken(Broken::AppendWithoutRemembered))
    }

    /// `service::factors::check`, from the item that the write returns.
    fn decide(self, scenario: &Scenario, is_written: bool, next: &World) -> Check {
        let judged = judge(next.subject(), &Codes);
        let attempt = &self.attempt.attempt;
        let answer = if is_written {
            judged
                .check(attempt.nonce)
                .map(|(_, outcome)| Answer::from(outcome))
        } else {
            match rejection(&judged, &self.attempt, BUDGET, attempt.at) {
                Rejection::Known(known) if known.submitted.attempt.hash == attempt.hash => {
                    Some(Answer::from(&known.outcome))
                }
                Rejection::Known(_) => return Check::Answered(self, Answer::Mismatch),
                Rejection::Unsettled => return Check::Settling(self, next.item.clone()),
                Rejection::Locked { .. } => return Check::Answered(self, Answer::Locked),
                _ => None,
            }
        };
        let Some(answer) = answer else {
            return Check::Answered(self, Answer::NotFound);
        };
        let id = self.attempt.factor;
        let is_confirmed = |subject: &Subject| {
            let mut factors = subject.factors.iter();
            let factor = factors.find(|factor| factor.id == id);
            factor.is_some_and(|factor| factor.confirmed_at.is_some())
        };
        let is_new = !is_confirmed(next.subject()) && is_confirmed(&judged.subject);
        if is_new && !scenario.is_broken(Broken::AnswerBeforeConfirmation) {
            return Check::Confirming(self, answer);
        }
        Check::Answered(self, answer)
    }

    fn settle(
        mut self,
        scenario: &Scenario,
        read: &Shared<Item>,
        wire: Wire,
        next: &mut World,
    ) -> Check {
        let id = self.next_write();
        let Item { subject, version } = read.get();
        if wire.is_carried_out() {
            let settled = settle(scenario, subject, self.attempt.attempt.at);
            // Another writer that settles it first helps as well.
            next.put(scenario, settled, id, *version);
        }
        match wire {
            Wire::Answered | Wire::Repeated => Check::Appending(self),
            Wire::Refused | Wire::Lost => Check::Unavailable(self),
        }
    }

    /// `Store::confirm_factor`, for a factor that is not confirmed in the item itself.
    fn confirm(mut self, answer: Answer, wire: Wire, next: &mut World) -> Check {
        let id = self.next_write();
        let mut subject = next.subject().clone();
        let factor = subject.factors.iter_mut();
        let mut factor = factor.filter(|factor| factor.id == self.attempt.factor);
        if wire.is_carried_out()
            && let Some(factor) = factor.next()
            && factor.confirmed_at.is_none()
        {
            factor.confirmed_at = Some(self.attempt.attempt.at);
            next.write(subject, id);
        }
        match wire {
            Wire::Answered | Wire::Repeated => Check::Answered(self, answer),
            Wire::Refused | Wire::Lost => Check::Unavailable(self),
        }
    }
}

impl From<&FactorOutcome> for Answer {
    fn from(outcome: &FactorOutcome) -> Self {
        Self::Compared {
            verdict: outcome.verdict,
            wrong_codes: outcome.wrong_codes,
            is_active: outcome.status == otp::domain::factor::FactorStatus::Active,
        }
    }
}
