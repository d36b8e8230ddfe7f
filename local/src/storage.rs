//! All that the server stores: table, queue, keys, clock, and what identifies the simulated
//! carriers. With `--data` it outlives a restart, otherwise it is in memory.

use std::path::PathBuf;

use otp::platform::clock::Clock;
use otp::platform::in_process::InProcessServers;

use crate::data_dir::{DataDir, DataDirLock};
use crate::dynamodb::Engine;
use crate::dynamodb_clock_proxy;
use crate::functions::BuiltFunctions;
use crate::internal_port::bind_internal_port;
use crate::queue::LocalQueue;
use crate::queue_store::QueueStore;
use crate::remote_dynamodb::RemoteDynamoDb;
use crate::secrets::{ApiKeysError, Secrets};
use crate::simulated_carriers::ReservedCarriers;
use crate::simulated_clock::SimulatedClock;
use crate::start_error::StartError;
use crate::table::{Table, TableDatabase};
use crate::template::Template;
use crate::variables::ProcessVariables;

/// Name of the table. In another DynamoDB, `OTP_TABLE` may set another name.
const TABLE: &str = "otp";
/// Name of the engine's file in the data directory.
const ENGINE_FILE: &str = "table.db";

/// The opened storage.
pub(crate) struct Storage {
    pub(crate) lock: Option<DataDirLock>,
    pub(crate) secrets: Secrets,
    /// Reported with the errors in all other settings.
    pub(crate) api_keys_error: Option<ApiKeysError>,
    pub(crate) table: Table,
    pub(crate) dynamodb_url: String,
    /// The table as the functions reach it.
    pub(crate) functions_dynamodb_url: String,
    /// The embedded engine without HTTP.
    pub(crate) servers: InProcessServers,
    pub(crate) queue: LocalQueue,
    pub(crate) clock: SimulatedClock,
    pub(crate) carriers: ReservedCarriers,
}

impl Storage {
    /// Opens what is stored in the directory `data`. `remote_url` is that of another DynamoDB.
    pub(crate) async fn open(
        data: Option<PathBuf>,
        remote_url: Option<String>,
        functions: Option<&BuiltFunctions>,
        process: &ProcessVariables,
        template: &Template,
    ) -> Result<Self, StartError> {
        let (data_dir, lock) = data.map(DataDir::lock).transpose()?.unzip();
        let (secrets, api_keys_error) = Secrets::open(data_dir.as_ref(), |name| process.get(name))?;
        // Before any other port, which could be one of theirs.
        let carriers = ReservedCarriers::open(data_dir.as_ref())?;
        let clock = Clock::default();
        let engine = match &data_dir {
            Some(data_dir) => Engine::in_file(&data_dir.file(ENGINE_FILE))?,
            None => Engine::in_memory()?,
        };
        let queue_store = match &data_dir {
            Some(_) => Some(QueueStore::open(engine.clone())?),
            None => None,
        };
        let (database, name, dynamodb_url) = match remote_url {
            Some(url) => {
                let remote = RemoteDynamoDb::new(url.clone(), clock.clone());
                let name = process.get("OTP_TABLE").unwrap_or_else(|| TABLE.into());
                (TableDatabase::Remote(Box::new(remote)), name, url)
            }
            None => {
                let (listener, url) = bind_internal_port().await?;
                engine.serve(listener);
                (TableDatabase::Embedded(engine), TABLE.into(), url)
            }
        };
        let table = Table::open(name, database, template).await?;
        let moved_clock = functions.and_then(|functions| functions.moved_clock.as_ref());
        let can_advance = functions.is_none() || moved_clock.is_some();
        let simulated_clock =
            SimulatedClock::open(clock.clone(), can_advance, data_dir, moved_clock)?;
        let functions_dynamodb_url = match moved_clock {
            Some(_) => dynamodb_clock_proxy::serve(dynamodb_url.clone(), clock.clone()).await?,
            None => dynamodb_url.clone(),
        };
        let queue = LocalQueue::open(
            queue_store,
            clock,
            template.receives_max,
            template.visibility_seconds,
        )?;
        Ok(Self {
            lock,
            secrets,
            api_keys_error,
            servers: table.servers(&dynamodb_url),
            table,
            dynamodb_url,
            functions_dynamodb_url,
            queue,
            clock: simulated_clock,
            carriers,
        })
    }
}
