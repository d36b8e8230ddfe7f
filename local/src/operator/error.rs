//! Why a command of an operator has not done its work, in sentences for standard error.
//!
//! Invariant: no error contains a key or a credential.

use std::path::PathBuf;

use otp::domain::time::Timestamp;
use otp::platform::queue::QueueError;
use otp::service::factors::SubjectError;
use otp::store::{ConfigReadError, StoreError};

use crate::data_dir::DataDirError;
use crate::template::TemplateError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a command has not done its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    /// No option names a deployment.
    #[error("name a deployment: --stack, --table with --secret, or --url with --data")]
    NoTarget,
    /// No region in the environment or the profile.
    #[error("no region of AWS is set: set AWS_REGION, or the region of the profile")]
    NoRegion,
    /// No credentials, or they cannot be used.
    #[error("no credentials of AWS: set AWS_PROFILE or sign in")]
    NoCredentials(#[source] Cause),
    /// A call of AWS failed.
    #[error("{0} failed")]
    Aws(&'static str, #[source] Cause),
    /// The stack has no such output.
    #[error("the stack has no output {0}: is it a stack of this template, and up to date?")]
    NoOutput(&'static str),
    /// The secret is not one of a stack.
    #[error("the secret has no otp_secrets_with_carriers")]
    Secret,
    /// The local server does not respond as one.
    #[error("--url: no local server responds there")]
    NoLocalServer(#[source] Option<Cause>),
    /// The keys that this command has are not those of the server.
    #[error(
        "--data: {} does not have the keys of the server at {url}: name the directory that the \
         server has as its --data, and set OTP_SECRETS if the server has it",
        data.display()
    )]
    OtherKeys {
        /// URL of the server.
        url: String,
        /// The directory.
        data: PathBuf,
    },
    /// Its data directory cannot be read.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// The functions would not start with these settings: one line per problem.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// The target names no secret of AWS.
    #[error("this command needs the secret: use --stack, or --table with --secret")]
    NoSecret,
    /// `doctor` has found problems.
    #[error("{0} to solve")]
    Problems(usize),
    /// The stored document cannot be used: one line per problem.
    #[error("the stored configuration cannot be used; `config rollback` or `config apply` replaces it\n{}", .0.join("\n"))]
    Document(Vec<String>),
    /// Another operator has written the document.
    #[error(
        "nothing was changed: {author} has written version {version} at {written_at}; its changes:\n{}",
        .changes.join("\n")
    )]
    Changed {
        /// The version.
        version: u64,
        /// Who wrote it.
        author: String,
        /// When.
        written_at: Timestamp,
        /// What differs from the document that this command has read; one line at least.
        changes: Vec<String>,
    },
    /// Another operator has written the credentials.
    #[error("nothing was changed: {author} has changed credentials of carriers at the same time")]
    CredentialsChanged {
        /// Who wrote them.
        author: String,
    },
    /// There is no key for the credentials of carriers.
    #[error(
        "the secret has no carrier_seal, which seals credentials: see `lambda-otp seal-key add --carriers`"
    )]
    NoCarrierSeal,
    /// An argument names something that does not exist, or that does already.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read or written.
    #[error("{0}: cannot be used")]
    File(String, #[source] std::io::Error),
    /// The configuration in the table cannot be read or written.
    #[error(transparent)]
    Config(#[from] ConfigReadError),
    /// The command needs a queue, which the target does not name.
    #[error("this command needs the queue: use --stack, or --url for a local server")]
    NoQueue,
    /// Neither a phone number nor an e-mail address.
    #[error("TO: must be a phone number such as +33612345678, or an e-mail address")]
    To,
    /// A reseal ended early.
    #[error("the reseal has stopped; continue with --after {after}")]
    Stopped {
        /// The position to continue at.
        after: String,
        /// The cause.
        #[source]
        cause: StoreError,
    },
    /// The operator did not confirm.
    #[error("nothing was changed: not confirmed")]
    NotConfirmed,
    /// There is no terminal to ask on.
    #[error("nothing was changed: without a terminal, confirm with --yes")]
    NoTerminal,
    /// The table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The API document in this binary.
    #[error("openapi.yaml: {0}")]
    OpenApi(#[source] serde_norway::Error),
    /// The template in this binary.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl OperatorError {
    pub(super) fn aws(call: &'static str, error: impl Into<Cause>) -> Self {
        Self::Aws(call, error.into())
    }
}
