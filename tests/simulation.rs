//! Simulation: random operations on a whole service with a movable clock, with faults between any two writes, and a small
//! model that is asked after each step whether what must hold still holds. `OTP_SIMULATION_SEED` names a run and
//! `OTP_SIMULATION_STEPS` its length; both are printed when a run fails, with the last operations.
//!
//! # Honesty
//!
//! What is not a failure here: an answer 503 in a step with a fault, whatever became of the call; a send that is held back
//! for less than its announced end; a message that never comes, unless all faults are over (the last phase of a run asks
//! for that); the same message handed over twice after a worker lost its table; a limit that counts less than callers think
//! where a message never left the queue. A crash is the loss of table and queue from one call on, until the function has
//! given up: what it still does in memory is seen by nobody. A lost answer is one that no client repeats; one in forty is a
//! closed connection, which the SDK repeats after up to a second of real time.
//!
//! What differs between two runs of one seed: codes, ids and keys, which come from the operating system; real time, which
//! goes on under the clock's offset, so that a step may fall on either side of a second; and the order in which workers of
//! one moment take their turns. A seed therefore repeats a failure often, not always. Calls are made one after the other,
//! but for the checks of `checks_at_once`; races of sends, checks and claims have tests of their own.

mod dice;
mod model;
mod operations;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::carrier::{Behaviour, Carrier};
use crate::harness::{Answer, Service, seconds};
use crate::wire::{BROKEN, Call, Fault, Wired};
use dice::Dice;
use model::{Before, Model};

const PEOPLE: usize = 4;
/// k, F and the limits of this service.
const ATTEMPTS: usize = 3;
const BUDGET: usize = 8;
const SENDS_PER_HOUR: usize = 4;
const SENDS_PER_DAY: usize = 12;
const TTL: i64 = 300;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// Characters of a code: long enough never to be found where it is not.
const CODE_LENGTH: usize = 8;
const STEPS_DEFAULT: usize = 1000;
/// Operations that a failure prints.
const TRACE_LENGTH: usize = 25;

/// What a step may do.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Send,
    SendAgain,
    SendWhenAllowed,
    Resend,
    CheckRight,
    CheckWrong,
    CheckOtherPurpose,
    CheckStale,
    ChecksAtOnce,
    Cancel,
    Unlock,
    Forget,
    Advance,
    Redeliver,
    ChangeCarrier,
    Report,
    ForgeReport,
}

const OPERATIONS: [(usize, Operation); 17] = [
    (16, Operation::Send),
    (4, Operation::SendAgain),
    (4, Operation::SendWhenAllowed),
    (7, Operation::Resend),
    (10, Operation::CheckRight),
    (14, Operation::CheckWrong),
    (3, Operation::CheckOtherPurpose),
    (5, Operation::CheckStale),
    (2, Operation::ChecksAtOnce),
    (3, Operation::Cancel),
    (2, Operation::Unlock),
    (1, Operation::Forget),
    (14, Operation::Advance),
    (6, Operation::Redeliver),
    (7, Operation::ChangeCarrier),
    (9, Operation::Report),
    (4, Operation::ForgeReport),
];

/// A call that may have been answered by an error while something was broken.
enum Told {
    Answer(Answer),
    Nothing,
}

/// One run.
struct World {
    wired: Wired,
    carriers: [Carrier; 2],
    taken: [usize; 2],
    dice: Dice,
    model: Model,
    dispatches: Vec<String>,
    is_broken: bool,
    keys: usize,
    trace: Trace,
}

/// The last operations, told if the run fails.
struct Trace {
    seed: u64,
    steps: usize,
    last: Vec<String>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "OTP_SIMULATION_SEED={} OTP_SIMULATION_STEPS={}; the last operations:",
                self.seed, self.steps
            );
            self.last.iter().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// Runs `steps` operations and then lets everything come to rest.
async fn simulate(seed: u64, steps: usize) {
    let mut world = World::new(seed).await;
    for _ in 0..steps {
        world.step().await;
    }
    world.finish().await;
}

impl World {
    async fn new(seed: u64) -> Self {
        let carriers = [
            Carrier::start("first").await,
            Carrier::start("second").await,
        ];
        let entries: Value = carriers
            .iter()
            .map(|carrier| {
                let mut entry = carrier.entry();
                entry["timeout_ms"] = json!(100);
                entry
            })
            .collect();
        let wired = Wired::start(&[
            ("OTP_CARRIERS", &entries.to_string()),
            ("OTP_CODE_ALPHABET", "alphanumeric"),
            ("OTP_CODE_LENGTH", &CODE_LENGTH.to_string()),
            ("OTP_MAX_ATTEMPTS", &ATTEMPTS.to_string()),
            ("OTP_GUESS_BUDGET", &BUDGET.to_string()),
            (
                "OTP_COOLDOWN_SECONDS",
                &model::LADDER.map(|wait| wait.to_string()).join(","),
            ),
            ("OTP_SENDS_PER_HOUR", &SENDS_PER_HOUR.to_string()),
            ("OTP_SENDS_PER_DAY", &SENDS_PER_DAY.to_string()),
            ("OTP_PREFIX_SENDS", "1000/600"),
            ("OTP_CONVERSION_MIN", "0"),
        ])
        .await;
        let trace = Trace {
            seed,
            steps: 0,
            last: vec![],
        };
        let model = Model::new(PEOPLE);
        Self {
            wired,
            carriers,
            taken: [0; 2],
            dice: Dice::new(seed),
            model,
            dispatches: vec![],
            is_broken: false,
            keys: 0,
            trace,
        }
    }

    fn service(&self) -> &Service {
        &self.wired.service
    }

    fn note(&mut self, line: String) {
        self.trace.last.push(line);
        if self.trace.last.len() > TRACE_LENGTH {
            self.trace.last.remove(0);
        }
    }

    /// One operation, and then what must hold.
    async fn step(&mut self) {
        self.trace.steps += 1;
        let operation = self.dice.weighted(&OPERATIONS);
        let person = self.dice.below(PEOPLE);
        let before = self.model.before();
        let now = self.service().now().await;
        self.note(format!(
            "{} at {now}: {operation:?} of {person}",
            self.trace.steps
        ));
        let reaches_workers = self.break_something();
        self.operate(operation, person).await;
        if !reaches_workers {
            self.mend();
        }
        self.service().settle().await;
        if reaches_workers {
            self.model.worker_faults += 16;
            self.mend();
            self.service().settle().await;
        }
        self.observe(Some(person), &before).await;
    }

    /// Breaks table or queue in one of eight steps; whether the workers are to meet it as well.
    fn break_something(&mut self) -> bool {
        if !self.dice.one_in(8) {
            return false;
        }
        self.is_broken = true;
        let count = self.dice.below(6);
        let kind = self.dice.below(40);
        match kind {
            0 => self.wired.table.break_after_once(count, Fault::DropAnswer),
            1..=12 => self.wired.table.break_after_once(count, Fault::LoseAnswer),
            13..=18 => self
                .wired
                .queue
                .break_after_once(count / 3, Fault::LoseAnswer),
            _ => self.wired.crash_after(count),
        }
        let reaches_workers = self.dice.one_in(2);
        self.note(format!(
            "    broken: kind {kind} after {count} calls, workers too: {reaches_workers}"
        ));
        reaches_workers
    }

    fn mend(&mut self) {
        self.wired.mend();
        self.is_broken = false;
    }

    async fn operate(&mut self, operation: Operation, person: usize) {
        match operation {
            Operation::Send => self.send(person).await,
            Operation::SendAgain => self.send_again(person).await,
            Operation::SendWhenAllowed => self.send_when_allowed(person).await,
            Operation::Resend => self.resend(person).await,
            Operation::CheckRight => self.check_live(person, true).await,
            Operation::CheckWrong => self.check_live(person, false).await,
            Operation::CheckOtherPurpose => self.check_other_purpose(person).await,
            Operation::CheckStale => self.check_stale().await,
            Operation::ChecksAtOnce => self.checks_at_once(person).await,
            Operation::Cancel => self.cancel(person).await,
            Operation::Unlock => self.unlock(person).await,
            Operation::Forget => self.forget(person).await,
            Operation::Advance => self.advance().await,
            Operation::Redeliver => self.redeliver().await,
            Operation::ChangeCarrier => self.change_carrier().await,
            Operation::Report => self.report().await,
            Operation::ForgeReport => self.forge_report().await,
        }
    }

    /// An answer, unless something is broken and it is an error.
    fn told(&mut self, answer: Answer) -> Told {
        self.note(format!(
            "    {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.raw)
        ));
        if answer.status == 503 {
            assert!(self.is_broken, "503 with nothing broken: {answer:?}");
            return Told::Nothing;
        }
        Told::Answer(answer)
    }

    /// What must hold after every step: of everybody now and then, of one person always.
    async fn observe(&mut self, person: Option<usize>, before: &Before) {
        for call in self.wired.queue.take_calls() {
            self.dispatches
                .extend(call.body["MessageBody"].as_str().map(str::to_owned));
        }
        drop(self.wired.table.take_calls());
        let now = self.service().now().await;
        let is_thorough = person.is_none() || self.trace.steps.is_multiple_of(5);
        let mut watched = self.model.pending();
        watched.extend(self.model.people.iter().filter_map(|person| person.live));
        watched.retain(|at| is_thorough || Some(self.model.known[*at].person) == person);
        watched.extend(
            (!self.model.known.is_empty()).then(|| self.dice.below(self.model.known.len())),
        );
        watched.sort_unstable();
        watched.dedup();
        for at in watched {
            let shown = self.service().show(&self.model.known[at].id).await;
            match shown.status {
                200 => self.model.observe(at, &shown.body),
                404 => assert!(
                    !self.model.must_be_readable(at, now),
                    "{} is gone",
                    self.model.known[at].id
                ),
                _ => panic!("{shown:?}"),
            }
        }
        for person in &mut self.model.people {
            // Where the one before is still pending, nobody has taken its place.
            let live = person
                .live
                .map(|live| self.model.known[live].status() == "pending");
            person.has_stranger &= live != Some(true);
        }
        for at in 0..self.carriers.len() {
            let handed = self.carriers[at].handed_since(self.taken[at]);
            self.taken[at] += handed.len();
            for handed in handed {
                self.note(format!(
                    "    {} {} of {} at {}: {:?}",
                    handed.channel(),
                    handed.reference(),
                    handed.to(),
                    handed.at,
                    handed.behaviour
                ));
                self.model.take_handed(handed, before);
            }
        }
        if self.trace.steps.is_multiple_of(20) {
            self.nothing_rests_readable().await;
        }
    }

    /// No number and no code is found in what rests, whether as text or inside a blob.
    async fn nothing_rests_readable(&self) {
        let state = self.service().state().await;
        let mut rests = vec![state.to_string().into_bytes()];
        blobs(&state, &mut rests);
        let codes = self
            .model
            .handed
            .iter()
            .rev()
            .take(40)
            .map(|handed| handed.first_word());
        let numbers = self
            .model
            .people
            .iter()
            .map(|person| person.to.trim_start_matches('+').to_owned());
        for secret in codes.chain(numbers) {
            let found = rests.iter().any(|blob| {
                blob.windows(secret.len())
                    .any(|window| window == secret.as_bytes())
            });
            assert!(!found, "{secret} rests readable");
        }
    }

    /// All faults over: everything comes to rest, and everybody is served.
    async fn finish(&mut self) {
        self.trace.steps += 1;
        for carrier in &self.carriers {
            carrier.behave(Behaviour::Accept);
        }
        for _ in 0..3 {
            let before = self.model.before();
            self.service().advance(DAY / 2).await;
            self.observe(None, &before).await;
        }
        let state = self.service().state().await;
        assert_eq!(state["queue"], json!([]), "the queue is empty in the end");
        for person in 0..PEOPLE {
            let (to, before) = (self.model.people[person].to.clone(), self.model.before());
            let sent = self.service().send(&to).await;
            assert_eq!(sent.status, 201, "{sent:?}");
            self.model.opened(person, &sent.body, None, true);
            self.service().settle().await;
            self.observe(Some(person), &before).await;
            let at = self.model.known.len() - 1;
            let code = self.model.known[at].code.clone().expect("the message came");
            assert_eq!(
                self.service().check(&sent.id(), &code).await.body["valid"],
                true
            );
            assert!(seconds(&sent.body["expires_at"]) > self.service().now().await);
        }
        self.nothing_rests_readable().await;
    }
}

/// Every blob in `value`, opened.
fn blobs(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner
                    .as_str()
                    .filter(|_| name == "B")
                    .and_then(|text| BASE64.decode(text.as_bytes()).ok())
                {
                    Some(blob) => into.push(blob),
                    None => blobs(inner, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| blobs(item, into)),
        _ => {}
    }
}

fn number(name: &str) -> Option<u64> {
    otp::platform::environment::variable(name).and_then(|value| value.parse().ok())
}

/// One of the runs of the suite: each has a seed of its own.
async fn run(n: u64) {
    let seed = number("OTP_SIMULATION_SEED")
        .unwrap_or_else(|| u64::from_be_bytes(otp::platform::random::random_bytes()) >> 32)
        + n;
    let steps = number("OTP_SIMULATION_STEPS")
        .and_then(|steps| usize::try_from(steps).ok())
        .unwrap_or(STEPS_DEFAULT);
    simulate(seed, steps).await;
}

#[tokio::test]
async fn whatever_happens_what_must_hold_holds() {
    run(0).await;
}

#[tokio::test]
async fn whatever_else_happens_what_must_hold_holds() {
    run(1).await;
}

/// VerificationRef with seed 101.
#[tokio::test]
async fn a_message_that_was_told_as_failed_is_never_told_as_sent() {
    // Canceled while the worker that died still holds it, and after that.
    for seconds in [0, 20] {
        what_a_dead_worker_handed_over_is_not_told_as_failed(seconds).await;
    }
}

async fn what_a_dead_worker_handed_over_is_not_told_as_failed(seconds: i64) {
    let world = World::new(0).await;
    let service = world.service();
    // The worker dies after the carrier has the message and before it says so.
    let is_end = |call: &Call| {
        call.body["UpdateExpression"]
            .as_str()
            .is_some_and(|e| e.contains("seq = :next"))
    };
    world
        .wired
        .table
        .break_by(move |call| is_end(call).then_some(BROKEN));
    let id = service.send("+12025550143").await.id();
    service.settle().await;
    world.wired.mend();
    service.advance(seconds).await;
    assert_eq!(
        service
            .call("DELETE", &format!("/v1/verifications/{id}"), None)
            .await
            .status,
        200
    );
    let before = service.show(&id).await.body["delivery"]["status"].clone();
    let handed = world.carriers[0].handed().remove(0);
    let report = world.carriers[0].report(&handed, "sent", service.now().await);
    assert_eq!(report.send(service).await.status, 200);
    let after = service.show(&id).await.body["delivery"]["status"].clone();
    assert!(
        model::rank(&after) >= model::rank(&before),
        "{before} became {after}"
    );
}
