//! The phones and inboxes of the simulated carriers: what was delivered, in order of arrival.

use std::collections::BTreeMap;

use serde::Serialize;

/// One message on a phone.
#[derive(Clone, Serialize)]
pub(crate) struct PhoneMessage {
    pub(super) id: String,
    pub(super) to: String,
    pub(super) from: Option<String>,
    pub(super) channel: String,
    pub(super) text: String,
    pub(super) code: Option<String>,
    pub(super) carrier: String,
    pub(super) verification_id: Option<String>,
    pub(super) at: String,
    /// Where its carrier reports; none for SNS.
    #[serde(skip)]
    pub(super) callback: Option<Callback>,
}

/// What a carrier needs for a report.
#[derive(Clone)]
pub(super) struct Callback {
    pub(super) url: String,
    /// Our reference of the message.
    pub(super) reference: String,
}

/// All messages, and for each phone the indices of its messages: tests read one phone again and
/// again.
#[derive(Default)]
pub(super) struct Phones {
    messages: Vec<PhoneMessage>,
    indices: BTreeMap<String, Vec<usize>>,
}

impl Phones {
    /// Delivers a message.
    pub(super) fn deliver(&mut self, message: PhoneMessage) {
        self.indices
            .entry(message.to.clone())
            .or_default()
            .push(self.messages.len());
        self.messages.push(message);
    }

    /// Deletes all messages; returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        self.indices.clear();
        std::mem::take(&mut self.messages).len()
    }

    /// Messages in order of arrival, on the phone of `to` or on all.
    pub(super) fn messages(&self, to: Option<&str>) -> Vec<PhoneMessage> {
        let Some(to) = to else {
            return self.messages.clone();
        };
        let indices = self.indices.get(to).into_iter().flatten();
        indices.map(|index| self.messages[*index].clone()).collect()
    }

    /// The message with this id.
    pub(super) fn find(&self, id: &str) -> Option<PhoneMessage> {
        let mut messages = self.messages.iter();
        messages.find(|message| message.id == id).cloned()
    }
}
