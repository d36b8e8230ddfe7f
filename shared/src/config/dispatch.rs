//! `OTP_DISPATCH` with what it needs.

/// How `send` hands messages over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dispatch {
    /// `queue`: through the SQS queue at this URL, to the carrier worker.
    Queue(String),
    /// `sns`: to SNS, within the request.
    Sns,
}
