//! `OTP_DISPATCH` with what it needs.

/// How `send` hands messages over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dispatch {
    /// `queue`: to the carrier worker, by invocation or through the queue.
    Worker {
        /// URL of the SQS queue that the worker receives from.
        queue_url: String,
        /// URL at which the worker is invoked; `None`: all dispatches go through the queue.
        worker_url: Option<String>,
    },
    /// `sns`: to SNS, within the request.
    Sns,
}
