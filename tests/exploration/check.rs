//! A check: one attempt, appended to the log in one conditional write and decided from the log that
//! the write returns, as in `service::check` and `store::attempts`.

use otp::domain::attempt_log::Attempt;
use otp::domain::ids::{AttemptHash, AttemptNonce, VerificationNonce};
use otp::domain::recipient::Recipient;
use otp::domain::verification::Verification;
use otp::domain::verification_ref::VerificationRef;
use otp::domain::verification_status::CheckOutcome;

use super::broken::Broken;
use super::table::{Wire, WriteId, Written};
use super::world::{Scenario, Steps, World};

/// An attempt that equals no code, unless a fresh code is drawn that equals it.
pub const WRONG: AttemptHash = AttemptHash([0; 16]);
/// Requests of the app with one `Idempotency-Key`.
const TRIES_MAX: u8 = 2;

/// A check with an `Idempotency-Key`.
#[derive(Clone, Hash)]
pub enum Check {
    Idle,
    Writing(Submitted),
    /// It was answered with 503. The app may repeat it.
    Unavailable(Submitted),
    Answered(Submitted, Answer),
}

/// What the app submits.
#[derive(Clone, Hash)]
pub struct Submitted {
    pub target: VerificationNonce,
    pub attempt: Attempt,
    tries: u8,
}

#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub enum Answer {
    Outcome {
        outcome: CheckOutcome,
        is_replay: bool,
    },
    Mismatch,
    NotFound,
}

impl Check {
    pub fn steps(scenario: &Scenario, world: &World, number: u8, steps: &mut Steps) {
        let me = ("check", number);
        let mut go = |what, check: Check, mut next: World| {
            next.checks[usize::from(number)] = check;
            steps.push(((me, what), next));
        };
        match &world.checks[usize::from(number)] {
            Self::Idle => {
                for submitted in choices(world, number) {
                    // Otherwise nothing sees the time between the request and its write.
                    if scenario.has_expiry {
                        go("is requested", Self::Writing(submitted), world.clone());
                        continue;
                    }
                    for (wire, mut next) in world.writes() {
                        let (check, what) = submitted.write(scenario, wire, &mut next, number);
                        go(what, check, next);
                    }
                }
            }
            Self::Writing(submitted) => {
                for (wire, mut next) in world.writes() {
                    let (check, what) = submitted.write(scenario, wire, &mut next, number);
                    go(what, check, next);
                }
            }
            Self::Unavailable(submitted) if submitted.tries < TRIES_MAX => {
                let mut again = submitted.clone();
                again.tries += 1;
                again.attempt.at = world.now;
                again.attempt.invocation = [number, again.tries, 0, 0];
                go("is repeated", Self::Writing(again), world.clone());
            }
            Self::Unavailable(_) | Self::Answered(..) => {}
        }
    }
}

/// What check `number` may submit, about verifications that the app knows of. Checks start in the
/// order of their numbers, because they are interchangeable.
fn choices(world: &World, number: u8) -> Vec<Submitted> {
    let checks = &world.checks[..usize::from(number)];
    let Some(recipient) = world.table.recipient() else {
        return vec![];
    };
    if checks.iter().any(|check| matches!(check, Check::Idle)) {
        return vec![];
    }
    let mut choices = vec![];
    for verification in recipient.verifications() {
        let target = verification.params().nonce;
        if !world.is_acknowledged(target) {
            continue;
        }
        let mut hashes = vec![WRONG, first_code(target)];
        if let VerificationRef::Current(current) = verification {
            hashes.push(current.expected_hash);
        }
        hashes.sort_unstable_by_key(|hash| hash.0);
        hashes.dedup();
        // Its own key, or that of the first check.
        let keys = if number == 0 {
            vec![0]
        } else {
            vec![0, number]
        };
        for (hash, key) in hashes
            .iter()
            .flat_map(|hash| keys.iter().map(move |key| (*hash, *key)))
        {
            let attempt = Attempt {
                nonce: AttemptNonce::Keyed([key, target.0[0], target.0[1], 0, 0, 0, 0, 0]),
                hash,
                decision: None,
                at: world.now,
                invocation: [number, 1, 0, 0],
            };
            choices.push(Submitted {
                target,
                attempt,
                tries: 1,
            });
        }
    }
    choices
}

/// The hash of the code that a verification is opened with.
pub fn first_code(nonce: VerificationNonce) -> AttemptHash {
    AttemptHash([10 + nonce.0[0] * 8 + nonce.0[1]; 16])
}

impl Submitted {
    fn write(
        &self,
        scenario: &Scenario,
        wire: Wire,
        next: &mut World,
        number: u8,
    ) -> (Check, &'static str) {
        let written = wire
            .is_carried_out()
            .then(|| self.append(scenario, next, number));
        let what = wire.named([
            "appends its attempt",
            "is refused by the table",
            "appends its attempt, the answer is lost",
            "appends its attempt, the answer is lost and the write is repeated",
        ]);
        let check = match (wire, written) {
            (Wire::Answered, Some(written)) => {
                let item = written.item.as_ref().map(|item| &item.get().recipient);
                Check::Answered(self.clone(), self.decide(scenario, item))
            }
            (Wire::Repeated, _) => Check::Writing(self.clone()),
            _ if scenario.is_broken(Broken::CompareWithoutWrite) => {
                let mut recipient = next.recipient();
                if let Some(current) = &mut recipient.current {
                    current.attempts.push(self.attempt.clone());
                }
                Check::Answered(self.clone(), self.decide(scenario, Some(&recipient)))
            }
            _ => Check::Unavailable(self.clone()),
        };
        (check, what)
    }

    /// `Store::append_attempt`.
    fn append(&self, scenario: &Scenario, next: &mut World, number: u8) -> Written {
        let id: WriteId = 100 + u16::from(number) * 10 + u16::from(self.tries);
        let is_right = self.is_right(&next.recipient());
        let had = next.table.version();
        let condition = |recipient: &Recipient| {
            let current = recipient.current.as_ref();
            current.is_some_and(|current| self.is_accepted(scenario, current))
        };
        let written = next.table.update(id, condition, |recipient| {
            if let Some(current) = &mut recipient.current {
                current.attempts.push(self.attempt.clone());
            }
        });
        if written.is_written && had != Some(id) {
            next.history
                .append(self.target, self.attempt.nonce, is_right);
        }
        written
    }

    fn is_accepted(&self, scenario: &Scenario, current: &Verification) -> bool {
        let maximum = usize::from(current.params.attempts_max);
        let is_known = current
            .attempts
            .iter()
            .any(|known| known.nonce == self.attempt.nonce);
        let ends = current.params.expires_at;
        current.params.nonce == self.target
            && (ends > self.attempt.at || scenario.is_broken(Broken::AppendAfterExpiry))
            && (current.canceled_at.is_none() || scenario.is_broken(Broken::AppendAfterCancel))
            && (current.attempts.len() < maximum
                || scenario.is_broken(Broken::AppendWithoutMaximum))
            && (!is_known || scenario.is_broken(Broken::AppendWithoutNonce))
    }

    /// Whether this attempt is the success if it is appended now.
    fn is_right(&self, recipient: &Recipient) -> bool {
        recipient.current.as_ref().is_some_and(|current| {
            current.params.nonce == self.target
                && current.status(self.attempt.at).rejection().is_none()
                && current.expected_hash == self.attempt.hash
        })
    }

    /// `service::check::decide`.
    fn decide(&self, scenario: &Scenario, recipient: Option<&Recipient>) -> Answer {
        let (nonce, now) = (self.attempt.nonce, self.attempt.at);
        let found = recipient.and_then(|recipient| recipient.find(self.target, now));
        let Some(found) = found else {
            return Answer::NotFound;
        };
        let (known, mut outcome) = match found {
            VerificationRef::Current(current) => {
                let logged = current.attempts.iter().find(|logged| logged.nonce == nonce);
                let known = logged
                    .map(|logged| (logged.hash, logged.invocation == self.attempt.invocation));
                (known, current.outcome(nonce, now))
            }
            VerificationRef::Past(past) => {
                let recorded = past
                    .recorded_checks
                    .iter()
                    .find(|check| check.nonce == nonce);
                (
                    recorded.map(|check| (check.hash, false)),
                    past.outcome(nonce),
                )
            }
        };
        if known.is_some_and(|(hash, _)| hash != self.attempt.hash) {
            return Answer::Mismatch;
        }
        if let VerificationRef::Current(current) = found
            && scenario.is_broken(Broken::EveryMatchSucceeds)
            && current.expected_hash == self.attempt.hash
        {
            outcome.reason = None;
        }
        Answer::Outcome {
            outcome,
            is_replay: known.is_some_and(|(_, is_ours)| !is_ours),
        }
    }
}
