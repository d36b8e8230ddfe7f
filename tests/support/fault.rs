//! What a fault proxy does with a call.

use std::time::Duration;

use serde_json::json;

use super::listener::{Response, response};

/// What goes wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The call is not forwarded: the connection closes.
    DropRequest,
    /// The call is not forwarded: the connection is reset.
    Reset,
    /// The call is forwarded and its response is lost: the connection closes.
    DropResponse,
    /// The call is forwarded, and an error that no client retries replaces its response.
    ReplaceResponse,
    /// The call is not forwarded; the response is this status and error.
    Error(u16, &'static str),
    /// The call is forwarded with a condition that is not met, as if another writer was first.
    FailCondition,
    /// The call is not forwarded, and there is never a response.
    Freeze,
    /// The call is forwarded after this time.
    DelayRequest(Duration),
    /// The call is forwarded, and its response comes after this time.
    DelayResponse(Duration),
    /// The call is forwarded only after `FaultProxy::release`.
    HoldRequest,
    /// The call is forwarded, and its response waits until `FaultProxy::release`.
    HoldResponse,
    /// The call is not forwarded; the response is a success.
    FakeSuccess,
}

/// DynamoDB's error for a throttled call.
pub const THROTTLED: Fault = Fault::Error(
    400,
    "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
);
/// DynamoDB's internal error, which clients retry.
pub const INTERNAL_ERROR: Fault =
    Fault::Error(500, "com.amazonaws.dynamodb.v20120810#InternalServerError");
/// DynamoDB's error for an item that another transaction is writing.
pub const TRANSACTION_CONFLICT: Fault = Fault::Error(
    400,
    "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
);
/// An error that no client retries, so that a test need not wait for retries.
pub const BROKEN: Fault = Fault::Error(400, "com.amazon.coral.validate#ValidationException");

/// An error response of the AWS JSON protocol.
pub fn error(status: u16, name: &str) -> Response {
    response(
        status,
        &[("content-type", "application/x-amz-json-1.0")],
        json!({"__type": name, "message": "broken by a test"}).to_string(),
    )
}
