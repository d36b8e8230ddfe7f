//! What the commands of operators work on: a deployed stack, a table with a secret, or a local
//! server. All three become a [`Deployment`], which runs the functions' own code.

use std::path::PathBuf;

mod aws_session;
mod carrier_list;
mod configuration;
mod credential_fields;
mod dead_letter_queue;
mod dead_letter_reason;
mod deployment;
mod diagnosis;
mod document_changes;
mod error;
mod known_apps;
mod secret_document;
mod local_server;
mod stack;
mod use_cases;
mod user_name;

pub(crate) use carrier_list::{CarrierList, name_of};
pub(crate) use configuration::{Configuration, parse};
pub(crate) use credential_fields::is_credential;
pub(crate) use dead_letter_reason::explain;
pub(crate) use deployment::Deployment;
pub(crate) use diagnosis::{Finding, diagnose};
pub(crate) use document_changes::document_changes;
pub(crate) use error::OperatorError;
pub(crate) use known_apps::{KnownApp, known_apps, secret_keys};
pub(crate) use otp::config::without_hidden as shown;
pub(crate) use secret_document::SecretDocument;

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
