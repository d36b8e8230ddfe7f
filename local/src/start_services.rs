//! Validates the settings, then starts the simulated carriers, SQS and SNS, and the functions.

use std::net::SocketAddr;
use std::sync::Arc;

use otp::api::routing::BasePath;
use otp::api::twilio::account::Account;
use otp::config::{Environment, OwnedVariables};
use otp::crypto::keyring::Keyring;
use otp::platform::aws::Service;
use otp::platform::clock::Clock;
use otp::platform::environment::LAMBDA_BYTES_MAX;
use otp::service::deliver::breakers::Breakers;
use otp::store::Store;

use crate::configured_carriers::{ConfiguredCarriers, real_carriers};
use crate::functions::{BuiltFunctions, Functions, InProcess, Processes, most_bytes};
use crate::internal_port::bind_internal_port;
use crate::metrics::RecordedMetrics;
use crate::preset::Preset;
use crate::proxy_urls::Wires;
use crate::secrets::ApiKeysError;
use crate::settings::Settings;
use crate::simulated_carriers::{MessageOwners, SimulatedCarriers};
use crate::start_error::StartError;
use crate::storage::Storage;
use crate::stored_configuration::StoredConfiguration;
use crate::template::Template;
use crate::variables::{FunctionVariables, ProcessVariables};
use crate::{local_aws, queue_trigger, sqs_sns};

/// The functions, and what they call.
pub(crate) struct Services {
    pub(crate) accounts: Vec<Account>,
    pub(crate) functions: Functions,
    /// Lets the functions start over with new state.
    pub(crate) restart_functions: Box<dyn Fn() + Send + Sync>,
    pub(crate) carriers: SimulatedCarriers,
    pub(crate) configured_carriers: ConfiguredCarriers,
    /// `OTP_CARRIERS` with the simulated carriers, if they are used.
    pub(crate) simulated_carriers: Option<String>,
    pub(crate) metrics: RecordedMetrics,
    pub(crate) sqs_url: String,
    /// The path of `OTP_PUBLIC_URL`.
    pub(crate) base: BasePath,
}

/// What the services start with.
pub(crate) struct ServicesStart<'a> {
    pub(crate) built: Option<&'a BuiltFunctions>,
    pub(crate) wires: Wires,
    /// Of the HTTP server.
    pub(crate) address: SocketAddr,
    pub(crate) process: &'a Arc<ProcessVariables>,
    pub(crate) preset: Option<Preset>,
    pub(crate) template: &'a Arc<Template>,
    pub(crate) storage: &'a Storage,
}

impl ServicesStart<'_> {
    /// Validates the settings and starts the services.
    pub(crate) async fn start(self) -> Result<Services, StartError> {
        let (storage, template) = (self.storage, self.template);
        let (clock, queue) = (storage.clock.clock(), &storage.queue);
        let (aws_listener, sqs_url) = bind_internal_port().await?;
        let variables = FunctionVariables::new(
            self.process,
            template,
            self.address,
            storage.table.name(),
            self.wires
                .endpoints(&storage.functions_dynamodb_url, &sqs_url),
            &storage.secrets,
            &storage.carriers,
        )
        .with_preset(self.preset);
        let settings = read_settings(&variables, storage.api_keys_error)?;
        let owners = message_owners(storage, &settings);
        let base = BasePath::of(settings.verify.public_url.as_deref());
        let accounts = accounts(storage, &settings.verify.keyring);
        let simulated_carriers = variables.simulated_carriers();
        let lookup: OwnedVariables = Arc::new(move |name| variables.get(name));
        let configuration = StoredConfiguration::new(lookup.clone(), owners.store.clone());
        // Reads the breakers directly, and not through the `Wires`.
        let breakers = Breakers::new(owners.store.clone(), &owners.keyring, clock.clone());
        let carriers = &storage.carriers;
        let carriers = carriers.start(owners, clock.clone(), queue.clone()).await;
        let carriers = carriers.map_err(StartError::InternalPort)?;
        log_start(&lookup, template, &configuration, &carriers).await;
        let configured_carriers =
            ConfiguredCarriers::new(configuration, carriers.clone(), breakers);
        sqs_sns::serve(aws_listener, queue.clone(), carriers.clone());
        let mut servers = storage.servers.clone();
        servers.sqs = Some(sqs_sns::server(&sqs_url, queue.clone()));
        let environment = Environment {
            variables: lookup,
            servers,
        };
        let metrics = RecordedMetrics::new(template.metric_filters.clone());
        let functions = start_functions(self.built, template, &environment, clock, &metrics)?;
        let batches = queue_trigger::run(functions.clone(), queue.clone(), template.batch_size);
        tokio::spawn(batches);
        let restart_functions = {
            let (functions, clock, metrics) = (functions.clone(), clock.clone(), metrics.clone());
            Box::new(move || functions.restart(&environment, &clock, &metrics))
        };
        Ok(Services {
            accounts,
            functions,
            restart_functions,
            carriers,
            configured_carriers,
            simulated_carriers,
            metrics,
            sqs_url,
            base,
        })
    }
}

/// The functions as processes if they are built, or else as handlers in this process.
fn start_functions(
    built: Option<&BuiltFunctions>,
    template: &Template,
    environment: &Environment,
    clock: &Clock,
    metrics: &RecordedMetrics,
) -> Result<Functions, StartError> {
    if let Some(built) = built {
        let variables = &*environment.variables;
        let processes = Processes::new(built, template, clock, metrics, variables)?;
        return Ok(Functions::Processes(processes));
    }
    let started = InProcess::new(environment, clock, metrics);
    Ok(Functions::InProcess(
        started.map_err(|error| StartError::Settings(error.0))?,
    ))
}

/// Logs what the operator should look at, each once, and the space that the variables would take
/// on Lambda. A stored document that cannot be used ends nothing: the operator's commands, which
/// replace it, need this server.
async fn log_start(
    variables: &OwnedVariables,
    template: &Template,
    configuration: &StoredConfiguration,
    carriers: &SimulatedCarriers,
) {
    match configuration.read().await {
        Ok(in_force) => {
            for warning in in_force.settings.warnings() {
                tracing::warn!("{warning}");
            }
            let real = real_carriers(&in_force, carriers);
            if !real.is_empty() {
                tracing::warn!(
                    carriers = real.join(", "),
                    "real carriers: messages leave this machine, reach people and cost money"
                );
            }
        }
        Err(problems) => tracing::error!(
            problems = problems.join("; "),
            "the stored configuration cannot be used, so requests fail; `config rollback` or \
             `config apply` replaces it"
        ),
    }
    let (function, bytes) = most_bytes(template, |name| variables(name));
    let message = "bytes of variables, as Lambda would count them";
    match bytes > LAMBDA_BYTES_MAX {
        true => tracing::warn!(
            function,
            bytes,
            bytes_max = LAMBDA_BYTES_MAX,
            "too many {message}"
        ),
        false => tracing::info!(function, bytes, bytes_max = LAMBDA_BYTES_MAX, "{message}"),
    }
}

/// The settings of all functions; all problems are reported at once.
fn read_settings(
    variables: &FunctionVariables,
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

/// The accounts of the apps that have an API key, in the order given.
fn accounts(storage: &Storage, keyring: &Keyring) -> Vec<Account> {
    let mut accounts: Vec<Account> = vec![];
    for (app, _) in &storage.secrets.api_keys {
        if !accounts.iter().any(|account| account.app == *app) {
            accounts.push(Account::of(app, keyring));
        }
    }
    accounts
}

/// Reads the table directly, and not through the [`Wires`].
fn message_owners(storage: &Storage, settings: &Settings) -> MessageOwners {
    let keyring = settings.verify.keyring.clone();
    let aws = local_aws::aws(storage.dynamodb_url.clone()).with_servers(storage.servers.clone());
    let table = storage.table.name().to_owned();
    let api_keys = storage.secrets.api_keys.iter();
    MessageOwners {
        store: Store::new(aws.client(Service::DynamoDb), table, keyring.clone()),
        keyring,
        apps: api_keys.map(|(app, _)| app.clone()).collect(),
    }
}
