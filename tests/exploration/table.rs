//! The table as the functions use it: one item, read as a whole, and conditional writes that carry
//! an id. `shared/src/store` has the conditions; here they are the same, in Rust.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use otp::domain::recipient::Recipient;

use super::explorer::fingerprint;

/// The id of a write: the version of the item that it leaves. Named by who writes and how often,
/// so that another order of the same writes leads to the same state.
pub type WriteId = u16;

/// An item: the recipient, and the write that left it.
#[derive(Hash, PartialEq)]
pub struct Item {
    pub recipient: Recipient,
    pub version: WriteId,
}

/// A value that is shared by many states and hashed once.
pub struct Shared<T>(Rc<(T, u64)>);

impl<T: Hash> Shared<T> {
    pub fn new(value: T) -> Self {
        let fingerprint = fingerprint(&value);
        Self(Rc::new((value, fingerprint)))
    }

    pub fn get(&self) -> &T {
        &self.0.0
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.1);
    }
}

/// What became of a call. All but the first are faults.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Carried out, and answered.
    Answered,
    /// Not carried out.
    Refused,
    /// Carried out, and the answer is lost.
    Lost,
    /// Carried out, the answer is lost, and the client repeats the same call.
    Repeated,
}

impl Wire {
    const ALL: [Self; 4] = [Self::Answered, Self::Refused, Self::Lost, Self::Repeated];

    /// What may become of a write, with this many faults left.
    pub fn of_write(faults_left: u8) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .take(if faults_left > 0 { 4 } else { 1 })
    }

    /// What may become of a read or of a message to the queue, which are not repeated here.
    pub fn of_call(faults_left: u8) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .take(if faults_left > 0 { 3 } else { 1 })
    }

    pub fn is_carried_out(self) -> bool {
        self != Self::Refused
    }

    pub fn is_fault(self) -> bool {
        self != Self::Answered
    }

    /// The name of a step with this outcome.
    pub fn named(self, names: [&'static str; 4]) -> &'static str {
        names[self as usize]
    }
}

/// Names of the steps of a write.
pub const WRITES: [&str; 4] = [
    "writes",
    "is refused by the table",
    "writes, the answer is lost",
    "writes, the answer is lost and the write is repeated",
];
/// Names of the steps of a message to the queue.
pub const ENQUEUES: [&str; 4] = [
    "enqueues",
    "is refused by the queue",
    "enqueues, the answer is lost",
    "enqueues twice",
];

/// The table.
#[derive(Clone, Hash, Default)]
pub struct Table(Option<Shared<Item>>);

/// The item after a conditional write, or as it is if the condition failed.
pub struct Written {
    pub is_written: bool,
    pub item: Option<Shared<Item>>,
}

impl Table {
    /// A consistent read.
    pub fn read(&self) -> Option<&Shared<Item>> {
        self.0.as_ref()
    }

    pub fn recipient(&self) -> Option<&Recipient> {
        self.0.as_ref().map(|item| &item.get().recipient)
    }

    pub fn version(&self) -> Option<WriteId> {
        self.0.as_ref().map(|item| item.get().version)
    }

    /// `Store::save` and `Store::restore`: replaces the item, if its version is one of `allowed`
    /// (`None`: there is no item). A repeated put finds its own version and is a success.
    pub fn put(&mut self, recipient: &Recipient, id: WriteId, allowed: &[Option<WriteId>]) -> bool {
        if self.version() == Some(id) {
            return true;
        }
        let is_allowed = allowed.contains(&self.version());
        if is_allowed {
            self.write(recipient.clone(), id);
        }
        is_allowed
    }

    /// `Store::update`: changes the item under a condition. An update that the client repeats finds
    /// its own write id and is a success.
    pub fn update(
        &mut self,
        id: WriteId,
        condition: impl FnOnce(&Recipient) -> bool,
        change: impl FnOnce(&mut Recipient),
    ) -> Written {
        let is_repeated = self.version() == Some(id);
        let is_written = is_repeated || self.recipient().is_some_and(condition);
        if is_written && !is_repeated {
            let mut recipient = self.recipient().cloned().unwrap_or_default();
            change(&mut recipient);
            self.write(recipient, id);
        }
        Written {
            is_written,
            item: self.0.clone(),
        }
    }

    /// Replaces the item without a condition.
    pub fn write(&mut self, recipient: Recipient, version: WriteId) {
        self.0 = Some(Shared::new(Item { recipient, version }));
    }
}
