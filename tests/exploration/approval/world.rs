//! The world: the items of the recipient and of two subjects, the requests, and the last write of a
//! killed process, which is still on its way.

use otp::domain::recipient::Recipient;
use otp::domain::subject::Subject;

use super::super::explorer::{Model, Step};
use super::super::table::{Shared, Table, WRITES, Wire, WriteId};
use super::request::{Answer, Kind, Request, State};
use super::stored::{SubjectItem, Who, recipient, subject};
use super::{Scenario, invariants};

/// One state.
#[derive(Clone, Hash)]
pub struct World {
    pub table: Table,
    pub subjects: [Shared<SubjectItem>; 2],
    pub requests: Vec<Request>,
    /// The write of a killed process.
    late: Option<Request>,
    faults_left: u8,
    crashes_left: u8,
}

type Steps = Vec<(Step, World)>;

impl World {
    pub fn recipient(&self) -> &Recipient {
        self.table.recipient().expect("it is never deleted")
    }

    pub fn item(&self, who: Who) -> &Shared<SubjectItem> {
        &self.subjects[who as usize]
    }

    pub fn subject(&self, who: Who) -> &Subject {
        &self.item(who).get().subject
    }

    pub fn write_subject(&mut self, who: Who, subject: Subject, version: WriteId) {
        self.subjects[who as usize] = Shared::new(SubjectItem { subject, version });
    }

    /// Whether a request of this kind has started.
    pub fn has_started(&self, kind: Kind) -> bool {
        let mut requests = self.requests.iter();
        requests.any(|request| request.kind == kind && !matches!(request.state, State::Idle))
    }

    /// Whether a request of this kind got this answer.
    pub fn is_answered(&self, kind: Kind, answer: Answer) -> bool {
        let mut requests = self.requests.iter();
        requests.any(|r| r.kind == kind && r.state == State::Answered(answer))
    }

    fn request_steps(&self, scenario: &Scenario, number: u8, steps: &mut Steps) {
        let mut request = self.requests[usize::from(number)].clone();
        let me = (request.kind.name(), number);
        if !request.start(self) {
            return;
        }
        if request.reads() {
            let mut next = self.clone();
            next.requests[usize::from(number)] = request.read(scenario, self);
            steps.push(((me, "reads"), next));
            return;
        }
        for wire in Wire::of_call(self.faults_left) {
            let mut next = self.clone();
            next.faults_left -= u8::from(wire.is_fault());
            let after = request.clone().write(scenario, wire, &mut next);
            next.requests[usize::from(number)] = after;
            steps.push(((me, wire.named(WRITES)), next));
        }
        if self.crashes_left > 0 {
            let mut next = self.clone();
            next.crashes_left -= 1;
            next.requests[usize::from(number)] = request.clone().killed();
            next.late = Some(request);
            steps.push(((me, "is killed while it writes"), next));
        }
    }
}

impl Model for Scenario {
    type State = World;

    fn initial(&self) -> World {
        let mut table = Table::default();
        table.write(recipient(self), 0);
        let item = |who| {
            let subject = subject(self, who);
            Shared::new(SubjectItem {
                subject,
                version: 0,
            })
        };
        let counts = [
            (Kind::Check(Who::First), 1),
            (Kind::Get, self.gets),
            (Kind::Send, self.sends),
            (Kind::Check(Who::Second), self.sends),
            (Kind::Release, self.releases),
            (Kind::Removal, self.removals),
            (Kind::Forget, self.forgets),
            (Kind::Denial, self.denials),
        ];
        let requests = counts
            .into_iter()
            .flat_map(|(kind, count)| std::iter::repeat_n(kind, usize::from(count)));
        World {
            table,
            subjects: Who::ALL.map(item),
            requests: requests.zip(0..).map(Request::new).collect(),
            late: None,
            faults_left: self.faults,
            crashes_left: self.crashes,
        }
    }

    fn steps(&self, world: &World) -> Vec<(Step, World)> {
        let mut steps = vec![];
        for (number, _) in (0..).zip(&world.requests) {
            world.request_steps(self, number, &mut steps);
        }
        if let Some(late) = &world.late {
            let mut next = world.clone();
            next.late = None;
            late.clone().write(self, Wire::Lost, &mut next);
            steps.push(((("a late write", 0), "arrives"), next));
        }
        steps
    }

    fn violation(&self, world: &World, _is_final: bool) -> Option<String> {
        invariants::violation(self, world)
    }
}
