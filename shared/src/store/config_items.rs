//! The items of the configuration as they are read: the document, its last versions, and the
//! credentials of carriers. Only the operator's tool writes them, with `config_writes`.
//!
//! `read_config` returns the stored text, which `config::document` parses. `config_history` returns
//! the last 20 versions, newest first.
//!
//! Invariant: a text is sealed for its item and version, so one that was moved to another does not
//! open.

use aws_sdk_dynamodb::types::KeysAndAttributes;
use thiserror::Error;

use super::attributes::{self, FORMAT, Item, binary, bytes, number};
use super::config_keys::{CONFIG, CONFIG_SECRETS, HISTORY_LENGTH, history_key};
use super::versioned::conflict_backoff;
use super::{Store, StoreError};
use crate::crypto::keyring::Keyring;
use crate::crypto::sealing::{SealedFor, seal_key_id};
use crate::domain::time::Timestamp;

/// Format of the items; that of the document is in its text.
pub(super) const ITEM_FORMAT: i64 = 1;
/// Largest number of a version. A higher one was not counted up from 1.
const VERSION_MAX: u64 = 1 << 52;

pub(super) const VERSION: &str = "version";
pub(super) const DOCUMENT: &str = "document";
pub(super) const WRITTEN_AT: &str = "written_at";
pub(super) const AUTHOR: &str = "author";

/// One of the two items. Its partition key is its name in ASCII, so that policies can name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigItem {
    /// The document.
    Config,
    /// The credentials.
    ConfigSecrets,
}

impl ConfigItem {
    /// Its partition key.
    #[must_use]
    pub fn key(self) -> &'static [u8] {
        match self {
            Self::Config => CONFIG,
            Self::ConfigSecrets => CONFIG_SECRETS,
        }
    }

    pub(super) fn sealed_for(self, version: u64) -> SealedFor {
        match self {
            Self::Config => SealedFor::Config(version),
            Self::ConfigSecrets => SealedFor::ConfigSecrets(version),
        }
    }
}

/// One version of an item.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigVersion {
    /// Counted from 1.
    pub version: u64,
    /// The text; `None` if the seal key called [`Self::seal_key`] was removed, or the item altered.
    pub text: Option<String>,
    /// Id of the key that sealed the text.
    pub seal_key: String,
    /// When it was written.
    pub written_at: Timestamp,
    /// Who wrote it: an ARN or the name of a user.
    pub author: String,
}

/// The current versions of both items.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct StoredVersions {
    /// The document, if there is one.
    pub document: Option<ConfigVersion>,
    /// The credentials, if there are any and they were read.
    pub credentials: Option<ConfigVersion>,
}

impl StoredVersions {
    /// For a function that does not read the credentials.
    #[must_use]
    pub fn of_document(document: Option<ConfigVersion>) -> Self {
        Self {
            document,
            credentials: None,
        }
    }
}

/// Why an item could not be read.
#[derive(Debug, Error)]
pub enum ConfigReadError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The item has no version, or a value of another type.
    #[error("the item `{0}` is not one of the configuration")]
    Malformed(&'static str),
    /// The table did not return both items.
    #[error("the table did not return both items")]
    Incomplete,
}

impl Store {
    /// The current version of the document; `None` if there is none. `is_consistent`: the last one
    /// that was written, for the cost of two eventually consistent reads.
    ///
    /// # Errors
    /// [`ConfigReadError`].
    pub async fn read_config(
        &self,
        is_consistent: bool,
    ) -> Result<Option<ConfigVersion>, ConfigReadError> {
        self.read_config_item(ConfigItem::Config, &self.keyring, is_consistent)
            .await
    }

    /// The current version of the credentials, which `carrier_seal` opens; `None` if there is none.
    ///
    /// # Errors
    /// [`ConfigReadError`].
    pub async fn read_config_secrets(
        &self,
        carrier_seal: &Keyring,
        is_consistent: bool,
    ) -> Result<Option<ConfigVersion>, ConfigReadError> {
        self.read_config_item(ConfigItem::ConfigSecrets, carrier_seal, is_consistent)
            .await
    }

    /// The current versions of the document and of the credentials, in one call. They may be of
    /// different moments. Without `carrier_seal`, which opens them, no credentials are read.
    ///
    /// # Errors
    /// [`ConfigReadError`].
    pub async fn read_config_and_secrets(
        &self,
        carrier_seal: Option<&Keyring>,
        is_consistent: bool,
    ) -> Result<StoredVersions, ConfigReadError> {
        let Some(carrier_seal) = carrier_seal else {
            let document = self.read_config(is_consistent).await?;
            return Ok(StoredVersions::of_document(document));
        };
        let items = [ConfigItem::Config, ConfigItem::ConfigSecrets];
        let keys = items.map(|item| key_item(item.key()));
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.to_vec()))
            .consistent_read(is_consistent)
            .build()
            .map_err(StoreError::request)?;
        let output = self.send_batch_get(keys).await;
        let output = output.map_err(StoreError::request)?;
        if output.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
            return Err(ConfigReadError::Incomplete);
        }
        let stored = output.responses.unwrap_or_default();
        let stored: Vec<Item> = stored.into_values().flatten().collect();
        let version = |item: ConfigItem, keyring: &Keyring| {
            let own = |stored: &&Item| bytes(stored, attributes::KEY) == item.key();
            let stored = stored.iter().find(own);
            stored
                .map(|stored| open_item(item, keyring, stored))
                .transpose()
        };
        Ok(StoredVersions {
            document: version(ConfigItem::Config, &self.keyring)?,
            credentials: version(ConfigItem::ConfigSecrets, carrier_seal)?,
        })
    }

    /// The last versions of the document, newest first. An item in their places that is none of
    /// them is left out.
    ///
    /// # Errors
    /// [`ConfigReadError`].
    pub async fn config_history(&self) -> Result<Vec<ConfigVersion>, ConfigReadError> {
        let keys = (0..HISTORY_LENGTH).map(|slot| key_item(&history_key(slot)));
        let mut unread = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect()))
            .consistent_read(true)
            .build()
            .map_err(StoreError::request)?;
        let mut versions = vec![];
        // A response has at most 16 MB, so the versions may come in several.
        for _ in 0..HISTORY_LENGTH {
            let output = self.send_batch_get(unread).await;
            let output = output.map_err(StoreError::request)?;
            let items = output.responses.into_iter().flatten();
            let items = items.flat_map(|(_, items)| items);
            let opened = items.map(|item| open(ConfigItem::Config, &self.keyring, &item));
            versions.extend(opened.flatten());
            let left = output.unprocessed_keys.unwrap_or_default();
            match left.into_values().next() {
                Some(left) => unread = left,
                None => {
                    versions.sort_by_key(|version| std::cmp::Reverse(version.version));
                    return Ok(versions);
                }
            }
            conflict_backoff().await;
        }
        Err(StoreError::Conflict.into())
    }

    pub(super) async fn read_config_item(
        &self,
        item: ConfigItem,
        keyring: &Keyring,
        is_consistent: bool,
    ) -> Result<Option<ConfigVersion>, ConfigReadError> {
        let stored = self.stored_config_item(item, is_consistent).await?;
        let stored = stored.as_ref();
        stored
            .map(|stored| open_item(item, keyring, stored))
            .transpose()
    }

    /// An item as it is; `None` if there is none.
    pub(super) async fn stored_config_item(
        &self,
        item: ConfigItem,
        is_consistent: bool,
    ) -> Result<Option<Item>, StoreError> {
        let read = self
            .get_item()
            .key(attributes::KEY, binary(item.key()))
            .consistent_read(is_consistent);
        let read = self.send_get(read).await;
        Ok(read.map_err(StoreError::request)?.item)
    }
}

fn open_item(
    item: ConfigItem,
    keyring: &Keyring,
    stored: &Item,
) -> Result<ConfigVersion, ConfigReadError> {
    let name = std::str::from_utf8(item.key()).unwrap_or_default();
    open(item, keyring, stored).ok_or(ConfigReadError::Malformed(name))
}

/// The version that `stored` is; `None` if it is not one of the configuration.
pub(super) fn open(item: ConfigItem, keyring: &Keyring, stored: &Item) -> Option<ConfigVersion> {
    if number(stored, FORMAT) != ITEM_FORMAT {
        return None;
    }
    let version = u64::try_from(number(stored, VERSION)).ok();
    let version = version.filter(|version| (1..VERSION_MAX).contains(version))?;
    let sealed = bytes(stored, DOCUMENT);
    Some(ConfigVersion {
        version,
        text: keyring.open(item.sealed_for(version), sealed),
        seal_key: seal_key_id(sealed).to_owned(),
        written_at: Timestamp(number(stored, WRITTEN_AT)),
        author: attributes::optional_text(stored, AUTHOR).unwrap_or_default(),
    })
}

pub(super) fn key_item(key: &[u8]) -> Item {
    Item::from([(attributes::KEY.into(), binary(key))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::attributes::number_value;
    use crate::store::config_writes::{ConfigWrite, Replaced, sealed_item};
    use crate::store::tests::{Fault, NOW, REFUSED, TestTable};

    fn keyring(id: &str) -> Keyring {
        Keyring::with_one_seal_key(id, [7; 32])
    }

    #[test]
    fn version_opens_under_its_own_number_and_key() {
        let item = ConfigItem::Config;
        let mut stored = sealed_item(item, &keyring("k1"), 3, "{}", "ada", NOW);
        let read = open(item, &keyring("k1"), &stored).expect("a version");
        assert_eq!((read.version, read.text.as_deref()), (3, Some("{}")));
        assert_eq!((read.author.as_str(), read.written_at), ("ada", NOW));
        let other_key = open(item, &keyring("k2"), &stored).expect("a version");
        assert_eq!((other_key.text, other_key.seal_key.as_str()), (None, "k1"));
        let secrets = open(ConfigItem::ConfigSecrets, &keyring("k1"), &stored);
        assert_eq!(secrets.expect("a version").text, None);
        stored.insert(VERSION.into(), number_value(4));
        assert_eq!(
            open(item, &keyring("k1"), &stored).expect("a version").text,
            None
        );
        stored.insert(FORMAT.into(), number_value(2));
        assert!(open(item, &keyring("k1"), &stored).is_none());
        stored.remove(VERSION);
        assert!(open(item, &keyring("k1"), &stored).is_none());
    }

    fn keyrings(current: &str, ids: &[&str]) -> Keyring {
        let keys = ids.iter().map(|id| ((*id).to_owned(), [7; 32]));
        Keyring::new(current.to_owned(), &keys.collect(), &[7; 32])
    }

    fn number_and_text(version: &ConfigVersion) -> (u64, Option<&str>) {
        (version.version, version.text.as_deref())
    }

    async fn write(store: &Store, expected: u64, document: &str) -> Option<u64> {
        let replaced = Replaced::Version(expected);
        let written = store.write_config(replaced, document, "ada", NOW).await;
        match written.expect("a response") {
            ConfigWrite::Written(version) => Some(version),
            ConfigWrite::Conflict(_) => None,
        }
    }

    #[tokio::test]
    async fn document_is_written_over_the_expected_version_only() {
        let table = TestTable::start().await;
        let store = table.store();
        assert!(store.read_config(true).await.expect("a read").is_none());
        assert_eq!(write(&store, 1, "{}").await, None);
        assert_eq!(write(&store, 0, "{1}").await, Some(1));
        assert_eq!(write(&store, 1, "{2}").await, Some(2));
        assert_eq!(write(&store, 0, "{3}").await, None);
        let replaced = Replaced::Version(1);
        let conflict = store.write_config(replaced, "{3}", "ada", NOW).await;
        let Ok(ConfigWrite::Conflict(Some(current))) = conflict else {
            panic!("written");
        };
        assert_eq!(number_and_text(&current), (2, Some("{2}")));
        let read = store.read_config(true).await.expect("a read");
        assert!(read.is_some_and(|read| read == current));
    }

    #[tokio::test]
    async fn last_twenty_versions_are_kept_newest_first() {
        let table = TestTable::start().await;
        let store = table.store();
        for version in 0..22 {
            assert_eq!(write(&store, version, "{}").await, Some(version + 1));
        }
        let history = store.config_history().await.expect("a read");
        let versions: Vec<_> = history.iter().map(|version| version.version).collect();
        assert_eq!(versions, (3..=22).rev().collect::<Vec<_>>());
        assert!(
            history
                .iter()
                .all(|version| version.text.as_deref() == Some("{}"))
        );
    }

    #[tokio::test]
    async fn history_is_sealed_again_under_the_current_key() {
        let table = TestTable::start().await;
        let old = table.store_with(keyrings("k1", &["k1"]));
        for version in 0..3 {
            assert_eq!(write(&old, version, "{}").await, Some(version + 1));
        }
        let store = table.store_with(keyrings("k2", &["k1", "k2"]));
        let history = store.config_history().await.expect("a read");
        for version in &history {
            assert!(store.reseal_config_version(version).await.expect("a write"));
        }
        let only_new = table.store_with(keyrings("k2", &["k2"]));
        let resealed = only_new.config_history().await.expect("a read");
        let expected = history.iter().map(|version| ConfigVersion {
            seal_key: "k2".to_owned(),
            ..version.clone()
        });
        assert!(resealed == expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn version_that_was_replaced_is_not_sealed_again() {
        let table = TestTable::start().await;
        let store = table.store();
        assert_eq!(write(&store, 0, "{}").await, Some(1));
        let history = store.config_history().await.expect("a read");
        for version in 1..21 {
            assert_eq!(write(&store, version, "{}").await, Some(version + 1));
        }
        let before = store.config_history().await.expect("a read");
        let resealed = store.reseal_config_version(&history[0]).await;
        assert!(!resealed.expect("a response"));
        let unreadable = ConfigVersion {
            text: None,
            ..before[0].clone()
        };
        let resealed = store.reseal_config_version(&unreadable).await;
        assert!(!resealed.expect("no call"));
        assert!(store.config_history().await.expect("a read") == before);
        table.fail(REFUSED);
        let failed = store.reseal_config_version(&before[0]).await;
        assert!(failed.is_err() && table.has_failed());
    }

    #[tokio::test]
    async fn credentials_have_a_key_and_versions_of_their_own() {
        let table = TestTable::start().await;
        let store = table.store();
        let carriers = keyring("c1");
        assert_eq!(write(&store, 0, "{}").await, Some(1));
        for version in 0..2 {
            let replaced = Replaced::Version(version);
            let written = store.write_config_secrets(&carriers, replaced, "secret", "ada", NOW);
            let written = written.await.expect("a response");
            assert!(matches!(written, ConfigWrite::Written(new) if new == version + 1));
        }
        let read = store.read_config_secrets(&carriers, true).await;
        let credentials = read.expect("a read").expect("credentials");
        assert_eq!(number_and_text(&credentials), (2, Some("secret")));
        let sealed = store.read_config_secrets(&keyring("c2"), true).await;
        let sealed = sealed.expect("a read").expect("credentials");
        assert_eq!(number_and_text(&sealed), (2, None));
        let both = store.read_config_and_secrets(Some(&carriers), true).await;
        let both = both.expect("a read");
        let document = both.document.as_ref().map(number_and_text);
        assert_eq!(document, Some((1, Some("{}"))));
        assert!(both.credentials.is_some_and(|read| read == credentials));
        let document = store.read_config_and_secrets(None, true).await;
        let document = document.expect("a read");
        assert!(document.document.is_some() && document.credentials.is_none());
        assert_eq!(store.config_history().await.expect("a read").len(), 1);
    }

    #[tokio::test]
    async fn failed_write_of_the_document_is_an_error() {
        let table = TestTable::start().await;
        let store = table.store();
        table.fail(REFUSED);
        let none = Replaced::Version(0);
        let written = store.write_config(none, "{}", "ada", NOW).await;
        assert!(matches!(written, Err(ConfigReadError::Store(_))));
        assert_eq!(write(&store, 0, "{}").await, Some(1));
    }

    #[tokio::test]
    async fn only_a_malformed_item_is_replaced_as_one() {
        let table = TestTable::start().await;
        let store = table.store();
        let malformed = Replaced::Malformed(7);
        let none = store.write_config(malformed, "{1}", "ada", NOW).await;
        assert!(matches!(none, Ok(ConfigWrite::Conflict(None))));
        assert_eq!(write(&store, 0, "{2}").await, Some(1));
        let repaired = store.write_config(malformed, "{1}", "ada", NOW).await;
        let Ok(ConfigWrite::Conflict(Some(current))) = repaired else {
            panic!("written");
        };
        assert_eq!(number_and_text(&current), (1, Some("{2}")));
    }

    #[test]
    fn long_name_of_an_author_is_cut() {
        let item = ConfigItem::Config;
        let stored = sealed_item(item, &keyring("k1"), 1, "{}", &"é".repeat(300), NOW);
        let read = open(item, &keyring("k1"), &stored).expect("a version");
        assert_eq!(read.author, "é".repeat(256));
    }

    #[test]
    fn malformed_item_is_an_error() {
        for (item, name) in [
            (ConfigItem::Config, "config"),
            (ConfigItem::ConfigSecrets, "config_secrets"),
        ] {
            let error = open_item(item, &keyring("k1"), &Item::new()).err();
            let error = error.expect("no version").to_string();
            assert_eq!(
                error,
                format!("the item `{name}` is not one of the configuration")
            );
        }
    }

    #[tokio::test]
    async fn version_is_kept_under_its_number() {
        let table = TestTable::start().await;
        let store = table.store();
        for version in 0..3 {
            assert_eq!(write(&store, version, "{}").await, Some(version + 1));
        }
        for version in 1..=3 {
            let read = store.get_item();
            let read = read.key(attributes::KEY, binary(&history_key(version)));
            let stored = store.send_get(read).await.expect("a read").item;
            let stored = stored.map(|item| number(&item, VERSION));
            assert_eq!(stored, i64::try_from(version).ok());
        }
    }

    #[tokio::test]
    async fn version_with_a_lost_response_is_written() {
        let table = TestTable::start().await;
        table.fail([Fault::Lost]);
        assert_eq!(write(&table.store(), 0, "{}").await, Some(1));
        assert_eq!(table.requests(), 2);
    }

    #[test]
    fn version_zero_is_malformed() {
        let item = ConfigItem::Config;
        let mut stored = sealed_item(item, &keyring("k1"), 1, "{}", "ada", NOW);
        stored.insert(VERSION.into(), number_value(0));
        assert!(open(item, &keyring("k1"), &stored).is_none());
    }
}
