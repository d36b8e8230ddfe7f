//! Where the functions run: their handlers in this process, or the built functions in processes of their own. Either way
//! they are handed the events that API Gateway and SQS send, and nothing else.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use otp::config::{CallbackConfig, SendConfig, Variables, VerifyConfig, WorkerConfig};
use otp::platform::clock::Clock;
use serde_json::{Value, json};

use crate::figures::Figures;
use crate::queue::Message;
use crate::runtime::{Outcome, Runtime};
use crate::template::Template;

/// The functions as built, to be run as processes.
pub struct BuiltFunctions {
    /// Where they are: `DIR/send` as cargo builds it, `DIR/send/bootstrap` as `cargo lambda build` does, or
    /// `DIR/SendFunction/bootstrap` as `sam build` does.
    pub directory: PathBuf,
    /// Processes per function, at most.
    pub processes: usize,
    /// What moves the clock of a process. Without it processes have real time, and so has the server.
    pub moved_clock: Option<MovedClock>,
}

impl BuiltFunctions {
    /// Where the program of the function called `name` is.
    ///
    /// # Errors
    /// If it is not there.
    pub fn program(&self, name: &str) -> Result<PathBuf, String> {
        let resource = Template::FUNCTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(name, |(_, resource)| resource);
        let places = [
            self.directory.join(name).join("bootstrap"),
            self.directory.join(resource).join("bootstrap"),
            self.directory.join(name),
        ];
        let found = places.iter().find(|place| place.is_file());
        found
            .cloned()
            .ok_or_else(|| format!("--functions: there is no {}", places[2].display()))
    }
}

/// A library that is loaded into each process and adds an offset to real time.
pub struct MovedClock {
    /// The library.
    pub library: PathBuf,
    /// Where it reads the offset, in milliseconds: eight bytes in the machine's order.
    pub offset_file: PathBuf,
}

/// The offset, as processes read it. Its file goes with the server.
pub(crate) struct Offset {
    file: File,
    path: PathBuf,
}

impl Offset {
    pub(crate) fn open(moved: &MovedClock) -> Result<Self, String> {
        let path = moved.offset_file.clone();
        let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { file, path })
    }

    /// Processes see the file as memory, so that it is never cut short.
    pub(crate) fn write(&self, millis: i64) -> std::io::Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(&millis.to_ne_bytes())
    }
}

impl Drop for Offset {
    fn drop(&mut self) {
        // Nobody misses what is gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Name of the variable that says where the offset is.
const OFFSET_FILE: &str = "CLOCK_OFFSET_FILE";

/// The functions that answer or take batches.
pub(crate) enum Functions {
    /// In this process.
    Here {
        send: Box<send::State>,
        verify: Box<verify::State>,
        delivery_callback: Box<delivery_callback::State>,
    },
    /// As processes.
    Processes(Processes),
}

/// The handlers, in this process.
pub(crate) fn here(
    variables: Variables<'_>,
    clock: &Clock,
    figures: &Figures,
) -> Result<(Functions, Worker), String> {
    let functions = Functions::Here {
        send: Box::new(send::State::new(
            SendConfig::read(variables).map_err(|error| error.to_string())?,
            clock.clone(),
            figures.metrics(),
        )),
        verify: Box::new(verify::State::new(
            VerifyConfig::read(variables).map_err(|error| error.to_string())?,
            clock.clone(),
            figures.metrics(),
        )),
        delivery_callback: Box::new(delivery_callback::State::new(
            CallbackConfig::read(variables).map_err(|error| error.to_string())?,
            clock.clone(),
            figures.metrics(),
        )),
    };
    Ok((
        functions,
        Worker::Here(carrier_worker::State::new(
            WorkerConfig::read(variables).map_err(|error| error.to_string())?,
            clock.clone(),
            figures.metrics(),
        )),
    ))
}

/// Processes of the functions as built; `value` looks a variable up.
pub(crate) fn built(
    built: &BuiltFunctions,
    template: &Template,
    clock: &Clock,
    figures: &Figures,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<(Functions, Worker), String> {
    let processes = Processes::new(built, template, clock, figures, value)?;
    Ok((
        Functions::Processes(processes.clone()),
        Worker::Processes(processes),
    ))
}

/// The functions as processes, by name. Clones share them.
#[derive(Clone)]
pub(crate) struct Processes(HashMap<&'static str, Runtime>);

impl Processes {
    /// All four, with the variables that the template gives each.
    fn new(
        built: &BuiltFunctions,
        template: &Template,
        clock: &Clock,
        figures: &Figures,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let timeout = Duration::from_secs(template.timeout_seconds);
        let mut runtimes = HashMap::new();
        for (name, resource) in Template::FUNCTIONS {
            let program = built.program(name)?;
            let mut variables = variables(name, template, resource, value)?;
            if let Some(moved) = &built.moved_clock {
                variables.push(("LD_PRELOAD".into(), moved.library.display().to_string()));
                variables.push((OFFSET_FILE.into(), moved.offset_file.display().to_string()));
            }
            runtimes.insert(
                name,
                Runtime::new(
                    name,
                    program,
                    variables,
                    timeout,
                    clock.clone(),
                    figures.clone(),
                    built.processes.max(1),
                ),
            );
        }
        Ok(Self(runtimes))
    }

    /// Hands an event to the function called `name`; `None` if there is none.
    pub(crate) async fn invoke(&self, name: &str, event: String) -> Option<Outcome> {
        Some(self.0.get(name)?.invoke(event).await)
    }
}

/// What a process of Lambda sees: the function's variables, and those of Lambda itself.
fn variables(
    name: &str,
    template: &Template,
    resource: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, String> {
    let (own, with_carriers) = template.variables_of(resource);
    let mut variables: Vec<(String, String)> = own
        .into_iter()
        .filter_map(|name| Some((name.clone(), value(&name)?)))
        .collect();
    if !with_carriers {
        for (_, document) in variables
            .iter_mut()
            .filter(|(name, _)| name == "OTP_SECRETS")
        {
            let mut secrets: Value =
                serde_json::from_str(document).map_err(|_| "OTP_SECRETS: must be a JSON object")?;
            secrets
                .as_object_mut()
                .and_then(|secrets| secrets.remove("carriers"));
            *document = secrets.to_string();
        }
    }
    let of_aws = [
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    let endpoints = [
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ENDPOINT_URL_SQS",
        "AWS_ENDPOINT_URL_SNS",
    ];
    let of_aws = of_aws.into_iter().chain(endpoints).filter_map(|name| {
        Some((
            name.to_owned(),
            value(name).filter(|value| !value.is_empty())?,
        ))
    });
    variables.extend(of_aws);
    let memory = template.memory_mb.to_string();
    let of_lambda = [
        (
            "AWS_DEFAULT_REGION",
            value("AWS_REGION").unwrap_or_default(),
        ),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
    ];
    variables.extend(of_lambda.map(|(name, value)| (name.to_owned(), value)));
    Ok(variables)
}

/// The worker of the queue's batches.
#[derive(Clone)]
pub(crate) enum Worker {
    /// In this process.
    Here(carrier_worker::State),
    /// As processes.
    Processes(Processes),
}

impl Worker {
    /// Hands a batch over; the messages that must come again.
    pub(crate) async fn work(&self, messages: &[Message]) -> Vec<String> {
        let batch = json!({"Records": messages.iter().map(sqs_record).collect::<Vec<_>>()});
        let all = || messages.iter().map(|message| message.id.clone()).collect();
        let response = match self {
            Self::Here(worker) => match serde_json::from_value(batch) {
                Ok(batch) => carrier_worker::handle(worker, batch).await,
                Err(_) => return all(),
            },
            Self::Processes(processes) => {
                match processes.invoke("carrier-worker", batch.to_string()).await {
                    // An answer that cannot be read fails the batch as well.
                    Some(Ok(answer)) => match serde_json::from_slice::<SqsBatchResponse>(&answer) {
                        Ok(response) => response,
                        Err(_) => return all(),
                    },
                    Some(Err(_)) | None => return all(),
                }
            }
        };
        let failed: Vec<String> = response
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect();
        // SQS takes a failure of nothing that it sent for one of everything.
        if failed
            .iter()
            .any(|id| messages.iter().all(|message| message.id != *id))
        {
            all()
        } else {
            failed
        }
    }
}

/// As the trigger sends it.
fn sqs_record(message: &Message) -> Value {
    let attributes =
        json!({"ApproximateReceiveCount": message.receives.to_string(), "SenderId": "local"});
    json!({"messageId": message.id, "receiptHandle": message.id, "body": message.body, "attributes": attributes, "messageAttributes": {},
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:local:000000000000:queue", "awsRegion": "local"})
}
