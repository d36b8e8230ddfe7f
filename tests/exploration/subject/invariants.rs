//! What must hold in every state, from what the table has accepted and what the app was answered.

use otp::domain::factor::FactorType;
use otp::domain::ids::{AttemptHash, AttemptNonce, FactorId};
use otp::domain::log_outcomes::judge;
use otp::domain::subject::{Budget, FactorAttempt, LogEntry, Verdict};
use otp::domain::time::{DAY_SECONDS, Timestamp};

use super::change::Change;
use super::check::{Answer, Check, Submitted};
use super::factors::{Codes, WRONG, first_id, progress};
use super::world::World;
use super::{BUDGET, Scenario};

/// An attempt that the table has accepted.
#[derive(Clone, Copy, Hash)]
struct Appended {
    nonce: AttemptNonce,
    factor: FactorId,
    hash: AttemptHash,
    at: Timestamp,
}

/// What has happened.
#[derive(Clone, Hash, Default)]
pub struct History {
    appended: Vec<Appended>,
}

impl History {
    pub fn append(&mut self, attempt: &FactorAttempt, at: Timestamp) {
        self.appended.push(Appended {
            nonce: attempt.attempt.nonce,
            factor: attempt.factor,
            hash: attempt.attempt.hash,
            at,
        });
        // The order of other attempts does not matter to what must hold.
        let name = |known: &Appended| format!("{known:?}");
        self.appended.sort_by_key(name);
    }
}

impl std::fmt::Debug for Appended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.nonce, self.hash, self.at)
    }
}

/// The invariant that `world` violates.
pub fn violation(scenario: &Scenario, world: &World) -> Option<String> {
    let rules: [fn(&Scenario, &World) -> Option<String>; 6] = [
        nonces_are_appended_once,
        answers_are_of_the_log,
        codes_are_accepted_once,
        budget_is_kept,
        progress_is_kept,
        removed_factor_is_gone,
    ];
    rules.into_iter().find_map(|rule| rule(scenario, world))
}

fn nonces_are_appended_once(_: &Scenario, world: &World) -> Option<String> {
    let appended = &world.history.appended;
    for (index, first) in appended.iter().enumerate() {
        for second in &appended[index + 1..] {
            let apart = (first.at.0 - second.at.0).abs();
            if first.nonce == second.nonce && apart < DAY_SECONDS {
                return Some(format!("one nonce, two entries: {first:?}, {second:?}"));
            }
        }
    }
    None
}

/// Checks that were compared, with what they were answered.
fn compared(world: &World) -> impl Iterator<Item = (&Submitted, Verdict, u16, bool)> {
    world.checks.iter().filter_map(|check| match check {
        Check::Answered(
            submitted,
            Answer::Compared {
                verdict,
                wrong_codes,
                is_active,
            },
        ) => Some((submitted, *verdict, *wrong_codes, *is_active)),
        _ => None,
    })
}

fn answers_are_of_the_log(_: &Scenario, world: &World) -> Option<String> {
    for (submitted, verdict, ..) in compared(world) {
        let FactorAttempt { attempt, .. } = &submitted.attempt;
        let mut appended = world.history.appended.iter();
        let is_logged =
            appended.any(|known| known.nonce == attempt.nonce && known.hash == attempt.hash);
        if !is_logged {
            return Some("a code was compared that is not in the log".to_owned());
        }
        if verdict == Verdict::Accepted && attempt.hash == WRONG {
            return Some("a wrong code was accepted".to_owned());
        }
        let is_same = |(other, answer, ..): &(&Submitted, Verdict, u16, bool)| {
            let other = &other.attempt.attempt;
            other.nonce == attempt.nonce && other.at == attempt.at && *answer != verdict
        };
        if compared(world).any(|other| is_same(&other)) {
            return Some("one key has two outcomes".to_owned());
        }
    }
    None
}

fn codes_are_accepted_once(_: &Scenario, world: &World) -> Option<String> {
    let accepted: Vec<_> = compared(world)
        .filter(|(_, verdict, ..)| *verdict == Verdict::Accepted)
        .map(|(submitted, ..)| &submitted.attempt.attempt)
        .collect();
    for (index, first) in accepted.iter().enumerate() {
        let mut others = accepted[index + 1..].iter();
        if others.any(|other| other.hash == first.hash && other.nonce != first.nonce) {
            return Some("one code was accepted twice".to_owned());
        }
    }
    None
}

fn budget_is_kept(_: &Scenario, world: &World) -> Option<String> {
    let judged = judge(world.subject(), &Codes).subject;
    for budget in [Budget::Apps, Budget::BackupCodes] {
        let is_counted = |known: &&Appended| {
            let kind = known.factor.kind().unwrap_or(FactorType::Totp);
            known.hash == WRONG
                && Budget::from(kind) == budget
                && known.at > world.now - DAY_SECONDS
        };
        let submitted = world.history.appended.iter().filter(is_counted).count();
        if submitted > usize::from(BUDGET) {
            return Some(format!("{submitted} wrong codes in a day"));
        }
        let counted = judged.counted_wrong_codes(budget, world.now).len();
        if counted < submitted {
            return Some(format!("{submitted} wrong codes, {counted} are counted"));
        }
    }
    let mut answered = compared(world);
    let over = answered.find(|(_, _, wrong_codes, _)| *wrong_codes > u16::from(BUDGET));
    over.map(|_| "an answer counts more wrong codes than the budget".to_owned())
}

/// What was accepted stays used, and a confirmation that was answered is in the factor itself.
fn progress_is_kept(scenario: &Scenario, world: &World) -> Option<String> {
    let judged = judge(world.subject(), &Codes).subject;
    let id = first_id(scenario.kind);
    let factor = judged.factors.iter().find(|factor| factor.id == id)?;
    let mut stored = world.subject().factors.iter();
    let stored = stored.find(|factor| factor.id == id)?;
    let accepted = compared(world).filter(|(_, verdict, ..)| *verdict == Verdict::Accepted);
    let mut used = vec![];
    for (submitted, _, _, is_active) in accepted {
        if is_active && stored.confirmed_at.is_none() {
            return Some("an answered confirmation is not permanent".to_owned());
        }
        used.push(submitted.attempt.attempt.hash);
    }
    used.sort_unstable_by_key(|hash| hash.0);
    used.dedup();
    let counter = |hash: &AttemptHash| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.0[8..]);
        u64::from_be_bytes(bytes)
    };
    let highest = used.iter().map(counter).max()?;
    let least = match scenario.kind {
        FactorType::Totp => highest,
        FactorType::Hotp => highest + 1,
        FactorType::BackupCodes => used.len() as u64,
    };
    let is_kept = progress(factor) >= least;
    (!is_kept).then(|| format!("used codes are forgotten: {} < {least}", progress(factor)))
}

fn removed_factor_is_gone(scenario: &Scenario, world: &World) -> Option<String> {
    if !world.changes.iter().any(Change::is_acknowledged_removal) {
        return None;
    }
    let id = first_id(scenario.kind);
    if world.subject().factors.iter().any(|factor| factor.id == id) {
        return Some("a removed factor is there again".to_owned());
    }
    let mut log = world.subject().log.iter();
    let is_of_removed = |entry: &LogEntry| match entry {
        LogEntry::Check(check) => check.factor == id,
        LogEntry::Approval(_) | LogEntry::Removal(_) => false,
    };
    log.any(is_of_removed)
        .then(|| "an attempt of a removed factor was accepted".to_owned())
}
