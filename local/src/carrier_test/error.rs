//! Why a trial sends nothing, in sentences for standard error.

use std::io;

use crate::operator::OperatorError;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarrierTestError {
    /// Invalid variables: one line per problem.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// There is no such carrier.
    #[error("NAME: there is no carrier of this name, but {}{question}", names.join(", "))]
    UnknownCarrier {
        /// Those that there are.
        names: Vec<String>,
        /// Which of them may be meant.
        question: String,
    },
    /// The deployment cannot be used.
    #[error(transparent)]
    Deployment(#[from] OperatorError),
    /// A kind of AWS without credentials.
    #[error(
        "AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: are required for this kind of carrier"
    )]
    NoAws,
    /// Neither a phone number nor an e-mail address.
    #[error("--to: must be a phone number such as +33612345678, or an e-mail address")]
    To,
    /// The carrier does not serve the channel for this recipient.
    #[error("--channel: this carrier does not serve {0} to this recipient; see its settings")]
    NotServed(&'static str),
    /// A notification has no device.
    #[error("--push-to: is required for channel push")]
    NoDevice,
    /// No port for reports.
    #[error("--port: cannot listen: {0}")]
    Port(#[source] io::Error),
}
