//! Why a command of an operator has not done its work, in sentences for standard error.
//!
//! Invariant: no error contains a key or a credential.

use std::path::PathBuf;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use otp::domain::time::Timestamp;
use otp::platform::logging::causes;
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
    #[error("no credentials of AWS{}", in_chain(.0.as_deref(), .1))]
    NoCredentials(Option<String>, String),
    /// A call of AWS failed.
    #[error("{0} failed")]
    Aws(&'static str, #[source] Cause),
    /// There is no such table.
    #[error("there is no table {table} in {region}: compare both with the outputs of the stack")]
    NoTable {
        /// Name or ARN.
        table: String,
        /// Of the operator.
        region: String,
    },
    /// The secret was written by another operator.
    #[error("nothing was changed: the secret has changed since it was read; run the command again")]
    SecretChanged,
    /// The stack has no such output.
    #[error("the stack has no output {0}: is it a stack of this template, and up to date?")]
    NoOutput(&'static str),
    /// The secret is not one of a stack.
    #[error(
        "the secret is not one of a stack: it must be a JSON object in which \
         otp_secrets_with_carriers is a text"
    )]
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

/// Where credentials were looked for: in `profile`, or in the whole chain, and what failed there.
fn in_chain(profile: Option<&str>, causes: &str) -> String {
    let place = match profile {
        Some(profile) => format!(" in profile {profile:?} (AWS_PROFILE): is it configured here?"),
        None => ": set AWS_PROFILE, or sign in".to_owned(),
    };
    // Those of the chain that were tried at all.
    let tried = causes.lines().map(str::trim);
    let tried = tried.filter(|line| !line.contains("not enabled") && !line.ends_with(':'));
    let tried: Vec<&str> = tried.filter(|line| !line.is_empty()).collect();
    match tried.is_empty() {
        true => place,
        false => format!("{place} {}", tried.join("; ")),
    }
}

impl OperatorError {
    /// The error of AWS with its code, or why there was no response.
    pub(super) fn aws<E, R>(call: &'static str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let text = match code {
            Some(code) => match error.message() {
                Some(message) => format!("{code}: {message}"),
                None => code,
            },
            None => causes(&error),
        };
        let hint = match text.contains("dns error") {
            true => "; is the region one of AWS, and is this machine online?",
            false => "",
        };
        Self::Aws(call, format!("{text}{hint}").into())
    }

    /// With a table that does not exist, this error says so.
    pub(super) fn about_table(self, table: &str, region: &str) -> Self {
        match causes(&self).contains("ResourceNotFoundException") {
            true => Self::NoTable {
                table: table.to_owned(),
                region: region.to_owned(),
            },
            false => self,
        }
    }
}
