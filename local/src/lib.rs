//! The service on one machine: the real handlers behind an HTTP server, with an embedded DynamoDB-compatible engine, an
//! in-process queue and a simulated phone network. Nothing of the functions is replaced: they are given other URLs. They
//! can run as they are deployed, as processes under a Lambda Runtime API, and with another DynamoDB.

mod aws;
mod callers;
mod directory;
mod engine;
mod figures;
mod functions;
mod gateway;
mod network;
mod phones;
mod ports;
mod queue;
mod remote;
mod runtime;
mod secrets;
mod template;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otp::config::{CallbackConfig, SendConfig, VerifyConfig, WorkerConfig};
use otp::platform::clock::Clock;
use otp::store::Store;

use directory::{Held, write_whole};
use engine::Engine;
use figures::Figures;
use functions::Worker;
pub use functions::{BuiltFunctions, MovedClock};
use gateway::{CLOCK_MILLIS_MAX, Gateway};
use network::{CarrierKeys, Network};
use queue::LocalQueue;
use remote::Remote;
use secrets::Secrets;
use template::Template;

/// A round of send, deliver and check is many small allocations, in the engine and in the SDK that calls it: the C
/// library's allocator takes a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batches that workers have at a time.
const WORKERS: usize = 16;
/// Name of the table that the functions share; at another DynamoDB it may have another.
const TABLE: &str = "otp";

/// A lookup of variables by name.
pub type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How to start.
pub struct Options {
    /// Port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Where everything is kept; in memory, if `None`.
    pub data: Option<PathBuf>,
    /// The environment's variables.
    pub variables: Variables,
    /// Where the functions reach the table, the queue and SNS, if not directly: tests put a faulty wire in between.
    pub wires: Wires,
    /// The functions as built, in the place of their handlers in this process.
    pub functions: Option<BuiltFunctions>,
    /// URL of another DynamoDB, in the place of the embedded engine. The variable `OTP_TABLE` names the table there.
    pub dynamodb: Option<String>,
}

/// URLs that stand in front of the engine, of the queue and of SNS. What is behind the first two is told by the [`Server`].
#[derive(Default)]
pub struct Wires {
    /// In front of the engine.
    pub dynamodb: Option<String>,
    /// In front of the queue.
    pub sqs: Option<String>,
    /// In front of SNS, which also has the certificates that it signs with.
    pub sns: Option<String>,
}

impl Wires {
    /// The variables that tell the functions of them, or of what is behind them where none is in front.
    fn variables(self, dynamodb_url: &str, sqs_url: &str) -> [(&'static str, String); 4] {
        [
            (
                "AWS_ENDPOINT_URL_DYNAMODB",
                self.dynamodb.unwrap_or_else(|| dynamodb_url.to_owned()),
            ),
            (
                "AWS_ENDPOINT_URL_SQS",
                self.sqs.unwrap_or_else(|| sqs_url.to_owned()),
            ),
            (
                "AWS_ENDPOINT_URL_SNS",
                self.sns.unwrap_or_else(|| sqs_url.to_owned()),
            ),
            ("OTP_QUEUE_URL", format!("{sqs_url}/queue")),
        ]
    }
}

/// A running server. Its tasks end with the runtime.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// App and API key.
    pub api_keys: Vec<(String, String)>,
    /// The engine itself.
    pub dynamodb_url: String,
    /// The table.
    pub table: String,
    /// The queue itself.
    pub sqs_url: String,
    serving: tokio::task::JoinHandle<()>,
    /// Nobody else has the directory while this lives.
    _held: Option<Held>,
}

impl Server {
    /// Starts everything and listens.
    ///
    /// # Errors
    /// A line for each thing that is wrong: a port in use, a bad setting.
    pub async fn start(options: Options) -> Result<Self, String> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port))
            .await
            .map_err(|error| {
                format!("--port: 127.0.0.1:{} cannot be used: {error}", options.port)
            })?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let template = Template::read()?;
        let held = options.data.as_deref().map(Held::take).transpose()?;
        let variable = |name: &str| (options.variables)(name).filter(|value| !value.is_empty());
        let (secrets, wrong_keys) = Secrets::open(options.data.as_deref(), &variable)?;
        let clock = Clock::default();
        let engine = open_engine(&options, &variable, &template, &clock).await?;
        let moved_clock = options
            .functions
            .as_ref()
            .and_then(|built| built.moved_clock.as_ref());
        let keep_clock = kept_clock(options.data.as_ref(), moved_clock, &clock)?;

        let kept_in = options.data.is_some().then(|| engine.clone());
        let queue = LocalQueue::open(
            kept_in,
            clock.clone(),
            template.receives_max,
            template.visibility_seconds,
        )?;
        let carrier_keys: Vec<CarrierKeys> = (0..=network::CARRIERS.len())
            .map(|_| CarrierKeys::fresh())
            .collect::<Result<_, _>>()?;
        let dynamodb_url = match options.dynamodb {
            Some(url) => url,
            None => format!("http://127.0.0.1:{}", engine.serve().await?),
        };
        let mut fixed = fixed_variables(
            &variable,
            address,
            &dynamodb_url,
            engine.table(),
            &secrets,
            &carrier_keys,
        );

        fixed.insert("OTP_QUEUE_URL", "http://127.0.0.1/queue".into());
        let config = read_config(
            &|name| {
                fixed
                    .get(name)
                    .cloned()
                    .or_else(|| variable(name))
                    .or_else(|| template.default_of(name))
            },
            wrong_keys,
        )?;
        let store = Store::new(
            &config.aws.config(otp::platform::aws::Service::DynamoDb),
            engine.table().into(),
            config.keyring.clone(),
        );
        let apps = secrets
            .api_keys
            .iter()
            .map(|(app, _)| app.clone())
            .collect();
        let network = Network::start(
            queue.clone(),
            clock.clone(),
            apps,
            (config.keyring, store),
            carrier_keys,
        )
        .await?;
        let aws_port = aws::serve(queue.clone(), network.clone()).await?;
        let sqs_url = format!("http://127.0.0.1:{aws_port}");
        fixed.extend(options.wires.variables(&dynamodb_url, &sqs_url));
        let figures = Figures::default();
        let value = |name: &str| {
            fixed
                .get(name)
                .cloned()
                .or_else(|| variable(name))
                .or_else(|| template.default_of(name))
        };
        let (functions, worker) = match &options.functions {
            Some(built) => functions::built(built, &template, &clock, &figures, &value)?,
            None => functions::here(&value, &clock, &figures)?,
        };
        tokio::spawn(work(worker, queue.clone(), template.batch_size));
        let table = engine.table().to_owned();
        let clock_moves = options
            .functions
            .as_ref()
            .is_none_or(|built| built.moved_clock.is_some());

        let gateway = Gateway {
            functions,
            page: page(&secrets.api_keys),
            openapi: serde_norway::from_str(include_str!("../../shared/openapi.yaml"))
                .map_err(|error| format!("openapi.yaml: {error}"))?,
            template,
            engine,
            queue,
            network,
            figures,
            clock,
            clock_moves,
            keep_clock,
            advancing: tokio::sync::Mutex::default(),
        };
        otp::domain::phone::warm_up();
        let serving = tokio::spawn(gateway::serve(listener, address.port(), gateway));
        Ok(Self {
            address,
            api_keys: secrets.api_keys,
            dynamodb_url,
            table,
            sqs_url,
            serving,
            _held: held,
        })
    }

    /// Runs until the gateway ends, which it does with the process.
    pub async fn run(self) {
        // A task that was cancelled or panicked has ended as well.
        let _ = self.serving.await;
    }
}

/// The embedded engine, or another DynamoDB, where `OTP_TABLE` may name the table.
async fn open_engine(
    options: &Options,
    variable: &dyn Fn(&str) -> Option<String>,
    template: &Template,
    clock: &Clock,
) -> Result<Engine, String> {
    let file = options
        .data
        .as_ref()
        .map(|directory| directory.join("table.db"));
    let remote = options
        .dynamodb
        .clone()
        .map(|url| Remote::new(url, clock.clone()));
    let table = variable("OTP_TABLE")
        .filter(|_| remote.is_some())
        .unwrap_or_else(|| TABLE.into());
    Engine::open(file.as_deref(), template, table, remote).await
}

/// What the local server itself decides.
fn fixed_variables(
    variable: &dyn Fn(&str) -> Option<String>,
    address: SocketAddr,
    dynamodb_url: &str,
    table: &str,
    secrets: &Secrets,
    carrier_keys: &[CarrierKeys],
) -> HashMap<&'static str, String> {
    let mut fixed = HashMap::from([
        ("AWS_REGION", "local".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_SESSION_TOKEN", String::new()),
        ("AWS_ENDPOINT_URL", String::new()),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url.to_owned()),
        ("OTP_TABLE", table.to_owned()),
        ("OTP_SECRETS", secrets.document.clone()),
    ]);
    if variable("OTP_PUBLIC_URL").is_none() {
        fixed.insert("OTP_PUBLIC_URL", format!("http://{address}"));
    }
    if variable("OTP_CARRIERS").is_none()
        && variable("OTP_DISPATCH").is_none_or(|mode| mode != "sns")
    {
        fixed.insert("OTP_CARRIERS", network::carriers(carrier_keys).to_string());
    }
    fixed
}

/// The configuration of `verify`. A setting may be invalid for one function only, so the problems of
/// all functions are reported, each once.
fn read_config(
    variables: otp::config::Variables<'_>,
    wrong_keys: Option<String>,
) -> Result<VerifyConfig, String> {
    let verify = VerifyConfig::read(variables);
    let others = [
        SendConfig::read(variables).err(),
        CallbackConfig::read(variables).err(),
        WorkerConfig::read(variables).err(),
    ];
    let mut problems: Vec<String> = others
        .into_iter()
        .flatten()
        .flat_map(|error| error.0)
        .collect();
    problems.extend(wrong_keys);
    match verify {
        Ok(config) if problems.is_empty() => return Ok(config),
        Ok(_) => {}
        Err(error) => problems.extend(error.0),
    }
    problems.sort();
    problems.dedup();
    Err(problems.join("\n"))
}

/// The trigger: batches from the queue to the worker, and what it could not do back to the queue.
async fn work(worker: Worker, queue: LocalQueue, batch_size: usize) {
    let free = Arc::new(tokio::sync::Semaphore::new(WORKERS));
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else {
            return;
        };
        let Some((messages, busy)) = queue.receive(batch_size) else {
            drop(permit);
            queue.wait_for_work().await;
            continue;
        };
        let (worker, queue) = (worker.clone(), queue.clone());
        tokio::spawn(async move {
            let failed = worker.work(&messages).await;
            for message in &messages {
                queue.resolve(&message.id, !failed.contains(&message.id));
            }
            drop((busy, permit));
        });
    }
}

type KeepClock = Box<dyn Fn(&Clock) + Send + Sync>;

/// With `--data` the clock stays where it was moved to: a restart must not turn back time. Processes are told where it is.
fn kept_clock(
    data: Option<&PathBuf>,
    moved: Option<&MovedClock>,
    clock: &Clock,
) -> Result<KeepClock, String> {
    let kept = data.map(|directory| directory.join("clock"));
    clock.advance_to_millis(clock.now_millis() + kept.as_deref().map_or(Ok(0), kept_offset)?);
    let told = moved.map(functions::Offset::open).transpose()?;
    let keep: KeepClock = Box::new(move |clock| {
        let kept = kept.as_ref().map_or(Ok(()), |file| {
            write_whole(file, &clock.offset_millis().to_string())
        });
        let told = told
            .as_ref()
            .map_or(Ok(()), |told| told.write(clock.offset_millis()));
        if let Err(error) = kept.and(told) {
            tracing::warn!(
                error.cause = error.to_string(),
                "the clock's offset was not kept"
            );
        }
    });
    if moved.is_some() {
        keep(clock);
    }
    Ok(keep)
}

/// How far the clock was ahead of real time when it was kept. Time that was turned back would give expired codes
/// their lives back, so a file that is there must be read.
fn kept_offset(file: &Path) -> Result<i64, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let offset = text
                .trim()
                .parse()
                .ok()
                .filter(|offset| (0..=CLOCK_MILLIS_MAX).contains(offset));
            offset.ok_or_else(|| format!("--data: clock cannot be read: {text:?} is no number of milliseconds to be ahead of real time"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(format!("--data: clock cannot be read: {error}")),
    }
}

/// The page, with the API keys that it uses.
fn page(api_keys: &[(String, String)]) -> String {
    let keys: serde_json::Value = api_keys
        .iter()
        .map(|(app, key)| serde_json::json!({"app": app, "key": key}))
        .collect();
    include_str!("page.html").replace("{{api_keys}}", &keys.to_string())
}
