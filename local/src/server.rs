//! Starts the local server: reserves ports, opens the data, validates the settings, and connects
//! the parts.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use otp::api::routing::BasePath;
use otp::platform::aws::Service;
use otp::store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::data_dir::DataDirLock;
use crate::functions::{BuiltFunctions, Functions, InProcess, Processes};
use crate::gateway::{self, Gateway};
use crate::internal_port::bind_internal_port;
use crate::metrics::RecordedMetrics;
use crate::secrets::ApiKeysError;
use crate::settings::Settings;
use crate::simulated_carriers::{MessageOwners, ReservedCarriers, SimulatedCarriers};
use crate::start_error::StartError;
use crate::storage::Storage;
use crate::template::Template;
use crate::variables::{Endpoints, FunctionVariables, ProcessVariables, Variables};
use crate::{local_aws, page, queue_trigger, sqs_sns};

const OPENAPI: &str = include_str!("../../shared/openapi.yaml");

/// How to start.
pub struct Options {
    /// Port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
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

/// URLs in front of the table, the queue and SNS: tests put a faulty proxy there. The [`Server`]
/// has the URLs behind them.
#[derive(Default)]
pub struct Wires {
    /// In front of DynamoDB.
    pub dynamodb: Option<String>,
    /// In front of SQS.
    pub sqs: Option<String>,
    /// In front of SNS, which also serves the certificates for its signatures.
    pub sns: Option<String>,
}

/// A running server. Its tasks end with the runtime; dropping it releases the data directory.
pub struct Server {
    /// The address on which it listens.
    pub address: SocketAddr,
    /// App and API key, in the order given.
    pub api_keys: Vec<(String, String)>,
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
        let listener = bind(options.port).await?;
        let address = listener.local_addr().map_err(StartError::InternalPort)?;
        let template = Template::read()?;
        let process = ProcessVariables::new(options.variables);
        let functions = options.functions;
        let storage = Storage::open(
            options.data,
            options.dynamodb,
            functions.as_ref(),
            &process,
            &template,
        )
        .await?;
        let services = start_services(
            functions.as_ref(),
            options.wires,
            address,
            &process,
            &template,
            &storage,
        )
        .await?;
        let table = storage.table.name().to_owned();
        let gateway = Gateway {
            page: page::render(&storage.secrets.api_keys),
            openapi: serde_norway::from_str(OPENAPI).map_err(StartError::OpenApi)?,
            base: services.base,
            template,
            functions: services.functions,
            table: storage.table,
            queue: storage.queue,
            carriers: services.carriers,
            metrics: services.metrics,
            clock: storage.clock,
        };
        otp::domain::phone::warm_up();
        Ok(Self {
            address,
            api_keys: storage.secrets.api_keys,
            dynamodb_url: storage.functions_dynamodb_url,
            table,
            sqs_url: services.sqs_url,
            serving: tokio::spawn(gateway::serve(listener, address.port(), gateway)),
            _lock: storage.lock,
        })
    }

    /// Runs until the HTTP server stops, which it does with the process.
    pub async fn run(self) {
        // A task that was cancelled or has panicked has stopped as well.
        let _ = self.serving.await;
    }
}

/// Listens on `port`, the one of `--port`.
async fn bind(port: u16) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    listener.map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => StartError::PortInUse { port },
        _ => StartError::Port { port, source },
    })
}

/// The functions, and what they call.
struct Services {
    functions: Functions,
    carriers: SimulatedCarriers,
    metrics: RecordedMetrics,
    sqs_url: String,
    base: BasePath,
}

/// Validates the settings, then starts the simulated carriers, SQS and SNS, and the functions.
async fn start_services(
    built: Option<&BuiltFunctions>,
    wires: Wires,
    address: SocketAddr,
    process: &ProcessVariables,
    template: &Template,
    storage: &Storage,
) -> Result<Services, StartError> {
    let (clock, queue) = (storage.clock.clock(), &storage.queue);
    let reserved = ReservedCarriers::new().map_err(StartError::InternalPort)?;
    let (aws_listener, sqs_url) = bind_internal_port().await?;
    let variables = FunctionVariables::new(
        process,
        template,
        address,
        storage.table.name(),
        wires.endpoints(&storage.functions_dynamodb_url, &sqs_url),
        &storage.secrets,
        &reserved,
    );
    let settings = read_settings(&variables, storage.api_keys_error)?;
    let owners = message_owners(storage, &settings);
    let base = BasePath::of(settings.verify.public_url.as_deref());
    let carriers = reserved.start(owners, clock.clone(), queue.clone()).await;
    let carriers = carriers.map_err(StartError::InternalPort)?;
    sqs_sns::serve(aws_listener, queue.clone(), carriers.clone());
    let metrics = RecordedMetrics::default();
    let functions = match built {
        Some(built) => {
            let variable = |name: &str| variables.get(name);
            let processes = Processes::new(built, template, clock, &metrics, variable)?;
            Functions::Processes(processes)
        }
        None => Functions::InProcess(Arc::new(InProcess::new(settings, clock, &metrics))),
    };
    let batches = queue_trigger::run(functions.clone(), queue.clone(), template.batch_size);
    tokio::spawn(batches);
    Ok(Services {
        functions,
        carriers,
        metrics,
        sqs_url,
        base,
    })
}

impl Wires {
    /// The URLs that the functions use.
    fn endpoints(self, dynamodb_url: &str, sqs_url: &str) -> Endpoints {
        let or = |wire: Option<String>, url: &str| wire.unwrap_or_else(|| url.to_owned());
        Endpoints {
            dynamodb_url: or(self.dynamodb, dynamodb_url),
            sqs_url: or(self.sqs, sqs_url),
            sns_url: or(self.sns, sqs_url),
            queue_url: format!("{sqs_url}/queue"),
        }
    }
}

/// The settings of all functions; all problems are reported at once.
fn read_settings(
    variables: &FunctionVariables<'_>,
    api_keys_error: Option<ApiKeysError>,
) -> Result<Settings, StartError> {
    match (Settings::read(&|name| variables.get(name)), api_keys_error) {
        (Ok(settings), None) => Ok(settings),
        (settings, api_keys_error) => {
            let mut problems = settings.err().unwrap_or_default();
            problems.extend(api_keys_error.map(|error| error.to_string()));
            Err(StartError::Settings(problems))
        }
    }
}

/// Reads the table directly, and not through the [`Wires`].
fn message_owners(storage: &Storage, settings: &Settings) -> MessageOwners {
    let keyring = settings.verify.keyring.clone();
    let aws = local_aws::aws(storage.dynamodb_url.clone());
    let table = storage.table.name().to_owned();
    let api_keys = storage.secrets.api_keys.iter();
    MessageOwners {
        store: Store::new(&aws.config(Service::DynamoDb), table, keyring.clone()),
        keyring,
        apps: api_keys.map(|(app, _)| app.clone()).collect(),
    }
}
