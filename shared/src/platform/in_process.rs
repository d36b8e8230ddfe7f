//! Servers in this process that functions call in the place of AWS. The local server, which runs
//! both, passes them to the functions; on Lambda there are none.
//!
//! Invariant: a request reaches such a server only if the endpoint URL is the server's.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::update_item::{
    UpdateItemError, UpdateItemInput, UpdateItemOutput,
};
use http::StatusCode;

/// Answers a request of AWS's JSON protocol without HTTP: an operation, such as
/// `AmazonSQS.SendMessage`, and its document.
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
    /// How DynamoDB's most frequent operations are called without documents as well.
    pub table: Option<Arc<dyn InProcessTable>>,
}

/// The operations of DynamoDB that decide a request, with the values of the SDK: writing and
/// reading documents would take the local server a seventh of its time.
pub trait InProcessTable: Debug + Send + Sync {
    /// `GetItem`.
    fn get_item(&self, input: GetItemInput) -> TableCall<'_, GetItemOutput, GetItemError>;
    /// `PutItem`.
    fn put_item(&self, input: PutItemInput) -> TableCall<'_, PutItemOutput, PutItemError>;
    /// `UpdateItem`.
    fn update_item(
        &self,
        input: UpdateItemInput,
    ) -> TableCall<'_, UpdateItemOutput, UpdateItemError>;
}

/// The output of an operation, once it is its turn, or an error response.
pub type TableCall<'a, O, E> = Pin<Box<dyn Future<Output = Result<O, E>> + Send + 'a>>;

/// The servers in this process.
#[derive(Clone, Default)]
pub struct InProcessServers {
    /// In the place of DynamoDB.
    pub dynamodb: Option<InProcessServer>,
    /// In the place of SQS.
    pub sqs: Option<InProcessServer>,
}
