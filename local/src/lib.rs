//! The service on one machine: the handlers of the functions behind an HTTP server, with an
//! embedded DynamoDB-compatible engine, an in-process queue and simulated carriers. The functions
//! can also run as they are deployed, as processes under a Lambda Runtime API, and with another
//! DynamoDB.
//!
//! Invariant: no code of the functions is replaced. They get other URLs and another clock, and
//! nothing else. Handlers in this process call the engine and the queue at their URLs without a
//! connection; a proxy at another URL is called over HTTP.
//!
//! Reading order: [`cli`] parses the command line, `server` connects the parts, `gateway` handles
//! requests, `functions` runs the functions. Replacements for AWS: `dynamodb` and `table`, `queue`
//! and `queue_trigger`, `sqs_sns`, `lambda_runtime`, `metrics` (CloudWatch). Simulations:
//! `simulated_carriers`, `simulated_clock`.

mod carrier_test;
pub mod cli;
mod configured_carriers;
mod data_dir;
mod dynamodb;
mod dynamodb_calls;
mod dynamodb_clock_proxy;
mod functions;
mod gateway;
mod internal_port;
mod lambda_runtime;
mod listen;
mod local_aws;
mod metrics;
mod mistyped_variables;
mod operator;
mod origin_check;
mod page;
mod plain_openapi;
mod preset;
mod queue;
mod queue_store;
mod queue_trigger;
mod reject;
mod remote_dynamodb;
mod reset;
mod secrets;
mod server;
mod start_services;
mod settings;
mod simulated_carriers;
mod simulated_clock;
mod sqs_sns;
mod start_error;
mod storage;
mod stored_configuration;
mod table;
mod template;
mod variables;
mod proxy_urls;

pub use functions::{BuiltFunctions, BuiltFunctionsError};
pub use listen::Listen;
pub use preset::Preset;
pub use proxy_urls::Wires;
pub use server::{Options, Server};
pub use simulated_clock::MovedClock;
pub use start_error::StartError;
pub use variables::Variables;

/// The engine, and the SDK that calls it, make many small allocations: with the allocator of the C
/// library a round of send, deliver and check takes a fifth longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
