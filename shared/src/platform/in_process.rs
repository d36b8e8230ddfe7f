//! Servers in this process that functions call in the place of AWS. The local server, which runs
//! both, passes them to the functions; on Lambda there are none.
//!
//! Invariant: a request reaches such a server only if the endpoint URL is the server's.

use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;

/// Answers a request of AWS's JSON protocol without HTTP: an operation, such as
/// `DynamoDB_20120810.GetItem`, and its document.
pub type Respond = Arc<dyn for<'a> Fn(&'a str, &'a [u8]) -> Responding<'a> + Send + Sync>;

/// The response of a server, once it is its turn.
pub type Responding<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// The response of a server.
pub struct Response {
    /// The status of HTTP.
    pub status: StatusCode,
    /// A JSON document.
    pub body: String,
}

/// A server in this process.
#[derive(Clone)]
pub struct InProcessServer {
    /// The URL at which it also listens.
    pub url: String,
    /// How it is called without a connection.
    pub respond: Respond,
}

/// The servers in this process.
#[derive(Clone, Default)]
pub struct InProcessServers {
    /// In the place of DynamoDB.
    pub dynamodb: Option<InProcessServer>,
    /// In the place of SQS.
    pub sqs: Option<InProcessServer>,
}
