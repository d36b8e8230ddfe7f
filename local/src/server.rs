//! Starts the local server: reserves ports, opens the data, validates the settings, and connects
//! the parts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use otp::api::twilio::account::Account;
use tokio::task::JoinHandle;

use crate::data_dir::DataDirLock;
use crate::functions::BuiltFunctions;
use crate::gateway::{self, Gateway};
use crate::listen::Listen;
use crate::origin_check::OriginCheck;
use crate::page;
use crate::plain_openapi::api_document;
use crate::preset::Preset;
use crate::proxy_urls::Wires;
use crate::secrets;
use crate::start_error::StartError;
use crate::start_services::ServicesStart;
use crate::storage::Storage;
use crate::template::Template;
use crate::variables::{ProcessVariables, Variables};

/// How to start.
pub struct Options {
    /// The addresses.
    pub listen: Listen,
    /// Variables between those of the process and the defaults.
    pub preset: Option<Preset>,
    /// The directory of all data, created if missing. Without it all data is in memory.
    pub data: Option<PathBuf>,
    /// The variables of the process.
    pub variables: Variables,
    /// URLs that the functions use instead of those of the table, the queue and SNS.
    pub wires: Wires,
    /// The built functions, to run as processes. Without them their handlers run in this process.
    pub functions: Option<BuiltFunctions>,
    /// The http URL of another DynamoDB, to use instead of the embedded engine.
    pub dynamodb: Option<String>,
}

/// A running server. Its tasks end with the runtime; dropping it releases the data directory.
pub struct Server {
    /// The address on which it listens.
    pub address: SocketAddr,
    /// App and API key, in the order given.
    pub api_keys: Vec<(String, String)>,
    /// The sids of each app in Twilio's dialect.
    pub accounts: Vec<Account>,
    /// The URL of DynamoDB itself.
    pub dynamodb_url: String,
    /// The name of the table.
    pub table: String,
    /// The URL of SQS and SNS themselves.
    pub sqs_url: String,
    serving: JoinHandle<()>,
    _lock: Option<DataDirLock>,
}

impl Server {
    /// Starts all parts and listens.
    ///
    /// # Errors
    /// One line per problem: a port in use, invalid settings, data that cannot be used.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (address, listeners) = options.listen.bind().await?;
        let template = Arc::new(Template::read()?);
        let process = Arc::new(ProcessVariables::new(options.variables));
        let functions = options.functions;
        let storage = Storage::open(
            options.data,
            options.dynamodb,
            functions.as_ref(),
            &process,
            &template,
        )
        .await?;
        let start = ServicesStart {
            built: functions.as_ref(),
            wires: options.wires,
            address,
            process: &process,
            preset: options.preset,
            template: &template,
            storage: &storage,
        };
        let services = start.start().await?;
        let table = storage.table.name().to_owned();
        let gateway = Gateway {
            page: page::render(&storage.secrets.api_keys),
            openapi: api_document().map_err(StartError::OpenApi)?,
            base: services.base,
            template,
            functions: services.functions,
            table: storage.table,
            dynamodb_url: storage.dynamodb_url,
            sqs_url: services.sqs_url.clone(),
            queue: storage.queue,
            carriers: services.carriers,
            configured_carriers: services.configured_carriers,
            simulated_carriers: services.simulated_carriers,
            keys: secrets::fingerprint(&storage.secrets.document),
            api_keys: secrets::api_keys(&storage.secrets.document),
            restart_functions: services.restart_functions,
            metrics: services.metrics,
            clock: storage.clock,
        };
        otp::domain::phone::warm_up(["US"].into_iter());
        let check = OriginCheck::new(&options.listen, address.port());
        Ok(Self {
            address,
            api_keys: storage.secrets.api_keys,
            accounts: services.accounts,
            dynamodb_url: storage.functions_dynamodb_url,
            table,
            sqs_url: services.sqs_url,
            serving: tokio::spawn(gateway::serve(listeners, check, gateway)),
            _lock: storage.lock,
        })
    }

    /// Runs until the HTTP server stops, which it does with the process.
    pub async fn run(self) {
        // A task that was cancelled or has panicked has stopped as well.
        let _ = self.serving.await;
    }
}
