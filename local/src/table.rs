//! The table that the functions share, as the local server itself sees it: created at the start,
//! shown raw, and cleared of expired items. It is in the embedded engine, or in another DynamoDB.

use std::sync::Arc;

use data_encoding::BASE64;
use otp::platform::in_process::{InProcessServer, InProcessServers};
use otp::store::is_config_key;
use serde_json::{Value, json};

use crate::dynamodb::{Engine, EngineError, create_table_request};
use crate::dynamodb_calls::EngineTable;
use crate::remote_dynamodb::{RemoteDynamoDb, RemoteError};
use crate::template::{TableKey, Template};

/// The table.
pub(crate) struct Table {
    database: TableDatabase,
    name: String,
    key: TableKey,
    ttl_attribute: String,
}

/// Where the table is.
pub(crate) enum TableDatabase {
    Embedded(Engine),
    Remote(Box<RemoteDynamoDb>),
}

/// Why a call for the table failed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl Table {
    /// Creates the table that the template describes, unless it exists.
    pub(crate) async fn open(
        name: String,
        database: TableDatabase,
        template: &Template,
    ) -> Result<Self, TableError> {
        let key = template.table_key.clone();
        let create = create_table_request(&name, &key.attribute, &key.kind);
        match &database {
            TableDatabase::Embedded(engine) => engine.create_table(create)?,
            TableDatabase::Remote(remote) => remote.create_table(create).await?,
        }
        Ok(Self {
            database,
            name,
            key,
            ttl_attribute: template.ttl_attribute.clone(),
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What handlers in this process call without HTTP, in the place of `url`.
    pub(crate) fn servers(&self, url: &str) -> InProcessServers {
        let dynamodb = match &self.database {
            TableDatabase::Embedded(engine) => Some(InProcessServer {
                table: Some(Arc::new(EngineTable(engine.clone()))),
                ..engine.server(url)
            }),
            TableDatabase::Remote(_) => None,
        };
        InProcessServers {
            dynamodb,
            sqs: None,
        }
    }

    /// All items, raw.
    pub(crate) async fn items(&self) -> Result<Vec<Value>, TableError> {
        match &self.database {
            TableDatabase::Embedded(engine) => Ok(engine.scan_all(&self.name)?),
            TableDatabase::Remote(remote) => Ok(remote.scan_all(&self.name).await?),
        }
    }

    /// Deletes the items whose time to live is over, as DynamoDB does at some later time.
    pub(crate) async fn delete_expired(&self, now_seconds: i64) -> Result<(), TableError> {
        for item in self.items().await? {
            let ttl = item[&self.ttl_attribute]["N"]
                .as_str()
                .and_then(|ttl| ttl.parse::<i64>().ok());
            if ttl.is_none_or(|ttl| ttl > now_seconds) {
                continue;
            }
            let delete = json!({
                "TableName": self.name, "Key": {(&self.key.attribute): item[&self.key.attribute]},
                "ConditionExpression": "#ttl <= :now",
                "ExpressionAttributeNames": {"#ttl": self.ttl_attribute},
                "ExpressionAttributeValues": {":now": {"N": now_seconds.to_string()}},
            });
            // The condition fails if a function has extended the item's life meanwhile: then the
            // item stays.
            let _ = self.delete(delete).await;
        }
        Ok(())
    }

    /// Deletes all items but those of the configuration.
    pub(crate) async fn clear(&self) -> Result<(), TableError> {
        for item in self.items().await? {
            let key = item[&self.key.attribute]["B"].as_str().unwrap_or_default();
            let key = BASE64.decode(key.as_bytes());
            if key.is_ok_and(|key| is_config_key(&key)) {
                continue;
            }
            let key = json!({(&self.key.attribute): item[&self.key.attribute]});
            self.delete(json!({"TableName": self.name, "Key": key}))
                .await?;
        }
        Ok(())
    }

    async fn delete(&self, delete: Value) -> Result<(), TableError> {
        match &self.database {
            TableDatabase::Embedded(engine) => Ok(engine.delete_item(delete)?),
            TableDatabase::Remote(remote) => {
                remote.call("DeleteItem", delete).await?;
                Ok(())
            }
        }
    }
}
