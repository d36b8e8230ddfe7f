//! Writes of the configuration: the document, its last versions, and the credentials of carriers.
//! Only the operator's tool makes them.
//!
//! `write_config` writes the next version if the current one is the expected one, and keeps it in
//! the history as well, in one transaction. The credentials have a version of their own and no
//! history: a credential that was replaced is not kept.
//!
//! Invariants: a write decides by its condition on the version alone. These items have no TTL.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItems, TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use data_encoding::HEXLOWER;

use super::attributes::{FORMAT, Item, binary, number_value, text};
use super::config_items::{
    AUTHOR, ConfigItem, ConfigReadError, ConfigVersion, DOCUMENT, ITEM_FORMAT, VERSION, WRITTEN_AT,
    key_item, open,
};
use super::config_keys::{HISTORY_LENGTH, history_key};
use super::versioned::conflict_backoff;
use super::{Store, StoreError};
use crate::crypto::keyring::Keyring;
use crate::domain::time::Timestamp;
use crate::platform::aws_client::Operation;
use crate::platform::random::random_bytes;

/// How often a write is tried again.
const TRIES_MAX: u32 = 4;
/// Longest name of an author that is kept.
const AUTHOR_CHARS_MAX: usize = 256;

impl Operation for TransactWriteItems {
    type Input = TransactWriteItemsInput;
    type Output = TransactWriteItemsOutput;
    type Error = TransactWriteItemsError;
}

/// What a write replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// This version; 0: there is none.
    Version(u64),
    /// An item that is not one of the configuration, placed by hand or damaged. The next version is
    /// the one after this.
    Malformed(u64),
}

impl Replaced {
    fn next(self) -> u64 {
        match self {
            Self::Version(version) | Self::Malformed(version) => version + 1,
        }
    }
}

/// Result of a write.
#[derive(Clone, PartialEq, Eq)]
pub enum ConfigWrite {
    /// Written as this version.
    Written(u64),
    /// The current version is not the expected one: nothing was written. The current version, if
    /// there is one.
    Conflict(Option<ConfigVersion>),
}

impl Store {
    /// Writes `document` in place of `replaced`, and keeps it in the history.
    ///
    /// # Errors
    /// [`ConfigReadError`]: not known to be written.
    pub async fn write_config(
        &self,
        replaced: Replaced,
        document: &str,
        author: &str,
        now: Timestamp,
    ) -> Result<ConfigWrite, ConfigReadError> {
        let item = ConfigItem::Config;
        let written = sealed_item(item, &self.keyring, replaced.next(), document, author, now);
        self.write_config_item(item, &self.keyring, replaced, written)
            .await
    }

    /// Writes `credentials` in place of `replaced`, sealed under `carrier_seal`. To add a
    /// carrier, write its credentials before the document that names it.
    ///
    /// # Errors
    /// [`ConfigReadError`]: not known to be written.
    pub async fn write_config_secrets(
        &self,
        carrier_seal: &Keyring,
        replaced: Replaced,
        credentials: &str,
        author: &str,
        now: Timestamp,
    ) -> Result<ConfigWrite, ConfigReadError> {
        let item = ConfigItem::ConfigSecrets;
        let written = sealed_item(
            item,
            carrier_seal,
            replaced.next(),
            credentials,
            author,
            now,
        );
        self.write_config_item(item, carrier_seal, replaced, written)
            .await
    }

    /// Seals `version` of the history again, under the current key. Returns whether it was still
    /// there: each place keeps the newest of its versions.
    ///
    /// # Errors
    /// [`ConfigReadError`]: not known to be written.
    pub async fn reseal_config_version(
        &self,
        version: &ConfigVersion,
    ) -> Result<bool, ConfigReadError> {
        let Some(document) = &version.text else {
            return Ok(false);
        };
        let (number, author) = (version.version, version.author.as_str());
        let item = ConfigItem::Config;
        let mut resealed = sealed_item(
            item,
            &self.keyring,
            number,
            document,
            author,
            version.written_at,
        );
        resealed.extend(key_item(&history_key(number % HISTORY_LENGTH)));
        let condition = Condition::of_version(number);
        let write = self
            .put_item()
            .set_item(Some(resealed))
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        let Err(error) = self.send_put(write).await else {
            return Ok(true);
        };
        let is_replaced = matches!(
            error.as_service_error(),
            Some(PutItemError::ConditionalCheckFailedException(_))
        );
        match is_replaced {
            true => Ok(false),
            false => Err(StoreError::request(error).into()),
        }
    }

    async fn write_config_item(
        &self,
        item: ConfigItem,
        keyring: &Keyring,
        replaced: Replaced,
        written: Item,
    ) -> Result<ConfigWrite, ConfigReadError> {
        for _ in 0..TRIES_MAX {
            let condition = match replaced {
                Replaced::Version(version) => Condition::of_version(version),
                Replaced::Malformed(_) => match self.stored_config_item(item, true).await? {
                    None => return Ok(ConfigWrite::Conflict(None)),
                    Some(stored) => match open(item, keyring, &stored) {
                        Some(current) => return Ok(ConfigWrite::Conflict(Some(current))),
                        None => Condition::of_same(&stored),
                    },
                },
            };
            // Makes a retry by the client idempotent. The next try is another transaction.
            let token = HEXLOWER.encode(&random_bytes::<16>());
            let mut write = TransactWriteItemsInput::builder().client_request_token(token);
            write = write.transact_items(self.put_of(item.key(), &written, condition)?);
            if item == ConfigItem::Config {
                let key = history_key(replaced.next() % HISTORY_LENGTH);
                write = write.transact_items(self.put_of(&key, &written, Condition::default())?);
            }
            let written = self.client.call(TransactWriteItems::new(), write.build());
            let Err(error) = written.await else {
                return Ok(ConfigWrite::Written(replaced.next()));
            };
            let is_cancelled = matches!(
                error.as_service_error(),
                Some(TransactWriteItemsError::TransactionCanceledException(_))
            );
            if !is_cancelled {
                return Err(StoreError::request(error).into());
            }
            if let Replaced::Version(expected) = replaced {
                let current = self.read_config_item(item, keyring, true).await?;
                if current.as_ref().map_or(0, |current| current.version) != expected {
                    return Ok(ConfigWrite::Conflict(current));
                }
            }
            // Another transaction was in flight, and has failed or is not done.
            conflict_backoff().await;
        }
        Err(StoreError::Conflict.into())
    }

    /// Puts `written` under `key`, under `condition`.
    fn put_of(
        &self,
        key: &[u8],
        written: &Item,
        condition: Condition,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item = written.clone();
        item.extend(key_item(key));
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = put
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        let put = put.build().map_err(StoreError::request)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// The condition of a put, with its names and values.
#[derive(Default)]
struct Condition {
    expression: Option<String>,
    names: Option<HashMap<String, String>>,
    values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    /// The item has this version; 0: there is none.
    fn of_version(version: u64) -> Self {
        if version == 0 {
            return Self {
                expression: Some("attribute_not_exists(pk)".to_owned()),
                ..Self::default()
            };
        }
        Self {
            expression: Some("#version = :expected".to_owned()),
            names: Some([("#version".to_owned(), VERSION.to_owned())].into()),
            values: Some([(":expected".to_owned(), number_value(version))].into()),
        }
    }

    /// The item has the format and the version of `stored`, whatever they are.
    fn of_same(stored: &Item) -> Self {
        let mut values = HashMap::new();
        let clauses = [("format", FORMAT), ("version", VERSION)].map(|(token, attribute)| {
            let Some(value) = stored.get(attribute) else {
                return format!("attribute_not_exists(#{token})");
            };
            values.insert(format!(":{token}"), value.clone());
            format!("#{token} = :{token}")
        });
        let names = [("#format", FORMAT), ("#version", VERSION)];
        let names = names.map(|(token, attribute)| (token.to_owned(), attribute.to_owned()));
        Self {
            expression: Some(format!(
                "attribute_exists(pk) AND {}",
                clauses.join(" AND ")
            )),
            names: Some(names.into()),
            values: (!values.is_empty()).then_some(values),
        }
    }
}

/// The item of a version, without its key.
pub(super) fn sealed_item(
    item: ConfigItem,
    keyring: &Keyring,
    version: u64,
    document: &str,
    author: &str,
    now: Timestamp,
) -> Item {
    let author: String = author.chars().take(AUTHOR_CHARS_MAX).collect();
    let sealed = keyring.seal(item.sealed_for(version), document);
    Item::from([
        (FORMAT.into(), number_value(ITEM_FORMAT)),
        (VERSION.into(), number_value(version)),
        (DOCUMENT.into(), binary(&sealed)),
        (WRITTEN_AT.into(), number_value(now.0)),
        (AUTHOR.into(), text(author)),
    ])
}
