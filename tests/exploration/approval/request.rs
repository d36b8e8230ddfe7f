//! A request: the order of its calls, as in `service::check`, `show`, `send`, `recipients` and
//! `factors::remove`. `writes` has what each write does.

use otp::domain::decision::DecisionStatus;
use otp::domain::ids::VerificationNonce;
use otp::domain::recipient::Recipient;
use otp::domain::verification_ref::VerificationRef;
use otp::domain::verification_status::{Reason, Status};

use super::super::table::{Item, Shared, Wire, WriteId};
use super::stored::{
    DECISION, NOW, RECIPIENT, SubjectItem, Who, approval, attempt, judged, settled, times_recorded,
};
use super::world::World;
use super::{Broken, Scenario};

/// How often the app makes one request.
const TRIES_MAX: u8 = 2;

#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub enum Kind {
    Check(Who),
    Get,
    /// For the second subject.
    Send,
    Release,
    /// The first subject removes the recipient.
    Removal,
    Forget,
    Denial,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Check(Who::First) => "check",
            Self::Check(Who::Second) => "check of the other subject",
            Self::Get => "get",
            Self::Send => "send",
            Self::Release => "release",
            Self::Removal => "removal",
            Self::Forget => "forget",
            Self::Denial => "denial",
        }
    }
}

/// What it does next.
#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub enum Call {
    Read,
    /// Whether the approval is recorded.
    Look,
    ReadSubject,
    /// The recipient, to end an ownership that is not stored yet.
    ReadOwned,
    Append,
    Record,
    StoreOwner,
    Save,
    SaveSubject,
    AppendRemoval,
    ReleaseOwner,
    SaveReleased,
}

#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub enum State {
    Idle,
    At(Call),
    /// Answered with 503, or killed. The app may repeat it.
    Unavailable,
    Answered(Answer),
}

#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub enum Answer {
    Valid(Option<DecisionStatus>),
    Taken,
    /// Any other result of a check.
    Invalid,
    Shown(Status),
    Done,
    NotFound,
}

#[derive(Clone, Hash)]
pub struct Request {
    pub kind: Kind,
    pub state: State,
    number: u16,
    pub tries: u8,
    writes: u16,
    /// The recipient as it was read, or as its own write returned it.
    pub read: Option<Shared<Item>>,
    pub subject: Option<Shared<SubjectItem>>,
    /// Whose ownership it ends.
    pub owner: Option<Who>,
    /// The decision, as the record of the approval shows it.
    decision: Option<DecisionStatus>,
    /// The verification whose approval a forget has completed.
    completed: Option<VerificationNonce>,
}

impl Request {
    pub fn new((kind, number): (Kind, u16)) -> Self {
        Self {
            kind,
            state: State::Idle,
            number,
            tries: 0,
            writes: 0,
            read: None,
            subject: None,
            owner: None,
            decision: None,
            completed: None,
        }
    }

    /// Begins or repeats the request, if it is not in progress. `false`: nothing is left to do.
    pub fn start(&mut self, world: &World) -> bool {
        // The app knows the id of a verification from the response to its send, and a repeated send
        // opens another verification.
        let is_known = match self.kind {
            Kind::Check(Who::Second) => world.is_answered(Kind::Send, Answer::Done),
            _ => true,
        };
        let is_repeatable = self.tries < TRIES_MAX && self.kind != Kind::Send;
        match self.state {
            State::At(_) => return true,
            State::Idle if is_known => {}
            State::Unavailable if is_repeatable => {}
            State::Idle | State::Unavailable | State::Answered(_) => return false,
        }
        self.tries += 1;
        self.state = State::At(match self.kind {
            Kind::Check(_) => Call::Append,
            Kind::Removal | Kind::Denial => Call::ReadSubject,
            Kind::Get | Kind::Send | Kind::Release | Kind::Forget => Call::Read,
        });
        true
    }

    pub fn reads(&self) -> bool {
        let reads = [Call::Read, Call::Look, Call::ReadSubject, Call::ReadOwned];
        matches!(self.state, State::At(call) if reads.contains(&call))
    }

    pub fn killed(mut self) -> Self {
        self.owner = None;
        self.end(State::Unavailable);
        self
    }

    /// What it has read makes no difference any more.
    fn end(&mut self, state: State) {
        self.state = state;
        (self.read, self.subject) = (None, None);
        (self.decision, self.completed) = (None, None);
    }

    pub fn next_write(&mut self) -> WriteId {
        self.writes += 1;
        1 + self.number * 100 + self.writes
    }

    /// The recipient as it was read.
    pub fn recipient(&self) -> &Recipient {
        &self.read.as_ref().expect("it was read").get().recipient
    }

    fn go(&mut self, call: Call) {
        self.state = State::At(call);
    }

    fn answer(&mut self, answer: Answer) {
        self.end(State::Answered(answer));
    }

    /// One read.
    pub fn read(mut self, scenario: &Scenario, world: &World) -> Self {
        match self.state {
            State::At(Call::Read) => {
                self.read = world.table.read().cloned();
                self.decide(scenario);
            }
            State::At(Call::Look) => {
                let (who, approval) = approval(self.recipient()).expect("it was approved");
                match times_recorded(world.subject(who), approval.nonce) {
                    0 => self.go(Call::Record),
                    _ => self.after_record(scenario),
                }
            }
            State::At(Call::ReadSubject) => {
                self.subject = Some(world.item(Who::First).clone());
                self.decide_about_subject(scenario);
            }
            _ => {
                self.read = world.table.read().cloned();
                self.release_what_is_in_effect(scenario);
            }
        }
        self
    }

    /// What follows from the recipient that was read.
    fn decide(&mut self, scenario: &Scenario) {
        let recipient = self.recipient();
        let current = recipient.current.as_ref().map(|v| v.params.nonce);
        let is_skipped = match self.kind {
            Kind::Send => scenario.is_broken(Broken::SendSkipsCompletion),
            Kind::Forget => {
                current == self.completed || scenario.is_broken(Broken::ForgetSkipsCompletion)
            }
            Kind::Release => scenario.is_broken(Broken::ReleaseSkipsCompletion),
            _ => current != Some(Who::First.verification()),
        };
        let has_approval = recipient.has_approval_to_record() && !is_skipped;
        if self.kind == Kind::Release {
            self.owner = self.recipient().owner().map(Who::of);
            if self.owner.is_none() {
                return self.answer(Answer::NotFound);
            }
        }
        match has_approval {
            true => self.go(Call::Look),
            false => self.after_completion(scenario),
        }
    }

    /// What follows once the approval is recorded.
    fn after_record(&mut self, scenario: &Scenario) {
        let current = self.recipient().current.as_ref();
        let is_unique = current.and_then(|v| v.approved_subject()?.is_unique.then_some(v));
        let stores_owner = matches!(self.kind, Kind::Check(_) | Kind::Get)
            && is_unique.is_some_and(|v| !v.is_recorded)
            && !scenario.is_broken(Broken::AnswerBeforeOwner);
        match stores_owner {
            true => self.go(Call::StoreOwner),
            false => self.after_completion(scenario),
        }
    }

    /// What follows once the approval is complete.
    fn after_completion(&mut self, scenario: &Scenario) {
        match self.kind {
            Kind::Check(_) => self.answer(Answer::Valid(self.decision)),
            Kind::Get => {
                let shown = self.recipient().find(Who::First.verification(), NOW);
                let shown = shown.map(|verification| verification.status(NOW));
                self.answer(shown.map_or(Answer::NotFound, Answer::Shown));
            }
            Kind::Forget => {
                let current = self.recipient().current.as_ref().map(|v| v.params.nonce);
                let is_complete = !self.recipient().has_approval_to_record()
                    || current == self.completed
                    || scenario.is_broken(Broken::ForgetSkipsCompletion);
                if is_complete {
                    return self.go(Call::Save);
                }
                self.completed = current;
                self.go(Call::Read);
            }
            Kind::Release => self.go(Call::AppendRemoval),
            Kind::Send | Kind::Removal | Kind::Denial => self.go(Call::Save),
        }
    }

    fn decide_about_subject(&mut self, scenario: &Scenario) {
        let read = self.subject.as_ref().expect("it was read").get();
        let subject = settled(scenario, &read.subject);
        let known = subject.recipients.iter().find(|r| r.recipient == RECIPIENT);
        let decision = subject.decision(DECISION, NOW).map(|d| d.status(NOW));
        match (self.kind, known) {
            (Kind::Removal, None) => self.answer(Answer::NotFound),
            (Kind::Removal, Some(known)) => {
                self.owner = known.is_unique.then_some(Who::First);
                let is_last = scenario.is_broken(Broken::RemovalReleasesLast);
                match self.owner.is_some() && !is_last {
                    true => self.go(Call::ReleaseOwner),
                    false => self.go(Call::SaveSubject),
                }
            }
            _ if decision == Some(DecisionStatus::Pending) => self.go(Call::SaveSubject),
            _ => self.answer(Answer::NotFound),
        }
    }

    /// Ends an ownership that is in effect although it is not stored.
    fn release_what_is_in_effect(&mut self, scenario: &Scenario) {
        let owner = self.recipient().owner().map(Who::of);
        let is_skipped = scenario.is_broken(Broken::ReleaseOfStoredOwnerOnly);
        match owner == self.owner && !is_skipped {
            true => self.go(Call::SaveReleased),
            false => self.after_release(scenario),
        }
    }

    fn after_release(&mut self, scenario: &Scenario) {
        let is_last = scenario.is_broken(Broken::RemovalReleasesLast);
        match self.kind {
            Kind::Removal if !is_last => self.go(Call::SaveSubject),
            _ => self.answer(Answer::Done),
        }
    }

    /// One write, and what follows from its response.
    pub fn write(mut self, scenario: &Scenario, wire: Wire, next: &mut World) -> Self {
        let State::At(call) = self.state else {
            return self;
        };
        let id = self.next_write();
        let is_written = wire.is_carried_out() && self.carry_out(scenario, call, id, next);
        if wire.is_fault() {
            return self.killed();
        }
        match call {
            Call::Append => {
                self.read = next.table.read().cloned();
                self.judge_attempt(scenario, next);
            }
            Call::Record => {
                let (who, _) = approval(self.recipient()).expect("it was approved");
                let subject = judged(next.subject(who));
                let decision = subject.decision(DECISION, NOW);
                self.decision = decision.map(|decision| decision.status(NOW));
                self.after_record(scenario);
            }
            Call::StoreOwner => self.after_completion(scenario),
            Call::AppendRemoval => self.go(Call::ReleaseOwner),
            Call::ReleaseOwner => {
                self.read = next.table.read().cloned();
                match self.recipient().owner().map(Who::of) == self.owner {
                    true => self.go(Call::ReadOwned),
                    false => self.after_release(scenario),
                }
            }
            Call::SaveReleased if is_written => self.after_release(scenario),
            Call::SaveReleased => self.go(Call::ReadOwned),
            Call::Save if is_written => self.answer(Answer::Done),
            Call::SaveSubject if is_written => self.after_save_of_subject(scenario),
            // Another writer was first.
            Call::SaveSubject => self.go(Call::ReadSubject),
            _ => self.go(Call::Read),
        }
        self
    }

    fn after_save_of_subject(&mut self, scenario: &Scenario) {
        let is_last = scenario.is_broken(Broken::RemovalReleasesLast);
        match self.kind == Kind::Removal && self.owner.is_some() && is_last {
            true => self.go(Call::ReleaseOwner),
            false => self.answer(Answer::Done),
        }
    }

    /// The outcome of an attempt, from the recipient that the write returned.
    fn judge_attempt(&mut self, scenario: &Scenario, next: &World) {
        let Kind::Check(who) = self.kind else { return };
        let nonce = attempt(who, self.tries).nonce;
        let found = self.recipient().find(who.verification(), NOW);
        let (outcome, is_current) = match found {
            Some(VerificationRef::Current(current)) => (current.outcome(nonce, NOW), true),
            Some(VerificationRef::Past(past)) => (past.outcome(nonce), false),
            None => return self.answer(Answer::NotFound),
        };
        match (outcome.reason, is_current) {
            (Some(Reason::RecipientTaken), _) => self.answer(Answer::Taken),
            (Some(_), _) => self.answer(Answer::Invalid),
            (None, true) if !scenario.is_broken(Broken::AnswerBeforeRecord) => {
                self.go(Call::Record);
            }
            (None, _) => {
                let subject = judged(next.subject(who));
                let decision = subject.decision(DECISION, NOW);
                self.answer(Answer::Valid(decision.map(|d| d.status(NOW))));
            }
        }
    }
}
