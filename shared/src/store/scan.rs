//! Scan: reads the table one part at a time, to find what is sealed under an old key.

use aws_sdk_dynamodb::operation::scan::{Scan, ScanError, ScanInput, ScanOutput};

use super::attributes::{self, Item, binary, bytes, optional_text};
use super::recipient_item;
use super::subject_item::{self, KIND, KIND_SUBJECT};
use super::{Store, StoreError};
use crate::crypto::sealing::SealedFor;
use crate::domain::ids::{RecordKey, SubjectKey};
use crate::domain::recipient::Recipient;
use crate::domain::subject::{LogEntry, Subject};
use crate::domain::time::Timestamp;
use crate::platform::aws_client::Operation;

/// Items that are read at once.
const PAGE_ITEMS: i32 = 100;

impl Operation for Scan {
    type Input = ScanInput;
    type Output = ScanOutput;
    type Error = ScanError;
}

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
        let scan = ScanInput::builder()
            .table_name(&self.table)
            .limit(PAGE_ITEMS)
            .set_exclusive_start_key(start);
        let page = self.client.call(Scan::new(), scan.build()).await;
        let page = page.map_err(StoreError::request)?;
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
            if let Some(subject) = &mut params.subject {
                let purpose = SealedFor::Subject(key, subject.sealed_for);
                values.reseal(purpose, &mut subject.sealed_id);
            }
        }
        let is_changed = values.is_changed;
        if is_changed {
            recipient.share_sealed_subjects();
        }
        is_changed
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sealing::seal_key_id;
    use crate::domain::verification_params::VerificationSubject;
    use crate::store::recipient_item::tests as recipients;
    use crate::store::subject_item::tests as subjects;
    use crate::store::tests::{NOW, TestTable, keyring};

    /// Before the TTL of [`recipients::recipient`].
    const EARLY: Timestamp = Timestamp(1500);

    /// A store that seals under `k2`, with a recipient and a subject that are sealed under `key`.
    async fn store_with_records(table: &TestTable, key: &str) -> Store {
        let sealed = keyring(&[key]);
        let store = table.store_with(keyring(&["k1", "k2"]));
        let recipient = recipients::recipient(&sealed);
        let saved = store.save(recipients::KEY, &recipient, None, EARLY).await;
        saved.expect("a write");
        // As it is: a subject is sealed again when it is saved.
        let plain = table.store_with(keyring(&[key]));
        let subject = subjects::subject(&sealed);
        let saved = plain.save_subject(subjects::KEY, subject, None, NOW).await;
        saved.expect("a write");
        store
    }

    #[tokio::test]
    async fn records_under_an_old_key_are_found() {
        let table = TestTable::start().await;
        let store = store_with_records(&table, "k1").await;
        let breaker = store.open_breaker(RecordKey([1; 12]), "sim-a", 1, NOW, NOW);
        breaker.await.expect("a write");
        let page = store.scan(None, EARLY).await.expect("a scan");
        assert_eq!((page.scanned, page.after), (3, None));
        let mut outdated = page.outdated;
        outdated.sort_by_key(|record| matches!(record, OutdatedRecord::Subject(_)));
        let expected = [
            OutdatedRecord::Recipient(recipients::KEY, "shop".into()),
            OutdatedRecord::Subject(subjects::KEY),
        ];
        assert_eq!(outdated, expected);
    }

    #[tokio::test]
    async fn records_under_the_current_key_are_not_outdated() {
        let table = TestTable::start().await;
        let store = store_with_records(&table, "k2").await;
        let page = store.scan(None, EARLY).await.expect("a scan");
        assert_eq!((page.scanned, page.outdated), (2, vec![]));
    }

    #[tokio::test]
    async fn table_is_read_in_parts() {
        let table = TestTable::start().await;
        let store = table.store();
        for n in 0..=100 {
            let breaker = store.open_breaker(RecordKey([n; 12]), "sim-a", 1, NOW, NOW);
            breaker.await.expect("a write");
        }
        let first = store.scan(None, NOW).await.expect("a scan");
        assert_eq!(first.scanned, 100);
        let after = first.after.expect("another part");
        let second = store.scan(Some(&after), NOW).await.expect("a scan");
        assert_eq!((second.scanned, second.after), (1, None));
    }

    #[tokio::test]
    async fn all_values_of_a_recipient_are_sealed_again() {
        let old = keyring(&["k1"]);
        let key = recipients::KEY;
        let mut recipient = recipients::recipient(&old);
        let current = recipient.current.as_mut().expect("a verification");
        let nonce = current.params.nonce;
        let of_current = &mut current.params;
        for params in [of_current, &mut recipient.past[0].params] {
            params.subject = Some(VerificationSubject {
                key: subjects::KEY,
                sealed_id: old.seal(SealedFor::Subject(key, params.nonce), "user-1"),
                sealed_for: params.nonce,
                id: None,
                is_unique: false,
                is_taken: false,
            });
        }
        let table = TestTable::start().await;
        let rotated = keyring(&["k1", "k2"]);
        let store = table.store_with(rotated.clone());
        assert!(store.reseal_recipient(key, &mut recipient));
        assert!(!store.reseal_recipient(key, &mut recipient), "it is done");
        let current = recipient.current.as_ref().expect("a verification");
        let mut sealed = vec![
            (SealedFor::Address(key), &recipient.sealed_address),
            (SealedFor::Code(key, nonce), &current.sealed_code),
        ];
        for params in [&current.params, &recipient.past[0].params] {
            let subject = params.subject.as_ref().expect("a subject");
            assert_eq!(
                subject.sealed_for, nonce,
                "that of the current one is shared"
            );
            sealed.push((SealedFor::Subject(key, nonce), &subject.sealed_id));
        }
        for (purpose, sealed) in sealed {
            assert_eq!(seal_key_id(sealed), "k2", "{purpose:?}");
            assert!(rotated.open(purpose, sealed).is_some(), "{purpose:?}");
        }
    }
}
