//! Scan: reads the table one part at a time, to find what is sealed under an old key.

use super::attributes::{self, Item, binary, bytes, optional_text};
use super::recipient_item;
use super::subject_item::{self, KIND, KIND_SUBJECT};
use super::{Store, StoreError};
use crate::crypto::sealing::SealedFor;
use crate::domain::ids::{RecordKey, SubjectKey};
use crate::domain::recipient::Recipient;
use crate::domain::subject::{LogEntry, Subject};
use crate::domain::time::Timestamp;

/// Items that are read at once.
const PAGE_ITEMS: i32 = 100;

/// A part of the table.
#[derive(Debug)]
pub struct ScannedPage {
    /// Items that were read.
    pub scanned: usize,
    /// Records with a value that is sealed under an old key.
    pub outdated: Vec<OutdatedRecord>,
    /// Where the next part begins; `None` if this was the last one.
    pub after: Option<Vec<u8>>,
}

/// A record with a value that is sealed under an old key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutdatedRecord {
    /// Of a subject.
    Subject(SubjectKey),
    /// Of a recipient of an app.
    Recipient(RecordKey, String),
}

impl Store {
    /// Reads the part of the table that begins after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scan(
        &self,
        after: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<ScannedPage, StoreError> {
        let start = after.map(|key| Item::from([(attributes::KEY.into(), binary(key))]));
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(PAGE_ITEMS)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(StoreError::request)?;
        let items = page.items.unwrap_or_default();
        let outdated = items.iter().filter_map(|item| self.outdated(item, now));
        let after = page.last_evaluated_key.as_ref();
        let after = after.map(|item| bytes(item, attributes::KEY).to_vec());
        Ok(ScannedPage {
            scanned: items.len(),
            outdated: outdated.collect(),
            after,
        })
    }

    /// The record of `item`, if a value of it is sealed under an old key that is live.
    fn outdated(&self, item: &Item, now: Timestamp) -> Option<OutdatedRecord> {
        let key = key_of(item)?;
        if optional_text(item, KIND).as_deref() == Some(KIND_SUBJECT) {
            let key = SubjectKey(key);
            let mut subject = subject_item::read(&self.keyring, item).ok()?;
            let is_outdated = self.reseal_subject(key, &mut subject);
            return is_outdated.then_some(OutdatedRecord::Subject(key));
        }
        // Only items of recipients have this attribute.
        let app = optional_text(item, recipient_item::APP)?;
        let recipient = recipient_item::read(&self.keyring, key, item, now);
        let mut recipient = recipient.ok().flatten()?;
        let is_outdated = self.reseal_recipient(key, &mut recipient);
        is_outdated.then_some(OutdatedRecord::Recipient(key, app))
    }

    /// Seals again what is sealed under an old key; `false` if there is nothing.
    pub(super) fn reseal_subject(&self, key: SubjectKey, subject: &mut Subject) -> bool {
        let mut values = Resealing::new(self);
        for factor in &mut subject.factors {
            let purpose = SealedFor::FactorSecret(key, factor.id);
            if let Some(secret) = factor.secret_mut() {
                values.reseal(purpose, &mut secret.sealed);
            }
        }
        for recipient in &mut subject.recipients {
            let purpose = SealedFor::VerifiedRecipient(key, recipient.recipient);
            values.reseal(purpose, &mut recipient.sealed_to);
        }
        for entry in &mut subject.log {
            if let LogEntry::Approval(approval) = entry {
                let purpose = SealedFor::VerifiedRecipient(key, approval.recipient);
                values.reseal(purpose, &mut approval.sealed_to);
            }
        }
        values.is_changed
    }

    /// Seals again what is sealed under an old key; `false` if there is nothing.
    pub fn reseal_recipient(&self, key: RecordKey, recipient: &mut Recipient) -> bool {
        let mut values = Resealing::new(self);
        values.reseal(SealedFor::Address(key), &mut recipient.sealed_address);
        let past = recipient.past.iter_mut().map(|past| &mut past.params);
        let current = recipient.current.as_mut();
        let current = current.map(|current| {
            let purpose = SealedFor::Code(key, current.params.nonce);
            values.reseal(purpose, &mut current.sealed_code);
            &mut current.params
        });
        for params in current.into_iter().chain(past) {
            let purpose = SealedFor::Subject(key, params.nonce);
            if let Some(subject) = &mut params.subject {
                values.reseal(purpose, &mut subject.sealed_id);
            }
        }
        values.is_changed
    }
}

fn key_of(item: &Item) -> Option<RecordKey> {
    bytes(item, attributes::KEY).try_into().ok().map(RecordKey)
}

/// Seals values again.
struct Resealing<'a> {
    store: &'a Store,
    is_changed: bool,
}

impl<'a> Resealing<'a> {
    fn new(store: &'a Store) -> Self {
        Self {
            store,
            is_changed: false,
        }
    }

    fn reseal(&mut self, purpose: SealedFor, sealed: &mut Vec<u8>) {
        if let Some(resealed) = self.store.keyring.reseal(purpose, sealed) {
            *sealed = resealed;
            self.is_changed = true;
        }
    }
}
