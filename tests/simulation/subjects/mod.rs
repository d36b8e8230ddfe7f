//! Random operations on subjects, their factors, verified recipients and decisions. A small model
//! predicts every response, and what a subject shows after each step. Seed and length are those of
//! the other runs.
//!
//! Requests are made one after the other and without faults: `exploration` has every order of a
//! few, with faults. What depends on a second that passes meanwhile is not predicted.

mod checks;
mod changes;
mod decisions;
mod model;

use serde_json::json;

use super::dice::Dice;
use super::{TRACE_LENGTH, Trace, number};
use crate::support::{Service, TestResponse, no_send_limits_and, phone};
use model::Model;

const SUBJECTS: usize = 3;
const PHONES: usize = 4;
/// Wrong codes in 24 hours.
const BUDGET: usize = 4;
const STEPS_DEFAULT: usize = 300;

#[derive(Clone, Copy, Debug)]
enum Operation {
    EnrolTotp,
    EnrolHotp,
    EnrolBackupCodes,
    CheckRight,
    CheckUsed,
    CheckWrong,
    RemoveFactor,
    Unlock,
    Erase,
    Verify,
    RemoveRecipient,
    Release,
    Forget,
    Decide,
    Deny,
    Advance,
}

const OPERATIONS: [(usize, Operation); 16] = [
    (5, Operation::EnrolTotp),
    (4, Operation::EnrolHotp),
    (3, Operation::EnrolBackupCodes),
    (24, Operation::CheckRight),
    (8, Operation::CheckUsed),
    (8, Operation::CheckWrong),
    (2, Operation::RemoveFactor),
    (2, Operation::Unlock),
    (1, Operation::Erase),
    (12, Operation::Verify),
    (3, Operation::RemoveRecipient),
    (2, Operation::Release),
    (1, Operation::Forget),
    (12, Operation::Decide),
    (2, Operation::Deny),
    (14, Operation::Advance),
];

/// One run.
struct Run {
    service: Service,
    dice: Dice,
    model: Model,
    trace: Trace,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let rules = json!([
            {"name": "pay", "when": {"action": ["pay"]}, "decision": "challenge",
             "requires": [["totp", "sms"], ["backup_codes"]]},
            {"name": "known", "when": {"action": ["login"], "enrolled": ["totp"]},
             "decision": "challenge", "requires": [["totp"], ["hotp"], ["sms"]]},
            {"name": "closed", "when": {"action": ["close"], "not_enrolled": ["sms", "hotp"]},
             "decision": "deny"},
            {"name": "rest", "decision": "allow"},
        ]);
        let (rules, budget) = (rules.to_string(), BUDGET.to_string());
        let variables = no_send_limits_and(&[
            ("OTP_RULES", &rules),
            ("OTP_FACTOR_GUESS_BUDGET", &budget),
            ("OTP_UNIQUE_RECIPIENTS", "on"),
            ("OTP_PREFIX_SENDS", "1000/600"),
            ("OTP_CONVERSION_MIN", "0"),
        ]);
        Self {
            service: Service::start_with(&variables).await,
            dice: Dice::new(seed),
            model: Model::new(SUBJECTS),
            trace: Trace {
                seed,
                steps: 0,
                last: vec![],
            },
        }
    }

    /// One operation, and then what the subject shows.
    async fn step(&mut self) {
        self.trace.steps += 1;
        let operation = self.dice.weighted(&OPERATIONS);
        let subject = self.dice.below(SUBJECTS);
        let now = self.service.now().await;
        self.note(format!(
            "{} at {now}: {operation:?} of {subject}",
            self.trace.steps
        ));
        self.model.expire(now);
        match operation {
            Operation::EnrolTotp => self.enrol(subject, "totp").await,
            Operation::EnrolHotp => self.enrol(subject, "hotp").await,
            Operation::EnrolBackupCodes => self.enrol(subject, "backup_codes").await,
            Operation::CheckRight | Operation::CheckUsed | Operation::CheckWrong => {
                self.check(subject, operation).await;
            }
            Operation::RemoveFactor => self.remove_factor(subject).await,
            Operation::Unlock => self.unlock(subject).await,
            Operation::Erase => self.erase(subject).await,
            Operation::Verify => self.verify(subject).await,
            Operation::RemoveRecipient => self.remove_recipient(subject).await,
            Operation::Release => self.release().await,
            Operation::Forget => {
                let to = self.phone();
                self.service.forget(&to).await;
            }
            Operation::Decide => self.decide(subject).await,
            Operation::Deny => self.deny(subject).await,
            Operation::Advance => {
                // Sums of these come near no limit of time but by chance.
                let seconds = *self.dice.pick(&[31, 67, 233, 641, 7_207, 43_391]);
                self.service.advance(seconds).await;
            }
        }
        self.observe(subject).await;
        self.observe_decision(subject).await;
    }

    fn note(&mut self, line: String) {
        self.trace.last.push(line);
        if self.trace.last.len() > TRACE_LENGTH {
            self.trace.last.remove(0);
        }
    }

    /// Notes a response.
    fn answered(&mut self, response: &TestResponse) {
        let body = response.body.to_string();
        self.note(format!("    {} -> {body}", response.request));
    }

    fn phone(&mut self) -> String {
        phone(u32::try_from(1 + self.dice.below(PHONES)).expect("few"))
    }
}

/// Run number `n` of the suite.
async fn run(n: u64) {
    let seed = number("OTP_SIMULATION_SEED")
        .unwrap_or_else(|| u64::from_be_bytes(otp::platform::random::random_bytes()) >> 32);
    let steps = number("OTP_SIMULATION_STEPS").and_then(|steps| usize::try_from(steps).ok());
    let mut run = Run::new(seed + n).await;
    for _ in 0..steps.unwrap_or(STEPS_DEFAULT) {
        run.step().await;
    }
}

#[tokio::test]
async fn subjects_behave_as_the_model_predicts() {
    run(0).await;
}

#[tokio::test]
async fn subjects_of_another_run_behave_as_predicted() {
    run(1).await;
}
