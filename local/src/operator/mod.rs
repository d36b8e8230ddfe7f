//! What the commands of operators work on: a deployed stack, a table with a secret, or a local
//! server. All three become a [`Deployment`], which runs the functions' own code.

use std::path::PathBuf;

mod aws_session;
mod dead_letter_queue;
mod dead_letter_reason;
mod deployment;
mod error;
mod local_server;
mod stack;

pub(crate) use dead_letter_reason::explain;
pub(crate) use deployment::Deployment;
pub(crate) use error::OperatorError;

/// Where a deployment is.
pub(crate) enum Target {
    /// The CloudFormation stack of this name.
    Stack(String),
    /// A table and the name or ARN of a secret.
    Table {
        /// Name or ARN of the table.
        table: String,
        /// Name or ARN of the secret.
        secret: String,
    },
    /// A running local server.
    Local {
        /// Its URL, without a slash at the end.
        url: String,
        /// Its data directory.
        data: PathBuf,
    },
}
