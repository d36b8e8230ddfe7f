//! The phones at the far end of the simulated network: what arrived on them, in order.

use std::collections::BTreeMap;

use serde::Serialize;

/// One message on a phone.
#[derive(Clone, Serialize)]
pub(crate) struct PhoneMessage {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) from: Option<String>,
    pub(crate) channel: String,
    pub(crate) text: String,
    pub(crate) code: Option<String>,
    pub(crate) carrier: String,
    pub(crate) verification_id: Option<String>,
    pub(crate) at: String,
    #[serde(skip)]
    pub(crate) reference: String,
    #[serde(skip)]
    pub(crate) callback_url: String,
}

/// All of them, and where those of one phone are: a phone is looked at again and again.
#[derive(Default)]
pub(crate) struct Phones {
    messages: Vec<PhoneMessage>,
    places: BTreeMap<String, Vec<usize>>,
}

impl Phones {
    /// A message arrives.
    pub(crate) fn ring(&mut self, message: PhoneMessage) {
        self.places
            .entry(message.to.clone())
            .or_default()
            .push(self.messages.len());
        self.messages.push(message);
    }

    /// Messages in order of arrival, on the phone of `to` or on all.
    pub(crate) fn on(&self, to: Option<&str>) -> Vec<PhoneMessage> {
        let Some(to) = to else {
            return self.messages.clone();
        };
        self.places
            .get(to)
            .into_iter()
            .flatten()
            .map(|place| self.messages[*place].clone())
            .collect()
    }

    /// The one with this id.
    pub(crate) fn find(&self, id: &str) -> Option<PhoneMessage> {
        self.messages
            .iter()
            .find(|message| message.id == id)
            .cloned()
    }
}
