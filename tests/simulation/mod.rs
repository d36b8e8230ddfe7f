//! Simulation: random operations on a whole service with a movable clock and with faults between
//! any two writes. After each step a small model checks that every invariant holds.
//! `OTP_SIMULATION_SEED` sets the seed of a run and `OTP_SIMULATION_STEPS` its length; a run that
//! fails prints both, and the last operations.
//!
//! # What is not a failure
//!
//! * A 503 in a step with a fault, whatever became of the request.
//! * A send that is rejected for less than its announced wait.
//! * A message that never comes, unless all faults are over, as in the last phase of a run.
//! * The same message handed over twice after a worker lost its table.
//! * A limit that counts too little because a message never left the queue.
//!
//! A crash is simulated as the loss of table and queue from one call on, until the function gives
//! up: what it still does in memory has no effect. A lost response is mostly one that no client
//! retries; one in forty is a closed connection, which the client retries.
//!
//! # What differs between two runs with one seed
//!
//! Codes, ids and keys, which come from the operating system; real time, which passes beside the
//! clock, so that a step may fall on either side of a second; and the order in which parallel
//! workers run. A seed therefore repeats a failure often, not always. Requests are made one after
//! the other, but for those of `checks_at_once`; `api::races` has the other races.

mod carriers;
mod checks;
mod dice;
mod model;
mod observations;
mod requests;
mod run;
mod subjects;
mod traffic;
mod traffic_generators;

use crate::support::{BROKEN, HttpCarrier, ProxiedService, TestResponse, assert_status};
use dice::Dice;
use model::Model;

const PEOPLE: usize = 4;
/// Attempts, guess budget and limits of this service.
const ATTEMPTS: usize = 3;
const BUDGET: usize = 8;
const SENDS_PER_HOUR: usize = 4;
const SENDS_PER_DAY: usize = 12;
const TTL: i64 = 300;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// Characters of a code: so many that no code is found by chance.
const CODE_LENGTH: usize = 8;
const STEPS_DEFAULT: usize = 1000;
/// How many operations a failure prints.
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

/// The response to a request, or `Unknown` if it failed during a fault: it may have taken effect.
enum Reply {
    Response(TestResponse),
    Unknown,
}

/// One run.
struct Simulation {
    proxied: ProxiedService,
    carriers: [HttpCarrier; 2],
    received_counts: [usize; 2],
    dice: Dice,
    model: Model,
    dispatches: Vec<String>,
    is_broken: bool,
    keys: usize,
    trace: Trace,
}

/// The last operations, which are printed if the run fails.
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

/// Runs `steps` operations, then ends all faults and completes all work.
async fn simulate(seed: u64, steps: usize) {
    let mut simulation = Simulation::new(seed).await;
    for _ in 0..steps {
        simulation.step().await;
    }
    simulation.finish().await;
}

fn number(name: &str) -> Option<u64> {
    otp::platform::environment::variable(name).and_then(|value| value.parse().ok())
}

/// Run number `n` of the suite.
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
async fn invariants_hold_in_a_random_run() {
    run(0).await;
}

#[tokio::test]
async fn invariants_hold_in_another_random_run() {
    run(1).await;
}

/// The random runs found this with seed 101.
#[tokio::test]
async fn status_of_a_crashed_worker_never_goes_back() {
    // Canceled while the claim of the crashed worker is valid, and after that.
    for seconds in [0, 20] {
        assert_status_never_goes_back_after_a_crash(seconds).await;
    }
}

async fn assert_status_never_goes_back_after_a_crash(seconds: i64) {
    let simulation = Simulation::new(0).await;
    let service = simulation.service();
    // The worker crashes after the handover and before it stores the outcome.
    simulation
        .proxied
        .table
        .break_by(|call| call.ends_step().then_some(BROKEN));
    let id = service.send("+12025550143").await.id();
    service.settle().await;
    simulation.proxied.clear_faults();
    service.advance(seconds).await;
    assert_status(&service.cancel(&id).await, 200);
    let before = service.show(&id).await.body["delivery"]["status"].clone();
    let message = simulation.carriers[0].received().remove(0);
    let report = simulation.carriers[0].report(&message, "sent", service.now().await);
    assert_status(&report.send(service).await, 200);
    let after = service.show(&id).await.body["delivery"]["status"].clone();
    assert!(
        observations::rank(&after) >= observations::rank(&before),
        "{before} became {after}"
    );
}
