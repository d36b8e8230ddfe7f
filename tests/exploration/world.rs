//! The world: everything that requests, workers and the table have at one moment, and what may
//! happen next.

use otp::domain::ids::{ClaimId, VerificationNonce};
use otp::domain::policy::Policy;
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::domain::verification_status::Status;

use super::broken::Broken;
use super::cancel_and_report::{Cancel, Report};
use super::check::Check;
use super::explorer::{Actor, Model, Step};
use super::invariants::{self, History};
use super::send::Send;
use super::table::{Shared, Table, Wire, WriteId};
use super::worker::Worker;

pub const START: Timestamp = Timestamp(1_000_000);
pub const TTL_SECONDS: i64 = 300;
pub const CARRIERS: [&str; 2] = ["a", "b"];

/// What there is, and how much may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub checks: u8,
    pub sends: u8,
    pub cancels: u8,
    pub reports: u8,
    pub workers: u8,
    /// Calls that are refused, or whose answer is lost.
    pub faults: u8,
    /// Functions that end without a trace.
    pub crashes: u8,
    /// Dispatches that are received once more.
    pub duplicates: u8,
    /// Calls of carriers that are not accepted, or of unknown outcome.
    pub failed_calls: u8,
    /// Moments that pass while a worker pauses.
    pub stalls: u8,
    /// Whether the verifications may expire.
    pub has_expiry: bool,
    /// Whether the second send is a repetition of the first, with its `Idempotency-Key`.
    pub is_repeated: bool,
    pub broken: Option<Broken>,
}

impl Scenario {
    /// Two sends without any fault.
    pub const TWO_SENDS: Self = Self {
        checks: 0,
        sends: 2,
        cancels: 0,
        reports: 0,
        workers: 0,
        faults: 0,
        crashes: 0,
        duplicates: 0,
        failed_calls: 0,
        stalls: 0,
        has_expiry: false,
        is_repeated: false,
        broken: None,
    };

    pub fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// Two attempts for a verification, and two for the recipient in a day. No limit on sends.
    pub fn policy() -> Policy {
        Policy {
            max_attempts: 2,
            guess_budget: 2,
            cooldown_seconds: vec![0],
            sends_per_hour: 100,
            sends_per_day: 100,
            ..Policy::default()
        }
    }
}

/// A dispatch in the queue.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Dispatch {
    /// The nonce of the verification.
    pub verification: [u8; 4],
    pub step: u16,
    pub due: Timestamp,
}

/// A write that the client gave up, and that may still reach the table.
#[derive(Clone, Hash)]
pub struct LatePut {
    pub recipient: Shared<Recipient>,
    pub id: WriteId,
    pub allowed: Option<WriteId>,
}

/// One state.
#[derive(Clone, Hash)]
pub struct World {
    pub now: Timestamp,
    pub table: Table,
    /// Visible dispatches, in any order: sorted.
    pub queue: Vec<Dispatch>,
    pub late: Option<LatePut>,
    pub checks: Vec<Check>,
    pub sends: Vec<Send>,
    pub cancels: Vec<Cancel>,
    pub reports: Vec<Report>,
    pub workers: Vec<Worker>,
    pub history: History,
    pub faults_left: u8,
    pub crashes_left: u8,
    pub duplicates_left: u8,
    pub failed_calls_left: u8,
    pub stalls_left: u8,
    pub has_expiry_left: bool,
    /// Claims and writes of workers so far: their names.
    claims: u8,
    writes: u16,
}

pub type Steps = Vec<(Step, World)>;

impl World {
    pub fn enqueue(&mut self, dispatch: Dispatch) {
        self.queue.push(dispatch);
        self.queue.sort_unstable();
    }

    /// The recipient; one without history if there is no item.
    pub fn recipient(&self) -> Recipient {
        self.table.recipient().cloned().unwrap_or_default()
    }

    /// For each outcome of a write that may occur: the world after it, with the fault counted.
    pub fn writes(&self) -> impl Iterator<Item = (Wire, Self)> {
        Wire::of_write(self.faults_left).map(|wire| (wire, self.after(wire)))
    }

    /// For each outcome of another call.
    pub fn calls(&self) -> impl Iterator<Item = (Wire, Self)> {
        Wire::of_call(self.faults_left).map(|wire| (wire, self.after(wire)))
    }

    fn after(&self, wire: Wire) -> Self {
        let mut next = self.clone();
        next.faults_left -= u8::from(wire.is_fault());
        next
    }

    /// The name of a worker's next claim.
    pub fn next_claim(&mut self) -> ClaimId {
        self.claims += 1;
        ClaimId([self.claims; 6])
    }

    /// The id of a worker's next write.
    pub fn next_write(&mut self) -> WriteId {
        self.writes += 1;
        1000 + self.writes
    }

    /// Whether nothing happens unless a request comes or time passes.
    pub fn is_quiet(&self) -> bool {
        let sends_are_done = self.sends.iter().all(Send::is_done);
        sends_are_done && self.late.is_none() && self.workers.iter().all(Worker::is_idle)
    }

    /// Time passes until the next dispatch is due, or a claim lapses. While there is something to
    /// do, that is a stall.
    fn pass_time(&self, steps: &mut Steps) {
        let claim = self
            .table
            .recipient()
            .and_then(|recipient| recipient.current.as_ref()?.step.claim);
        let due = self.queue.iter().map(|dispatch| dispatch.due);
        let lapse = claim.map(|claim| claim.until);
        let is_visible = self.queue.iter().any(|dispatch| dispatch.due <= self.now);
        let is_stall = !self.is_quiet() || is_visible;
        let mut moments: Vec<_> = due.chain(lapse).filter(|at| *at > self.now).collect();
        moments.sort_unstable();
        moments.dedup();
        if self.workers.is_empty() || (is_stall && self.stalls_left == 0) {
            return;
        }
        for at in moments {
            let mut next = self.clone();
            next.now = at;
            next.stalls_left -= u8::from(is_stall);
            next.history.has_uncertain_call |= is_stall;
            steps.push(((CLOCK, if is_stall { "stalls" } else { "passes" }), next));
        }
    }

    fn expire(&self, steps: &mut Steps) {
        if self.has_expiry_left {
            let mut next = self.clone();
            next.has_expiry_left = false;
            next.now = START + TTL_SECONDS;
            steps.push(((CLOCK, "expires codes"), next));
        }
    }

    fn land_late_put(&self, steps: &mut Steps) {
        let Some(late) = &self.late else { return };
        let mut next = self.clone();
        next.late = None;
        steps.push(((LATE, "never arrives"), next.clone()));
        let landed = next
            .table
            .put(late.recipient.get(), late.id, &[late.allowed]);
        if landed {
            steps.push(((LATE, "arrives"), next));
        }
    }

    /// Whether a send was answered with this verification, so that the app knows of it.
    pub fn is_acknowledged(&self, nonce: VerificationNonce) -> bool {
        let mut acknowledged = self.sends.iter().filter_map(Send::acknowledged);
        acknowledged.any(|(sent, _)| sent == nonce)
    }

    /// Whether no message of the verification may be sent any more.
    pub fn is_ended(&self, nonce: VerificationNonce) -> bool {
        let recipient = self.table.recipient();
        let current = recipient.and_then(|recipient| recipient.current.as_ref());
        current.is_none_or(|current| {
            current.params.nonce != nonce || !current.is_deliverable(self.now)
        })
    }

    /// Whether the verification that `send` opened is pending.
    pub fn is_pending(&self, send: u8) -> bool {
        let current = self
            .table
            .recipient()
            .and_then(|recipient| recipient.current.as_ref());
        current.is_some_and(|current| {
            current.params.nonce.0[0] == send && current.status(self.now) == Status::Pending
        })
    }
}

const CLOCK: Actor = ("the clock", 0);
const LATE: Actor = ("a late write", 0);

impl Model for Scenario {
    type State = World;

    fn initial(&self) -> World {
        let count = usize::from;
        World {
            now: START,
            table: Table::default(),
            queue: vec![],
            late: None,
            checks: vec![Check::Idle; count(self.checks)],
            sends: vec![Send::Idle; count(self.sends)],
            cancels: vec![Cancel::Idle; count(self.cancels)],
            reports: vec![Report::Idle; count(self.reports)],
            workers: vec![Worker::Idle; count(self.workers)],
            history: History::default(),
            faults_left: self.faults,
            crashes_left: self.crashes,
            duplicates_left: self.duplicates,
            failed_calls_left: self.failed_calls,
            stalls_left: self.stalls,
            has_expiry_left: self.has_expiry,
            claims: 0,
            writes: 0,
        }
    }

    fn steps(&self, world: &World) -> Vec<(Step, World)> {
        let mut steps = vec![];
        for number in 0..self.checks {
            Check::steps(self, world, number, &mut steps);
        }
        for number in 0..self.sends {
            Send::steps(self, world, number, &mut steps);
        }
        for number in 0..self.cancels {
            Cancel::steps(self, world, number, &mut steps);
        }
        for number in 0..self.reports {
            Report::steps(self, world, number, &mut steps);
        }
        for number in 0..self.workers {
            Worker::steps(self, world, number, &mut steps);
        }
        world.land_late_put(&mut steps);
        world.pass_time(&mut steps);
        world.expire(&mut steps);
        steps
    }

    fn violation(&self, world: &World, _is_final: bool) -> Option<String> {
        invariants::violation(self, world)
    }
}
