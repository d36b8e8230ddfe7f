//! A send that has decided: save, enqueue; roll back if the message cannot be enqueued. As in
//! `service::send`.

use otp::domain::recipient::Recipient;
use otp::domain::verification::Verification;

use super::broken::Broken;
use super::send::{Answer, Kind, Request, Send, dispatch_of};
use super::table::{ENQUEUES, Item, Shared, WRITES, Wire, WriteId};
use super::world::{Dispatch, LatePut, Scenario, World};

/// A send that is saved, or may be.
#[derive(Clone, Hash)]
pub struct Saving {
    pub request: Request,
    pub before: Option<Shared<Item>>,
    pub after: Shared<Recipient>,
}

const ROLLBACKS: [&str; 4] = [
    "rolls back",
    "cannot roll back",
    "rolls back, the answer is lost",
    "rolls back, the answer is lost and the write is repeated",
];

impl Saving {
    fn version(&self) -> Option<WriteId> {
        self.before.as_ref().map(|before| before.get().version)
    }

    fn id(&self) -> WriteId {
        self.request.write_id(0)
    }

    pub fn dispatch(&self, world: &World) -> Dispatch {
        let current = self.after.get().current.as_ref();
        current
            .map(|current| dispatch_of(current, world))
            .expect("it has a message")
    }

    pub fn success(&self) -> Send {
        let nonce = self
            .after
            .get()
            .current
            .as_ref()
            .map(|current| current.params.nonce);
        let sent = nonce.map(|nonce| (nonce, self.request.tag()));
        let is_new = self.request.kind == Kind::New;
        Send::Answered(Answer {
            status: 201,
            sent,
            is_new,
        })
    }

    pub fn save(&self, scenario: &Scenario, world: &World) -> Vec<(&'static str, Send, World)> {
        let (id, allowed) = (self.id(), self.version());
        let saved = world.writes().map(|(wire, mut next)| {
            let mut is_saved = false;
            if wire.is_carried_out() {
                if scenario.is_broken(Broken::SaveWithoutVersion) {
                    next.table.write(self.after.get().clone(), id);
                }
                is_saved = next.table.put(self.after.get(), id, &[allowed]);
            }
            let is_saved = is_saved || self.has_own_message(scenario, &next);
            let send = match wire {
                Wire::Answered if is_saved => self.saved(scenario),
                Wire::Answered => self.request.again(),
                Wire::Repeated => Send::Saving(self.clone()),
                Wire::Refused | Wire::Lost => Send::Unsure(self.clone()),
            };
            (wire.named(WRITES), send, next)
        });
        let mut all: Vec<_> = saved.collect();
        if world.faults_left > 0 && world.late.is_none() {
            let mut next = world.clone();
            next.faults_left -= 1;
            next.late = Some(LatePut {
                recipient: self.after.clone(),
                id,
                allowed,
            });
            all.push((
                "gives up a write that is on its way",
                Send::Unsure(self.clone()),
                next,
            ));
        }
        all
    }

    fn saved(&self, scenario: &Scenario) -> Send {
        match scenario.is_broken(Broken::EnqueueBeforeSave) {
            true => self.success(),
            false => Send::Enqueueing(self.clone()),
        }
    }

    pub fn read_whether_saved(
        &self,
        scenario: &Scenario,
        wire: Wire,
        next: World,
    ) -> (&'static str, Send, World) {
        let version = next.table.version();
        let is_saved = version == Some(self.id()) || self.has_own_message(scenario, &next);
        let send = match wire {
            Wire::Answered if is_saved => Send::Enqueueing(self.clone()),
            Wire::Answered if version != self.version() => self.request.again(),
            _ => Send::RollingBack(self.clone()),
        };
        ("reads whether it is saved", send, next)
    }

    pub fn enqueue(
        &self,
        scenario: &Scenario,
        wire: Wire,
        mut next: World,
    ) -> (&'static str, Send, World) {
        if wire.is_carried_out() {
            next.enqueue(self.dispatch(&next));
        }
        let is_success = !wire.is_fault() || scenario.is_broken(Broken::QueueErrorIsSuccess);
        let send = match is_success {
            true => self.success(),
            false => Send::RollingBack(self.clone()),
        };
        (wire.named(ENQUEUES), send, next)
    }

    pub fn roll_back(
        &self,
        scenario: &Scenario,
        wire: Wire,
        mut next: World,
    ) -> (&'static str, Send, World) {
        let before = self
            .before
            .as_ref()
            .map(|before| before.get().recipient.clone());
        let before = before.unwrap_or_default();
        let allowed = [Some(self.id()), self.version()];
        let mut is_restored = false;
        if wire.is_carried_out() {
            if scenario.is_broken(Broken::RestoreWithoutVersion) {
                next.table.write(before.clone(), self.request.write_id(1));
            }
            is_restored = next.table.put(&before, self.request.write_id(1), &allowed);
        }
        let send = match wire {
            // The program repeats the write, or reads once whether it was carried out.
            Wire::Repeated | Wire::Lost => Send::RollingBack(self.clone()),
            Wire::Answered if is_restored => {
                let restored = before
                    .current
                    .as_ref()
                    .filter(|v| v.is_deliverable(next.now));
                if let Some(current) = restored
                    && let Some(due) = current.step.due
                {
                    next.enqueue(Dispatch {
                        due,
                        ..dispatch_of(current, &next)
                    });
                }
                self.request.failure(503)
            }
            Wire::Answered => match next.table.read() {
                Some(changed) if self.is_unknown_to_others(scenario, changed.get()) => {
                    Send::RollingBack(self.raised(changed.get(), &next))
                }
                _ if self.is_sent(&next) => self.success(),
                _ if self.may_be_current_again(scenario, &next) => Send::RollingBack(self.clone()),
                _ => self.request.failure(503),
            },
            Wire::Refused => {
                next.history.has_failed_rollback = true;
                self.request.failure(503)
            }
        };
        (wire.named(ROLLBACKS), send, next)
    }

    /// `service::send::has_message_of`.
    fn has_own_message(&self, scenario: &Scenario, world: &World) -> bool {
        let recipient = world.table.recipient();
        let current = recipient.and_then(|recipient| recipient.current.as_ref());
        let mut deliveries = current.iter().flat_map(|current| &current.deliveries);
        !scenario.is_broken(Broken::OwnWriteIsConflict)
            && deliveries.any(|delivery| delivery.tag == self.request.tag())
    }

    /// `service::send::is_unknown_to_others`.
    fn is_unknown_to_others(&self, scenario: &Scenario, changed: &Item) -> bool {
        let saved = self.after.get().current.as_ref();
        let current = changed.recipient.current.as_ref();
        let (Some(saved), Some(current)) = (saved, current) else {
            return false;
        };
        let latest = |verification: &Verification| verification.deliveries.last().map(|d| d.tag);
        let is_new = self.request.kind == Kind::New;
        !scenario.is_broken(Broken::RollBackOnce)
            && (is_new || !scenario.is_broken(Broken::RollBackSendsOnly))
            && current.params.nonce == saved.params.nonce
            && latest(current) == latest(saved)
            && !(is_new && saved.params.idempotency.is_some())
            && current.is_untouched()
    }

    /// `service::roll_back::may_be_current_again`, as long as the newer send goes on.
    fn may_be_current_again(&self, scenario: &Scenario, world: &World) -> bool {
        let recipient = world.table.recipient();
        let current = recipient.and_then(|recipient| recipient.current.as_ref());
        let saved = self.after.get().current.as_ref();
        let (Some(recipient), Some(current), Some(saved)) = (recipient, current, saved) else {
            return false;
        };
        let goes_on = world.sends.iter().filter(|send| !send.is_done()).count() > 1;
        let mut past = recipient.past.iter();
        goes_on
            && !scenario.is_broken(Broken::RollBackWithoutWaiting)
            && saved.params.idempotency.is_none()
            && current.is_untouched()
            && past.any(|past| past.params.nonce == saved.params.nonce)
    }

    /// This, with the statuses that earlier messages have in `changed`.
    fn raised(&self, changed: &Item, world: &World) -> Self {
        let before = self.before.as_ref().map(|before| {
            let mut recipient = before.get().recipient.clone();
            match self.request.kind {
                Kind::New => recipient.raise_deliveries_to_those_of(&changed.recipient, world.now),
                _ => recipient = recipient.with_changes_since_resend(&changed.recipient, world.now),
            }
            Shared::new(Item {
                recipient,
                version: changed.version,
            })
        });
        Self {
            before,
            ..self.clone()
        }
    }

    /// `service::send::is_sent`.
    fn is_sent(&self, world: &World) -> bool {
        let saved = self.after.get();
        let changed = world.table.recipient();
        let current = changed.and_then(|changed| changed.current.as_ref());
        let (Some(changed), Some(current), Some(own)) = (changed, current, &saved.current) else {
            return false;
        };
        let is_repeated = self.request.kind == Kind::New && changed.past == saved.past;
        current.params.nonce == own.params.nonce
            && current.deliveries.len() >= own.deliveries.len()
            && (is_repeated || !current.is_untouched())
    }
}
