//! Why the server does not start, in sentences for standard error: which option or variable, what
//! is wrong, what is allowed.

use std::io;
use std::net::SocketAddr;

use crate::data_dir::DataDirError;
use crate::dynamodb::EngineError;
use crate::functions::BuiltFunctionsError;
use crate::simulated_clock::ClockError;
use crate::table::TableError;
use crate::template::TemplateError;

/// Displays as one line per problem.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens on the port.
    #[error(
        "--port: {address} is in use; choose another port with --port N, or a free one with --port 0"
    )]
    PortInUse {
        /// With the port as given.
        address: SocketAddr,
    },
    /// The address of `--host` is not one of this machine.
    #[error("--host: {} is not an address of this machine; 0.0.0.0 listens on all of them", address.ip())]
    HostNotAvailable {
        /// As given.
        address: SocketAddr,
    },
    /// The port cannot be used for another reason.
    #[error("--port: {address} cannot be used: {source}")]
    Port {
        /// As given.
        address: SocketAddr,
        /// Of the operating system.
        source: io::Error,
    },
    /// No port for the simulated services.
    #[error("127.0.0.1: no free port: {0}")]
    InternalPort(#[source] io::Error),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The embedded DynamoDB.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The table, in the embedded DynamoDB or another one.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Invalid variables: one line per problem.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// The built functions.
    #[error(transparent)]
    Functions(#[from] BuiltFunctionsError),
    /// The embedded template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The embedded API document.
    #[error("openapi.yaml: {0}")]
    OpenApi(#[source] serde_norway::Error),
}
