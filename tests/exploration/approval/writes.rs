//! What each write does, and under which condition: `store::attempts`, `store::subject_log`,
//! `store::owners`, `store::recipients` and `store::subjects`.

use otp::domain::ids::AttemptNonce;
use otp::domain::recipient::Recipient;
use otp::domain::subject::LogEntry;
use otp::domain::verified_recipient::Removal;

use super::super::table::WriteId;
use super::request::{Call, Kind, Request};
use super::stored::{
    DECISION, NOW, RECIPIENT, Who, approval, attempt, settled, times_recorded, verification,
};
use super::world::World;
use super::{Broken, Scenario};

impl Request {
    /// Carries the write of `call` out; `false` if its condition fails.
    pub fn carry_out(
        &self,
        scenario: &Scenario,
        call: Call,
        id: WriteId,
        next: &mut World,
    ) -> bool {
        match call {
            Call::Append => self.append(id, next),
            Call::Record => self.record(scenario, id, next),
            Call::StoreOwner => self.store_owner(scenario, id, next),
            Call::Save => self.save(scenario, id, next),
            Call::SaveSubject => self.save_subject(scenario, id, next),
            Call::AppendRemoval => self.append_removal(id, next),
            Call::ReleaseOwner => self.release_owner(id, next),
            Call::SaveReleased => {
                let mut recipient = self.recipient().clone();
                recipient.release_owner();
                self.put(scenario, &recipient, id, next)
            }
            Call::Read | Call::Look | Call::ReadSubject | Call::ReadOwned => false,
        }
    }

    /// `Store::append_attempt`.
    fn append(&self, id: WriteId, next: &mut World) -> bool {
        let Kind::Check(who) = self.kind else {
            return false;
        };
        let attempt = attempt(who, self.tries);
        let condition = |recipient: &Recipient| {
            let current = recipient.current.as_ref();
            current.is_some_and(|current| {
                let is_new =
                    |known: &otp::domain::attempt_log::Attempt| known.nonce != attempt.nonce;
                current.params.nonce == who.verification()
                    && current.attempts.len() < usize::from(current.params.attempts_max)
                    && current.attempts.iter().all(is_new)
            })
        };
        let change = |recipient: &mut Recipient| {
            let current = recipient.current.iter_mut();
            current.for_each(|current| current.attempts.push(attempt.clone()));
        };
        next.table.update(id, condition, change).is_written
    }

    /// `Store::append_approval` and `Store::record_approval`.
    fn record(&self, scenario: &Scenario, id: WriteId, next: &mut World) -> bool {
        let (who, approval) = approval(self.recipient()).expect("it was approved");
        let mut subject = next.subject(who).clone();
        let is_known = times_recorded(&subject, approval.nonce) > 0;
        if is_known && !scenario.is_broken(Broken::RecordWithoutNonce) {
            return false;
        }
        subject.log.push(LogEntry::Approval(approval));
        next.write_subject(who, subject, id);
        true
    }

    /// `Store::store_owner`.
    fn store_owner(&self, scenario: &Scenario, id: WriteId, next: &mut World) -> bool {
        let (owner, _) = approval(self.recipient()).expect("it was approved");
        let condition = |recipient: &Recipient| {
            let current = recipient.current.as_ref();
            let current = current.filter(|v| v.params.nonce == owner.verification());
            scenario.is_broken(Broken::StoreOwnerAgain) || current.is_some_and(|v| !v.is_recorded)
        };
        let change = |recipient: &mut Recipient| {
            recipient.stored_owner = Some(owner.key());
            let current = recipient.current.iter_mut();
            current.for_each(|current| current.is_recorded = true);
        };
        next.table.update(id, condition, change).is_written
    }

    /// `Store::save` of a send or a forget.
    fn save(&self, scenario: &Scenario, id: WriteId, next: &mut World) -> bool {
        let mut recipient = self.recipient().clone();
        if self.kind == Kind::Forget {
            recipient.forget(NOW);
            return self.put(scenario, &recipient, id, next);
        }
        let owner = match () {
            () if scenario.is_broken(Broken::SendIgnoresOwner) => None,
            () if scenario.is_broken(Broken::OwnerInEffectOnceStored) => recipient.stored_owner,
            () => recipient.owner(),
        };
        recipient.open(verification(scenario, Who::Second, owner), NOW);
        self.put(scenario, &recipient, id, next)
    }

    fn put(
        &self,
        scenario: &Scenario,
        recipient: &Recipient,
        id: WriteId,
        next: &mut World,
    ) -> bool {
        let read = self.read.as_ref().map(|read| read.get().version);
        let allowed = match scenario.is_broken(Broken::SaveWithoutVersion) {
            true => next.table.version(),
            false => read,
        };
        next.table.put(recipient, id, &[allowed])
    }

    /// `Store::save_subject`.
    fn save_subject(&self, scenario: &Scenario, id: WriteId, next: &mut World) -> bool {
        let read = self.subject.as_ref().expect("it was read").get();
        let is_current = next.item(Who::First).get().version == read.version;
        if !is_current && !scenario.is_broken(Broken::SaveSubjectWithoutVersion) {
            return false;
        }
        let mut subject = settled(scenario, &read.subject);
        if self.kind == Kind::Removal {
            subject.remove_recipient(RECIPIENT);
        } else {
            let mut decisions = subject.decisions.iter_mut();
            let decision = decisions.find(|decision| decision.nonce == DECISION);
            decision.expect("a decision").is_denied = true;
        }
        next.write_subject(Who::First, subject, id);
        true
    }

    /// `Store::append_removal`.
    fn append_removal(&self, id: WriteId, next: &mut World) -> bool {
        let owner = self.owner.expect("an owner");
        let mut subject = next.subject(owner).clone();
        subject.log.push(LogEntry::Removal(Removal {
            nonce: AttemptNonce::Random([200 + self.tries; 8]),
            recipient: RECIPIENT,
        }));
        next.write_subject(owner, subject, id);
        true
    }

    /// The first write of `Store::release_owner`.
    fn release_owner(&self, id: WriteId, next: &mut World) -> bool {
        let owner = self.owner.map(Who::key);
        let condition = |recipient: &Recipient| recipient.stored_owner == owner;
        let change = |recipient: &mut Recipient| recipient.stored_owner = None;
        next.table.update(id, condition, change).is_written
    }
}
